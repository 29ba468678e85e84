/* policy_compile_rules.c - the request rules of one endpoint, compiled (spec/policy 1.4, 2.13). */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include "core_cleanup.h"
#include "core_text.h"
#include "policy_snapshot.h"

#define SANDBOX(x) Openshell__Sandbox__V1__##x

struct source { /* allow and deny have the same fields */
	const char *method, *path, *operation_type, *operation_name;
	char **fields;
	size_t n_fields, n_query, n_params, place;
	SANDBOX(L7Allow__QueryEntry) * *query;
	SANDBOX(L7Allow__ParamsEntry) * *params;
};

static int no_memory(struct err *e)
{
	return err_set(e, ENOMEM, "policy rules");
}

int policy_pattern_init(
	struct policy_pattern *p, enum policy_dialect d, const char *text, struct err *e)
{
	struct err why = { 0 };

	*p = (struct policy_pattern){ .kind = PATTERN_TEXT, .text = text, .len = strlen(text) };
	if (strcmp(text, "**") == 0)
		p->kind = PATTERN_ANY;
	else if (strpbrk(text, "*?[]{}\\"))
		p->kind = PATTERN_GLOB;
	if (p->kind != PATTERN_GLOB || policy_glob_new(d, text, p->len, &p->glob, &why) == 0)
		return 0;
	p->kind = PATTERN_BAD;
	return why.code == ENOMEM ? no_memory(e) : 0;
}

static void pattern_done(struct policy_pattern *p)
{
	policy_glob_free(p->glob);
}

static enum policy_dialect value_dialect(bool deny)
{
	return deny ? POLICY_GLOB_DENY : POLICY_GLOB_VALUE;
}

static int patterns_init(struct policy_pattern **ret, size_t *ret_n, char *const *text, size_t n,
	bool deny, struct err *e)
{
	*ret = calloc(n + 1, sizeof **ret);
	if (!*ret)
		return no_memory(e);
	for (size_t i = 0; i < n; i++) {
		(*ret_n)++;
		if (policy_pattern_init(&(*ret)[i], value_dialect(deny), text[i], e) < 0)
			return -e->code;
	}
	return 0;
}

/* The wire may carry the text and the list at once: then an allow rule takes the text alone, a deny
 * rule both. */
static int matcher_init(struct policy_matcher *m, const char *key,
	const SANDBOX(L7QueryMatcher) * pb, bool deny, struct err *e)
{
	AUTO_FREE char **all = calloc(pb ? pb->n_any + 1 : 1, sizeof *all);
	size_t n = 0;

	*m = (struct policy_matcher){ .key = key, .key_len = strlen(key) };
	if (!all)
		return no_memory(e);
	if (pb && (pb->glob[0] || !pb->n_any))
		all[n++] = pb->glob;
	for (size_t i = 0; pb && i < pb->n_any && (deny || !pb->glob[0]); i++)
		all[n++] = pb->any[i];
	return patterns_init(&m->at, &m->n, all, n, deny, e);
}

static void matcher_done(struct policy_matcher *m)
{
	for (size_t i = 0; i < m->n; i++)
		pattern_done(&m->at[i]);
	free(m->at);
}

static int query_init(struct policy_request_rule *r, const struct source *from, struct err *e)
{
	r->query = calloc(from->n_query + 1, sizeof *r->query);
	if (!r->query)
		return no_memory(e);
	for (size_t i = 0; i < from->n_query; i++) {
		r->n_query++;
		if (matcher_init(&r->query[i], from->query[i]->key, from->query[i]->value, r->deny,
			    e) < 0)
			return -e->code;
	}
	return 0;
}

/* Can a path that begins with '/' match?  Only what begins with '/' or something special. */
static bool can_match_paths(const char *pattern)
{
	return pattern[0] && strchr("/*?[{\\", pattern[0]);
}

static int http_init(struct policy_request_rule *r, const struct source *from, struct err *e)
{
	const char *path = from->path;

	r->kind = RULE_HTTP;
	r->method = from->method;
	/* A deny rule that leaves something out means all of it; it must not be dead. */
	if (r->deny && !r->method[0])
		r->method = "*";
	if (r->deny && !path[0])
		path = "**";
	if (r->deny && !can_match_paths(path)) {
		size_t size = strlen(path) + 2;

		r->owned = malloc(size);
		if (!r->owned)
			return no_memory(e);
		r->owned[0] = '/';
		(void) memcpy(r->owned + 1, path, size - 1);
		path = r->owned;
	}
	r->method_len = strlen(r->method);
	if (path[0] && policy_pattern_init(&r->path, POLICY_GLOB_PATH, path, e) < 0)
		return -e->code;
	return query_init(r, from, e);
}

