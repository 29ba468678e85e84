/* orch_options.c - one table of flags; the parser walks it. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "core_failure.h"
#include "core_fd.h"
#include "core_text.h"
#include "orch_ctl_socket.h"
#include "orch_options.h"
#include "orch_spec.h"

struct row;
typedef int (*set_fn)(
	struct orch_options *o, const struct row *r, const char *value, struct err *e);

enum value { VALUE_NONE, VALUE_ONE };

struct row {
	const char *name; /* without "--" */
	char letter;	  /* 0: none */
	enum value value;
	const char *env; /* NULL: none */
	set_fn set;
	size_t at;	  /* where set puts a string */
	const char *meta; /* name of the value in the help text; NULL: not in it */
	const char *what; /* help text; for refused ones, what is missing */
};

#define AT(member) offsetof(struct orch_options, member)
#define UID_MAX_TEXT 4294967294u /* 2^32 - 1 means "no change" in setresuid(2) */

static int set_text(struct orch_options *o, const struct row *r, const char *value, struct err *e)
{
	if (!*value)
		return err_set(e, EINVAL, "--%s needs a value that is not empty", r->name);
	*(const char **) ((char *) o + r->at) = value;
	return 0;
}

static int set_timeout(
	struct orch_options *o, const struct row *r, const char *value, struct err *e)
{
	if (text_to_u64(value, strlen(value), 0, ORCH_TIMEOUT_S_MAX, &o->timeout_s) < 0)
		return err_set(e, EINVAL,
			"--%s must be a number of seconds from 0 to %d, not '%.80s'", r->name,
			ORCH_TIMEOUT_S_MAX, value);
	return 0;
}

static int set_id(struct orch_options *o, const struct row *r, const char *value, struct err *e)
{
	uint64_t id;

	if (text_to_u64(value, strlen(value), 1, UID_MAX_TEXT, &id) < 0)
		return err_set(e, EINVAL,
			"--%s must be a number from 1 to %u, not '%.80s'; the proxy never runs as "
			"0",
			r->name, UID_MAX_TEXT, value);
	*(uint32_t *) ((char *) o + r->at) = (uint32_t) id;
	return 0;
}

static int set_level(struct orch_options *o, const struct row *r, const char *value, struct err *e)
{
	if (log_level_parse(value, &o->log_level) < 0)
		return err_set(e, EINVAL, "--%s must be error, warn, info or debug, not '%.80s'",
			r->name, value);
	return 0;
}

static int set_link(struct orch_options *o, const struct row *r, const char *value, struct err *e)
{
	if (strcmp(value, "sealed") != 0 && strcmp(value, "veth") != 0)
		return err_set(
			e, EINVAL, "--%s must be sealed or veth, not '%.80s'", r->name, value);
	o->link = *value == 's' ? ORCH_LINK_SEALED : ORCH_LINK_VETH;
	return 0;
}

static int set_loopback(
	struct orch_options *o, const struct row *r, const char *value, struct err *e)
{
	if (strcmp(value, "allow") != 0 && strcmp(value, "deny") != 0)
		return err_set(
			e, EINVAL, "--%s must be allow or deny, not '%.80s'", r->name, value);
	o->loopback_deny = *value == 'd';
	return 0;
}

static int set_delegate(
	struct orch_options *o, const struct row *r, const char *value, struct err *e)
{
	if (failure_parse_kinds(value, &o->delegated, e) < 0)
		return err_wrap(e, "--%s", r->name);
	return 0;
}

static int set_interactive(
	struct orch_options *o, const struct row *r, const char *value, struct err *e)
{
	(void) r;
	(void) value;
	(void) e;
	o->interactive = true;
	return 0;
}

static int set_skill(struct orch_options *o, const struct row *r, const char *value, struct err *e)
{
	(void) r;
	(void) value;
	(void) e;
	o->skill = true;
	return 0;
}

