#include "naive.h"
#include <stdio.h>
#include <string.h>
#include <strings.h>

#define endpoint_t Openshell__Sandbox__V1__NetworkEndpoint
#define rule_t Openshell__Sandbox__V1__NetworkPolicyRule
#define matcher_t Openshell__Sandbox__V1__L7QueryMatcher
#define allow_t Openshell__Sandbox__V1__L7Allow /* deny rules have the same fields */

#define TEXT 512

static bool deep_at(const char *all, const char *p, char sep)
{
	return p[0] == '*' && p[1] == '*' && (p == all || p[-1] == sep) && (!p[2] || p[2] == sep);
}

static bool in_class(const char **p, unsigned char c)
{
	bool not = **p == '!' || **p == '^', hit = false;
	const char *first = *p += not ;

	for (; **p != ']' || *p == first; (*p)++) {
		unsigned char from = (unsigned char) **p, to = from;

		if ((*p)[1] == '-' && (*p)[2] != ']') {
			to = (unsigned char) (*p)[2];
			*p += 2;
		}
		hit |= c >= from && c <= to;
	}
	(*p)++;
	return hit != not ;
}

/* run: '\0' or the byte that single stars do not take. */
static bool glob(const char *all, const char *p, const char *v, char sep, char run, char dialect)
{
	if (!*p)
		return !*v;
	if (deep_at(all, p, sep)) {
		if (!p[2])
			return true;
		if (dialect != 'H' && glob(all, p + 3, v, sep, run, dialect))
			return true;
		for (; *v; v++)
			if (*v == sep && glob(all, p + 3, v + 1, sep, run, dialect))
				return true;
		return false;
	}
	if (*p == '*') {
		for (;; v++) {
			if (glob(all, p + 1, v, sep, run, dialect))
				return true;
			if (!*v || (run && *v == run))
				return false;
		}
	}
	if (!*v)
		return false;
	if (*p == '?')
		return (!run || *v != run) && glob(all, p + 1, v + 1, sep, run, dialect);
	if (*p == '[') {
		const char *end = p + 1;
		bool dot = run == '.' && *v == '.';

		return in_class(&end, (unsigned char) *v) && !dot &&
			glob(all, end, v + 1, sep, run, dialect);
	}
	if (*p == '\\' && dialect != 'S')
		p++;
	return *p == *v && glob(all, p + 1, v + 1, sep, run, dialect);
}

static int braces(char dialect, const char *pattern, const char *value)
{
	const char *open = strchr(pattern, '{'), *close = open ? strchr(open, '}') : NULL;
	char sep = dialect == 'P' ? '/' : '.', run = dialect == 'D' ? '\0' : sep;
	const char *part;

	if (!open && !strchr(pattern, '}') && (!strchr(pattern, '[') || strchr(pattern, ']')))
		return glob(pattern, pattern, value, sep, run, dialect);
	if (!close)
		return -1;
	for (part = open + 1; part <= close; part++) { /* no braces in braces here */
		size_t n = strcspn(part, ",}");
		char text[TEXT];
		int r;

		snprintf(text, sizeof text, "%.*s%.*s%s", (int) (open - pattern), pattern, (int) n,
			part, close + 1);
		r = n ? braces(dialect, text, value) : 0;
		if (r)
			return r;
		part += n;
	}
	return 0;
}

int naive_glob(char dialect, const char *p, const char *value)
{
	size_t len = strlen(p);

	if (dialect != 'S')
		return braces(dialect, p, value);
	if (!*p || !strcmp(p, "**") || !strcmp(p, "/**"))
		return 1;
	if (len > 3 && !strcmp(p + len - 3, "/**"))
		return !strncmp(p, value, len - 3) && (!value[len - 3] || value[len - 3] == '/');
	for (const char *s = p; (s = strstr(s, "**")); s += 2)
		if (!deep_at(p, s, '/'))
			return !strcmp(p, value);
	if (strchr(p, '[') && !strchr(p, ']'))
		return !strcmp(p, value);
	return glob(p, p, value, '/', '\0', 'S');
}

static bool is(struct policy_bytes v, const char *s)
{
	return v.at && v.len == strlen(s) && !memcmp(v.at, s, v.len);
}

static bool is_word(struct policy_bytes v, const char *s)
{
	return v.at && v.len == strlen(s) && !strncasecmp(v.at, s, v.len);
}

/* What is malformed never allows and always denies. */
static bool value_fits(const char *pattern, struct policy_bytes v, bool deny)
{
	char text[TEXT];
	int r;

	snprintf(text, sizeof text, "%.*s", (int) v.len, v.at);
	r = naive_glob(deny ? 'D' : 'V', pattern, text);
	return r > 0 || (r < 0 && deny);
}

