/* policy_lint_request.c - request rules that do less than they seem to. */
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include "core_policy_tools.h"
#include "core_text.h"
#include "policy_lint.h"

static bool is(const char *a, const char *b)
{
	return strcmp(a, b) == 0;
}

struct l7_rule l7_of_allow(const PB(L7Allow) * a)
{
	return (struct l7_rule){ a, a->method, a->path, a->operation_type, a->operation_name,
		a->fields, a->n_fields, a->n_query, a->n_params, a->query, a->params, false };
}

struct l7_rule l7_of_deny(const PB(L7DenyRule) * d)
{
	return (struct l7_rule){ d, d->method, d->path, d->operation_type, d->operation_name,
		d->fields, d->n_fields, d->n_query, d->n_params,
		(PB(L7Allow__QueryEntry) *const *) (void *) d->query,
		(PB(L7Allow__ParamsEntry) *const *) (void *) d->params, true };
}

static bool is_pattern(const char *s)
{
	return strpbrk(s, "*?[{\\") != NULL;
}

/* A malformed pattern denies everything, so it meets everything. */
static bool pattern_meets(enum policy_dialect d, const char *pattern, const char *value)
{
	struct policy_glob *g = NULL;
	struct err why = { 0 };
	bool meets = policy_glob_new(d, pattern, strlen(pattern), &g, &why) < 0 ||
		policy_glob_match(g, value, strlen(value)) != 0;

	policy_glob_free(g);
	return meets;
}

static bool words_meet(const char *a, const char *b, enum policy_dialect d, bool any_case)
{
	size_t n;

	if (!a[0] || !b[0] || is(a, "*") || is(b, "*") || is(a, "**") || is(b, "**"))
		return true;
	if (!is_pattern(a) && !is_pattern(b))
		return any_case ? strcasecmp(a, b) == 0 : is(a, b);
	if (!is_pattern(a))
		return pattern_meets(d, b, a);
	if (!is_pattern(b))
		return pattern_meets(d, a, b);
	n = strcspn(a, "*?[{\\");
	if (strcspn(b, "*?[{\\") < n)
		n = strcspn(b, "*?[{\\");
	return strncmp(a, b, n) == 0; /* patterns with the same beginning may meet */
}

static bool tools_meet(const struct l7_rule *a, const struct l7_rule *b)
{
	const PB(L7QueryMatcher) *x = a->n_params ? a->params[0]->value : NULL;
	const PB(L7QueryMatcher) *y = b->n_params ? b->params[0]->value : NULL;

	if (!x || !y || x->n_any || y->n_any)
		return true;
	return words_meet(x->glob, y->glob, POLICY_GLOB_DENY, false);
}

/* A path without a slash in front is read with one in a deny rule. */
static bool paths_meet(const char *a, const char *b)
{
	return (b[0] && b[0] != '/') || words_meet(a, b, POLICY_GLOB_PATH, false);
}

bool lint_can_meet(const struct l7_rule *allow, const struct l7_rule *deny)
{
	const char *x = allow->method, *y = deny->method;
	bool head = (strcasecmp(x, "GET") == 0 && strcasecmp(y, "HEAD") == 0) ||
		(strcasecmp(x, "HEAD") == 0 && strcasecmp(y, "GET") == 0);

	if ((allow->operation_type[0] != '\0') != (deny->operation_type[0] != '\0'))
		return false;
	if (!words_meet(allow->operation_type, deny->operation_type, POLICY_GLOB_DENY, true))
		return false;
	return (head || words_meet(x, y, POLICY_GLOB_DENY, true)) &&
		paths_meet(allow->path, deny->path) && tools_meet(allow, deny);
}

static void lint_matcher(
	struct lint *l, const struct l7_rule *r, const char *field, const PB(L7QueryMatcher) * m)
{
	if (!m || r->deny)
		return; /* deny rules cross dots */
	if (m->glob[0])
		lint_value(l, r->at, field, m->glob);
	for (size_t i = 0; i < m->n_any; i++)
		lint_value(l, r->at, field, m->any[i]);
}

static bool allows_path(const endpoint_msg *ep, const struct l7_rule *r, const char *path)
{
	for (size_t i = 0; i < ep->n_rules; i++) {
		const PB(L7Allow) *a = ep->rules[i]->allow;

		if (a && words_meet(a->method, r->method, POLICY_GLOB_DENY, true) &&
			(is(a->path, "**") || lint_glob(POLICY_GLOB_PATH, a->path, path)))
			return true;
	}
	return ep->access[0] != '\0';
}

