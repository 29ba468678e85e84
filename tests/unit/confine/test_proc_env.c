#include <errno.h>
#include "proc_env.h"
#include "test.h"

#define VARS_MAX 1100

static Openshell__Ipc__EnvVar base[VARS_MAX], provider[8];
static Openshell__Ipc__EnvVar *base_list[VARS_MAX], *provider_list[8];
static struct proc_user user = { .name = "alice", .home = "/home/alice", .shell = "/bin/bash" };

static void add(Openshell__Ipc__EnvVar *at, Openshell__Ipc__EnvVar **list, size_t *n,
	const char *name, const char *value)
{
	openshell__ipc__env_var__init(&at[*n]);
	at[*n].name = (char *) (uintptr_t) name;
	at[*n].value = (char *) (uintptr_t) value;
	list[*n] = &at[*n];
	(*n)++;
}

static Openshell__Ipc__ProcBind bind_of(void)
{
	Openshell__Ipc__ProcBind b = OPENSHELL__IPC__PROC_BIND__INIT;

	b.base_env = base_list;
	b.provider_env = provider_list;
	return b;
}
#define BASE(b, name, value) add(base, base_list, &(b)->n_base_env, name, value)
#define PROVIDER(b, name, value) add(provider, provider_list, &(b)->n_provider_env, name, value)

static int build(const Openshell__Ipc__ProcBind *b, struct proc_env *v)
{
	struct proc_env_input in = { .bind = b,
		.user = &user,
		.workdir = "/work",
		.proxy_url = "http://10.200.0.1:3128",
		.term = "dumb" };
	struct err e = { 0 };

	return proc_env_build(&in, v, &e);
}

static void is(const struct proc_env *v, const char *name, const char *want)
{
	const char *got = proc_env_get(v, name);

	if (!got)
		FAIL_("%s is not set", name);
	ASSERT_STR(got, want);
}

TEST(an_empty_start_gives_identity_proxy_and_marker)
{
	static const char *const proxies[] = { "ALL_PROXY", "HTTP_PROXY", "HTTPS_PROXY",
		"http_proxy", "https_proxy", "grpc_proxy", "YARN_HTTP_PROXY", "YARN_HTTPS_PROXY" };
	Openshell__Ipc__ProcBind b = bind_of();
	struct proc_env v;

	ASSERT(setenv("HOST_SECRET", "1", 1) == 0);
	ASSERT_OK(build(&b, &v));
	for (size_t i = 0; i < sizeof proxies / sizeof *proxies; i++)
		is(&v, proxies[i], "http://10.200.0.1:3128");
	is(&v, "NO_PROXY", "127.0.0.1,localhost,::1");
	is(&v, "no_proxy", "127.0.0.1,localhost,::1");
	is(&v, "NODE_USE_ENV_PROXY", "1");
	is(&v, "HOME", "/home/alice");
	is(&v, "USER", "alice");
	is(&v, "LOGNAME", "alice");
	is(&v, "SHELL", "/bin/bash");
	is(&v, "TERM", "dumb");
	is(&v, "PATH", "/usr/local/bin:/usr/bin:/bin");
	is(&v, "OPENSHELL_SANDBOX", "1");
	ASSERT_EQ(v.n, 18);
	ASSERT(!v.at[v.n] && !proc_env_get(&v, "HOST_SECRET") && !proc_env_get(&v, "all_proxy"));
	ASSERT(!proc_env_get(&v, "SSL_CERT_FILE"));
	proc_env_done(&v);
}

TEST(later_sets_win_and_the_proxy_and_certificates_last)
{
	Openshell__Ipc__ProcBind b = bind_of();
	struct proc_env v;

	b.ca_file = (char[]){ "/ca.pem" };
	b.ca_bundle = (char[]){ "/bundle.pem" };
	BASE(&b, "PATH", "/opt/bin");
	BASE(&b, "HOME", "/asked");
	BASE(&b, "KEY", "base");
	BASE(&b, "HTTPS_PROXY", "http://evil");
	PROVIDER(&b, "KEY", "openshell:resolve:env:KEY");
	PROVIDER(&b, "NO_PROXY", "*");
	PROVIDER(&b, "SSL_CERT_FILE", "/evil");
	ASSERT_OK(build(&b, &v));
	is(&v, "PATH", "/opt/bin");
	is(&v, "HOME", "/asked");
	is(&v, "KEY", "openshell:resolve:env:KEY");
	is(&v, "HTTPS_PROXY", "http://10.200.0.1:3128");
	is(&v, "NO_PROXY", "127.0.0.1,localhost,::1");
	is(&v, "SSL_CERT_FILE", "/bundle.pem");
	is(&v, "REQUESTS_CA_BUNDLE", "/bundle.pem");
	is(&v, "CURL_CA_BUNDLE", "/bundle.pem");
	is(&v, "GIT_SSL_CAINFO", "/bundle.pem");
	is(&v, "NODE_EXTRA_CA_CERTS", "/ca.pem");
	is(&v, "DENO_CERT", "/ca.pem");
	proc_env_done(&v);
}