static bool matcher_fits(const matcher_t *m, struct policy_bytes v, bool deny)
{
	if (m->glob[0])
		return value_fits(m->glob, v, deny);
	for (size_t i = 0; i < m->n_any; i++)
		if (value_fits(m->any[i], v, deny))
			return true;
	return false;
}

static bool path_fits(const char *pattern, struct policy_bytes path, bool deny)
{
	char text[TEXT], own[TEXT];
	int r;

	snprintf(text, sizeof text, "%.*s", (int) path.len, path.at);
	snprintf(own, sizeof own, "%s%s", deny && !strchr("/*?[{\\", pattern[0]) ? "/" : "",
		pattern);
	r = naive_glob('P', own, text);
	return r > 0 || (r < 0 && deny);
}

static bool http_fits(const allow_t *a, const struct policy_request *q, bool deny)
{
	const char *method = a->method[0] || !deny ? a->method : "*",
		   *path = a->path[0] || !deny ? a->path : "**";

	if (!*method || !*path)
		return false;
	if (strcmp(method, "*") && !is_word(q->method, method) &&
		!(!strcasecmp(method, "GET") && is_word(q->method, "HEAD")))
		return false;
	if (!path_fits(path, q->path, deny))
		return false;
	for (size_t i = 0; i < a->n_query; i++) {
		size_t found = 0, fit = 0;

		for (size_t k = 0; k < q->n_query; k++) {
			if (!is(q->query[k].key, a->query[i]->key))
				continue;
			found++;
			fit += matcher_fits(a->query[i]->value, q->query[k].value, deny);
		}
		if (deny ? fit == 0 : found == 0 || fit < found)
			return false;
	}
	return true;
}

static bool op_fits(const allow_t *a, const struct policy_graphql_op *op, bool deny)
{
	size_t fit = 0;

	if (!a->operation_type[0] ||
		(strcmp(a->operation_type, "*") && !is_word(op->type, a->operation_type)))
		return false;
	if (a->operation_name[0] &&
		(!op->name.at || !value_fits(a->operation_name, op->name, deny)))
		return false;
	for (size_t i = 0; i < op->n_fields; i++) {
		bool hit = false;

		for (size_t k = 0; k < a->n_fields; k++)
			hit |= value_fits(a->fields[k], op->fields[i], deny);
		fit += hit;
	}
	return !a->n_fields || (deny ? fit > 0 : fit == op->n_fields && fit > 0);
}

static bool call_fits(
	const endpoint_t *ep, const allow_t *a, const struct policy_rpc_call *c, bool deny)
{
	const char *method = a->method[0] ? a->method : a->n_params ? "tools/call" : "*";
	bool any = !strcmp(method, "*");

	if (!any && !strcmp(ep->protocol, "json-rpc")
			? !is(c->method, method)
			: !any && !value_fits(method, c->method, deny))
		return false;
	if (!a->n_params)
		return true;
	if (!c->tool.at)
		return deny && is(c->method, "tools/call");
	return matcher_fits(a->params[0]->value, c->tool, deny);
}

static bool is_graphql_rule(const allow_t *a)
{
	return a->operation_type[0] || a->operation_name[0] || a->n_fields;
}

static bool is_rpc(const endpoint_t *ep)
{
	return !strcmp(ep->protocol, "mcp") || !strcmp(ep->protocol, "json-rpc");
}

static bool rule_fits_request(
	const endpoint_t *ep, const allow_t *a, const struct policy_request *q)
{
	bool graphql = !strcmp(ep->protocol, "graphql") ||
		(!strcmp(ep->protocol, "websocket") && is_graphql_rule(a));

	if (is_rpc(ep)) {
		for (size_t i = 0; q->rpc && i < q->rpc->n_calls; i++)
			if (q->rpc->calls[i].method.at && call_fits(ep, a, &q->rpc->calls[i], true))
				return true;
		return false;
	}
	for (size_t i = 0; graphql && q->graphql && i < q->graphql->n_ops; i++)
		if (op_fits(a, &q->graphql->ops[i], true))
			return true;
	return !graphql && http_fits(a, q, true);
}

static bool denies(const endpoint_t *ep, const struct policy_request *q)
{
	for (size_t i = 0; i < ep->n_deny_rules; i++)
		if (rule_fits_request(ep, (const allow_t *) (const void *) ep->deny_rules[i], q))
			return true;
	return false;
}