static bool denies_path(const endpoint_msg *ep, const struct l7_rule *r, const char *path)
{
	for (size_t i = 0; i < ep->n_deny_rules; i++) {
		const PB(L7DenyRule) *d = ep->deny_rules[i];

		if ((is(d->method, "*") || !d->method[0] ||
			    strcasecmp(d->method, r->method) == 0) &&
			(!d->path[0] || is(d->path, "**") ||
				lint_glob(POLICY_GLOB_PATH, d->path, path)))
			return true;
	}
	return false;
}

/* A pattern for all below a directory, without one for the directory. */
static void lint_directory(struct lint *l, const endpoint_msg *ep, const struct l7_rule *r)
{
	size_t n = strlen(r->path);
	char head[POLICY_PATH_LEN_MAX + 1], hint[512];

	if (n < 5 || n > POLICY_PATH_LEN_MAX || !is(r->path + n - 3, "/**"))
		return;
	(void) snprintf(head, sizeof head, "%.*s", (int) n - 3, r->path);
	if (is_pattern(head))
		return;
	(void) snprintf(
		hint, sizeof hint, "add `{method: \"%.40s\", path: %.300s}`", r->method, head);
	if (r->deny && allows_path(ep, r, head) && !denies_path(ep, r, head))
		check_warn(&l->c, "W03", r->at, "path", hint,
			"`%.200s` does not match `%.200s`, which stays allowed", r->path, head);
	if (!r->deny && !allows_path(ep, r, head))
		check_warn(&l->c, "W03", r->at, "path", hint, "`%.200s` does not match `%.200s`",
			r->path, head);
}

static void lint_http(struct lint *l, const endpoint_msg *ep, const struct l7_rule *r)
{
	bool websocket = is(ep->protocol, "websocket");

	lint_path(l, r->at, r->path, ep->allow_encoded_slash);
	lint_directory(l, ep, r);
	for (size_t i = 0; i < r->n_query; i++)
		lint_matcher(l, r, "query", r->query[i]->value);
	if (r->deny && r->n_query)
		check_warn(&l->c, "W10", r->at, "query", "add a deny rule without `query`",
			"a request without `%.80s` is not denied by this", r->query[0]->key);
	if (websocket && r->method[0] && !is(r->method, "*") && strcasecmp(r->method, "GET") != 0 &&
		strcasecmp(r->method, "HEAD") != 0 && strcasecmp(r->method, "WEBSOCKET_TEXT") != 0)
		check_warn(&l->c, "W06", r->at, "method", "write GET, WEBSOCKET_TEXT or `*`",
			"a WebSocket begins with GET, then there are only text messages");
	if (!websocket && strcasecmp(r->method, "WEBSOCKET_TEXT") == 0)
		check_warn(&l->c, "W06", r->at, "method", "write `protocol: websocket`",
			"no request of a rest endpoint has this method");
}

static void lint_graphql(struct lint *l, const endpoint_msg *ep, const struct l7_rule *r)
{
	if (is(r->operation_type, "*"))
		check_warn(&l->c, "W09", r->at, "operation_type",
			"write one rule each for query, mutation and subscription",
			"`*` is refused by gateways of the reference");
	if (is(ep->protocol, "websocket") && !r->deny)
		check_warn(&l->c, "W09", r->at, NULL, NULL,
			"GraphQL allow rules on a WebSocket are refused by gateways of the "
			"reference");
	if (!r->n_fields &&
		lint_is_written(l,
			r->deny ? (const void *) &((const PB(L7DenyRule) *) r->at)->fields
				: &((const PB(L7Allow) *) r->at)->fields))
		check_warn(&l->c, "E19", r->at, "fields", "remove the key, or name fields",
			"an empty list is read as any field");
	for (size_t i = 0; i < r->n_fields && !r->deny; i++)
		lint_value(l, r->at, "fields", r->fields[i]);
	if (!r->deny)
		lint_value(l, r->at, "operation_name", r->operation_name);
}

