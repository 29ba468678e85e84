/* policy_request_say.c - why a request is refused, and the smallest change that would allow it. */
#include <stdio.h>
#include <string.h>
#include "core_text.h"
#include "policy_request.h"

#define SHOWN_MAX 200	   /* bytes of a path or a name that a sentence repeats */
#define NEAR_RULES_MAX 256 /* rules looked at for the near miss */

static bool has_nul(struct policy_bytes v)
{
	return v.len && memchr(v.at, '\0', v.len);
}

static const char *bad_operation(const struct policy_graphql *g)
{
	if (g->n_ops == 0)
		return "GraphQL request rejected: no operation";
	if (g->n_ops > POLICY_OPERATIONS_MAX)
		return "GraphQL request rejected: more than 128 operations";
	for (size_t i = 0; i < g->n_ops; i++) {
		const struct policy_graphql_op *op = &g->ops[i];

		if (op->n_fields > POLICY_FIELDS_MAX)
			return "GraphQL request rejected: more than 1024 root fields";
		if (has_nul(op->type) || has_nul(op->name) || has_nul(op->hash) || has_nul(op->id))
			return "GraphQL request rejected: a NUL byte";
		for (size_t k = 0; k < op->n_fields; k++)
			if (has_nul(op->fields[k]))
				return "GraphQL request rejected: a NUL byte";
	}
	return NULL;
}

static const char *bad_call(const struct policy_rpc *rpc, const struct policy_endpoint *selected)
{
	if (rpc->n_calls == 0 && !rpc->receive_stream)
		return "JSON-RPC request rejected: no call";
	if (rpc->n_calls > POLICY_OPERATIONS_MAX)
		return "JSON-RPC request rejected: more than 128 calls";
	for (size_t i = 0; i < rpc->n_calls; i++) {
		const struct policy_rpc_call *call = &rpc->calls[i];

		if (has_nul(call->method) || has_nul(call->tool))
			return "JSON-RPC request rejected: a NUL byte";
		if (call->response && selected->protocol == POLICY_JSON_RPC)
			return "JSON-RPC response frames are not permitted from client to server";
		if (!call->response && !call->method.at)
			return "JSON-RPC request rejected: a call without a method";
	}
	return NULL;
}

static bool has_bad_text(const struct policy_request *q)
{
	for (size_t i = 0; i < q->n_query; i++)
		if (has_nul(q->query[i].key) || has_nul(q->query[i].value))
			return true;
	return has_nul(q->path) || has_nul(q->method);
}

/* The caller is unknown, or nothing inspects here, or no endpoint has the path. */
static const char *no_route(const struct policy_connect *who, bool inspected)
{
	if (who->identity_required && who->caller->assurance == IDENTITY_NONE)
		return who->caller->reason[0] ? who->caller->reason
					      : "the calling program is not known";
	return inspected ? "no L7 endpoint path matched request"
			 : "no inspected endpoint allows this host, port and program";
}

static const char *unreadable(
	const struct policy_request *q, const struct policy_endpoint *selected)
{
	bool rpc = selected->protocol == POLICY_JSON_RPC || selected->protocol == POLICY_MCP;

	if (has_bad_text(q))
		return "the request holds a NUL byte";
	if (rpc && !q->rpc)
		return "the request was not read as JSON-RPC";
	if (q->graphql && !q->graphql->error && bad_operation(q->graphql))
		return bad_operation(q->graphql);
	if (q->rpc && !q->rpc->error)
		return bad_call(q->rpc, selected);
	return NULL;
}

bool policy_say_fault(const struct policy_connect *who, const struct policy_request *q,
	const struct policy_endpoint *selected, bool inspected, struct policy_request_decision *d)
{
	const char *why = selected ? unreadable(q, selected) : no_route(who, inspected);
	struct text t;

	text_init(&t, d->reason, sizeof d->reason);
	if (why) {
		text_add(&t, why);
	} else if (q->graphql && q->graphql->error) {
		text_add(&t, "GraphQL request rejected: ");
		text_add_quoted(&t, q->graphql->error, strlen(q->graphql->error), SHOWN_MAX);
	} else if (q->rpc && q->rpc->error) {
		text_add(&t, "JSON-RPC request rejected: ");
		text_add_quoted(&t, q->rpc->error, strlen(q->rpc->error), SHOWN_MAX);
	} else {
		return false;
	}
	return true;
}

