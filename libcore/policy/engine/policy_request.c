/* policy_request.c - which endpoint a request belongs to, and whether it may pass (spec/policy 2.5, 2.6).
 *
 * Two passes over the endpoints of host, port and caller.  The first selects the
 * route.  The second collects what they say: any deny rule wins; otherwise
 * GraphQL needs every GraphQL endpoint that covers the path, a JSON-RPC call
 * some endpoint of its family, and anything else some endpoint at all.
 */
#include <stdio.h>
#include <string.h>
#include "core_text.h"
#include "policy_request.h"
#include "policy_snapshot.h"

static bool covers(const struct policy_endpoint *ep, struct policy_bytes path)
{
	return ep->path.kind == PATTERN_ABSENT || policy_pattern_match(&ep->path, path, false);
}

/* Selection reads a path pattern in its own dialect.  An endpoint that only the dialect of rules
 * matches is a candidate too: otherwise its inspector would be bypassed. */
static bool selects(const struct policy_endpoint *ep, struct policy_bytes path)
{
	return !ep->select || policy_glob_match(ep->select, path.at, path.len) == 1 ||
		covers(ep, path);
}

static bool is_better(const struct policy_endpoint *ep, const struct policy_endpoint *than)
{
	if (!than || ep->route.specificity != than->route.specificity)
		return !than || ep->route.specificity > than->route.specificity;
	return policy_endpoint_before(than, ep);
}

static const struct policy_endpoint *select_endpoint(
	struct policy_walk *w, struct policy_bytes path, bool *ret_inspected)
{
	const struct policy_endpoint *ep, *best = NULL;
	int how = 0;

	*ret_inspected = false;
	while ((ep = policy_walk_next(w, &how))) {
		if (!ep->inspected)
			continue;
		*ret_inspected = true;
		if (is_better(ep, best) && selects(ep, path))
			best = ep;
	}
	return best;
}

bool policy_select(const struct policy_snapshot *s, const struct policy_connect *who,
	struct policy_bytes path, struct policy_route *ret)
{
	const struct policy_endpoint *best;
	struct policy_walk w;
	bool inspected;

	policy_walk_init(&w, s, who);
	best = select_endpoint(&w, path, &inspected);
	if (best)
		*ret = best->route;
	return best != NULL;
}

bool policy_select_any_encoded_slash(
	const struct policy_snapshot *s, const struct policy_connect *who)
{
	const struct policy_endpoint *ep;
	struct policy_walk w;
	int how = 0;

	policy_walk_init(&w, s, who);
	while ((ep = policy_walk_next(&w, &how)))
		if (ep->inspected && ep->route.allow_encoded_slash)
			return true;
	return false;
}

bool policy_binds_provider(const struct policy_snapshot *s, const struct policy_connect *who,
	struct policy_bytes path, const char *provider)
{
	const struct policy_endpoint *ep;
	struct policy_walk w;

	policy_walk_init(&w, s, who);
	while ((ep = policy_walk_any(&w))) {
		const char *bound =
			ep->pb->credential_binding ? ep->pb->credential_binding->provider : "";

		if (!bound[0] || strcmp(bound, provider) != 0)
			continue;
		if (!ep->select || policy_glob_match(ep->select, path.at, path.len) == 1)
			return true;
	}
	return false;
}

/* ---- what one endpoint says ---- */

static bool is_rpc(const struct policy_endpoint *ep)
{
	return ep->protocol == POLICY_JSON_RPC || ep->protocol == POLICY_MCP;
}

static bool is_post(const struct policy_request *q)
{
	return text_ieq(q->method.at, q->method.len, "POST", 4);
}

static bool is_get(const struct policy_request *q)
{
	return text_ieq(q->method.at, q->method.len, "GET", 3);
}