static bool is_strict_name(const char *s)
{
	return strlen(s) <= 128 &&
		s[strspn(s, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.-")] ==
		'\0';
}

static void lint_tool(struct lint *l, const endpoint_msg *ep, const struct l7_rule *r)
{
	bool strict = !ep->mcp || !ep->mcp->_strict_tool_names_case || ep->mcp->strict_tool_names;

	for (size_t i = 0; i < r->n_params; i++) {
		const PB(L7QueryMatcher) *m = r->params[i]->value;

		lint_matcher(l, r, "tool", m);
		if (m && strict && m->glob[0] && !is_pattern(m->glob) && !is_strict_name(m->glob))
			check_warn(&l->c, "W06", r->at, "tool", "set mcp.strict_tool_names: false",
				"a strict tool name has letters, digits, `_`, `.` and `-` only");
		if (m && !r->deny && m->glob[0] && strchr(m->glob, '*') && !strchr(m->glob, '.') &&
			!is(m->glob, "**"))
			check_warn(&l->c, "W03", r->at, "tool",
				"write `**` alone for every tool, or name those with dots too",
				"`*` in `%.80s` does not cross a dot, which tool names may have",
				m->glob);
	}
}

/* Presets are compared by the rules they stand for. */
static bool endpoint_meets(const endpoint_msg *ep, const struct l7_rule *deny)
{
	AUTO_PB endpoint_msg *copy = pb_copy(ep);

	if (!copy || !pb_expand_access(copy) || (ep->mcp && ep->mcp->allow_all_known_mcp_methods))
		return true;
	for (size_t i = 0; i < copy->n_rules; i++) {
		struct l7_rule allow;

		if (!copy->rules[i]->allow)
			continue;
		allow = l7_of_allow(copy->rules[i]->allow);
		if (lint_can_meet(&allow, deny))
			return true;
	}
	return false;
}

static void lint_deny(struct lint *l, const endpoint_msg *ep, const struct l7_rule *r)
{
	if (!ep->enforcement[0] || is(ep->enforcement, "audit"))
		check_warn(&l->c, "W08", r->at, NULL, "write `enforcement: enforce`",
			"the endpoint only logs, so this denies nothing");
	for (size_t i = 0; i < l->n_endpoints; i++)
		if (policy_hosts_overlap(l->endpoints[i]->host, ep->host) &&
			endpoint_meets(l->endpoints[i], r))
			return;
	if (l->n_endpoints)
		check_warn(&l->c, "W08", r->at, NULL, "remove it, or correct method and path",
			"nothing that it denies is allowed by any rule");
}

static void lint_one(struct lint *l, const endpoint_msg *ep, const struct l7_rule *r)
{
	if (r->operation_type[0])
		lint_graphql(l, ep, r);
	else if (is(ep->protocol, "mcp"))
		lint_tool(l, ep, r);
	else if (is(ep->protocol, "rest") || is(ep->protocol, "websocket"))
		lint_http(l, ep, r);
	if (r->deny)
		lint_deny(l, ep, r);
}

static bool allows_method(const endpoint_msg *ep, const char *method)
{
	for (size_t i = 0; i < ep->n_rules; i++) {
		const PB(L7Allow) *a = ep->rules[i]->allow;

		if (a &&
			(strcasecmp(a->method, method) == 0 || is(a->method, "*") ||
				(strcasecmp(method, "GET") == 0 && a->operation_type[0] == '\0' &&
					strcasecmp(a->method, "HEAD") == 0)))
			return true;
	}
	return false;
}

/* Without the first step of the protocol nothing else of it can happen. */
static void lint_opening(struct lint *l, const endpoint_msg *ep)
{
	if (is(ep->protocol, "mcp") && ep->n_rules && !allows_method(ep, "initialize") &&
		!(ep->mcp && ep->mcp->allow_all_known_mcp_methods))
		check_warn(&l->c, "W06", ep, "rules",
			"add `{method: initialize}` and `{method: notifications/initialized}`",
			"no rule allows `initialize`, with which every MCP session begins");
	if (is(ep->protocol, "websocket") && ep->n_rules && !allows_method(ep, "GET"))
		check_warn(&l->c, "W06", ep, "rules", "add `{method: GET, path: ...}`",
			"no rule allows GET, with which every WebSocket begins");
}

void lint_requests(struct lint *l, const endpoint_msg *ep)
{
	lint_opening(l, ep);
	for (size_t i = 0; i < ep->n_rules; i++) {
		size_t back = trail_field(&l->c.trail, "rules");

		(void) trail_index(&l->c.trail, i);
		(void) trail_field(&l->c.trail, "allow");
		if (ep->rules[i]->allow) {
			struct l7_rule r = l7_of_allow(ep->rules[i]->allow);

			lint_one(l, ep, &r);
		}
		trail_back(&l->c.trail, back);
	}
	for (size_t i = 0; i < ep->n_deny_rules; i++) {
		size_t back = trail_field(&l->c.trail, "deny_rules");
		struct l7_rule r = l7_of_deny(ep->deny_rules[i]);

		(void) trail_index(&l->c.trail, i);
		lint_one(l, ep, &r);
		trail_back(&l->c.trail, back);
	}
}
