/* test_orch_options.c - the command line and the environment that stands for parts of it. */
#include <errno.h>
#include "orch_options.h"
#include "test.h"

#define WORDS_MAX 32

static const char *vars[8][2];

static const char *lookup(const char *name)
{
	for (size_t i = 0; i < 8 && vars[i][0]; i++)
		if (strcmp(vars[i][0], name) == 0)
			return vars[i][1];
	return NULL;
}

static void set_env(const char *name, const char *value)
{
	(void) memset(vars, 0, sizeof vars);
	vars[0][0] = name;
	vars[0][1] = value;
}

/* line: words separated by one blank. */
static int parse(struct orch_options *o, const char *line, enum orch_action *ret)
{
	static char copy[4096];
	static char *argv[WORDS_MAX + 2];
	struct err e = { 0 };
	int argc = 1, r;

	*o = (struct orch_options){ 0 };
	argv[0] = copy;
	(void) snprintf(copy, sizeof copy, "x %s", line);
	for (char *p = strchr(copy, ' '); p && p[1]; p = strchr(p, ' ')) {
		*p++ = '\0';
		ASSERT(argc <= WORDS_MAX);
		argv[argc++] = p;
	}
	argv[argc] = NULL;
	r = orch_options_parse(o, argc, argv, lookup, ret, &e);
	ASSERT(r == 0 || e.text[0]);
	return r;
}

static int plain(struct orch_options *o, const char *line)
{
	enum orch_action action;

	set_env(NULL, NULL);
	return parse(o, line, &action);
}

TEST(every_flag_that_is_built_does_what_it_says)
{
	struct orch_options o;

	ASSERT_OK(plain(&o,
		"--policy=p.yaml -w /w -t 5 -i --network-link veth --loopback deny --env A=1 "
		"--log-level debug --log-file l --leaf-dir d --proxy-uid 7 -- cmd --flag"));
	ASSERT_STR(o.policy, "p.yaml");
	ASSERT_STR(o.workdir, "/w");
	ASSERT_STR(o.log_file, "l");
	ASSERT_STR(o.leaf_dir, "d");
	ASSERT_STR(o.env[0], "A=1");
	ASSERT(o.timeout_s == 5 && o.interactive && o.tty && o.loopback_deny);
	ASSERT(o.link == ORCH_LINK_VETH && o.log_level == LOG_LEVEL_DEBUG);
	ASSERT(o.proxy_uid == 7 && o.proxy_gid == 7);
	ASSERT_STR(o.command[0], "cmd");
	ASSERT_STR(o.command[1], "--flag");
	orch_options_done(&o);
}

TEST(defaults_are_the_safe_ones)
{
	struct orch_options o;

	ASSERT_OK(plain(&o, "true"));
	ASSERT(!o.policy && !o.timeout_s && !o.interactive && !o.tty && o.identity_required);
	ASSERT(o.link == ORCH_LINK_SEALED && o.log_level == LOG_LEVEL_WARN);
	ASSERT(o.proxy_uid == 1337 && o.proxy_gid == 1337 && !o.require_pid_limit);
	orch_options_done(&o);
}

TEST(flags_without_effect_are_accepted)
{
	struct orch_options o;

	ASSERT_OK(plain(&o,
		"--health-check --health-port 1 --sandbox n --sandbox-id i "
		"--mode network,process true"));
	ASSERT_STR(o.sandbox_id, "i");
	ASSERT_STR(o.command[0], "true");
	ASSERT_OK(plain(&o, "--mode=process,,network true"));
	orch_options_done(&o);
}

TEST(malformed_command_lines_are_einval)
{
	static const char *const bad[] = { "--nope", "--timeout", "--timeout x true", "-t -1 true",
		"-t 31536001 true", "--policy", "--policy= true", "--interactive=1 true", "-z",
		"--log-level loud true", "--network-link wifi true", "--loopback maybe true",
		"--proxy-uid 0 true", "--proxy-uid 4294967295 true", "--proxy-gid x true",
		"--env =x true", "--mode bogus true", "--mode , true",
		"--mode network-init,process true" };
	struct orch_options o;

	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
		if (plain(&o, bad[i]) != -EINVAL)
			FAIL_("not refused as wrong: %s", bad[i]);
	ASSERT_OK(plain(&o, "-t 31536000 true"));
}

TEST(what_is_not_built_is_enotsup_as_flag_and_as_variable)
{
	static const char *const flags[] = { "--openshell-endpoint http://x:1", "--mode network",
		"--mode process", "--mode network-init", "--inference-routes /x",
		"--policy-rules /x", "--sidecar-state-dir /x", "--sidecar-tls-dir /x",
		"--upstream-proxy http://x:1", "--upstream-no-proxy x",
		"--upstream-proxy-auth-file /x", "--upstream-proxy-auth-allow-insecure",
		"--upstream-proxy-connect-by-hostname" };
	static const char *const names[][2] = { { "OPENSHELL_ENDPOINT", "http://x:1" },
		{ "OPENSHELL_INFERENCE_ROUTES", "/x" }, { "OPENSHELL_POLICY_RULES", "/x" },
		{ "OPENSHELL_SIDECAR_STATE_DIR", "/x" },
		{ "OPENSHELL_SUPERVISOR_TOPOLOGY", "sidecar" },
		{ "OPENSHELL_NETWORK_ENFORCEMENT_MODE", "sidecar-nftables" } };
	struct orch_options o;
	enum orch_action action;

	for (size_t i = 0; i < sizeof flags / sizeof *flags; i++) {
		char line[128];

		(void) snprintf(line, sizeof line, "%s true", flags[i]);
		if (plain(&o, line) != -ENOTSUP)
			FAIL_("not refused by name: %s", line);
	}
	for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
		set_env(names[i][0], names[i][1]);
		if (parse(&o, "true", &action) != -ENOTSUP)
			FAIL_("not refused by name: %s", names[i][0]);
	}
}

