/* policy_check_l7.c - request rules: what each protocol takes (spec/policy 1.3, 1.4). */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "core_policy_snapshot.h"
#include "core_text.h"
#include "policy_doc.h"

#define SANDBOX(x) Openshell__Sandbox__V1__##x
#define endpoint_msg SANDBOX(NetworkEndpoint)

struct rule { /* allow and deny have the same fields */
	const void *at;
	char *method, *path, *command, *operation_type, *operation_name;
	char **fields;
	size_t n_fields;
	size_t n_query, n_params;
	bool deny;
	SANDBOX(L7Allow__QueryEntry) * *query; /* the entry types differ by name only */
	SANDBOX(L7Allow__ParamsEntry) * *params;
};

static bool is(const char *a, const char *b)
{
	return strcmp(a, b) == 0;
}

static struct rule of_allow(SANDBOX(L7Allow) * a)
{
	return (struct rule){ .at = a,
		.method = a->method,
		.path = a->path,
		.command = a->command,
		.operation_type = a->operation_type,
		.operation_name = a->operation_name,
		.fields = a->fields,
		.n_fields = a->n_fields,
		.n_query = a->n_query,
		.n_params = a->n_params,
		.query = a->query,
		.params = a->params };
}

static struct rule of_deny(SANDBOX(L7DenyRule) * d)
{
	return (struct rule){ .at = d,
		.method = d->method,
		.path = d->path,
		.command = d->command,
		.operation_type = d->operation_type,
		.operation_name = d->operation_name,
		.fields = d->fields,
		.n_fields = d->n_fields,
		.n_query = d->n_query,
		.n_params = d->n_params,
		.deny = true,
		/* Identical layout: key and value of a map entry. */
		.query = (SANDBOX(L7Allow__QueryEntry) **) (void *) d->query,
		.params = (SANDBOX(L7Allow__ParamsEntry) **) (void *) d->params };
}

static void check_glob(struct check *c, const struct rule *r, const char *field,
	enum policy_dialect d, const char *pattern)
{
	struct policy_glob *g = NULL;
	struct err why = { 0 };

	if (pattern[0] && policy_glob_new(d, pattern, strlen(pattern), &g, &why) < 0)
		check_warn(c, "E22", r->at, field,
			r->deny ? "such a deny rule denies everything on its endpoint"
				: "such a rule never allows",
			"malformed pattern: %s", why.text);
	policy_glob_free(g);
}

static void check_matcher(
	struct check *c, const struct rule *r, SANDBOX(L7QueryMatcher) * m, const char *field)
{
	if (!m || (!m->glob[0] && m->n_any == 0)) {
		check_error(c, "E23", r->at, field, "write text or {any: [text, ...]}",
			"a matcher must not be empty");
		return;
	}
	if (m->glob[0])
		check_glob(c, r, field, POLICY_GLOB_VALUE, m->glob);
	for (size_t i = 0; i < m->n_any; i++) {
		if (!m->any[i][0])
			check_error(c, "E23", r->at, field, "remove it", "an empty pattern");
		check_glob(c, r, field, POLICY_GLOB_VALUE, m->any[i]);
	}
}

static void check_query(struct check *c, const struct rule *r)
{
	for (size_t i = 0; i < r->n_query; i++)
		check_matcher(c, r, r->query[i]->value, "query");
}

static void check_method_path(struct check *c, const struct rule *r)
{
	static const char *const verbs[] = { "*", "get", "head", "post", "put", "delete", "options",
		"patch", "trace", "connect", "websocket_text", NULL };
	bool known = false;

	for (size_t i = 0; verbs[i]; i++)
		known |= text_ieq(r->method, strlen(r->method), verbs[i], strlen(verbs[i]));
	if (!r->method[0])
		check_warn(c, "E20", r->at, "method", "write `method: \"*\"` for every method",
			r->deny ? "no method: read as every method"
				: "no method: the rule never allows");
	else if (!known)
		check_warn(c, "W02", r->at, "method", NULL, "unusual method `%.40s`", r->method);
	if (!r->path[0])
		check_warn(c, "E20", r->at, "path", "write `path: \"**\"` for every path",
			r->deny ? "no path: read as every path" : "no path: the rule never allows");
	else if (!strchr("/*?[{\\", r->path[0]))
		check_warn(c, "E21", r->at, "path", "begin with `/`, or write `**`",
			r->deny ? "a path that does not begin with `/`: read as if it did"
				: "a path that does not begin with `/` never matches");
	else
		check_glob(c, r, "path", POLICY_GLOB_PATH, r->path);
	check_query(c, r);
}

