#include "gen.h"
#include <stdio.h>
#include <string.h>

#define WRITE_MAX 65536
#define PICK(state, list) ((list)[gen_random((state), sizeof(list) / sizeof *(list))])

uint32_t gen_random(uint64_t *state, uint32_t below)
{
	uint64_t z = *state += 0x9e3779b97f4a7c15u; /* splitmix64 */

	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
	z = (z ^ z >> 27) * 0x94d049bb133111ebu;
	return (uint32_t) ((z ^ z >> 31) >> 32) % below;
}

static bool one_in(uint64_t *s, uint32_t n)
{
	return gen_random(s, n) == 0;
}

static const char *const hosts[] = { "a.ex.com", "a.ex.com", "b.ex.com", "\"*.ex.com\"",
	"\"**.ex.com\"", "a.b.ex.com", "\"a*.ex.com\"", "\"*.b.ex.com\"", "C.ex.com" };
static const char *const asked_hosts[] = { "a.ex.com", "a.ex.com", "b.ex.com", "a.b.ex.com",
	"c.ex.com", "ex.com", "x.y.ex.com" };
static const char *const programs[] = { "/bin/a", "/bin/b", "\"/opt/*\"", "\"/o**\"", "\"/**\"",
	"\"/opt/{x,y}/*\"" };
static const char *const asked_programs[] = { "/bin/a", "/bin/a", "/bin/b", "/opt/x", "/opt/x/z",
	"" };
/* Of one length each, so that two endpoints with different inspectors are never equally specific. */
static const char *const scopes[] = { "", "/a/**", "/{a,b}", "/*/c/**", "/a/b/cc/*",
	"\"/bad[abcdefg\"" };
static const char *const paths[] = { "\"**\"", "\"**\"", "\"/**\"", "\"/**\"", "/a", "/a/*",
	"/a/**", "/a/b", "\"/{a,b}\"", "\"/a/[bc]\"", "\"/?\"", "\"**/c\"", "a/b", "\"/bad[\"",
	"\"/a/*/c\"", "\"*\"", "\"/a/[!b]\"", "/b/c/d", "/b/c/*", "/b/**/d" };
static const char *const asked_paths[] = { "/", "/a", "/a", "/b", "/a/b", "/a/b", "/a/c", "/a/b/c",
	"/c", "/a/b/cc/d", "/x/c/d", "/b/c/d", "/a/" };
static const char *const methods[] = { "GET", "POST", "get", "\"*\"", "\"*\"", "\"*\"", "HEAD",
	"DELETE", "WEBSOCKET_TEXT" };
static const char *const asked_methods[] = { "GET", "POST", "POST", "HEAD", "DELETE",
	"WEBSOCKET_TEXT" };
static const char *const matchers[] = { "x", "\"x*\"", "\"x.*\"", "\"**\"",
	"{any: [\"y\", \"x?\"]}", "\"[xy]\"", "\"bad[\"" };
static const char *const asked_values[] = { "x", "y", "x.a", "x.a.b", "xa", "", "x.", "." };
static const char *const types[] = { "query", "mutation", "\"*\"" };
static const char *const asked_types[] = { "query", "QUERY", "mutation" };
static const char *const rpc_methods[] = { "initialize", "tools/list", "tools/call", "vendor/x" };

static void add_query(uint64_t *s, char *to, size_t size)
{
	size_t n = strlen(to);

	if (one_in(s, 3))
		snprintf(to + n, size - n, ", query: {%s: %s%s%s}", one_in(s, 2) ? "k" : "l",
			PICK(s, matchers), one_in(s, 3) ? ", m: " : "", "");
	n = strlen(to);
	if (n > 5 && strcmp(to + n - 5, " m: }") == 0)
		snprintf(to + n - 5, size - n + 5, " m: %s}", PICK(s, matchers));
}

static void http_rule(uint64_t *s, char *to)
{
	char method[40] = "", path[60] = "";

	if (!one_in(s, 12))
		snprintf(method, sizeof method, "method: %s", PICK(s, methods));
	if (!one_in(s, 12) || !method[0])
		snprintf(path, sizeof path, "%spath: %s", method[0] ? ", " : "", PICK(s, paths));
	snprintf(to, GEN_TEXT, "%s%s", method, path);
	add_query(s, to, GEN_TEXT);
}

static void graphql_rule(uint64_t *s, char *to)
{
	snprintf(to, GEN_TEXT, "operation_type: %s", PICK(s, types));
	if (one_in(s, 3))
		snprintf(to + strlen(to), GEN_TEXT - strlen(to), ", operation_name: %s",
			one_in(s, 2) ? "\"N*\"" : "Name");
	if (!one_in(s, 3))
		snprintf(to + strlen(to), GEN_TEXT - strlen(to), ", fields: [%s, %s]",
			one_in(s, 2) ? "a" : "\"a*\"", one_in(s, 2) ? "b" : "\"c.*\"");
}