static int graphql_init(struct policy_request_rule *r, const struct source *from, struct err *e)
{
	r->kind = RULE_GRAPHQL;
	r->operation_type = from->operation_type;
	if (from->operation_name[0] &&
		policy_pattern_init(
			&r->operation_name, value_dialect(r->deny), from->operation_name, e) < 0)
		return -e->code;
	return patterns_init(&r->fields, &r->n_fields, from->fields, from->n_fields, r->deny, e);
}

static int rpc_init(
	struct policy_request_rule *r, const struct source *from, bool mcp, struct err *e)
{
	const char *method = from->method;

	r->kind = RULE_RPC;
	for (size_t i = 0; i < from->n_params; i++) {
		if (strcmp(from->params[i]->key, "name") != 0 || r->tool.at)
			continue;
		if (matcher_init(&r->tool, "name", from->params[i]->value, r->deny, e) < 0)
			return -e->code;
	}
	/* Under the profile a method may be left out. */
	if (!method[0])
		method = r->tool.n ? "tools/call" : "*";
	r->method = method;
	if (mcp && strcmp(method, "*") != 0)
		return policy_pattern_init(&r->rpc_method, value_dialect(r->deny), method, e);
	/* JSON-RPC knows the method itself, and one star for all. */
	r->rpc_method.kind = strcmp(method, "*") == 0 ? PATTERN_ANY : PATTERN_TEXT;
	r->rpc_method.text = method;
	r->rpc_method.len = strlen(method);
	return 0;
}

static int rule_init(const struct policy_endpoint *ep, struct policy_request_rule *r,
	const struct source *from, struct err *e)
{
	bool graphql = from->operation_type[0] || from->operation_name[0] || from->n_fields;

	r->place = from->place;
	if (ep->protocol == POLICY_JSON_RPC || ep->protocol == POLICY_MCP)
		return rpc_init(r, from, ep->protocol == POLICY_MCP, e);
	if (ep->protocol == POLICY_GRAPHQL || (ep->protocol == POLICY_WEBSOCKET && graphql))
		return graphql_init(r, from, e);
	return http_init(r, from, e);
}

static void rule_done(struct policy_request_rule *r)
{
	pattern_done(&r->path);
	pattern_done(&r->operation_name);
	pattern_done(&r->rpc_method);
	for (size_t i = 0; i < r->n_query; i++)
		matcher_done(&r->query[i]);
	for (size_t i = 0; i < r->n_fields; i++)
		pattern_done(&r->fields[i]);
	matcher_done(&r->tool);
	free(r->query);
	free(r->fields);
	free(r->owned);
}

static void set_done(struct policy_rule_set *set)
{
	for (size_t i = 0; i < set->n; i++)
		rule_done(&set->at[i]);
	free(set->at);
	free(set->slots);
}

static int add_rule(struct policy_endpoint *ep, struct policy_rule_set *set,
	const struct source *from, struct err *e)
{
	struct policy_request_rule *r = &set->at[set->n++];

	*r = (struct policy_request_rule){ .deny = set == &ep->deny, .next = POLICY_RULE_NONE };
	if (rule_init(ep, r, from, e) < 0)
		return -e->code;
	ep->graphql_messages |= ep->protocol == POLICY_WEBSOCKET && r->kind == RULE_GRAPHQL;
	ep->graphql_allow |= !r->deny && r->kind == RULE_GRAPHQL;
	ep->names_tools |= !r->deny && r->tool.n > 0;
	return 0;
}

#define PRESET_MAX 6

/* The words of a preset, for a protocol (spec/policy 2.13); NULL ends the list. */
static const char *const *preset(enum policy_protocol p, const char *access)
{
	static const char *const http[][PRESET_MAX + 1] = { { "GET", "HEAD", "OPTIONS" },
		{ "GET", "HEAD", "OPTIONS", "POST", "PUT", "PATCH" }, { "*" } };
	static const char *const websocket[][PRESET_MAX + 1] = { { "GET" },
		{ "GET", "WEBSOCKET_TEXT" }, { "*" } };
	static const char *const graphql[][PRESET_MAX + 1] = { { "query" }, { "query", "mutation" },
		{ "*" } };
	static const char *const names[] = { "read-only", "read-write", "full" };

	for (unsigned i = 0; i < 3; i++) {
		if (strcmp(access, names[i]) != 0)
			continue;
		return p == POLICY_GRAPHQL	? graphql[i]
			: p == POLICY_WEBSOCKET ? websocket[i]
						: http[i];
	}
	return NULL;
}