static void add_bytes(struct text *t, struct policy_bytes v)
{
	text_add_quoted(t, v.at ? v.at : "", v.at ? v.len : 0, SHOWN_MAX);
}

static void add_place(struct text *t, const struct policy_endpoint *ep)
{
	text_addf(t, "rule \"%.100s\" endpoint %zu", ep->rule->key, ep->index);
	if (ep->line)
		text_addf(t, " (line %u)", ep->line);
}

/* The first operation or call that nobody permits, for the sentence. */
static const struct policy_rpc_call *refused_call(
	const struct policy_votes *v, const struct policy_request *q)
{
	for (size_t i = 0; q->rpc && i < q->rpc->n_calls; i++)
		if (!(v->calls[i / 64] >> (i % 64) & 1))
			return &q->rpc->calls[i];
	return NULL;
}

static bool has_unregistered(const struct policy_endpoint *ep, const struct policy_graphql *g)
{
	for (size_t i = 0; i < g->n_ops; i++)
		if (!policy_resolve_operation(ep, &g->ops[i]))
			return true;
	return false;
}

static void add_call(struct text *t, const struct policy_rpc_call *call)
{
	add_bytes(
		t, call->response ? (struct policy_bytes){ "a response frame", 16 } : call->method);
	if (call->tool.at) {
		text_add(t, " of tool ");
		add_bytes(t, call->tool);
	}
}

static void say_reason(struct text *t, const struct policy_request *q, const struct policy_votes *v)
{
	const struct policy_rpc_call *call = refused_call(v, q);

	if (v->denier && q->graphql && v->deny_rule->kind == RULE_GRAPHQL) {
		text_add(t, "GraphQL operation blocked by endpoint policy");
	} else if (v->refuser && has_unregistered(v->refuser, q->graphql)) {
		text_add(t, "GraphQL persisted query is not registered");
	} else if (v->refuser) {
		text_add(t, "GraphQL operation not permitted by policy");
	} else {
		add_bytes(t, q->method);
		text_add(t, " ");
		add_bytes(t, q->path);
		text_add(t, v->denier ? " blocked by deny rule" : " not permitted by policy");
		if (!v->denier && v->n_authoritative && call) {
			text_add(t, ": ");
			add_call(t, call);
		}
	}
}

static bool method_fits(const struct policy_request_rule *r, const struct policy_request *q)
{
	/* GraphQL and RPC rules have none. */
	return r->method &&
		(strcmp(r->method, "*") == 0 ||
			text_ieq(r->method, r->method_len, q->method.at, q->method.len));
}

enum { DIFFERS_QUERY = 1, DIFFERS_METHOD, DIFFERS_PATH };

struct nearest { /* an allow rule that differs in one thing */
	const struct policy_endpoint *ep;
	const struct policy_request_rule *rule;
	unsigned in;
};

/* The smaller the difference, the nearer. */
static void compare(struct nearest *n, const struct policy_endpoint *ep,
	const struct policy_request_rule *r, const struct policy_request *q)
{
	bool method, path;
	unsigned in;

	if (r->kind != RULE_HTTP)
		return;
	method = method_fits(r, q);
	path = policy_pattern_match(&r->path, q->path, false);
	in = !path ? (method ? DIFFERS_PATH : 0) : method ? DIFFERS_QUERY : DIFFERS_METHOD;
	if (!in || (n->rule && n->in <= in))
		return;
	n->ep = ep;
	n->rule = r;
	n->in = in;
}

static struct nearest find_nearest(struct policy_walk *w, const struct policy_request *q)
{
	const struct policy_endpoint *ep;
	struct nearest n = { 0 };
	size_t looked = 0;
	int how = 0;