static int set_attachable(
	struct orch_options *o, const struct row *r, const char *value, struct err *e)
{
	(void) r;
	(void) value;
	(void) e;
	o->attachable = true;
	return 0;
}

static int set_name(struct orch_options *o, const struct row *r, const char *value, struct err *e)
{
	if (!orch_ctl_is_name(value))
		return err_set(e, EINVAL,
			"--%s must be 1 to %d letters, digits, dots, dashes or underscores, and "
			"not "
			"begin with a dot; not '%.80s'",
			r->name, ORCH_CTL_NAME_MAX, value);
	o->name = value;
	return 0;
}

static int add_env(struct orch_options *o, const struct row *r, const char *value, struct err *e)
{
	if (o->n_env == ORCH_ENV_OPTIONS_MAX)
		return err_set(e, EINVAL, "--%s may be given %d times at most", r->name,
			ORCH_ENV_OPTIONS_MAX);
	if (!*value || *value == '=')
		return err_set(
			e, EINVAL, "--%s must be NAME or NAME=VALUE, not '%.80s'", r->name, value);
	o->env[o->n_env++] = value;
	return 0;
}

static int ignore(struct orch_options *o, const struct row *r, const char *value, struct err *e)
{
	(void) o;
	(void) r;
	(void) value;
	(void) e;
	return 0;
}

static int not_built(struct orch_options *o, const struct row *r, const char *value, struct err *e)
{
	(void) o;
	(void) value;
	return err_set(e, ENOTSUP, "--%s: %s not built yet; leave it out%s%s%s", r->name, r->what,
		r->env ? " and unset " : "", r->env ? r->env : "",
		r->env ? ", which means the same" : "");
}

static int policy_rules(
	struct orch_options *o, const struct row *r, const char *value, struct err *e)
{
	(void) o;
	(void) value;
	return err_set(e, ENOTSUP,
		"--%s: rules are not a file of their own here; write them in the policy and give "
		"it with --policy FILE (--policy-data is the same)",
		r->name);
}

enum { MODE_NETWORK = 1, MODE_PROCESS = 2, MODE_INIT = 4 };

static int mode_item(const char *item, size_t len, struct err *e)
{
	static const char *const names[] = { "network", "process", "network-init" };

	for (int i = 0; i < 3; i++)
		if (strlen(names[i]) == len && memcmp(names[i], item, len) == 0)
			return 1 << i;
	return err_set(e, EINVAL,
		"--mode: '%.*s' is unknown; known are network, process and "
		"network-init",
		(int) (len < 80 ? len : 80), item);
}

static int mode_parse(const char *value, struct err *e)
{
	int mode = 0;

	while (*value) {
		size_t len, n = strcspn(value, ",");
		const char *item = value;
		int bit;

		value += n + (value[n] == ',');
		for (len = n; len && (item[len - 1] == ' ' || item[len - 1] == '\t'); len--)
			;
		for (; len && (*item == ' ' || *item == '\t'); item++)
			len--;
		if (len == 0)
			continue;
		bit = mode_item(item, len, e);
		if (bit < 0)
			return bit;
		mode |= bit;
	}
	return mode;
}

static int set_mode(struct orch_options *o, const struct row *r, const char *value, struct err *e)
{
	int mode = mode_parse(value, e);

	(void) o;
	if (mode < 0)
		return mode;
	if (mode == 0)
		return err_set(e, EINVAL, "--%s needs at least one of network, process", r->name);
	if ((mode & MODE_INIT) && mode != MODE_INIT)
		return err_set(e, EINVAL, "--%s: network-init can't be combined", r->name);
	if (mode != (MODE_NETWORK | MODE_PROCESS))
		return err_set(e, ENOTSUP,
			"--%s %.40s: not built yet; network,process is what this program does",
			r->name, value);
	return 0;
}

#define REFUSED(name, value, env, what) \
	{ \
		name, 0, value, env, not_built, 0, NULL, what \
	}

