#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include "core_text.h"
#include "orch_env.h"

void orch_vars_done(struct orch_vars *v)
{
	for (size_t i = 0; i < v->n; i++) {
		free(v->at[i].name);
		free(v->at[i].value);
	}
	free(v->at);
	*v = (struct orch_vars){ 0 };
}

static struct orch_var *find(struct orch_vars *v, const char *name, size_t len)
{
	for (size_t i = 0; i < v->n; i++)
		if (strncmp(v->at[i].name, name, len) == 0 && !v->at[i].name[len])
			return &v->at[i];
	return NULL;
}

static int add(struct orch_vars *v, const char *name, size_t len, const char *value, struct err *e)
{
	struct orch_var *var = find(v, name, len), *grown;
	char *copy = strdup(value);

	if (!copy)
		return err_set(e, ENOMEM, "environment: out of memory");
	v->bytes += len + strlen(value) + 16;
	if (v->bytes > ORCH_ENV_BYTES_MAX) {
		free(copy);
		return err_set(e, E2BIG,
			"the environment for the command has more than %d bytes; pass less with "
			"--env",
			ORCH_ENV_BYTES_MAX);
	}
	if (var) {
		free(var->value);
		var->value = copy;
		return 0;
	}
	grown = reallocarray(v->at, v->n + 1, sizeof *v->at);
	if (grown)
		v->at = grown;
	if (!grown || !(v->at[v->n].name = strndup(name, len))) {
		free(copy);
		return err_set(e, ENOMEM, "environment: out of memory");
	}
	v->at[v->n++].value = copy;
	return 0;
}

int orch_env_driver(orch_getenv_fn env, struct orch_vars *ret, struct err *e)
{
	static const char *const names[] = { "OPENSHELL_SANDBOX_UID", "OPENSHELL_SANDBOX_GID",
		"OPENSHELL_OCI_IMAGE_USER", "OPENSHELL_PROVIDER_SPIFFE_WORKLOAD_API_SOCKET" };

	for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
		const char *value = env(names[i]);
		int r = value ? add(ret, names[i], strlen(names[i]), value, e) : 0;

		if (r < 0)
			return r;
	}
	return 0;
}

static bool is_harmless(const char *name, size_t len)
{
	static const char *const names[] = { "PATH", "LANG", "LANGUAGE", "TZ", "COLORTERM",
		"NO_COLOR", "FORCE_COLOR" };

	if (len > 3 && memcmp(name, "LC_", 3) == 0)
		return true;
	for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
		if (strlen(names[i]) == len && memcmp(names[i], name, len) == 0)
			return true;
	return false;
}

static const char *lookup(char *const *words, const char *name, size_t len)
{
	for (; *words; words++)
		if (strncmp(*words, name, len) == 0 && (*words)[len] == '=')
			return *words + len + 1;
	return NULL;
}

static int add_asked(char *const *words, const char *asked, struct orch_vars *ret, struct err *e)
{
	size_t len = strcspn(asked, "=");
	const char *value = asked[len] ? asked + len + 1 : lookup(words, asked, len);

	if (strncmp(asked, "OPENSHELL_", 10) == 0 || strncmp(asked, "LD_", 3) == 0)
		return err_set(e, EINVAL,
			"--env %.*s: variables of the supervisor and of the dynamic loader are not "
			"passed on; set it inside, with env(1), if the command needs it",
			(int) (len < 80 ? len : 80), asked);
	if (!value)
		return err_set(e, EINVAL, "--env %.*s: not set here; write --env NAME=VALUE",
			(int) (len < 80 ? len : 80), asked);
	return add(ret, asked, len, value, e);
}

int orch_env_base(
	char *const *environ_words, const char *const *asked, struct orch_vars *ret, struct err *e)
{
	for (char *const *w = environ_words; *w; w++) {
		size_t len = strcspn(*w, "=");
		int r;

		if (!(*w)[len] || !is_harmless(*w, len) || strlen(*w) > ORCH_ENV_VALUE_MAX ||
			!text_is_utf8(*w, strlen(*w)))
			continue;
		if ((r = add(ret, *w, len, *w + len + 1, e)) < 0)
			return r;
	}
	for (; *asked; asked++) {
		int r = add_asked(environ_words, *asked, ret, e);

		if (r < 0)
			return r;
	}
	return 0;
}

int orch_env_invoker(orch_getenv_fn env, struct orch_invoker *ret, struct err *e)
{
	const char *u = env("SUDO_UID"), *g = env("SUDO_GID");
	uint64_t uid, gid;

	if (!u || !g)
		return 0;
	if (text_to_u64(u, strlen(u), 0, UINT32_MAX - 1, &uid) < 0 ||
		text_to_u64(g, strlen(g), 0, UINT32_MAX - 1, &gid) < 0)
		return err_set(e, EINVAL,
			"SUDO_UID and SUDO_GID must be user and group numbers; start through sudo, "
			"or unset them");
	*ret = (struct orch_invoker){ true, (uint32_t) uid, (uint32_t) gid };
	return 0;
}
