#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "core_credential_file.h"
#include "core_secret.h"
#include "policy_node.h"
#include "policy_report.h"

#define TEXT_BYTES 512

struct reader {
	struct policy_report *report;
	char path[96]; /* credentials[3].endpoints[1] */
	size_t n_endpoints;
};

static void complain(struct reader *r, const struct node *at, const char *code, const char *hint,
	const char *fmt, ...) __attribute__((format(printf, 5, 6)));

static void complain(struct reader *r, const struct node *at, const char *code, const char *hint,
	const char *fmt, ...)
{
	char problem[TEXT_BYTES];
	va_list ap;

	va_start(ap, fmt);
	(void) vsnprintf(problem, sizeof problem, fmt, ap);
	va_end(ap);
	report_add(r->report, POLICY_ERROR, code, (struct place){ at->line, at->column }, r->path,
		problem, hint);
}

/* NULL, and said, when it is no text. */
static const char *text_of(struct reader *r, const struct node *n, const char *what)
{
	if (n->kind == NODE_SCALAR && n->len > 0)
		return n->text;
	complain(r, n, "C02", "write it in quotes if it looks like something else",
		"%s must be text that is not empty", what);
	return NULL;
}

/* A key may be a value that was indented wrongly, so only what looks like a field is repeated. */
static void unknown(struct reader *r, const struct node *key, const char *known)
{
	size_t n = key->kind == NODE_SCALAR ? strspn(key->text, "abcdefghijklmnopqrstuvwxyz_") : 0;
	bool shown = key->kind == NODE_SCALAR && n == key->len && n > 0 && n <= 20;

	complain(r, key, "C01", known, "no such field%s%s%s", shown ? " `" : "",
		shown ? key->text : "", shown ? "`" : "");
}

/* ---- names ---- */

bool credential_variable_is_free(const char *name, const char **ret_why)
{
	static const char *const ours[] = { "ALL_PROXY", "HTTP_PROXY", "HTTPS_PROXY", "http_proxy",
		"https_proxy", "grpc_proxy", "all_proxy", "NO_PROXY", "no_proxy",
		"NODE_USE_ENV_PROXY", "NODE_EXTRA_CA_CERTS", "DENO_CERT", "SSL_CERT_FILE",
		"SSL_CERT_DIR", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "GIT_SSL_CAINFO",
		"CARGO_HTTP_CAINFO", "PIP_CERT", "AWS_CA_BUNDLE",
		"GRPC_DEFAULT_SSL_ROOTS_FILE_PATH", "CLOUDSDK_CORE_CUSTOM_CA_CERTS_FILE",
		"HTTPLIB2_CA_CERTS", "NIX_SSL_CERT_FILE", "PERL_LWP_SSL_CA_FILE",
		"npm_config_cafile", "SYSTEM_WGETRC", "PHP_INI_SCAN_DIR", "YARN_HTTP_PROXY",
		"YARN_HTTPS_PROXY", "HOME", "USER", "LOGNAME", "SHELL", "TERM", "PATH",
		"NODE_OPTIONS", "JAVA_TOOL_OPTIONS", "BASH_ENV", "ENV", "PYTHONPATH",
		"PYTHONSTARTUP", "IFS" };

	*ret_why = "a credential's name is the variable that the command gets: letters, digits and "
		   "underscores, no digit first, 128 at most, and not v<digits>_… or s<64 hex>_…, "
		   "which are forms of placeholders";
	if (!credential_name_is_valid(name, strlen(name)) || (name[0] >= '0' && name[0] <= '9'))
		return false;
	*ret_why = "variables of the supervisor and of the dynamic loader are not for credentials";
	if (strncmp(name, "OPENSHELL_", 10) == 0 || strncmp(name, "LD_", 3) == 0)
		return false;
	*ret_why = "this variable has a meaning of its own for the command; choose another name";
	for (size_t i = 0; i < sizeof ours / sizeof *ours; i++)
		if (strcmp(name, ours[i]) == 0)
			return false;
	return true;
}

static char *copy(const char *s)
{
	return s ? strdup(s) : NULL;
}

static void set_name(struct reader *r, const struct node *n, struct credential_source *s)
{
	const char *name = text_of(r, n, "name"), *why;

	if (name && !credential_variable_is_free(name, &why))
		complain(r, n, "C03", why, "not usable as a name");
	else
		s->name = copy(name);
}