static const struct row rows[] = {
	{ "policy", 0, VALUE_ONE, NULL, set_text, AT(policy), "FILE",
		"policy document (YAML); without it the installed or the embedded one" },
	{ "policy-data", 0, VALUE_ONE, "OPENSHELL_POLICY_DATA", set_text, AT(policy), "FILE",
		"the same as --policy" },
	{ "workdir", 'w', VALUE_ONE, NULL, set_text, AT(workdir), "DIR",
		"where the command starts; the current directory by default" },
	{ "timeout", 't', VALUE_ONE, NULL, set_timeout, 0, "SECONDS",
		"end the command after that time; 0 = never" },
	{ "interactive", 'i', VALUE_NONE, NULL, set_interactive, 0, "",
		"run the command on a terminal" },
	{ "network-link", 0, VALUE_ONE, NULL, set_link, 0, "sealed|veth",
		"sealed: loopback only (default); veth: reachable from the host" },
	{ "loopback", 0, VALUE_ONE, NULL, set_loopback, 0, "allow|deny",
		"deny: the command may reach nothing on loopback but the proxy" },
	{ "delegate", 0, VALUE_ONE, NULL, set_delegate, 0, "KIND,...",
		"tolerate that the host refuses network-namespace, supervisor-seccomp or "
		"workload-seccomp" },
	{ "install-skill", 0, VALUE_NONE, NULL, set_skill, 0, "",
		"write a page for the agent below /etc/openshell/skills: what refusals mean" },
	{ "env", 0, VALUE_ONE, NULL, add_env, 0, "NAME[=VALUE]",
		"pass a variable to the command (may be repeated)" },
	{ "credentials", 0, VALUE_ONE, NULL, set_text, AT(credentials), "FILE",
		"credentials that the command knows by placeholders only (YAML, mode 0600)" },
	{ "log-level", 0, VALUE_ONE, "OPENSHELL_LOG_LEVEL", set_level, 0, "LEVEL",
		"error, warn (default; shows denials), info (also what was allowed), debug" },
	{ "log-file", 0, VALUE_ONE, NULL, set_text, AT(log_file), "FILE",
		"append every event to FILE, one JSON object per line" },
	{ "upstream-ca", 0, VALUE_ONE, "OPENSHELL_UPSTREAM_CA", set_text, AT(upstream_ca), "FILE",
		"PEM certificates that upstreams are trusted by, on top of the system's" },
	{ "leaf-dir", 0, VALUE_ONE, NULL, set_text, AT(leaf_dir), "DIR",
		"where the two leaf programs are" },
	{ "proxy-uid", 0, VALUE_ONE, "OPENSHELL_PROXY_UID", set_id, AT(proxy_uid), "UID",
		"what the network leaf runs as; 1337 by default" },
	{ "proxy-gid", 0, VALUE_ONE, "OPENSHELL_PROXY_GID", set_id, AT(proxy_gid), "GID",
		"its group; the same number as the uid by default" },
	{ "name", 0, VALUE_ONE, NULL, set_name, 0, "NAME",
		"what ctl calls this sandbox; a random one by default" },
	{ "ctl-socket", 0, VALUE_ONE, NULL, set_text, AT(ctl_socket), "PATH|none",
		"the control socket; by name in /run/openshell or XDG_RUNTIME_DIR by default" },
	{ "attachable", 0, VALUE_NONE, NULL, set_attachable, 0, "",
		"ctl attach works for a command without a terminal, too" },
	{ "ssh-socket-path", 0, VALUE_ONE, "OPENSHELL_SSH_SOCKET_PATH", set_text, AT(ssh_socket),
		"PATH", "serve SSH on this Unix socket (@name: an abstract one)" },
	{ "sandbox-id", 0, VALUE_ONE, "OPENSHELL_SANDBOX_ID", set_text, AT(sandbox_id), "ID",
		"name of this sandbox in events" },
	/* The name matters to a gateway only, and --openshell-endpoint is refused. */
	{ "sandbox", 0, VALUE_ONE, NULL, ignore, 0, NULL, "" },
	{ "health-check", 0, VALUE_NONE, NULL, ignore, 0, NULL, "" },
	{ "health-port", 0, VALUE_ONE, NULL, ignore, 0, NULL, "" },
	{ "mode", 0, VALUE_ONE, NULL, set_mode, 0, NULL, "" },
	{ "policy-rules", 0, VALUE_ONE, "OPENSHELL_POLICY_RULES", policy_rules, 0, NULL, "" },
	REFUSED("openshell-endpoint", VALUE_ONE, "OPENSHELL_ENDPOINT", "the gateway connection is"),
	REFUSED("inference-routes", VALUE_ONE, "OPENSHELL_INFERENCE_ROUTES",
		"inference routing is"),
	REFUSED("sidecar-state-dir", VALUE_ONE, "OPENSHELL_SIDECAR_STATE_DIR",
		"the sidecar topology is"),
	REFUSED("sidecar-tls-dir", VALUE_ONE, NULL, "the sidecar topology is"),
	REFUSED("upstream-proxy", VALUE_ONE, NULL, "going out through another proxy is"),
	REFUSED("upstream-no-proxy", VALUE_ONE, NULL, "going out through another proxy is"),
	REFUSED("upstream-proxy-auth-file", VALUE_ONE, NULL, "going out through another proxy is"),
	REFUSED("upstream-proxy-auth-allow-insecure", VALUE_NONE, NULL,
		"going out through another proxy is"),
	REFUSED("upstream-proxy-connect-by-hostname", VALUE_NONE, NULL,
		"going out through another proxy is"),
	{ 0 },
};