static bool preset_http(const endpoint_t *ep, const struct policy_request *q)
{
	static const char *const words[] = { "GET", "HEAD", "OPTIONS", "POST", "PUT", "PATCH" };
	bool ws = !strcmp(ep->protocol, "websocket"), write = !strcmp(ep->access, "read-write");

	if (!strcmp(ep->access, "full"))
		return true;
	if (!write && strcmp(ep->access, "read-only"))
		return false;
	if (ws)
		return is_word(q->method, "GET") || is_word(q->method, "HEAD") ||
			(write && is_word(q->method, "WEBSOCKET_TEXT"));
	for (size_t i = 0; i < (write ? 6u : 3u); i++)
		if (is_word(q->method, words[i]))
			return true;
	return false;
}

static bool permits_http(const endpoint_t *ep, const struct policy_request *q)
{
	for (size_t i = 0; i < ep->n_rules; i++)
		if (!is_graphql_rule(ep->rules[i]->allow) &&
			http_fits(ep->rules[i]->allow, q, false))
			return true;
	return !ep->n_rules && preset_http(ep, q);
}

static bool permits_op(const endpoint_t *ep, const struct policy_graphql_op *op)
{
	for (size_t i = 0; i < ep->n_rules; i++)
		if (op_fits(ep->rules[i]->allow, op, false))
			return true;
	if (ep->n_rules)
		return false;
	if (!strcmp(ep->access, "read-only"))
		return is_word(op->type, "query");
	if (!strcmp(ep->access, "read-write"))
		return is_word(op->type, "query") || is_word(op->type, "mutation");
	return !strcmp(ep->access, "full");
}

static bool permits_graphql(const endpoint_t *ep, const struct policy_request *q)
{
	bool any = !strcmp(ep->protocol, "graphql");

	for (size_t i = 0; i < ep->n_rules; i++)
		any |= is_graphql_rule(ep->rules[i]->allow);
	if (!any)
		return permits_http(ep, q);
	for (size_t i = 0; i < q->graphql->n_ops; i++)
		if (!permits_op(ep, &q->graphql->ops[i]))
			return false;
	return true;
}

static bool permits_call(const endpoint_t *ep, const struct policy_rpc_call *c)
{
	bool profile = ep->mcp && ep->mcp->allow_all_known_mcp_methods, tools = false;

	if (c->response)
		return !strcmp(ep->protocol, "mcp");
	for (size_t i = 0; i < ep->n_rules; i++) {
		tools |= ep->rules[i]->allow->n_params > 0;
		if (call_fits(ep, ep->rules[i]->allow, c, false))
			return true;
	}
	return profile && (!tools || !is(c->method, "tools/call"));
}

static bool names(const endpoint_t *ep, const char *host, uint16_t port)
{
	bool has = !ep->n_ports && ep->port == port;

	for (size_t i = 0; i < ep->n_ports; i++)
		has |= ep->ports[i] == port;
	if (!has || !ep->host[0])
		return has && ep->n_allowed_ips > 0;
	return strchr(ep->host, '*') ? naive_glob('H', ep->host, host) == 1
				     : !strcasecmp(ep->host, host);
}

static bool binary_fits(const char *pattern, const char *path)
{
	return path[0] &&
		(strchr(pattern, '*') ? naive_glob('P', pattern, path) == 1
				      : !strcmp(pattern, path));
}

static bool holds(const rule_t *r, const struct policy_connect *who)
{
	for (size_t i = 0; i < r->n_binaries; i++) {
		if (binary_fits(r->binaries[i]->path, who->caller->exe))
			return true;
		for (size_t k = 0; k < who->caller->n_ancestors; k++)
			if (binary_fits(r->binaries[i]->path, who->caller->ancestors[k]))
				return true;
	}
	return !who->identity_required;
}

struct votes {
	const endpoint_t *selected;
	bool denied, http, graphql_all, stream;
	size_t n_graphql, n_rpc, n_endpoints;
	bool calls[POLICY_OPERATIONS_MAX];
};

static size_t specific(const char *path)
{
	size_t n = 0;

	for (; *path; path++)
		n += *path != '*';
	return n;
}

static bool decides_graphql(const endpoint_t *ep, const struct policy_request *q)
{
	bool any = false;

	for (size_t i = 0; i < ep->n_rules; i++)
		any |= is_graphql_rule(ep->rules[i]->allow);
	for (size_t i = 0; i < ep->n_deny_rules; i++)
		any |= is_graphql_rule((const allow_t *) (const void *) ep->deny_rules[i]);
	if (!strcmp(ep->protocol, "websocket"))
		return any && is_word(q->method, "WEBSOCKET_TEXT");
	return !strcmp(ep->protocol, "graphql");
}