static void set_prefix(struct reader *r, const struct node *n, struct credential_source *s)
{
	const char *p = text_of(r, n, "prefix");

	if (p &&
		(strspn(p, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_.~-") !=
				strlen(p) ||
			strlen(p) > CREDENTIAL_PREFIX_MAX)) {
		complain(r, n, "C04", NULL, "prefix must be 1 to %d letters, digits or `_.~-`",
			CREDENTIAL_PREFIX_MAX);
		return;
	}
	free(s->prefix);
	s->prefix = copy(p);
}

static void set_expiry(struct reader *r, const struct node *n, struct credential_source *s)
{
	const char *t = text_of(r, n, "expires_at");

	if (t && credential_time(t, strlen(t), &s->expires_at_ms) < 0)
		complain(r, n, "C05", "write it like 2026-12-31T23:59:59Z",
			"expires_at is no point in time");
}

static void set_require(struct reader *r, const struct node *n, struct credential_source *s)
{
	bool yes = n->kind == NODE_SCALAR && n->plain && strcmp(n->text, "true") == 0;

	if (!yes && (n->kind != NODE_SCALAR || !n->plain || strcmp(n->text, "false") != 0))
		complain(r, n, "C04", NULL, "require must be true or false");
	s->require = yes;
}

/* ---- where the value comes from ---- */

static void set_argv(struct reader *r, const struct node *n, struct credential_source *s)
{
	size_t i = 0;

	if (n->kind != NODE_LIST || n->n == 0 || n->n > CREDENTIAL_ARGV_MAX) {
		complain(r, n, "C06",
			"write it like [/usr/bin/program, argument]; no shell reads it",
			"from_command must be a list of 1 to %d words", CREDENTIAL_ARGV_MAX);
		return;
	}
	s->argv = calloc(n->n + 1, sizeof *s->argv);
	for (const struct node *w = n->first; s->argv && w; w = w->next) {
		if (w->kind != NODE_SCALAR || (i == 0 && w->text[0] != '/')) {
			complain(r, w, "C06", "name the program by its full path",
				"a word of from_command is not usable");
			return;
		}
		s->argv[i++] = copy(w->text);
	}
}

static void set_value(struct reader *r, const struct node *n, struct credential_source *s)
{
	const char *v = text_of(r, n, "value");

	if (v && n->len > CREDENTIAL_VALUE_MAX)
		complain(r, n, "C07", NULL, "value is longer than %d bytes", CREDENTIAL_VALUE_MAX);
	else if (v && strpbrk(v, "\r\n"))
		complain(r, n, "C07", "a request head can't carry one", "value holds a line break");
	else if (v && credential_has_marker(v, n->len))
		complain(r, n, "C07", NULL, "value is itself a placeholder");
	else
		s->text = copy(v);
}

static void set_env(struct reader *r, const struct node *n, struct credential_source *s)
{
	const char *v = text_of(r, n, "from_env");

	if (v && strchr(v, '='))
		complain(r, n, "C06", NULL, "from_env must be the name of a variable");
	else
		s->text = copy(v);
}

static void set_file(struct reader *r, const struct node *n, struct credential_source *s)
{
	const char *v = text_of(r, n, "from_file");

	if (v && v[0] != '/')
		complain(r, n, "C06", "write the full path", "from_file must begin with `/`");
	else
		s->text = copy(v);
}

/* ---- endpoints ---- */

static bool set_port(struct reader *r, const struct node *n, struct credential_endpoint *ep)
{
	uint64_t port;

	if (n->kind != NODE_SCALAR || text_to_u64(n->text, n->len, 1, UINT16_MAX, &port) < 0) {
		complain(r, n, "C08", NULL, "port must be a number from 1 to 65535");
		return false;
	}
	ep->port = (uint16_t) port;
	return true;
}

static bool set_endpoint_field(
	struct reader *r, const struct node *key, struct credential_endpoint *ep)
{
	const struct node *value = key->next;
	const char *name = key->kind == NODE_SCALAR ? key->text : "", *text;

	if (strcmp(name, "port") == 0)
		return set_port(r, value, ep);
	if (strcmp(name, "host") != 0 && strcmp(name, "path") != 0) {
		unknown(r, key, "an endpoint has host, port and path");
		return false;
	}
	text = text_of(r, value, name);
	if (!text)
		return false;
	if (name[0] == 'h' && !ep->host) {
		ep->host = copy(text);
		if (ep->host)
			text_lower((char *) (uintptr_t) ep->host, strlen(ep->host));
	} else if (name[0] == 'p' && !ep->path) {
		ep->path = copy(text);
	} else {
		complain(r, key, "C01", NULL, "`%s` is given twice", name);
	}
	return true;
}

static void add_endpoint(struct reader *r, const struct node *n, struct credential_source *s)
{
	struct credential_endpoint *ep = &s->endpoints[s->n_endpoints++];
	bool fine = true;
	const char *why;

	if (n->kind != NODE_MAP) {
		complain(r, n, "C08", NULL, "an endpoint is a map of host, port and path");
		return;
	}
	for (const struct node *key = n->first; key; key = key->next->next)
		fine &= set_endpoint_field(r, key, ep);
	if (!ep->host && fine)
		complain(r, n, "C08", NULL, "an endpoint needs a host");
	ep->host = ep->host ? ep->host : copy("");
	ep->path = ep->path ? ep->path : copy("");
	if (!fine || !ep->host || !ep->host[0] || !ep->path)
		return;
	if (!ep->port)
		complain(r, n, "C08", NULL, "an endpoint needs a port");
	else if (strlen(ep->path) > CREDENTIAL_PATH_LEN_MAX)
		complain(
			r, n, "C08", NULL, "path is longer than %d bytes", CREDENTIAL_PATH_LEN_MAX);
	else if (!credential_endpoint_is_valid(ep, &why))
		complain(r, n, "C08", why, "not usable as an endpoint");
}

static void set_endpoints(struct reader *r, const struct node *n, struct credential_source *s)
{
	size_t back = strlen(r->path), i = 0;

	if (n->kind != NODE_LIST || n->n == 0 || n->n > CREDENTIAL_ENDPOINTS_MAX ||
		(r->n_endpoints += n->n) > CREDENTIAL_ENDPOINTS_ALL_MAX) {
		complain(r, n, "C08", "a credential without endpoints would be sent anywhere",
			"endpoints must be a list of 1 to %d, and %d at most in the whole file",
			CREDENTIAL_ENDPOINTS_MAX, CREDENTIAL_ENDPOINTS_ALL_MAX);
		return;
	}
	s->endpoints = calloc(n->n, sizeof *s->endpoints);
	for (const struct node *ep = n->first; s->endpoints && ep; ep = ep->next) {
		(void) snprintf(r->path + back, sizeof r->path - back, ".endpoints[%zu]", i++);
		add_endpoint(r, ep, s);
	}
	r->path[back] = '\0';
}

/* ---- one credential ---- */

typedef void (*set_fn)(struct reader *r, const struct node *n, struct credential_source *s);

static const struct field {
	const char *name;
	set_fn set;
	int origin; /* -1: none */
} fields[] = {
	{ "name", set_name, -1 },
	{ "value", set_value, CREDENTIAL_INLINE },
	{ "from_env", set_env, CREDENTIAL_ENV },
	{ "from_file", set_file, CREDENTIAL_FROM_FILE },
	{ "from_command", set_argv, CREDENTIAL_COMMAND },
	{ "endpoints", set_endpoints, -1 },
	{ "expires_at", set_expiry, -1 },
	{ "prefix", set_prefix, -1 },
	{ "require", set_require, -1 },
};
#define N_FIELDS (sizeof fields / sizeof *fields)

static const struct field *field_of(const struct node *key)
{
	for (size_t i = 0; key->kind == NODE_SCALAR && i < N_FIELDS; i++)
		if (strcmp(fields[i].name, key->text) == 0)
			return &fields[i];
	return NULL;
}

static void check_whole(struct reader *r, const struct node *n, const bool seen[N_FIELDS])
{
	unsigned origins = 0;

	for (size_t i = 0; i < N_FIELDS; i++)
		origins += fields[i].origin >= 0 && seen[i];
	if (!seen[0])
		complain(r, n, "C03", "it is the variable that the command gets",
			"a credential needs a name");
	if (origins != 1)
		complain(r, n, "C06", NULL,
			"a credential needs exactly one of value, from_env, from_file, "
			"from_command");
	if (!seen[5])
		complain(r, n, "C08", "a credential without endpoints would be sent anywhere",
			"a credential needs endpoints");
}

static void read_one(struct reader *r, const struct node *n, struct credential_source *s)
{
	bool seen[N_FIELDS] = { false };

	s->prefix = copy("");
	if (n->kind != NODE_MAP) {
		complain(r, n, "C01", NULL, "a credential is a map that begins with `name:`");
		return;
	}
	for (const struct node *key = n->first; key; key = key->next->next) {
		const struct field *f = field_of(key);

		if (!f) {
			unknown(r, key,
				"a credential has name, value, from_env, from_file, from_command, "
				"endpoints, expires_at, prefix and require");
			continue;
		}
		if (seen[f - fields]) {
			complain(r, key, "C01", NULL, "`%s` is given twice", f->name);
			continue;
		}
		seen[f - fields] = true;
		if (f->origin >= 0) {
			s->origin = (enum credential_origin) f->origin;
			s->line = key->next->line;
			s->column = key->next->column;
		}
		/* A second origin is an error of check_whole(), not a leak of the first. */
		free(f->origin >= 0 ? TAKE_PTR(s->text) : NULL);
		f->set(r, key->next, s);
	}
	check_whole(r, n, seen);
}

static void check_names(
	struct reader *r, const struct credential_file *f, const struct node *n, size_t i)
{
	for (size_t j = 0; f->at[i].name && j < i; j++)
		if (f->at[j].name && strcmp(f->at[i].name, f->at[j].name) == 0)
			complain(r, n, "C03", NULL, "the name stands at an earlier credential too");
}

/* The list itself, or a map with the one key `credentials`. */
static const struct node *list_of(struct reader *r, const struct node *root)
{
	static const struct node nothing = { .line = 1, .column = 1 };
	const struct node *n = root;

	if (n && n->kind == NODE_MAP && n->n == 1 && n->first->kind == NODE_SCALAR &&
		strcmp(n->first->text, "credentials") == 0)
		n = n->first->next;
	if (n && n->kind == NODE_LIST && n->n <= CREDENTIAL_MAX)
		return n;
	complain(r, n ? n : &nothing, "C01", "begin each with `- name:`",
		"the file must be a list of at most %d credentials", CREDENTIAL_MAX);
	return NULL;
}

static void read_all(struct reader *r, const struct node *list, struct credential_file *f)
{
	f->at = calloc(list->n + 1, sizeof *f->at);
	for (const struct node *n = list->first; f->at && n; n = n->next) {
		size_t i = f->n++;

		(void) snprintf(r->path, sizeof r->path, "credentials[%zu]", i);
		read_one(r, n, &f->at[i]);
		check_names(r, f, n, i);
	}
}

/* The library's own copies are out of reach; see the header. */
static void wipe_nodes(struct node *n)
{
	for (; n; n = n->next) {
		if (n->text)
			secret_wipe(n->text, n->len);
		wipe_nodes(n->first);
	}
}

int credential_file_parse(const char *text, size_t len, struct policy_report *report,
	struct credential_file *ret, struct err *e)
{
	struct reader r = { .report = report };
	struct credential_file f = { 0 };
	const struct node *list;
	struct node *root;

	root = node_parse_any(text, len, report);
	list = report->n_errors ? NULL : list_of(&r, root);
	if (list)
		read_all(&r, list, &f);
	wipe_nodes(root);
	node_free(root);
	if (report->n_errors == 0 && f.at) {
		*ret = f;
		return 0;
	}
	credential_file_done(&f);
	return err_set(e, EINVAL, "the credentials file has problems");
}

void credential_file_problem(
	const struct credential_source *s, struct policy_report *report, const char *problem)
{
	char path[CREDENTIAL_NAME_MAX + 16];

	(void) snprintf(path, sizeof path, "credential %s", s->name);
	report_add(report, POLICY_ERROR, "C09", (struct place){ s->line, s->column }, path, problem,
		NULL);
}

static void source_done(struct credential_source *s)
{
	if (s->text)
		secret_wipe(s->text, strlen(s->text));
	for (size_t i = 0; s->argv && s->argv[i]; i++)
		free(s->argv[i]);
	for (size_t i = 0; i < s->n_endpoints; i++) {
		free((char *) (uintptr_t) s->endpoints[i].host);
		free((char *) (uintptr_t) s->endpoints[i].path);
	}
	free(s->argv);
	free(s->text);
	free(s->endpoints);
	free(s->name);
	free(s->prefix);
}

void credential_file_done(struct credential_file *f)
{
	for (size_t i = 0; i < f->n; i++)
		source_done(&f->at[i]);
	free(f->at);
	*f = (struct credential_file){ 0 };
}