static const struct row *find(const char *name, size_t len)
{
	for (const struct row *r = rows; r->name; r++)
		if (strlen(r->name) == len && memcmp(r->name, name, len) == 0)
			return r;
	return NULL;
}

static const struct row *find_letter(char letter)
{
	for (const struct row *r = rows; r->name; r++)
		if (r->letter == letter)
			return r;
	return NULL;
}

struct walk {
	char **at; /* the word being read */
	struct orch_options *o;
	bool *given; /* per row: on the command line */
	enum orch_action action;
};

static int apply(struct walk *w, const struct row *r, const char *value, struct err *e)
{
	if (r->value == VALUE_ONE && !value)
		value = *++w->at;
	if (r->value == VALUE_ONE && !value)
		return err_set(e, EINVAL, "--%s needs a value", r->name);
	w->given[r - rows] = true;
	return r->set(w->o, r, value, e);
}

static int long_flag(struct walk *w, struct err *e)
{
	const char *name = *w->at + 2;
	size_t len = strcspn(name, "=");
	const char *value = name[len] ? name + len + 1 : NULL;
	const struct row *r = find(name, len);

	if (!value && strcmp(name, "help") == 0) {
		w->action = ORCH_HELP;
		return 0;
	}
	if (!value && strcmp(name, "version") == 0) {
		w->action = ORCH_VERSION;
		return 0;
	}
	if (!r)
		return err_set(e, EINVAL, "unknown option --%.*s; --help lists what there is",
			(int) (len < 80 ? len : 80), name);
	if (value && r->value == VALUE_NONE)
		return err_set(e, EINVAL, "--%s takes no value", r->name);
	return apply(w, r, value, e);
}

/* -i, -w DIR, -wDIR, -it 5 */
static int letters(struct walk *w, struct err *e)
{
	const char *p = *w->at + 1;

	for (; *p; p++) {
		const struct row *r = find_letter(*p);
		int rc;

		if (*p == 'h' || *p == 'V') {
			w->action = *p == 'h' ? ORCH_HELP : ORCH_VERSION;
			return 0;
		}
		if (!r)
			return err_set(e, EINVAL, "unknown option -%c; --help lists what there is",
				*p >= ' ' && *p <= '~' ? *p : '?');
		rc = apply(w, r, r->value == VALUE_ONE && p[1] ? p + 1 : NULL, e);
		if (rc < 0 || r->value == VALUE_ONE)
			return rc;
	}
	return 0;
}