static bool has_graphql(const struct rule *r)
{
	return r->operation_type[0] || r->operation_name[0] || r->n_fields;
}

static void check_graphql(struct check *c, const struct rule *r)
{
	static const char *const types[] = { "query", "mutation", "subscription", "*", NULL };
	bool known = false;

	for (size_t i = 0; types[i]; i++)
		known |= is(r->operation_type, types[i]);
	if (!known)
		check_error(c, "E25", r->at, "operation_type",
			"expected query, mutation, subscription or `*`",
			r->operation_type[0] ? "unknown operation type"
					     : "operation_type is missing");
	check_glob(c, r, "operation_name", POLICY_GLOB_VALUE, r->operation_name);
	for (size_t i = 0; i < r->n_fields; i++)
		check_glob(c, r, "fields", POLICY_GLOB_VALUE, r->fields[i]);
}

static void check_json_rpc(struct check *c, const struct rule *r)
{
	if (!r->method[0])
		check_error(c, "E27", r->at, "method", "name it, or write `*`", "no method");
	else if (strpbrk(r->method, "*?[{") && !is(r->method, "*"))
		check_error(c, "E27", r->at, "method", "name it, or write `*` alone",
			"json-rpc methods take no patterns");
	if (r->n_params)
		check_error(c, "E27", r->at, "params", "remove it",
			"json-rpc rules look at methods only");
	if (r->path[0] || r->n_query)
		check_error(c, "E27", r->at, "path", "put the path on the endpoint",
			"json-rpc rules take no path or query");
}

static bool mcp_everything(const endpoint_msg *ep)
{
	return ep->mcp && ep->mcp->allow_all_known_mcp_methods;
}

static bool has_wildcard(const SANDBOX(L7QueryMatcher) * m)
{
	if (strpbrk(m->glob, "*?[{"))
		return true;
	for (size_t i = 0; i < m->n_any; i++)
		if (strpbrk(m->any[i], "*?[{"))
			return true;
	return false;
}

static void check_mcp_tool(struct check *c, const endpoint_msg *ep, const struct rule *r)
{
	bool relaxed = ep->mcp && ep->mcp->_strict_tool_names_case && !ep->mcp->strict_tool_names;

	for (size_t i = 0; i < r->n_params; i++) {
		if (!is(r->params[i]->key, "name")) {
			check_error(c, "E28", r->at, "params", "use `tool:`",
				"only params.name can be matched");
			continue;
		}
		check_matcher(c, r, r->params[i]->value, "tool");
		if (relaxed && r->params[i]->value && has_wildcard(r->params[i]->value))
			check_error(c, "E28", r->at, "tool",
				"keep strict_tool_names, or name each tool",
				"tool patterns need strict tool names");
	}
	if (r->n_params && !is(r->method, "tools/call") && !(mcp_everything(ep) && !r->method[0]))
		check_error(c, "E28", r->at, "tool", "add `method: tools/call`",
			"a tool belongs to `method: tools/call`");
}

static void check_mcp(struct check *c, const endpoint_msg *ep, const struct rule *r)
{
	bool pattern = strpbrk(r->method, "*?[{") != NULL;

	if (!r->method[0] && !mcp_everything(ep))
		check_error(c, "E28", r->at, "method", "name it", "no method");
	if (pattern && strncmp(r->method, "tools/", 6) != 0)
		check_error(c, "E28", r->at, "method",
			"name each method, or use mcp.allow_all_known_mcp_methods",
			"only `tools/...` methods take patterns");
	if (r->path[0] || r->n_query)
		check_error(c, "E28", r->at, "path", "put the path on the endpoint",
			"mcp rules take no path or query");
	check_mcp_tool(c, ep, r);
}

static void check_websocket(struct check *c, const struct rule *r)
{
	if (has_graphql(r) && (r->method[0] || r->path[0] || r->n_query))
		check_error(c, "E26", r->at, NULL, "split it in two",
			"one rule mixes method or path with GraphQL fields");
	else if (has_graphql(r))
		check_graphql(c, r);
	else
		check_method_path(c, r);
}

static void check_one(struct check *c, const endpoint_msg *ep, const struct rule *r)
{
	if (is(ep->protocol, "graphql"))
		check_graphql(c, r);
	else if (is(ep->protocol, "websocket"))
		check_websocket(c, r);
	else if (is(ep->protocol, "json-rpc"))
		check_json_rpc(c, r);
	else if (is(ep->protocol, "mcp"))
		check_mcp(c, ep, r);
	else if (is(ep->protocol, "rest") || !ep->protocol[0])
		check_method_path(c, r);
}

typedef void (*rule_fn)(struct check *c, const endpoint_msg *ep, const struct rule *r);

