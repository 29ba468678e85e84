/* policy_request_match.c - does a request, an operation or a call meet a rule (spec/policy 2.7 to 2.11).
 *
 * Allow and deny rules read the same words differently: an allow rule needs ALL values, fields and
 * patterns to match, a deny rule ANY; what is unreadable never allows and always denies.
 */
#include <stdlib.h>
#include <string.h>
#include "core_text.h"
#include "policy_snapshot.h"

static bool same(struct policy_bytes v, const char *text, size_t len)
{
	return v.len == len && (len == 0 || memcmp(v.at, text, len) == 0);
}

bool policy_pattern_match(const struct policy_pattern *p, struct policy_bytes v, bool deny)
{
	int r;

	switch (p->kind) {
	case PATTERN_ABSENT:
		return false;
	case PATTERN_ANY:
		return true;
	case PATTERN_TEXT:
		return same(v, p->text, p->len);
	case PATTERN_GLOB:
		r = policy_glob_match(p->glob, v.at, v.len);
		return r == 1 || (r < 0 && deny);
	case PATTERN_BAD:
		break;
	}
	return deny;
}

bool policy_matcher_match(const struct policy_matcher *m, struct policy_bytes v, bool deny)
{
	for (size_t i = 0; i < m->n; i++)
		if (policy_pattern_match(&m->at[i], v, deny))
			return true;
	return false;
}

static bool method_matches(const struct policy_request_rule *r, struct policy_bytes method)
{
	if (r->method_len == 1 && r->method[0] == '*')
		return true;
	if (r->method_len == 0)
		return false;
	if (text_ieq(r->method, r->method_len, method.at, method.len))
		return true;
	return text_ieq(r->method, r->method_len, "GET", 3) &&
		text_ieq(method.at, method.len, "HEAD", 4);
}

/* Allow: the key is there and all its values match.  Deny: the key is there and one does. */
static bool key_matches(const struct policy_matcher *m, const struct policy_request *q, bool deny)
{
	bool found = false;

	for (size_t i = 0; i < q->n_query; i++) {
		bool hit;

		if (!same(q->query[i].key, m->key, m->key_len))
			continue;
		found = true;
		hit = policy_matcher_match(m, q->query[i].value, deny);
		if (hit == deny)
			return deny;
	}
	return found && !deny;
}

static bool query_matches(const struct policy_request_rule *r, const struct policy_request *q)
{
	for (size_t i = 0; i < r->n_query; i++)
		if (!key_matches(&r->query[i], q, r->deny))
			return false;
	return true;
}

const struct policy_request_rule *policy_match_http(
	const struct policy_rule_set *set, const struct policy_request *q)
{
	const struct policy_request_rule *r;
	struct policy_rule_scan scan;

	if (set->n == 0)
		return NULL;
	policy_rule_scan_init(&scan, set);
	scan.path = q->path;
	while ((r = policy_rule_scan_next(&scan)))
		if (r->kind == RULE_HTTP && method_matches(r, q->method) &&
			policy_pattern_match(&r->path, q->path, r->deny) && query_matches(r, q))
			return r;
	return NULL;
}

static bool field_matches(const struct policy_request_rule *r, struct policy_bytes field)
{
	for (size_t i = 0; i < r->n_fields; i++)
		if (policy_pattern_match(&r->fields[i], field, r->deny))
			return true;
	return false;
}

static bool fields_match(const struct policy_request_rule *r, const struct policy_graphql_op *op)
{
	if (r->n_fields == 0)
		return true;
	for (size_t i = 0; i < op->n_fields; i++)
		if (field_matches(r, op->fields[i]) == r->deny)
			return r->deny;
	return op->n_fields > 0 && !r->deny;
}

static bool operation_matches(
	const struct policy_request_rule *r, const struct policy_graphql_op *op)
{
	size_t len = strlen(r->operation_type);

	if (strcmp(r->operation_type, "*") != 0 &&
		!text_ieq(r->operation_type, len, op->type.at, op->type.len))
		return false;
	if (r->operation_name.kind != PATTERN_ABSENT &&
		(!op->name.at || !policy_pattern_match(&r->operation_name, op->name, r->deny)))
		return false;
	return fields_match(r, op);
}

const struct policy_request_rule *policy_match_graphql(
	const struct policy_endpoint *ep, bool deny, const struct policy_graphql_op *op)
{
	const struct policy_rule_set *set = deny ? &ep->deny : &ep->allow;
	const struct policy_request_rule *r;
	struct policy_rule_scan scan;

	if (set->n == 0)
		return NULL;
	policy_rule_scan_init(&scan, set);
	while ((r = policy_rule_scan_next(&scan)))
		if (r->kind == RULE_GRAPHQL && operation_matches(r, op))
			return r;
	return NULL;
}

static bool is_tools_call(struct policy_bytes method)
{
	return same(method, "tools/call", 10);
}

static bool call_matches(const struct policy_request_rule *r, const struct policy_rpc_call *call)
{
	if (!policy_pattern_match(&r->rpc_method, call->method, r->deny))
		return false;
	if (r->tool.n == 0)
		return true;
	/* A call whose tool could not be read may be any tool. */
	if (!call->tool.at)
		return r->deny && is_tools_call(call->method);
	return policy_matcher_match(&r->tool, call->tool, r->deny);
}

const struct policy_request_rule *policy_match_rpc(
	const struct policy_endpoint *ep, bool deny, const struct policy_rpc_call *call)
{
	const struct policy_rule_set *set = deny ? &ep->deny : &ep->allow;
	const struct policy_request_rule *r;
	struct policy_rule_scan scan;

	if (set->n == 0 || !call->method.at)
		return NULL;
	policy_rule_scan_init(&scan, set);
	scan.method = call->method;
	scan.tool = call->tool;
	while ((r = policy_rule_scan_next(&scan)))
		if (r->kind == RULE_RPC && call_matches(r, call))
			return r;
	return NULL;
}

static int compare_id(const void *key, const void *b)
{
	const struct policy_bytes *id = key;
	const char *have = ((const struct policy_operation *) b)->id;
	size_t len = strlen(have);
	int r = memcmp(id->at, have, id->len < len ? id->len : len);

	return r ? r : id->len < len ? -1 : id->len > len;
}

const struct policy_graphql_op *policy_resolve_operation(
	const struct policy_endpoint *ep, const struct policy_graphql_op *op)
{
	struct policy_bytes id = op->hash.at ? op->hash : op->id;
	const struct policy_operation *found;

	if (op->type.len > 0)
		return op;
	if (!op->persisted || !id.at || !ep->registered)
		return NULL;
	found = bsearch(&id, ep->operations, ep->n_operations, sizeof *ep->operations, compare_id);
	return found ? &found->op : NULL;
}