static void rpc_rule(uint64_t *s, bool mcp, bool tools, char *to)
{
	const char *method = PICK(s, rpc_methods);

	if (mcp && strcmp(method, "tools/call") == 0 && tools)
		snprintf(to, GEN_TEXT, "method: tools/call, tool: %s", PICK(s, matchers));
	else if (mcp && !tools && one_in(s, 4))
		snprintf(to, GEN_TEXT, "method: \"tools/*\"");
	else
		snprintf(to, GEN_TEXT, "method: %s", !mcp && one_in(s, 5) ? "\"*\"" : method);
}

/* Protocol and enforcement hang on the path, so that overlapping endpoints agree. */
static void endpoint(uint64_t *s, const unsigned *kinds, struct gen_endpoint *ep)
{
	static const char *const names[] = { "", "rest", "rest", "websocket", "graphql", "json-rpc",
		"mcp" };
	static const char *const presets[] = { "read-only", "read-write", "full", "nonsense" };
	unsigned scope = one_in(s, 3) ? 0 : gen_random(s, sizeof scopes / sizeof *scopes);
	unsigned kind = kinds[scope];
	bool rpc = kind >= 5, tools = one_in(s, 2), profile = kind == 6 && tools && one_in(s, 3);
	unsigned items = one_in(s, 6) ? GEN_ITEMS : 3;

	*ep = (struct gen_endpoint){ .removable = true };
	snprintf(ep->head, sizeof ep->head, "host: %s, %s", PICK(s, hosts),
		one_in(s, 4)	       ? "ports: [80, 443]"
			: one_in(s, 6) ? "port: 80"
				       : "port: 443");
	if (kind == 0)
		return;
	snprintf(ep->head + strlen(ep->head), sizeof ep->head - strlen(ep->head),
		", protocol: %s, enforcement: %s%s%s%s", names[kind],
		scope % 3 == 0		 ? "audit"
			: scope % 3 == 1 ? "enforce"
					 : "blok",
		scope ? ", path: " : "", scopes[scope],
		profile ? ", mcp: {allow_all_known_mcp_methods: true}" : "");
	ep->n_allow = !rpc && one_in(s, 4) ? 0 : 1 + gen_random(s, items);
	ep->n_deny = !one_in(s, 3) ? 0 : 1 + gen_random(s, items);
	ep->removable = !profile && kind != 3;
	if (!ep->n_allow)
		snprintf(ep->head + strlen(ep->head), sizeof ep->head - strlen(ep->head),
			", access: %s", PICK(s, presets));
	for (unsigned i = 0; i < ep->n_allow + ep->n_deny; i++) {
		char *to = i < ep->n_allow ? ep->allow[i] : ep->deny[i - ep->n_allow];

		if (rpc)
			rpc_rule(s, kind == 6, tools, to);
		else if (kind == 4 || (kind == 3 && one_in(s, 3)))
			graphql_rule(s, to);
		else
			http_rule(s, to);
	}
}

void gen_policy(uint64_t *s, struct gen_policy *p)
{
	unsigned kinds[sizeof scopes / sizeof *scopes];

	for (unsigned i = 0; i < sizeof scopes / sizeof *scopes; i++)
		kinds[i] = one_in(s, 20) ? 0 : 1 + gen_random(s, 6);
	p->n_rules = 1 + gen_random(s, GEN_RULES);
	for (unsigned i = 0; i < p->n_rules; i++) {
		p->rules[i].n_endpoints = 1 + gen_random(s, GEN_ENDPOINTS);
		p->rules[i].n_binaries = one_in(s, 12) ? 0 : 1 + gen_random(s, 3);
		for (unsigned k = 0; k < p->rules[i].n_endpoints; k++)
			endpoint(s, kinds, &p->rules[i].endpoints[k]);
		for (unsigned k = 0; k < p->rules[i].n_binaries; k++)
			p->rules[i].binaries[k] = PICK(s, programs);
	}
}

static void add(char *buf, size_t *n, const char *a, const char *b, const char *c)
{
	*n += (size_t) snprintf(buf + *n, WRITE_MAX - *n, "%s%s%s", a, b, c);
}

static unsigned order(unsigned i, unsigned n, const struct gen_change *c)
{
	return c->reversed ? n - 1 - i : i;
}

static void write_endpoint(
	const struct gen_endpoint *ep, const struct gen_change *c, bool here, char *buf, size_t *n)
{
	add(buf, n, "      - {", ep->head, "");
	for (unsigned i = 0; i < ep->n_allow; i++)
		add(buf, n, i ? ", " : ", rules: [",
			here && (int) order(i, ep->n_allow, c) == c->leave_allow
				? "{allow: {method: NONE, path: /none"
				: "{allow: {",
			here && (int) order(i, ep->n_allow, c) == c->leave_allow
				? ""
				: ep->allow[order(i, ep->n_allow, c)]),
			add(buf, n, "}}", i + 1 == ep->n_allow ? "]" : "", "");
	for (unsigned i = 0; i < ep->n_deny; i++)
		add(buf, n, i ? ", {" : ", deny_rules: [{", ep->deny[order(i, ep->n_deny, c)], "}");
	if (here && c->add_deny)
		add(buf, n, ep->n_deny ? ", {" : ", deny_rules: [{", c->add_deny, "}");
	add(buf, n, ep->n_deny || (here && c->add_deny) ? "]" : "", "}\n", "");
}