static int add_preset(struct policy_endpoint *ep, struct err *e)
{
	const char *const *words = preset(ep->protocol, ep->pb->access);
	bool graphql = ep->protocol == POLICY_GRAPHQL;

	if (ep->protocol == POLICY_JSON_RPC || ep->protocol == POLICY_MCP)
		return 0;
	for (; words && *words; words++) {
		struct source from = { .method = graphql ? "" : *words,
			.path = graphql ? "" : "**",
			.operation_type = graphql ? *words : "",
			.operation_name = "",
			.place = POLICY_RULE_NONE };

		if (add_rule(ep, &ep->allow, &from, e) < 0)
			return -e->code;
	}
	return 0;
}

static int add_allow(struct policy_endpoint *ep, struct err *e)
{
	for (size_t i = 0; i < ep->pb->n_rules; i++) {
		const SANDBOX(L7Allow) *a = ep->pb->rules[i]->allow;
		struct source from = { .place = i };

		if (!a)
			continue;
		from.method = a->method;
		from.path = a->path;
		from.operation_type = a->operation_type;
		from.operation_name = a->operation_name;
		from.fields = a->fields;
		from.n_fields = a->n_fields;
		from.n_query = a->n_query;
		from.n_params = a->n_params;
		from.query = a->query;
		from.params = a->params;
		if (add_rule(ep, &ep->allow, &from, e) < 0)
			return -e->code;
	}
	return ep->pb->n_rules ? 0 : add_preset(ep, e);
}

static int add_deny(struct policy_endpoint *ep, struct err *e)
{
	for (size_t i = 0; i < ep->pb->n_deny_rules; i++) {
		const SANDBOX(L7DenyRule) *d = ep->pb->deny_rules[i];
		struct source from = { .place = i };

		from.method = d->method;
		from.path = d->path;
		from.operation_type = d->operation_type;
		from.operation_name = d->operation_name;
		from.fields = d->fields;
		from.n_fields = d->n_fields;
		from.n_query = d->n_query;
		from.n_params = d->n_params;
		/* Identical layout: key and value of a map entry. */
		from.query = (SANDBOX(L7Allow__QueryEntry) **) (void *) d->query;
		from.params = (SANDBOX(L7Allow__ParamsEntry) **) (void *) d->params;
		if (add_rule(ep, &ep->deny, &from, e) < 0)
			return -e->code;
	}
	return 0;
}

static int by_id(const void *a, const void *b)
{
	return strcmp(((const struct policy_operation *) a)->id,
		((const struct policy_operation *) b)->id);
}

static int add_operations(struct policy_endpoint *ep, struct err *e)
{
	ep->operations = calloc(ep->pb->n_graphql_persisted_queries + 1, sizeof *ep->operations);
	if (!ep->operations)
		return no_memory(e);
	for (size_t i = 0; i < ep->pb->n_graphql_persisted_queries; i++) {
		const SANDBOX(GraphqlOperation) *pb = ep->pb->graphql_persisted_queries[i]->value;
		struct policy_operation *o = &ep->operations[ep->n_operations];

		if (!pb)
			continue;
		o->fields = calloc(pb->n_fields + 1, sizeof *o->fields);
		if (!o->fields)
			return no_memory(e);
		ep->n_operations++;
		o->id = ep->pb->graphql_persisted_queries[i]->key;
		for (size_t k = 0; k < pb->n_fields; k++)
			o->fields[k] =
				(struct policy_bytes){ pb->fields[k], strlen(pb->fields[k]) };
		o->op = (struct policy_graphql_op){ .fields = o->fields, .n_fields = pb->n_fields };
		o->op.type.at = pb->operation_type;
		o->op.type.len = strlen(pb->operation_type);
		o->op.name.at = pb->operation_name[0] ? pb->operation_name : NULL;
		o->op.name.len = strlen(pb->operation_name);
	}
	qsort(ep->operations, ep->n_operations, sizeof *ep->operations, by_id);
	return 0;
}

static int compile_path(struct policy_endpoint *ep, struct err *e)
{
	struct err why = { 0 };

	for (const char *p = ep->pb->path; *p; p++)
		ep->route.specificity += *p != '*';
	if (!ep->pb->path[0])
		return 0;
	if (policy_pattern_init(&ep->path, POLICY_GLOB_PATH, ep->pb->path, e) < 0)
		return -e->code;
	if (policy_glob_new(POLICY_GLOB_SELECT, ep->pb->path, ep->path.len, &ep->select, &why) <
			0 &&
		why.code == ENOMEM)
		return no_memory(e);
	return 0;
}