/* Everything from the first word that is no flag on is the command, its own flags included. */
static int walk_words(struct walk *w, struct err *e)
{
	for (; *w->at; w->at++) {
		const char *word = *w->at;
		int rc;

		if (strcmp(word, "--") == 0) {
			w->at++;
			return 0;
		}
		if (word[0] != '-' || !word[1])
			return 0;
		rc = word[1] == '-' ? long_flag(w, e) : letters(w, e);
		if (rc < 0 || w->action != ORCH_RUN)
			return rc;
	}
	return 0;
}

/* A variable that is set but empty is as if it were absent, except where a flag would be refused:
 * images bake empty variables. */
static int apply_env(struct walk *w, orch_getenv_fn env, struct err *e)
{
	bool policy = w->given[find("policy", 6) - rows];

	for (const struct row *r = rows; r->name; r++) {
		const char *value = r->env ? env(r->env) : NULL;

		if (!value || !*value || w->given[r - rows] ||
			(policy && r->at == AT(policy) && r->set == set_text))
			continue;
		if (r->set(w->o, r, value, e) < 0)
			return err_wrap(e, "environment variable %s", r->env);
	}
	return 0;
}

static int check_topology(orch_getenv_fn env, struct err *e)
{
	static const char *const names[] = { "OPENSHELL_SUPERVISOR_TOPOLOGY",
		"OPENSHELL_NETWORK_ENFORCEMENT_MODE" };
	static const char *const values[] = { "sidecar", "sidecar-nftables" };

	const char *v;

	for (int i = 0; i < 2; i++) {
		v = env(names[i]);

		if (v && strcmp(v, values[i]) == 0)
			return err_set(e, ENOTSUP,
				"%s=%s: the sidecar topology is not built yet; unset it to run the "
				"whole boundary here",
				names[i], v);
	}
	return 0;
}

/* First words that the reference program takes for itself (spec/orchestrator 1.1), and that
 * orch_main.c has not taken already. */
static int check_subcommand(int argc, char **argv, struct err *e)
{
	static const char *const names[] = { "debug-rpc" };

	for (size_t i = 0; argc > 1 && i < sizeof names / sizeof *names; i++)
		if (strcmp(argv[1], names[i]) == 0)
			return err_set(e, ENOTSUP,
				"%s: not built yet; to run a program of that name, write -- before "
				"it",
				names[i]);
	return 0;
}

/* RUST_LOG is a list of filters; only a bare level has a meaning here. */
static void apply_rust_log(struct orch_options *o, orch_getenv_fn env)
{
	const char *v = env("RUST_LOG");

	if (v && *v)
		(void) log_level_parse(v, &o->log_level);
}

static int choose_command(struct orch_options *o, char **words, orch_getenv_fn env, struct err *e)
{
	static char shell[] = "/bin/bash", login[] = "-l";
	static char *fallback[] = { shell, login, NULL };
	const char *text = env("OPENSHELL_MAIN_PROCESS_SPEC");
	struct orch_spec spec;
	int rc;

	if (*words) {
		o->command = words;
		o->tty = o->interactive;
		if (!**words)
			return err_set(e, EINVAL, "the command is an empty word");
		return 0;
	}
	o->tty = true;
	o->command = fallback;
	if (!text || !*text)
		return 0;
	rc = orch_spec_parse(text, strlen(text), &spec, e);
	if (rc < 0) /* a start-up error, not a wrong command line */
		return rc == -EINVAL ? -EBADMSG : rc;
	o->command = o->owned_command = spec.command;
	o->tty = spec.tty;
	return 0;
}

