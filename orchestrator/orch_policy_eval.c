/* orch_policy_eval.c - decisions for JSON questions (fields as in tests/data/policy-vectors.json). */
#include "orch_policy_eval.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "core_cleanup.h"
#include "core_policy_request.h"
#include "orch_policy_args.h"
#include "orch_policy_cmd.h"
#include "orch_policy_lines.h"

#define HOST_BYTES 1024 /* longer host names match nothing anyway */
#define PARAMS_MAX 1024 /* query pairs of one question */
#define NAMES_MAX 4096	/* GraphQL fields of one question, all operations together */
#define WORDS_MAX IDENTITY_ANCESTORS_MAX

struct eval { /* one question, taken apart; large, so never on the stack */
	const struct policy_snapshot *snapshot;
	const struct orch_json *json;
	char host[HOST_BYTES];
	const char *ancestors[WORDS_MAX], *cmdline[WORDS_MAX];
	struct policy_param params[PARAMS_MAX];
	struct policy_graphql_op ops[POLICY_OPERATIONS_MAX];
	struct policy_bytes names[NAMES_MAX];
	size_t n_names;
	struct policy_rpc_call calls[POLICY_OPERATIONS_MAX];
	struct policy_graphql graphql;
	struct policy_rpc rpc;
	struct identity_caller caller;
	struct policy_connect who;
	struct policy_request request;
	struct policy_decision connect;
	struct policy_request_decision decision;
	const char *bad; /* what is wrong with the question */
};

static bool wrong(struct eval *v, const char *what)
{
	v->bad = what;
	return false;
}

/* Strings of the question lie in the line; a NUL behind each makes C strings of them.  The byte is
 * the closing quote or lies before it, so nothing is lost. */
static const char *c_string(const struct orch_json_node *s)
{
	if (!s)
		return "";
	((char *) (uintptr_t) s->at)[s->len] = '\0';
	return s->at;
}

static struct policy_bytes bytes(const struct orch_json_node *s)
{
	return s ? (struct policy_bytes){ s->at, s->len } : (struct policy_bytes){ NULL, 0 };
}

static bool get(
	struct eval *v, const struct orch_json_node *o, const char *name, struct policy_bytes *ret)
{
	const struct orch_json_node *s;

	if (!orch_line_string(v->json, o, name, &s))
		return wrong(v, name);
	*ret = bytes(s);
	return true;
}

static bool has_nul(const struct orch_json_node *s)
{
	return s && memchr(s->at, '\0', s->len);
}

static bool read_words(struct eval *v, const struct orch_json_node *q, const char *name,
	const char **words, size_t *ret_n)
{
	const struct orch_json_node *list = orch_json_get(v->json, q, name), *s;

	*ret_n = 0;
	if (!list || list->kind == ORCH_JSON_NULL)
		return true;
	if (list->kind != ORCH_JSON_LIST)
		return wrong(v, name);
	for (s = orch_json_first(v->json, list); s; s = orch_json_next(v->json, s)) {
		if (s->kind != ORCH_JSON_STRING || has_nul(s) || *ret_n == WORDS_MAX)
			return wrong(v, name);
		words[(*ret_n)++] = c_string(s);
	}
	return true;
}

static bool read_port(struct eval *v, const struct orch_json_node *q)
{
	const struct orch_json_node *port = orch_json_get(v->json, q, "port");
	uint64_t n;

	if (!port || port->kind != ORCH_JSON_NUMBER ||
		text_to_u64(port->at, port->len, 0, UINT16_MAX, &n) < 0)
		return wrong(v, "port");
	v->who.port = (uint16_t) n;
	return true;
}

static bool read_who(struct eval *v, const struct orch_json_node *q)
{
	const struct orch_json_node *host, *exe;

	if (!orch_line_string(v->json, q, "host", &host) || has_nul(host) ||
		(host && host->len >= HOST_BYTES))
		return wrong(v, "host");
	if (!orch_line_string(v->json, q, "exe", &exe) || has_nul(exe))
		return wrong(v, "exe");
	(void) memcpy(v->host, host ? host->at : "", host ? host->len : 0);
	v->host[host ? host->len : 0] = '\0';
	text_lower(v->host, host ? host->len : 0);
	v->caller = (struct identity_caller){ .assurance = IDENTITY_OBSERVED,
		.exe = c_string(exe),
		.sha256 = "",
		.reason = "",
		.ancestors = v->ancestors,
		.cmdline_paths = v->cmdline };
	v->who = (struct policy_connect){ .host = v->host, .caller = &v->caller };
	v->who.identity_required = orch_line_flag(v->json, q, "identity_required", true);
	return read_port(v, q) &&
		read_words(v, q, "ancestors", v->ancestors, &v->caller.n_ancestors) &&
		read_words(v, q, "cmdline", v->cmdline, &v->caller.n_cmdline_paths);
}

static bool add_param(
	struct eval *v, const struct orch_json_node *key, const struct orch_json_node *value)
{
	if (value->kind != ORCH_JSON_STRING || v->request.n_query == PARAMS_MAX)
		return wrong(v, "query_params");
	v->params[v->request.n_query++] = (struct policy_param){ bytes(key), bytes(value) };
	return true;
}