static enum policy_signing signing_of(const char *text)
{
	if (strcmp(text, "sigv4") == 0)
		return POLICY_SIGN_SIGV4;
	if (strcmp(text, "sigv4:body") == 0)
		return POLICY_SIGN_SIGV4_BODY;
	return strcmp(text, "sigv4:no_body") == 0 ? POLICY_SIGN_SIGV4_NO_BODY : POLICY_SIGN_NONE;
}

static uint32_t body_limit(const struct policy_endpoint *ep)
{
	bool rpc = ep->protocol == POLICY_JSON_RPC || ep->protocol == POLICY_MCP;
	uint32_t n = rpc ? ep->pb->json_rpc_max_body_bytes : ep->pb->graphql_max_body_bytes;

	return n ? n : POLICY_BODY_DEFAULT;
}

static void compile_route(struct policy_endpoint *ep)
{
	struct policy_route *r = &ep->route;
	const SANDBOX(NetworkEndpoint) *pb = ep->pb;

	r->policy = ep->rule->key;
	r->endpoint = ep->index;
	r->line = ep->line;
	r->host = ep->host;
	r->path = pb->path;
	r->protocol = ep->protocol;
	/* A word that is neither is read as the stricter one; the loader warned. */
	r->enforce = pb->enforcement[0] &&
		!text_ieq(pb->enforcement, strlen(pb->enforcement), "audit", 5);
	r->allow_encoded_slash = pb->allow_encoded_slash;
	r->websocket_credential_rewrite = pb->websocket_credential_rewrite;
	r->request_body_credential_rewrite = pb->request_body_credential_rewrite;
	r->allow_uninspected_credentials = pb->allow_uninspected_credentials;
	r->provider_credentialed = pb->provider_credentialed;
	r->scrub_responses = pb->scrub_responses;
	r->graphql_messages = ep->graphql_messages;
	r->strict_tool_names =
		!pb->mcp || !pb->mcp->_strict_tool_names_case || pb->mcp->strict_tool_names;
	r->max_body_bytes = body_limit(ep);
	r->signing = signing_of(pb->credential_signing);
	r->signing_service = pb->signing_service;
	r->signing_region = pb->signing_region;
	r->credential_provider = pb->credential_binding ? pb->credential_binding->provider : "";
}

int policy_compile_requests(struct policy_endpoint *ep, struct err *e)
{
	const SANDBOX(NetworkEndpoint) *pb = ep->pb;

	ep->inspected = ep->protocol >= POLICY_REST;
	ep->carries = ep->protocol != POLICY_L4 || pb->tls[0] || ep->has_ips;
	ep->advisor_proposed = pb->advisor_proposed;
	ep->uninspected_unpermitted = !pb->allow_uninspected_credentials &&
		(!ep->inspected || ep->tls == POLICY_TLS_SKIP);
	ep->uninspected_denied = ep->uninspected_unpermitted && pb->provider_credentialed;
	ep->scrubs = pb->scrub_responses && !ep->inspected;
	if (!ep->inspected)
		return 0;
	ep->every_method = ep->protocol == POLICY_MCP && pb->mcp &&
		pb->mcp->_allow_all_known_mcp_methods_case && pb->mcp->allow_all_known_mcp_methods;
	ep->registered = strcmp(pb->persisted_queries, "allow_registered") == 0;
	ep->allow.at = calloc(pb->n_rules + PRESET_MAX, sizeof *ep->allow.at);
	ep->deny.at = calloc(pb->n_deny_rules + 1, sizeof *ep->deny.at);
	if (!ep->allow.at || !ep->deny.at)
		return no_memory(e);
	if (compile_path(ep, e) < 0 || add_allow(ep, e) < 0 || add_deny(ep, e) < 0 ||
		add_operations(ep, e) < 0 || policy_rule_set_index(&ep->allow, e) < 0)
		return -e->code;
	compile_route(ep);
	return policy_rule_set_index(&ep->deny, e);
}

void policy_requests_done(struct policy_endpoint *ep)
{
	set_done(&ep->allow);
	set_done(&ep->deny);
	pattern_done(&ep->path);
	policy_glob_free(ep->select);
	for (size_t i = 0; i < ep->n_operations; i++)
		free(ep->operations[i].fields);
	free(ep->operations);
}