static int check_command_size(const struct orch_options *o, struct err *e)
{
	size_t bytes = 0, n = 0;

	for (; o->command[n]; n++)
		bytes += strlen(o->command[n]) + 1;
	if (n > ORCH_COMMAND_WORDS_MAX || bytes > ORCH_COMMAND_BYTES_MAX)
		return err_set(e, E2BIG,
			"the command has %zu words and %zu bytes; at most %d and %d are passed on: "
			"put long input in a file",
			n, bytes, ORCH_COMMAND_WORDS_MAX, ORCH_COMMAND_BYTES_MAX);
	return 0;
}

/* Spec/network 2.1; every other word means that callers are identified. */
static bool is_relaxed(const char *word)
{
	static const char *const words[] = { "relaxed", "disabled", "endpoint-only", "false", "0" };

	for (size_t i = 0; i < sizeof words / sizeof *words; i++)
		if (strcmp(word, words[i]) == 0)
			return true;
	return false;
}

static void defaults(struct orch_options *o, orch_getenv_fn env)
{
	const char *identity = env("OPENSHELL_NETWORK_BINARY_IDENTITY");

	o->log_level = LOG_LEVEL_WARN;
	o->proxy_uid = 1337;
	o->identity_required = !identity || !is_relaxed(identity);
	o->require_pid_limit = env("OPENSHELL_REQUIRE_RUNTIME_PID_LIMIT") != NULL;
}

int orch_options_parse(struct orch_options *o, int argc, char **argv, orch_getenv_fn env,
	enum orch_action *ret, struct err *e)
{
	bool given[sizeof rows / sizeof rows[0]] = { false };
	struct walk w = { argc > 0 ? argv + 1 : argv, o, given, ORCH_RUN };
	int rc;

	defaults(o, env);
	if ((rc = check_subcommand(argc, argv, e)) < 0)
		return rc;
	rc = walk_words(&w, e);
	if (rc < 0)
		return rc;
	*ret = w.action;
	if (w.action != ORCH_RUN)
		return 0;
	if ((rc = apply_env(&w, env, e)) < 0)
		return rc == -EINVAL ? -EBADMSG : rc;
	if ((rc = check_topology(env, e)) < 0 || (rc = choose_command(o, w.at, env, e)) < 0)
		return rc;
	apply_rust_log(o, env);
	if (!o->proxy_gid)
		o->proxy_gid = o->proxy_uid;
	return check_command_size(o, e);
}

void orch_options_done(struct orch_options *o)
{
	orch_spec_free_words(o->owned_command);
	o->owned_command = NULL;
}

void orch_options_help(int fd)
{
	char buf[8192];
	struct text t;

	text_init(&t, buf, sizeof buf);
	text_add(&t,
		"usage: openshell-supervisor [option...] [--] [command [argument...]]\n"
		"       openshell-supervisor policy "
		"check|default|diff|eval|explain|fmt|glob|lint|path|schema|test ...\n"
		"       openshell-supervisor ctl exec|shell|attach|ssh-config|ssh-proxy ...\n"
		"       openshell-supervisor copy-self DEST\n"
		"       openshell-supervisor validate-workspace --workdir DIR --expected-uid UID "
		"--expected-gid GID\n"
		"policy --help and ctl --help tell more.\n\n"
		"Runs one command inside a boundary that a policy describes.\n\n");
	for (const struct row *r = rows; r->name; r++) {
		char flag[64];
		struct text f;

		if (!r->meta)
			continue;
		text_init(&f, flag, sizeof flag);
		if (r->letter)
			text_addf(&f, "-%c, ", r->letter);
		else
			text_add(&f, "    ");
		text_addf(&f, "--%s %s", r->name, r->meta);
		text_addf(&t, "  %-33s %s\n", flag, r->what);
	}
	text_add(&t, "      --help, --version\n\nSee openshell-supervisor(8).\n");
	(void) fd_write_all(fd, buf, t.len, NULL);
}