TEST(names_of_the_supervisor_and_the_loader_never_get_in)
{
	Openshell__Ipc__ProcBind b = bind_of();
	struct proc_env v;

	BASE(&b, "OPENSHELL_SANDBOX_TOKEN", "secret");
	BASE(&b, "LD_PRELOAD", "/evil.so");
	PROVIDER(&b, "OPENSHELL_TLS_KEY", "secret");
	PROVIDER(&b, "OPENSHELL_SANDBOX", "0");
	PROVIDER(&b, "LD_AUDIT", "/evil.so");
	ASSERT_OK(build(&b, &v));
	ASSERT(!proc_env_get(&v, "OPENSHELL_SANDBOX_TOKEN") && !proc_env_get(&v, "LD_PRELOAD"));
	ASSERT(!proc_env_get(&v, "OPENSHELL_TLS_KEY") && !proc_env_get(&v, "LD_AUDIT"));
	is(&v, "OPENSHELL_SANDBOX", "1");
	proc_env_done(&v);
}

TEST(home_of_an_image_s_user_is_the_workdir)
{
	Openshell__Ipc__ProcBind b = bind_of();
	struct proc_env v;

	user.from_image = true;
	ASSERT_OK(build(&b, &v));
	is(&v, "HOME", "/work");
	proc_env_done(&v);
}

TEST(a_name_that_can_not_be_one_is_an_error)
{
	Openshell__Ipc__ProcBind b = bind_of(), c = bind_of();
	struct proc_env v;

	BASE(&b, "", "x");
	ASSERT_ERR(build(&b, &v), EINVAL);
	BASE(&c, "A=B", "x");
	ASSERT_ERR(build(&c, &v), EINVAL);
}

TEST(count_and_bytes_are_bounded_at_the_limit_and_one_above)
{
	static char names[VARS_MAX][8], big[PROC_ENV_BYTES_MAX];
	Openshell__Ipc__ProcBind b = bind_of(), c = bind_of();
	struct proc_env v;
	size_t used;

	ASSERT_OK(build(&b, &v));
	used = v.bytes;
	for (size_t i = v.n; i < PROC_ENV_MAX; i++) {
		(void) snprintf(names[i], sizeof names[i], "V%zu", i);
		BASE(&b, names[i], "");
	}
	proc_env_done(&v);
	ASSERT_OK(build(&b, &v));
	proc_env_done(&v);
	BASE(&b, "ONE_MORE", "");
	ASSERT_ERR(build(&b, &v), E2BIG);

	memset(big, 'x', sizeof big - 1);
	big[PROC_ENV_BYTES_MAX - used - 3] = '\0';
	BASE(&c, "B", big); /* "B=", the value and its NUL fill the rest */
	ASSERT_OK(build(&c, &v));
	ASSERT_EQ(v.bytes, PROC_ENV_BYTES_MAX);
	proc_env_done(&v);
	big[PROC_ENV_BYTES_MAX - used - 3] = 'x';
	big[PROC_ENV_BYTES_MAX - used - 2] = '\0';
	ASSERT_ERR(build(&c, &v), E2BIG);
}

TEST(setting_a_name_again_counts_its_bytes_once)
{
	static char big[PROC_ENV_BYTES_MAX / 2 + 1024];
	Openshell__Ipc__ProcBind b = bind_of();
	struct proc_env v;

	memset(big, 'x', sizeof big - 1);
	BASE(&b, "B", big);
	BASE(&b, "B", "small");
	PROVIDER(&b, "B", big);
	ASSERT_OK(build(&b, &v));
	proc_env_done(&v);
}