	while ((ep = policy_walk_next(w, &how)))
		for (size_t i = 0; ep->inspected && i < ep->allow.n && looked < NEAR_RULES_MAX;
			i++) {
			looked++;
			compare(&n, ep, &ep->allow.at[i], q);
		}
	return n;
}

static void say_rest(struct text *t, const struct nearest *n, const struct policy_request *q,
	const struct policy_endpoint *selected)
{
	bool preset = n->rule && n->rule->place == POLICY_RULE_NONE;
	bool by_query = n->rule && !preset && n->in == DIFFERS_QUERY;
	bool by_path = n->rule && !preset && n->in == DIFFERS_PATH;

	add_place(t, n->ep ? n->ep : selected);
	if (preset)
		text_addf(t, " has access: %.40s, which does not hold ", n->ep->pb->access);
	else if (n->rule && n->in == DIFFERS_METHOD)
		text_addf(t, " allows this path with %.40s, not with ", n->rule->method);
	else if (by_query)
		text_add(t, " allows this path only with the query that it lists");
	else if (by_path)
		text_addf(t, " allows this method on %.200s, not on ", n->rule->path.text);
	else
		text_add(t, " allows neither this method nor this path: ");
	if (!by_query)
		add_bytes(t, by_path ? q->path : q->method);
	text_add(t,
		preset ? "; write rules: instead, with \"- allow: {method: "
		       : "; add \"- allow: {method: ");
	add_bytes(t, q->method);
	text_add(t, ", path: \"");
	add_bytes(t, q->path);
	text_add(t, "\"}\" to allow it");
}

static void say_rpc(struct text *t, const struct policy_endpoint *ep,
	const struct policy_rpc_call *call, const struct policy_request *q)
{
	add_place(t, ep);
	if (!text_ieq(q->method.at, q->method.len, "POST", 4) || !call || !call->method.at) {
		text_add(t, " takes calls by POST");
		return;
	}
	text_add(t, " has no rule for ");
	add_call(t, call);
	text_add(t, "; add \"- allow: {method: ");
	add_bytes(t, call->method);
	if (call->tool.at) {
		text_add(t, ", tool: ");
		add_bytes(t, call->tool);
	}
	text_add(t, "}\" to allow it");
}

static void say_graphql(
	struct text *t, const struct policy_endpoint *ep, const struct policy_graphql *g)
{
	for (size_t i = 0; i < g->n_ops; i++) {
		const struct policy_graphql_op *op = policy_resolve_operation(ep, &g->ops[i]);

		if (op && policy_match_graphql(ep, false, op))
			continue;
		add_place(t, ep);
		if (!op) {
			text_add(t,
				" does not know this hash; register it in "
				"graphql_persisted_queries to allow it");
			return;
		}
		text_add(t, " has no rule that allows every root field of this ");
		add_bytes(t, op->type);
		text_add(t, "; fields: ");
		for (size_t k = 0; k < op->n_fields && k < 8; k++) {
			text_add(t, k ? ", " : "");
			add_bytes(t, op->fields[k]);
		}
		return;
	}
}

void policy_say_denial(struct policy_walk *w, const struct policy_request *q,
	const struct policy_votes *v, struct policy_request_decision *d)
{
	struct nearest n = { 0 };
	struct text reason, near;

	text_init(&reason, d->reason, sizeof d->reason);
	text_init(&near, d->near, sizeof d->near);
	say_reason(&reason, q, v);
	if (v->denier) {
		add_place(&near, v->denier);
		text_addf(&near, " has deny rule %zu, which wins over every allow rule",
			v->deny_rule->place);
	} else if (v->refuser) {
		say_graphql(&near, v->refuser, q->graphql);
	} else if (v->n_authoritative) {
		say_rpc(&near, v->selected, refused_call(v, q), q);
	} else {
		n = find_nearest(w, q);
		say_rest(&near, &n, q, v->selected);
	}
}