static const struct policy_request_rule *denies(
	const struct policy_endpoint *ep, const struct policy_request *q)
{
	const struct policy_request_rule *r = NULL;

	if (ep->deny.n == 0)
		return NULL;
	if (!is_rpc(ep) && ep->protocol != POLICY_GRAPHQL)
		r = policy_match_http(&ep->deny, q);
	for (size_t i = 0; !r && q->graphql && i < q->graphql->n_ops; i++) {
		const struct policy_graphql_op *op =
			policy_resolve_operation(ep, &q->graphql->ops[i]);

		r = op ? policy_match_graphql(ep, true, op) : NULL;
	}
	for (size_t i = 0; !r && q->rpc && is_rpc(ep) && i < q->rpc->n_calls; i++)
		r = policy_match_rpc(ep, true, &q->rpc->calls[i]);
	return r;
}

/* Every operation, or the first that is not: then *ret_rule stays. */
static bool permits_operations(const struct policy_endpoint *ep, const struct policy_request *q,
	const struct policy_request_rule **ret_rule)
{
	for (size_t i = 0; i < q->graphql->n_ops; i++) {
		const struct policy_graphql_op *op =
			policy_resolve_operation(ep, &q->graphql->ops[i]);
		const struct policy_request_rule *r =
			op ? policy_match_graphql(ep, false, op) : NULL;

		if (!r)
			return false;
		*ret_rule = r;
	}
	return true;
}

/* A websocket endpoint without GraphQL allow rules allows messages by method and path. */
static bool permits_graphql(const struct policy_endpoint *ep, const struct policy_request *q,
	const struct policy_request_rule **ret_rule)
{
	if (ep->protocol == POLICY_WEBSOCKET && !ep->graphql_allow) {
		*ret_rule = policy_match_http(&ep->allow, q);
		return *ret_rule != NULL;
	}
	return permits_operations(ep, q, ret_rule);
}

static bool permits_call(const struct policy_endpoint *ep, const struct policy_rpc_call *call,
	const struct policy_request_rule **ret_rule)
{
	const struct policy_request_rule *r;

	if (call->response)
		return ep->protocol == POLICY_MCP;
	r = policy_match_rpc(ep, false, call);
	if (r)
		*ret_rule = r;
	if (r || !ep->every_method || !call->method.at)
		return r != NULL;
	return !ep->names_tools || call->method.len != 10 ||
		memcmp(call->method.at, "tools/call", 10) != 0;
}

/* ---- what they say together ---- */

static bool is_earlier(const struct policy_endpoint *ep, const struct policy_endpoint *than)
{
	return !than || policy_endpoint_before(ep, than);
}

static void note_deny(
	struct policy_votes *v, const struct policy_endpoint *ep, const struct policy_request *q)
{
	const struct policy_request_rule *r;

	if (v->denier && !is_earlier(ep, v->denier))
		return;
	r = denies(ep, q);
	if (!r)
		return;
	v->denier = ep;
	v->deny_rule = r;
}

static void note_allow(struct policy_votes *v, const struct policy_endpoint *ep,
	const struct policy_request_rule *r)
{
	if (!is_earlier(ep, v->allower))
		return;
	v->allower = ep;
	v->allow_rule = r;
}

static void note_graphql(struct policy_votes *v, const struct policy_endpoint *ep, bool covered,
	const struct policy_request *q)
{
	const struct policy_request_rule *r = NULL;

	v->n_authoritative++;
	if (covered && permits_graphql(ep, q, &r))
		note_allow(v, ep, r);
	else if (is_earlier(ep, v->refuser))
		v->refuser = ep;
}

static void note_rpc(struct policy_votes *v, const struct policy_endpoint *ep, bool covered,
	const struct policy_request *q)
{
	const struct policy_request_rule *r = NULL;
	bool any = false;

	v->n_authoritative++;
	if (covered && q->rpc->receive_stream && is_get(q) && ep->protocol == POLICY_MCP)
		any = v->stream = true;
	for (size_t i = 0; covered && is_post(q) && i < q->rpc->n_calls; i++) {
		if (!permits_call(ep, &q->rpc->calls[i], &r))
			continue;
		v->calls[i / 64] |= 1ull << (i % 64);
		any = true;
	}
	if (any)
		note_allow(v, ep, r);
}