static void each_rule(struct check *c, endpoint_msg *ep, rule_fn fn)
{
	for (size_t i = 0; i < ep->n_rules; i++) {
		size_t back = trail_field(&c->trail, "rules");
		struct rule r;

		(void) trail_index(&c->trail, i);
		if (ep->rules[i]->allow) {
			r = of_allow(ep->rules[i]->allow);
			(void) trail_field(&c->trail, "allow");
			fn(c, ep, &r);
		}
		trail_back(&c->trail, back);
	}
	for (size_t i = 0; i < ep->n_deny_rules; i++) {
		size_t back = trail_field(&c->trail, "deny_rules");
		struct rule r = of_deny(ep->deny_rules[i]);

		(void) trail_index(&c->trail, i);
		fn(c, ep, &r);
		trail_back(&c->trail, back);
	}
}

/* tcp refuses every field that would need to look inside. */
static void check_tcp(struct check *c, endpoint_msg *ep)
{
	bool any = ep->access[0] || ep->n_rules || ep->n_deny_rules || ep->enforcement[0] ||
		ep->path[0] || ep->allow_encoded_slash || ep->websocket_credential_rewrite ||
		ep->request_body_credential_rewrite || ep->scrub_responses ||
		ep->persisted_queries[0] || ep->n_graphql_persisted_queries ||
		ep->graphql_max_body_bytes || ep->json_rpc_max_body_bytes || ep->mcp ||
		ep->credential_signing[0] || ep->signing_service[0] || ep->signing_region[0] ||
		ep->credential_binding;

	if (any)
		check_error(c, "E29", ep, NULL, "remove fields about requests",
			"`protocol: tcp` relays bytes; access, rules, enforcement, path and the "
			"like mean nothing there");
}

/* An allow with nothing in it allows nothing. */
static size_t usable_rules(const endpoint_msg *ep)
{
	size_t n = 0;

	for (size_t i = 0; i < ep->n_rules; i++)
		n += ep->rules[i]->allow &&
			protobuf_c_message_get_packed_size(&ep->rules[i]->allow->base) > 0;
	return n;
}

static void check_base(struct check *c, endpoint_msg *ep)
{
	bool inspected = ep->protocol[0] && !is(ep->protocol, "tcp");
	bool json = is(ep->protocol, "json-rpc"), mcp = is(ep->protocol, "mcp");
	bool base = ep->access[0] || usable_rules(ep) || (mcp && mcp_everything(ep));

	if (ep->access[0] && ep->n_rules)
		check_error(c, "E17", &ep->access, "access", "keep one of them",
			"`access` together with `rules`");
	if (ep->access[0] && (json || mcp))
		check_error(c, json ? "E27" : "E28", &ep->access, "access", "write `rules:`",
			"%s takes no access preset", ep->protocol);
	/* Under the profile an empty allow means every method. */
	if (ep->n_rules && !usable_rules(ep) && !(mcp && mcp_everything(ep)))
		check_error(c, "E19", &ep->rules, "rules", "write `- allow: {...}`",
			"no rule allows anything");
	if (inspected && !base)
		check_error(c,
			json	      ? "E27"
				: mcp ? "E28"
				      : "E16",
			ep, NULL, "add `access:` or `rules:`",
			"an inspected endpoint needs `access` or `rules`");
	if (!inspected && (ep->access[0] || ep->n_rules))
		check_warn(c, "E18", ep, NULL, "add `protocol: rest`",
			"access and rules have no effect without `protocol`");
	if (ep->n_deny_rules && (!inspected || !base))
		check_error(c, "E24", ep, "deny_rules", "add `protocol:` and `access:` or `rules:`",
			"deny rules need an inspected protocol and something that allows");
	if (inspected && !ep->enforcement[0])
		check_warn(c, "W01", ep, "enforcement", "write `enforcement: enforce` to block",
			"not set: violations will only be logged");
	if (is(ep->protocol, "sql") && is(ep->enforcement, "enforce"))
		check_error(c, "E15", &ep->enforcement, "enforcement", "write `audit`",
			"sql is not inspected, so it can't be enforced");
	if (is(ep->tls, "skip") && inspected && !is(ep->protocol, "sql"))
		check_warn(c, "W02", &ep->tls, "tls", "remove one of the two",
			"`tls: skip` leaves nothing to inspect on encrypted connections");
}

struct tools { /* of an mcp endpoint, or kinds of a websocket one */
	bool specific, broad_allow, broad_deny, text, graphql;
};