static bool read_query(struct eval *v, const struct orch_json_node *r)
{
	const struct orch_json_node *map = orch_json_get(v->json, r, "query_params"), *key, *value;

	if (!map || map->kind == ORCH_JSON_NULL)
		return true;
	if (map->kind != ORCH_JSON_MAP)
		return wrong(v, "query_params");
	for (key = orch_json_first(v->json, map); key; key = orch_json_next(v->json, value)) {
		const struct orch_json_node *one;

		value = orch_json_next(v->json, key);
		if (value->kind != ORCH_JSON_LIST) {
			if (!add_param(v, key, value))
				return false;
			continue;
		}
		for (one = orch_json_first(v->json, value); one; one = orch_json_next(v->json, one))
			if (!add_param(v, key, one))
				return false;
	}
	return true;
}

static bool read_operation(
	struct eval *v, const struct orch_json_node *o, struct policy_graphql_op *op)
{
	const struct orch_json_node *fields = orch_json_get(v->json, o, "fields"), *f;

	*op = (struct policy_graphql_op){ .fields = v->names + v->n_names };
	op->persisted = orch_line_flag(v->json, o, "persisted_query", false);
	if (!get(v, o, "operation_type", &op->type) || !get(v, o, "operation_name", &op->name) ||
		!get(v, o, "persisted_query_hash", &op->hash) ||
		!get(v, o, "persisted_query_id", &op->id))
		return false;
	for (f = orch_json_first(v->json, fields); f; f = orch_json_next(v->json, f)) {
		if (fields->kind != ORCH_JSON_LIST || f->kind != ORCH_JSON_STRING ||
			v->n_names == NAMES_MAX)
			return wrong(v, "fields");
		v->names[v->n_names++] = bytes(f);
		op->n_fields++;
	}
	return true;
}

static bool read_error(struct eval *v, const struct orch_json_node *o, const char **ret)
{
	const struct orch_json_node *s;

	if (!orch_line_string(v->json, o, "error", &s))
		return wrong(v, "error");
	*ret = s ? c_string(s) : NULL;
	return true;
}

static bool read_graphql(struct eval *v, const struct orch_json_node *r)
{
	const struct orch_json_node *g = orch_json_get(v->json, r, "graphql"), *list, *o;

	if (!g || g->kind == ORCH_JSON_NULL)
		return true;
	list = orch_json_get(v->json, g, "operations");
	v->graphql = (struct policy_graphql){ .ops = v->ops };
	for (o = orch_json_first(v->json, list); o; o = orch_json_next(v->json, o)) {
		if (list->kind != ORCH_JSON_LIST || v->graphql.n_ops == POLICY_OPERATIONS_MAX)
			return wrong(v, "operations");
		if (!read_operation(v, o, &v->ops[v->graphql.n_ops++]))
			return false;
	}
	v->request.graphql = &v->graphql;
	return read_error(v, g, &v->graphql.error);
}

static bool read_call(struct eval *v, const struct orch_json_node *o)
{
	struct policy_rpc_call *call = &v->calls[v->rpc.n_calls];

	if (v->rpc.n_calls == POLICY_OPERATIONS_MAX)
		return wrong(v, "jsonrpc");
	*call = (struct policy_rpc_call){ 0 };
	if (!get(v, o, "method", &call->method) || !get(v, o, "tool", &call->tool))
		return false;
	call->response = orch_line_flag(v->json, o, "has_response", false);
	if (call->response || call->method.at)
		v->rpc.n_calls++;
	return true;
}

/* One call, or {"calls": [...]} for a batch. */
static bool read_rpc(struct eval *v, const struct orch_json_node *r)
{
	const struct orch_json_node *o = orch_json_get(v->json, r, "jsonrpc"), *list, *one;

	if (!o || o->kind == ORCH_JSON_NULL)
		return true;
	list = orch_json_get(v->json, o, "calls");
	v->rpc = (struct policy_rpc){ .calls = v->calls };
	v->rpc.receive_stream = orch_line_flag(v->json, o, "receive_stream", false);
	for (one = orch_json_first(v->json, list); one; one = orch_json_next(v->json, one))
		if (!read_call(v, one))
			return false;
	if (!list && !read_call(v, o))
		return false;
	v->request.rpc = &v->rpc;
	return read_error(v, o, &v->rpc.error);
}

static bool read_request(struct eval *v, const struct orch_json_node *q)
{
	const struct orch_json_node *r = orch_json_get(v->json, q, "request");

	v->n_names = 0;
	v->request = (struct policy_request){ .query = v->params };
	if (!r || r->kind != ORCH_JSON_MAP)
		return wrong(v, "request");
	if (!get(v, r, "method", &v->request.method) || !get(v, r, "path", &v->request.path))
		return false;
	if (!v->request.method.at || !v->request.path.at)
		return wrong(v, "request needs method and path");
	return read_query(v, r) && read_graphql(v, r) && read_rpc(v, r);
}