/* GraphQL endpoints, and websocket endpoints with GraphQL rules for messages, decide alone. */
static bool decides_graphql(const struct policy_endpoint *ep, const struct policy_request *q)
{
	return ep->protocol == POLICY_GRAPHQL ||
		(ep->graphql_messages &&
			text_ieq(q->method.at, q->method.len, "WEBSOCKET_TEXT", 14));
}

static void note(
	struct policy_votes *v, const struct policy_endpoint *ep, const struct policy_request *q)
{
	bool covered = covers(ep, q->path), selected = ep == v->selected;

	/* A path that does not compile covers nothing that it would allow, and all that it denies. */
	if (covered || ep->path.kind == PATTERN_BAD)
		note_deny(v, ep, q);
	if (!covered && !selected)
		return;
	if (q->graphql && decides_graphql(ep, q)) {
		note_graphql(v, ep, covered, q);
	} else if (q->rpc && is_rpc(ep)) {
		note_rpc(v, ep, covered, q);
	} else if (covered && !is_rpc(ep) && ep->protocol != POLICY_GRAPHQL &&
		is_earlier(ep, v->http_allower)) {
		const struct policy_request_rule *r = policy_match_http(&ep->allow, q);

		if (r) {
			v->http_allower = ep;
			v->http_rule = r;
		}
	}
}

static bool all_calls(const struct policy_votes *v, const struct policy_rpc *rpc)
{
	for (size_t i = 0; i < rpc->n_calls; i++)
		if (!(v->calls[i / 64] >> (i % 64) & 1))
			return false;
	return rpc->n_calls > 0 || v->stream;
}

static bool is_allowed(struct policy_votes *v, const struct policy_request *q)
{
	if (v->denier)
		return false;
	if (v->n_authoritative && q->graphql && v->refuser)
		return false;
	if (v->n_authoritative && q->rpc && !all_calls(v, q->rpc))
		return false;
	if (!v->n_authoritative) {
		v->allower = v->http_allower;
		v->allow_rule = v->http_rule;
	}
	return v->allower != NULL;
}

static void name_rule(struct policy_request_decision *d, const struct policy_endpoint *ep,
	const struct policy_request_rule *r)
{
	d->policy = ep->rule->key;
	d->endpoint = ep->index;
	d->endpoint_line = ep->line;
	d->by_deny_rule = r && r->deny;
	d->rule = r ? r->place : POLICY_RULE_NONE;
}

static void begin(struct policy_request_decision *d, uint64_t generation)
{
	d->verdict = POLICY_DENIED;
	d->hard = d->has_route = d->by_deny_rule = false;
	d->generation = generation;
	d->policy = "";
	d->endpoint = 0;
	d->endpoint_line = 0;
	d->rule = POLICY_RULE_NONE;
	d->reason[0] = d->near[0] = '\0';
}

void policy_decide_request(const struct policy_snapshot *s, const struct policy_connect *who,
	const struct policy_request *q, struct policy_request_decision *ret)
{
	const struct policy_endpoint *ep;
	struct policy_votes v = { 0 };
	struct policy_walk w;
	bool inspected;
	int how = 0;

	begin(ret, s->generation);
	policy_walk_init(&w, s, who);
	v.selected = select_endpoint(&w, q->path, &inspected);
	ret->has_route = v.selected != NULL;
	if (v.selected) {
		ret->route = v.selected->route;
		name_rule(ret, v.selected, NULL);
	}
	if (policy_say_fault(who, q, v.selected, inspected, ret)) {
		ret->hard = true;
		return;
	}
	policy_walk_again(&w);
	while ((ep = policy_walk_next(&w, &how)))
		if (ep->inspected)
			note(&v, ep, q);
	if (is_allowed(&v, q)) {
		ret->verdict = POLICY_ALLOWED;
		name_rule(ret, v.allower, v.allow_rule);
		return;
	}
	if (v.denier)
		name_rule(ret, v.denier, v.deny_rule);
	else if (v.refuser)
		name_rule(ret, v.refuser, NULL);
	ret->verdict = v.selected->route.enforce ? POLICY_DENIED : POLICY_AUDITED;
	policy_walk_again(&w);
	policy_say_denial(&w, q, &v, ret);
}