TEST(subcommands_that_are_not_built_are_not_run_as_programs)
{
	struct orch_options o;

	ASSERT_ERR(plain(&o, "debug-rpc refresh"), ENOTSUP);
	ASSERT_OK(plain(&o, "-- debug-rpc refresh"));
	ASSERT_OK(plain(&o, "-- copy-self /x"));
	ASSERT_STR(o.command[0], "copy-self");
	ASSERT_OK(plain(&o, "true copy-self"));
}

TEST(variables_stand_for_flags_and_flags_win)
{
	struct orch_options o;
	enum orch_action action;

	set_env("OPENSHELL_POLICY_DATA", "env.yaml");
	ASSERT_OK(parse(&o, "true", &action));
	ASSERT_STR(o.policy, "env.yaml");
	ASSERT_OK(parse(&o, "--policy flag.yaml true", &action));
	ASSERT_STR(o.policy, "flag.yaml");
	set_env("OPENSHELL_LOG_LEVEL", "ERROR");
	ASSERT_OK(parse(&o, "true", &action));
	ASSERT_EQ(o.log_level, LOG_LEVEL_ERROR);
	set_env("RUST_LOG", "info");
	ASSERT_OK(parse(&o, "--log-level error true", &action));
	ASSERT_EQ(o.log_level, LOG_LEVEL_INFO);
	set_env("OPENSHELL_PROXY_UID", "5");
	ASSERT_OK(parse(&o, "true", &action));
	ASSERT(o.proxy_uid == 5 && o.proxy_gid == 5);
	set_env("OPENSHELL_PROXY_GID", "6");
	ASSERT_OK(parse(&o, "true", &action));
	ASSERT(o.proxy_uid == 1337 && o.proxy_gid == 6);
	set_env("OPENSHELL_SANDBOX_ID", "id");
	ASSERT_OK(parse(&o, "true", &action));
	ASSERT_STR(o.sandbox_id, "id");
	set_env("OPENSHELL_REQUIRE_RUNTIME_PID_LIMIT", "");
	ASSERT_OK(parse(&o, "true", &action));
	ASSERT(o.require_pid_limit);
	set_env("OPENSHELL_PROXY_UID", "x");
	ASSERT(parse(&o, "true", &action) < 0);
}

TEST(identity_is_switched_off_by_five_words_only)
{
	static const char *const words[] = { "relaxed", "disabled", "endpoint-only", "false", "0",
		"required", "", "Relaxed", "no", "1" };
	struct orch_options o;
	enum orch_action action;

	for (size_t i = 0; i < sizeof words / sizeof *words; i++) {
		set_env("OPENSHELL_NETWORK_BINARY_IDENTITY", words[i]);
		ASSERT_OK(parse(&o, "true", &action));
		ASSERT_EQ(o.identity_required, i >= 5);
	}
}

TEST(the_command_comes_from_words_then_the_spec_then_a_login_shell)
{
	struct orch_options o;
	enum orch_action action;

	set_env("OPENSHELL_MAIN_PROCESS_SPEC", "{\"version\":1,\"command\":[\"a\"],\"tty\":true}");
	ASSERT_OK(parse(&o, "cmd", &action));
	ASSERT_STR(o.command[0], "cmd");
	ASSERT(!o.tty);
	ASSERT_OK(parse(&o, "", &action));
	ASSERT_STR(o.command[0], "a");
	ASSERT(o.tty);
	orch_options_done(&o);
	set_env("OPENSHELL_MAIN_PROCESS_SPEC", "{\"version\":2,\"command\":[\"a\"]}");
	ASSERT_ERR(parse(&o, "", &action), EBADMSG); /* exit status 1, not 2 */
	set_env(NULL, NULL);
	ASSERT_OK(parse(&o, "", &action));
	ASSERT_STR(o.command[0], "/bin/bash");
	ASSERT_STR(o.command[1], "-l");
	ASSERT(o.tty);
}

TEST(help_and_version_look_no_further)
{
	struct orch_options o;
	enum orch_action action;

	set_env("OPENSHELL_ENDPOINT", "http://x:1");
	ASSERT_OK(parse(&o, "--help", &action));
	ASSERT_EQ(action, ORCH_HELP);
	ASSERT_OK(parse(&o, "--version --nope", &action));
	ASSERT_EQ(action, ORCH_VERSION);
}

TEST(env_options_are_bounded)
{
	char *argv[2 * (ORCH_ENV_OPTIONS_MAX + 1) + 3];
	static char name[] = "x", flag[] = "--env", value[] = "A=1", command[] = "true";
	struct orch_options o = { 0 };
	enum orch_action action;
	struct err e = { 0 };
	int n = 0;

	set_env(NULL, NULL);
	argv[n++] = name;
	for (int i = 0; i < ORCH_ENV_OPTIONS_MAX; i++) {
		argv[n++] = flag;
		argv[n++] = value;
	}
	argv[n] = command;
	argv[n + 1] = NULL;
	ASSERT_OK(orch_options_parse(&o, n + 1, argv, lookup, &action, &e));
	argv[n++] = flag;
	argv[n++] = value;
	argv[n] = command;
	argv[n + 1] = NULL;
	o = (struct orch_options){ 0 };
	ASSERT_ERR(orch_options_parse(&o, n + 1, argv, lookup, &action, &e), EINVAL);
}