size_t gen_write(const struct gen_policy *p, const struct gen_change *c, char *buf)
{
	size_t n = 0;

	add(buf, &n, c->reversed ? "" : "version: 1\n", "network_policies:\n", "");
	for (unsigned i = 0; i < p->n_rules; i++) {
		unsigned r = order(i, p->n_rules, c);
		char key[16];

		if ((int) r == c->leave_rule)
			continue;
		snprintf(key, sizeof key, "  r%u:\n", r);
		add(buf, &n, key, "    endpoints:\n", "");
		for (unsigned k = 0; k < p->rules[r].n_endpoints; k++)
			write_endpoint(&p->rules[r].endpoints[k], c,
				(int) r == c->rule && (int) k == c->endpoint, buf, &n);
		for (unsigned k = 0; k < p->rules[r].n_binaries; k++)
			add(buf, &n, k ? "" : "    binaries:\n", "      - path: ",
				p->rules[r].binaries[order(k, p->rules[r].n_binaries, c)]),
				add(buf, &n, "\n", "", "");
	}
	add(buf, &n, c->reversed ? "version: 1\n" : "", "", "");
	return n;
}

static struct policy_bytes text(const char *s)
{
	return (struct policy_bytes){ s, strlen(s) };
}

static void ask_graphql(uint64_t *s, struct gen_question *q)
{
	static const char *const names[] = { "a", "b", "ab", "c.d", "c.d.e" };

	q->graphql = (struct policy_graphql){ .ops = q->ops,
		.n_ops = one_in(s, 20) ? 0 : 1 + gen_random(s, 2) };
	if (one_in(s, 20))
		q->graphql.error = "unreadable";
	for (size_t i = 0; i < q->graphql.n_ops; i++) {
		q->ops[i] = (struct policy_graphql_op){ .type = text(PICK(s, asked_types)),
			.fields = q->fields[i] };
		q->ops[i].n_fields = gen_random(s, 3);
		if (one_in(s, 2))
			q->ops[i].name = text(one_in(s, 2) ? "Name" : "N.x");
		for (size_t k = 0; k < q->ops[i].n_fields; k++)
			q->fields[i][k] = text(PICK(s, names));
	}
	q->request.graphql = &q->graphql;
}

static void ask_rpc(uint64_t *s, struct gen_question *q)
{
	q->rpc = (struct policy_rpc){ .calls = q->calls,
		.n_calls = one_in(s, 8) ? 0 : 1 + gen_random(s, 2) };
	q->rpc.receive_stream = q->rpc.n_calls == 0 && !one_in(s, 4);
	if (one_in(s, 20))
		q->rpc.error = "unreadable";
	for (size_t i = 0; i < q->rpc.n_calls; i++) {
		q->calls[i] = (struct policy_rpc_call){ .response = one_in(s, 8) };
		if (!q->calls[i].response)
			q->calls[i].method = text(PICK(s, rpc_methods));
		if (!q->calls[i].response && q->calls[i].method.len == 10 && !one_in(s, 4))
			q->calls[i].tool = text(PICK(s, asked_values));
	}
	q->request.rpc = &q->rpc;
}

void gen_question(uint64_t *s, struct gen_question *q)
{
	snprintf(q->host, sizeof q->host, "%s", PICK(s, asked_hosts));
	q->ancestors[0] = PICK(s, asked_programs);
	q->ancestors[1] = "/sbin/init";
	q->caller = (struct identity_caller){ .assurance = IDENTITY_OBSERVED,
		.exe = PICK(s, asked_programs),
		.sha256 = "",
		.reason = "",
		.ancestors = q->ancestors,
		.n_ancestors = gen_random(s, 3) };
	q->who = (struct policy_connect){ .host = q->host,
		.port = one_in(s, 5) ? 80 : 443,
		.identity_required = !one_in(s, 4),
		.caller = &q->caller };
	q->request = (struct policy_request){ .method = text(PICK(s, asked_methods)),
		.path = text(PICK(s, asked_paths)),
		.query = q->params,
		.n_query = one_in(s, 2) ? 0 : gen_random(s, 4) };
	for (size_t i = 0; i < q->request.n_query; i++)
		q->params[i] = (struct policy_param){ text(one_in(s, 2)		     ? "k"
								      : one_in(s, 2) ? "l"
										     : "m"),
			text(PICK(s, asked_values)) };
	if (one_in(s, 3))
		ask_graphql(s, q);
	else if (one_in(s, 2))
		ask_rpc(s, q);
}
