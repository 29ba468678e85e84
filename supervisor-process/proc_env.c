#include "proc_env.h"
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include "core_cleanup.h"
#include "proc_limits.h"

#define NO_PROXY_HOSTS "127.0.0.1,localhost,::1"
#define DEFAULT_PATH "/usr/local/bin:/usr/bin:/bin"

/* The last two are Yarn's (2 and later), which reads none of the others. */
static const char *const proxy_names[] = { "ALL_PROXY", "HTTP_PROXY", "HTTPS_PROXY", "http_proxy",
	"https_proxy", "grpc_proxy", "YARN_HTTP_PROXY", "YARN_HTTPS_PROXY" };
static const char *const ca_file_names[] = { "NODE_EXTRA_CA_CERTS", "DENO_CERT" };
static const char *const ca_bundle_names[] = { "SSL_CERT_FILE", "REQUESTS_CA_BUNDLE",
	"CURL_CA_BUNDLE", "GIT_SSL_CAINFO" };

static size_t find(const struct proc_env *v, const char *name, size_t len)
{
	size_t i;

	for (i = 0; i < v->n; i++)
		if (strncmp(v->at[i], name, len) == 0 && v->at[i][len] == '=')
			break;
	return i;
}

const char *proc_env_get(const struct proc_env *v, const char *name)
{
	size_t len = strlen(name), i = find(v, name, len);

	return i < v->n ? v->at[i] + len + 1 : NULL;
}

int proc_env_set(struct proc_env *v, const char *name, const char *value, struct err *e)
{
	size_t len = strlen(name), size = len + strlen(value) + 2, i = find(v, name, len);
	size_t old = i < v->n ? strlen(v->at[i]) + 1 : 0;
	char *word;

	if (len == 0 || strchr(name, '='))
		return err_set(e, EINVAL, "environment variable without a proper name");
	if (i == v->n && v->n >= PROC_ENV_MAX)
		return err_set(e, E2BIG,
			"more than %d environment variables; pass fewer with --env", PROC_ENV_MAX);
	if (v->bytes - old + size > PROC_ENV_BYTES_MAX)
		return err_set(e, E2BIG, "environment of more than %d bytes; pass less with --env",
			PROC_ENV_BYTES_MAX);
	word = malloc(size);
	if (!word)
		return err_set(e, ENOMEM, "environment");
	(void) snprintf(word, size, "%s=%s", name, value);
	if (i < v->n)
		free(v->at[i]);
	else
		v->n++;
	v->at[i] = word;
	v->bytes = v->bytes - old + size;
	return 0;
}

static int set_all(
	struct proc_env *v, const char *const *names, size_t n, const char *value, struct err *e)
{
	for (size_t i = 0; i < n; i++)
		if (proc_env_set(v, names[i], value, e) < 0)
			return -e->code;
	return 0;
}
#define SET_ALL(v, names, value, e) set_all(v, names, sizeof(names) / sizeof *(names), value, e)

/* Nothing of ours, and nothing that loads code into programs. */
static bool is_ours(const char *name)
{
	return strncmp(name, "OPENSHELL_", 10) == 0 || strncmp(name, "LD_", 3) == 0;
}

static int set_list(struct proc_env *v, Openshell__Ipc__EnvVar **list, size_t n, struct err *e)
{
	for (size_t i = 0; i < n; i++)
		if (!is_ours(list[i]->name) &&
			proc_env_set(v, list[i]->name, list[i]->value, e) < 0)
			return -e->code;
	return 0;
}

static int set_identity(struct proc_env *v, const struct proc_env_input *in, struct err *e)
{
	bool workspace = in->user->from_image && in->workdir && in->workdir[0];

	if (proc_env_set(v, "HOME", workspace ? in->workdir : in->user->home, e) < 0 ||
		proc_env_set(v, "USER", in->user->name, e) < 0 ||
		proc_env_set(v, "LOGNAME", in->user->name, e) < 0 ||
		proc_env_set(v, "SHELL", in->user->shell, e) < 0 ||
		proc_env_set(v, "TERM", in->term, e) < 0)
		return -e->code;
	return proc_env_set(v, "PATH", DEFAULT_PATH, e);
}

static int set_proxy(struct proc_env *v, const char *url, struct err *e)
{
	if (!url[0])
		return 0;
	if (SET_ALL(v, proxy_names, url, e) < 0 ||
		proc_env_set(v, "NO_PROXY", NO_PROXY_HOSTS, e) < 0 ||
		proc_env_set(v, "no_proxy", NO_PROXY_HOSTS, e) < 0)
		return -e->code;
	return proc_env_set(v, "NODE_USE_ENV_PROXY", "1", e);
}

static int fill(struct proc_env *v, const struct proc_env_input *in, struct err *e)
{
	const Openshell__Ipc__ProcBind *b = in->bind;

	if (set_identity(v, in, e) < 0 || set_list(v, b->base_env, b->n_base_env, e) < 0 ||
		set_list(v, b->provider_env, b->n_provider_env, e) < 0 ||
		proc_env_set(v, "OPENSHELL_SANDBOX", "1", e) < 0 ||
		set_proxy(v, in->proxy_url, e) < 0)
		return -e->code;
	if (!b->ca_file[0] || !b->ca_bundle[0])
		return 0;
	if (SET_ALL(v, ca_file_names, b->ca_file, e) < 0)
		return -e->code;
	if (SET_ALL(v, ca_bundle_names, b->ca_bundle, e) < 0)
		return -e->code;
	return set_list(v, b->tls_env, b->n_tls_env, e);
}

int proc_env_build(const struct proc_env_input *in, struct proc_env *ret, struct err *e)
{
	*ret = (struct proc_env){ 0 };
	ret->at = calloc(PROC_ENV_MAX + 1, sizeof *ret->at);
	if (!ret->at)
		return err_set(e, ENOMEM, "environment");
	if (fill(ret, in, e) < 0) {
		proc_env_done(ret);
		return -e->code;
	}
	return 0;
}

int proc_env_copy(const struct proc_env *v, struct proc_env *ret, struct err *e)
{
	*ret = (struct proc_env){ 0 };
	ret->at = calloc(PROC_ENV_MAX + 1, sizeof *ret->at);
	for (size_t i = 0; ret->at && i < v->n; i++) {
		ret->at[i] = strdup(v->at[i]);
		if (!ret->at[i]) {
			proc_env_done(ret);
			break;
		}
		ret->n++;
	}
	ret->bytes = v->bytes;
	return ret->at ? 0 : err_set(e, ENOMEM, "environment");
}

void proc_env_done(struct proc_env *v)
{
	for (size_t i = 0; i < v->n; i++)
		free(v->at[i]);
	free(v->at);
	*v = (struct proc_env){ 0 };
}