static void vote(struct votes *v, const endpoint_t *ep, const struct policy_request *q)
{
	char path[TEXT];
	int covers;

	snprintf(path, sizeof path, "%.*s", (int) q->path.len, q->path.at);
	covers = ep->path[0] ? naive_glob('P', ep->path, path) : 1;
	v->denied |= covers != 0 && denies(ep, q);
	if (covers != 1 && ep != v->selected)
		return;
	if (q->graphql && decides_graphql(ep, q)) {
		v->n_graphql++;
		v->graphql_all &= covers == 1 && permits_graphql(ep, q);
	} else if (q->rpc && is_rpc(ep)) {
		v->n_rpc++;
		v->stream |= covers == 1 && q->rpc->receive_stream && is_word(q->method, "GET") &&
			!strcmp(ep->protocol, "mcp");
		for (size_t i = 0; i < q->rpc->n_calls; i++)
			v->calls[i] |= covers == 1 && is_word(q->method, "POST") &&
				permits_call(ep, &q->rpc->calls[i]);
	} else if (covers == 1 && !is_rpc(ep) && strcmp(ep->protocol, "graphql")) {
		v->http |= permits_http(ep, q);
	}
}

static bool inspected(const endpoint_t *ep)
{
	return ep->protocol[0] && strcmp(ep->protocol, "tcp") && strcmp(ep->protocol, "sql");
}

static void judge(struct votes *v, const struct policy_request *q, struct naive_answer *ret)
{
	bool all = q->rpc && (q->rpc->n_calls || v->stream), ok;

	ret->hard = (q->graphql && (q->graphql->error || !q->graphql->n_ops)) ||
		(q->rpc && q->rpc->error) ||
		(q->rpc && !q->rpc->n_calls && !q->rpc->receive_stream) ||
		(is_rpc(v->selected) && !q->rpc);
	for (size_t i = 0; q->rpc && i < q->rpc->n_calls; i++) {
		all &= v->calls[i];
		ret->hard |=
			q->rpc->calls[i].response && !strcmp(v->selected->protocol, "json-rpc");
	}
	ok = v->n_graphql ? v->graphql_all : v->n_rpc ? all : v->http;
	if (ret->hard ||
		(!(ok && !v->denied) && v->selected->enforcement[0] &&
			strcmp(v->selected->enforcement, "audit")))
		ret->verdict = POLICY_DENIED;
	else
		ret->verdict = ok && !v->denied ? POLICY_ALLOWED : POLICY_AUDITED;
}

static void choose(struct votes *v, const endpoint_t *ep, const char *key, size_t place,
	const struct policy_request *q, struct naive_answer *ret)
{
	char path[TEXT];

	snprintf(path, sizeof path, "%.*s", (int) q->path.len, q->path.at);
	if (ep->path[0] && naive_glob('S', ep->path, path) != 1 &&
		naive_glob('P', ep->path, path) != 1)
		return;
	if (v->selected && specific(ep->path) < specific(v->selected->path))
		return;
	v->selected = ep;
	ret->route_policy = key;
	ret->route_endpoint = place;
}

static void visit(struct votes *v, const rule_t *r, const char *key,
	const struct policy_connect *who, const struct policy_request *q, struct naive_answer *ret)
{
	for (size_t k = 0; k < r->n_endpoints; k++) {
		const endpoint_t *ep = r->endpoints[k];

		if (!names(ep, who->host, who->port))
			continue;
		if (!ret->connect || strcmp(key, ret->policy) < 0)
			ret->policy = key;
		ret->connect = true;
		if (q && inspected(ep) && ret->route)
			vote(v, ep, q);
		else if (q && inspected(ep))
			choose(v, ep, key, k, q, ret);
	}
}

void naive_decide(const Openshell__Sandbox__V1__SandboxPolicy *p, const struct policy_connect *who,
	const struct policy_request *q, struct naive_answer *ret)
{
	struct votes v = { .graphql_all = true };

	*ret = (struct naive_answer){
		.policy = "", .route_policy = "", .verdict = POLICY_DENIED, .hard = true
	};
	for (int pass = 0; pass < 2; pass++) {
		for (size_t i = 0; i < p->n_network_policies; i++)
			if (holds(p->network_policies[i]->value, who))
				visit(&v, p->network_policies[i]->value,
					p->network_policies[i]->key, who, q, ret);
		ret->route = v.selected != NULL;
		if (!ret->route)
			return;
	}
	judge(&v, q, ret);
}