static bool reaches_call(const char *method)
{
	struct policy_glob *g = NULL;
	struct err e = { 0 };
	bool hit;

	if (policy_glob_new(POLICY_GLOB_VALUE, method, strlen(method), &g, &e) < 0)
		return false;
	hit = policy_glob_match(g, "tools/call", 10) == 1;
	policy_glob_free(g);
	return hit;
}

static void note(struct tools *t, const struct rule *r)
{
	t->text |= !r->deny && text_ieq(r->method, strlen(r->method), "WEBSOCKET_TEXT", 14);
	t->graphql |= has_graphql(r);
	if (r->n_params)
		t->specific |= !r->deny;
	else if (reaches_call(r->method))
		*(r->deny ? &t->broad_deny : &t->broad_allow) = true;
}

static void check_together(struct check *c, endpoint_msg *ep)
{
	struct tools t = { 0 };

	for (size_t i = 0; i < ep->n_rules; i++)
		if (ep->rules[i]->allow) {
			struct rule r = of_allow(ep->rules[i]->allow);

			note(&t, &r);
		}
	for (size_t i = 0; i < ep->n_deny_rules; i++) {
		struct rule r = of_deny(ep->deny_rules[i]);

		note(&t, &r);
	}
	if (is(ep->protocol, "websocket") && t.text && t.graphql)
		check_error(c, "E26", ep, "rules", "keep one of the two",
			"WEBSOCKET_TEXT together with GraphQL rules");
	if (is(ep->protocol, "mcp") && t.specific && t.broad_allow)
		check_error(c, "E28", ep, "rules", "name tools in every rule, or in none",
			"a rule reaches every tool beside rules for single tools");
	if (is(ep->protocol, "mcp") && t.specific && t.broad_deny)
		check_error(c, "E28", ep, "deny_rules", "name the tools",
			"a deny rule reaches every tool beside rules for single tools");
}

static void check_options(struct check *c, endpoint_msg *ep)
{
	if (ep->persisted_queries[0] && !is(ep->persisted_queries, "deny") &&
		!is(ep->persisted_queries, "allow_registered"))
		check_error(c, "E25", &ep->persisted_queries, "persisted_queries",
			"expected `deny` or `allow_registered`", "unknown value");
	for (size_t i = 0; is(ep->protocol, "graphql") && i < ep->n_graphql_persisted_queries;
		i++) {
		SANDBOX(GraphqlOperation) *op = ep->graphql_persisted_queries[i]->value;

		if (!op ||
			(!is(op->operation_type, "query") && !is(op->operation_type, "mutation") &&
				!is(op->operation_type, "subscription")))
			check_error(c, "E25", ep, "graphql_persisted_queries",
				"expected query, mutation or subscription",
				"unknown operation type");
	}
	if (ep->mcp && !is(ep->protocol, "mcp") &&
		(ep->mcp->_strict_tool_names_case || ep->mcp->_allow_all_known_mcp_methods_case))
		check_error(c, "E28", ep->mcp, "mcp", "add `protocol: mcp`",
			"mcp options on an endpoint that is not mcp");
	if (ep->json_rpc_max_body_bytes && !is(ep->protocol, "json-rpc") &&
		!is(ep->protocol, "mcp"))
		check_warn(c, "W02", &ep->json_rpc_max_body_bytes, NULL, "remove it",
			"a body limit means nothing for this protocol");
	if (ep->websocket_credential_rewrite && !is(ep->protocol, "rest") &&
		!is(ep->protocol, "websocket"))
		check_warn(c, "W02", ep, "websocket_credential_rewrite", "remove it",
			"has no effect for this protocol");
	if (ep->request_body_credential_rewrite && !is(ep->protocol, "rest"))
		check_warn(c, "W02", ep, "request_body_credential_rewrite", "remove it",
			"has no effect for this protocol");
	/* Ours alone, so that no gateway pushes it; who wrote it relies on it. */
	if (ep->scrub_responses && (is(ep->protocol, "sql") || is(ep->tls, "skip")))
		check_error(c, "E36", ep, "scrub_responses",
			is(ep->tls, "skip") ? "remove it, or `tls: skip`" : "remove it",
			"`scrub_responses` together with `%s`: responses are relayed unread there",
			is(ep->tls, "skip") ? "tls: skip" : "protocol: sql");
	if (is(ep->protocol, "mcp") && (!ep->host[0] || (!ep->port && !ep->n_ports)))
		check_error(c, "E28", ep, "host", "name host and port", "mcp needs host and port");
}

void policy_check_endpoint_l7(struct check *c, endpoint_msg *ep)
{
	if (is(ep->protocol, "tcp")) {
		check_tcp(c, ep);
		return;
	}
	check_base(c, ep);
	check_options(c, ep);
	each_rule(c, ep, check_one);
	check_together(c, ep);
}