/* "host:port (endpoints[2], line 14)" */
static void add_endpoint(
	struct json *out, const struct eval *v, const char *policy, size_t index, unsigned line)
{
	char place[HOST_BYTES + 96];
	struct text p;

	if (!policy[0]) {
		json_add_null(out, "endpoint");
		return;
	}
	text_init(&p, place, sizeof place);
	text_add(&p, v->host);
	text_add(&p, ":");
	text_add_u64(&p, v->who.port);
	text_add(&p, " (endpoints[");
	text_add_u64(&p, index);
	text_add(&p, line ? "], line " : "])");
	if (line) {
		text_add_u64(&p, line);
		text_add(&p, ")");
	}
	orch_line_text(out, "endpoint", p.at, p.len);
}

static void add_decision(struct json *out, bool allow, const char *policy)
{
	json_add_text(out, "decision", allow ? "allow" : "deny");
	orch_line_text(out, "policy", policy, strlen(policy));
}

static void add_why(struct json *out, const char *reason, const char *near)
{
	orch_line_text(out, "reason", reason, strlen(reason));
	orch_line_text(out, "near", near, strlen(near));
}

static void answer_connect(struct eval *v, struct json *out)
{
	const struct policy_decision *d = &v->connect;

	policy_decide_connect(v->snapshot, &v->who, &v->connect);
	add_decision(out, d->allow, d->policy);
	add_endpoint(out, v, d->policy, d->endpoint, d->endpoint_line);
	add_why(out, d->allow ? "host, port and program match the rule" : d->reason, d->near);
}

static void answer_request(struct eval *v, struct json *out)
{
	const struct policy_request_decision *d = &v->decision;
	bool allow, connect_denied = false;

	policy_decide_request(v->snapshot, &v->who, &v->request, &v->decision);
	allow = d->verdict == POLICY_ALLOWED;
	if (!allow && !d->has_route) {
		policy_decide_connect(v->snapshot, &v->who, &v->connect);
		connect_denied = !v->connect.allow;
	}
	add_decision(out, allow, d->policy);
	add_endpoint(out, v, d->policy, d->endpoint, d->endpoint_line);
	if (connect_denied)
		add_why(out, v->connect.reason, v->connect.near);
	else
		add_why(out, allow ? "the request matches the rule" : d->reason, d->near);
	if (d->verdict == POLICY_AUDITED)
		json_add_text(out, "enforcement", "audit");
}

static bool answer(
	void *owner, const struct orch_json *j, const struct orch_json_node *q, struct json *out)
{
	const struct orch_json_node *kind;
	struct eval *v = owner;
	bool request;

	v->json = j;
	v->bad = NULL;
	orch_line_open(out, j, q);
	request = orch_line_string(j, q, "kind", &kind) && kind && kind->len == 3 &&
		memcmp(kind->at, "req", 3) == 0;
	if (!request &&
		(!kind || kind->kind != ORCH_JSON_STRING || kind->len != 3 ||
			memcmp(kind->at, "net", 3) != 0))
		(void) wrong(v, "kind is not \"net\" or \"req\"");
	else if (read_who(v, q) && (!request || read_request(v, q)))
		request ? answer_request(v, out) : answer_connect(v, out);
	if (v->bad) {
		char why[128];

		(void) snprintf(why, sizeof why, "bad question: %.80s", v->bad);
		add_decision(out, false, "");
		json_add_null(out, "endpoint");
		add_why(out, why, "");
	}
	json_close(out, '}');
	return !v->bad;
}

static int load(const char *path, struct policy_snapshot **ret, struct err *e)
{
	struct policy_report report = { 0 };
	struct policy_doc *d = NULL;
	AUTO_FREE char *text = NULL;
	AUTO_FREE char *problems = NULL;
	size_t len = 0;
	int r;

	if (orch_policy_read(path, POLICY_WIRE_BYTES_MAX, &text, &len, e) < 0)
		return -e->code;
	r = policy_load_yaml(path, text, len, POLICY_GATEWAY, &report, &d, e);
	if (r < 0) {
		policy_report_text(&report, path, &problems);
		orch_policy_out(STDERR_FILENO, problems ? problems : "");
	} else {
		r = policy_compile(d, 1, NULL, 0, ret, e);
	}
	policy_free(d);
	policy_report_done(&report);
	return r;
}

int orch_policy_eval(int argc, char **argv)
{
	AUTO_FREE struct eval *v = calloc(1, sizeof *v);
	struct policy_snapshot *s = NULL;
	const char *file = NULL;
	struct err e = { 0 };
	size_t n;
	int r;

	if (!orch_policy_options(argc, argv, NULL, 0, &file, 1, &n) || n != 1)
		return orch_policy_usage();
	if (!v)
		(void) err_set(&e, ENOMEM, "out of memory");
	if (e.code || load(file, &s, &e) < 0)
		return orch_policy_complain("eval", &e);
	v->snapshot = s;
	r = orch_policy_lines(STDIN_FILENO, STDOUT_FILENO, "eval", answer, v);
	policy_snapshot_unref(s);
	return r;
}
