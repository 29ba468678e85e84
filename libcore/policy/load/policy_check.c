/* policy_check.c - the rules of spec/policy 1, 4 and 5 for everything but request rules. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "core_addr.h"
#include "core_policy_snapshot.h"
#include "core_text.h"
#include "policy_doc.h"

#define SANDBOX(x) Openshell__Sandbox__V1__##x
#define UID_LAST 4294967294u
#define BROAD_PREFIX_BITS 16

static bool is(const char *a, const char *b)
{
	return strcmp(a, b) == 0;
}

static void lower(char *s)
{
	text_lower(s, strlen(s));
}

static bool has_capitals(const char *s)
{
	for (; *s; s++)
		if (*s >= 'A' && *s <= 'Z')
			return true;
	return false;
}

/* The reference compares these words sometimes with and sometimes without regard to case. */
static void lower_word(struct check *c, char **at, const char *field)
{
	char q[QUOTE_SIZE];

	if (!has_capitals(*at))
		return;
	(void) quote(*at, q);
	lower(*at);
	check_warn(c, "W02", at, field, "write it in small letters", "%s is read as `%s`", q, *at);
}

static bool has_dot_dot(const char *path)
{
	for (const char *p = path; (p = strstr(p, "..")); p += 2)
		if ((p == path || p[-1] == '/') && (p[2] == '\0' || p[2] == '/'))
			return true;
	return false;
}

static void check_path(struct check *c, char **at, bool writable)
{
	char *path = *at, q[QUOTE_SIZE];
	size_t written = strlen(path);

	if (written > POLICY_PATH_LEN_MAX)
		check_error(c, "E07", at, NULL, NULL, "path of more than %d bytes",
			POLICY_PATH_LEN_MAX);
	else if (path[0] != '/')
		check_error(c, "E07", at, NULL, "write it from the root, like `/usr`",
			"path %s is not absolute", quote(path, q));
	else if (has_dot_dot(path))
		check_error(c, "E07", at, NULL, "write the path that it leads to",
			"path %s has a `..` component", quote(path, q));
	else if (writable && strspn(path, "/") == strlen(path))
		check_error(c, "E07", at, NULL, "list the directories that are needed",
			"`/` may not be writable");
	else
		policy_path_normalise(path);
	if (!is(path, "/"))
		return;
	/* Kept in its other spelling, so that the document can be loaded again. */
	if (writable && written > 1)
		(void) snprintf(path, written + 1, "/.");
	check_warn(c, "E08", at, NULL, "list the directories that are needed",
		writable ? "this is `/` in another spelling: everything is writable"
			 : "everything on the machine is readable");
}

static void check_filesystem(struct check *c)
{
	SANDBOX(FilesystemPolicy) *f = c->doc->pb->filesystem;
	size_t back, n;

	if (!f)
		return;
	back = trail_field(&c->trail, "filesystem_policy");
	n = f->n_read_only + f->n_read_write;
	if (n > POLICY_PATHS_MAX)
		check_error(c, "E07", f, NULL, "list directories instead of files",
			"%zu paths, more than %d", n, POLICY_PATHS_MAX);
	for (size_t i = 0; i < n; i++) {
		bool writable = i >= f->n_read_only;
		size_t k = writable ? i - f->n_read_only : i;
		size_t inner = trail_field(&c->trail, writable ? "read_write" : "read_only");

		(void) trail_index(&c->trail, k);
		check_path(c, writable ? &f->read_write[k] : &f->read_only[k], writable);
		trail_back(&c->trail, inner);
	}
	trail_back(&c->trail, back);
}

static void check_identity(struct check *c, const char *field, char **at)
{
	uint64_t v;

	if (!(*at)[0] || is(*at, "sandbox"))
		return;
	if (text_to_u64(*at, strlen(*at), 1, UID_LAST, &v) < 0) {
		char q[QUOTE_SIZE];

		check_error(c, "E06", at, field, "root is not allowed",
			"must be `sandbox` or a number from 1 to 4294967294, found %s",
			quote(*at, q));
	}
}

static void check_process(struct check *c)
{
	SANDBOX(ProcessPolicy) *p = c->doc->pb->process;
	size_t back;

	if (!p)
		return;
	back = trail_field(&c->trail, "process");
	check_identity(c, "run_as_user", &p->run_as_user);
	check_identity(c, "run_as_group", &p->run_as_group);
	trail_back(&c->trail, back);
}

static void check_landlock(struct check *c)
{
	SANDBOX(LandlockPolicy) *l = c->doc->pb->landlock;
	size_t back;
	char q[QUOTE_SIZE];

	if (!l || !l->compatibility[0] || is(l->compatibility, "best_effort") ||
		is(l->compatibility, "hard_requirement"))
		return;
	back = trail_field(&c->trail, "landlock");
	check_warn(c, "E09", &l->compatibility, "compatibility", NULL,
		"expected `best_effort` or `hard_requirement`, found %s; read as hard_requirement",
		quote(l->compatibility, q));
	/* The safe reading of a misspelling. */
	free(l->compatibility);
	l->compatibility = strdup("hard_requirement");
	trail_back(&c->trail, back);
}

static void check_glob(struct check *c, const void *at, const char *field,
	enum policy_dialect dialect, const char *pattern)
{
	struct policy_glob *g = NULL;
	struct err why = { 0 };

	if (policy_glob_new(dialect, pattern, strlen(pattern), &g, &why) < 0)
		check_warn(c, "E22", at, field,
			"it never allows, and a deny rule with it always denies",
			"malformed pattern: %s", why.text);
	policy_glob_free(g);
}

static void check_ports(struct check *c, SANDBOX(NetworkEndpoint) * ep)
{
	if (ep->n_ports == 0 && ep->port == 0)
		check_error(c, "E14", ep, NULL, "add `port: 443`", "no port");
	if (ep->n_ports && ep->port)
		check_warn(c, "E14", &ep->port, "port", "keep one of them",
			"both `port` and `ports`; `ports` counts");
	if (ep->port > UINT16_MAX)
		check_error(c, "E14", &ep->port, "port", NULL, "port %u is above 65535", ep->port);
	for (size_t i = 0; i < ep->n_ports; i++)
		if (ep->ports[i] == 0 || ep->ports[i] > UINT16_MAX)
			check_error(c, "E14", &ep->ports[i], "ports", NULL,
				"port %u is not from 1 to 65535", ep->ports[i]);
}

static void check_ips(struct check *c, SANDBOX(NetworkEndpoint) * ep)
{
	char q[QUOTE_SIZE];

	for (size_t i = 0; i < ep->n_allowed_ips; i++) {
		const char *s = ep->allowed_ips[i];
		struct addr_net net;

		if (addr_net_parse(s, strlen(s), &net) < 0)
			check_warn(c, "E30", &ep->allowed_ips[i], "allowed_ips",
				"write an address or a net like 10.0.0.0/8",
				"%s is neither; every connection to this endpoint is refused",
				quote(s, q));
		else if (addr_net_touches_blocked(&net))
			check_warn(c, "E30", &ep->allowed_ips[i], "allowed_ips",
				"leave out loopback, link-local and unspecified addresses",
				"%s holds addresses that are never reachable; every connection to "
				"this endpoint is refused",
				quote(s, q));
		else if (net.prefix <
			(addr_is_v4(&net.base) ? 96 + BROAD_PREFIX_BITS : BROAD_PREFIX_BITS))
			check_warn(c, "W02", &ep->allowed_ips[i], "allowed_ips",
				"name smaller nets", "%s is wider than /16", quote(s, q));
	}
}

static bool one_of(const char *s, const char *const *words)
{
	for (; *words; words++)
		if (is(s, *words))
			return true;
	return false;
}

static void check_words(struct check *c, SANDBOX(NetworkEndpoint) * ep)
{
	static const char *const protocols[] = { "", "tcp", "rest", "websocket", "graphql", "sql",
		"json-rpc", "mcp", NULL };
	static const char *const tls[] = { "", "skip", "terminate", "passthrough", "auto", NULL };
	static const char *const enforcement[] = { "", "enforce", "audit", NULL };
	static const char *const access[] = { "", "read-only", "read-write", "full", NULL };
	char q[QUOTE_SIZE];

	lower_word(c, &ep->protocol, "protocol");
	lower_word(c, &ep->tls, "tls");
	lower_word(c, &ep->enforcement, "enforcement");
	if (!one_of(ep->protocol, protocols))
		check_error(c, "E15", &ep->protocol, "protocol",
			"expected tcp, rest, websocket, graphql, sql, json-rpc or mcp",
			"unknown protocol %s", quote(ep->protocol, q));
	if (!one_of(ep->tls, tls))
		check_warn(c, "E09", &ep->tls, "tls", "expected `skip`, or leave it out",
			"unknown value %s; read as auto", quote(ep->tls, q));
	else if (is(ep->tls, "terminate") || is(ep->tls, "passthrough"))
		check_warn(c, "W02", &ep->tls, "tls", "leave it out", "deprecated; it means auto");
	if (!one_of(ep->enforcement, enforcement))
		check_warn(c, "E09", &ep->enforcement, "enforcement",
			"expected `enforce` or `audit`", "unknown value %s; read as enforce",
			quote(ep->enforcement, q));
	if (!one_of(ep->access, access))
		check_warn(c, "E09", &ep->access, "access",
			"expected `read-only`, `read-write` or `full`",
			"unknown value %s; it allows nothing", quote(ep->access, q));
}

static void check_signing(struct check *c, SANDBOX(NetworkEndpoint) * ep)
{
	static const char *const values[] = { "sigv4", "sigv4:body", "sigv4:no_body", NULL };
	char q[QUOTE_SIZE];

	if (!ep->credential_signing[0])
		return;
	if (!one_of(ep->credential_signing, values))
		check_error(c, "E31", &ep->credential_signing, "credential_signing",
			"expected `sigv4`, `sigv4:body` or `sigv4:no_body`", "unknown value %s",
			quote(ep->credential_signing, q));
	if (!ep->signing_service[0])
		check_error(c, "E31", &ep->credential_signing, "signing_service",
			"add `signing_service:`", "credential_signing needs a service");
	if (ep->request_body_credential_rewrite)
		check_error(c, "E31", &ep->request_body_credential_rewrite,
			"request_body_credential_rewrite", "keep one of the two",
			"a signed body can't be rewritten");
	if (!ep->protocol[0] || is(ep->protocol, "tcp"))
		check_warn(c, "E31", &ep->credential_signing, "credential_signing",
			"add `protocol: rest`", "has no effect without an inspected protocol");
}

static void check_endpoint(struct check *c, SANDBOX(NetworkEndpoint) * ep)
{
	bool capitals = has_capitals(ep->protocol);

	check_words(c, ep);
	policy_check_host(c, ep);
	check_ports(c, ep);
	check_ips(c, ep);
	if (ep->path[0] && ep->path[0] != '/' && !is(ep->path, "**"))
		check_error(c, "E21", &ep->path, "path", "begin with `/`, or write `**`",
			"an endpoint's path must begin with `/`");
	else if (ep->path[0])
		check_glob(c, &ep->path, "path", POLICY_GLOB_PATH, ep->path);
	check_signing(c, ep);
	if (ep->credential_binding && !ep->credential_binding->provider[0])
		check_error(c, "E04", ep->credential_binding, "credential_binding.provider", NULL,
			"provider is missing");
	/* Written "MCP", the reference takes the endpoint for another kind and checks nothing of this;
	 * rules of the wrong shape then never allow. */
	c->lenient = capitals && c->strictness == POLICY_GATEWAY;
	policy_check_endpoint_l7(c, ep);
	c->lenient = false;
}

static void check_binary(struct check *c, SANDBOX(NetworkBinary) * b)
{
	char q[QUOTE_SIZE];

	if (!b->path[0])
		check_error(c, "E32", b, "path", "write the full path, like `/usr/bin/curl`",
			"path is missing");
	else if (b->path[0] != '/' && !is(b->path, "**"))
		check_warn(c, "E32", &b->path, "path", "write the full path, like `/usr/bin/curl`",
			"relative path %s never matches", quote(b->path, q));
	else if (strchr(b->path, '*'))
		check_glob(c, &b->path, "path", POLICY_GLOB_PATH, b->path);
	if (is(b->path, "/**") || is(b->path, "**"))
		check_warn(
			c, "W04", &b->path, "path", "name the programs", "this is every program");
}

static void check_rule(struct check *c, SANDBOX(NetworkPolicyRule) * r)
{
	size_t back;

	if (r->n_binaries == 0)
		check_warn(c, "E33", r, "binaries", "name the programs: `- path: /usr/bin/curl`",
			"no binaries: the rule allows nobody");
	if (r->n_endpoints == 0)
		check_warn(c, "E33", r, "endpoints", "add an endpoint or remove the rule",
			"no endpoints: the rule can never match");
	for (size_t i = 0; i < r->n_endpoints; i++) {
		back = trail_field(&c->trail, "endpoints");
		(void) trail_index(&c->trail, i);
		check_endpoint(c, r->endpoints[i]);
		trail_back(&c->trail, back);
	}
	for (size_t i = 0; i < r->n_binaries; i++) {
		back = trail_field(&c->trail, "binaries");
		(void) trail_index(&c->trail, i);
		check_binary(c, r->binaries[i]);
		trail_back(&c->trail, back);
	}
}

static bool within_bounds(struct check *c)
{
	SANDBOX(SandboxPolicy) *pb = c->doc->pb;
	size_t endpoints = 0, binaries = 0;

	for (size_t i = 0; i < pb->n_network_policies; i++) {
		endpoints += pb->network_policies[i]->value
			? pb->network_policies[i]->value->n_endpoints
			: 0;
		binaries += pb->network_policies[i]->value
			? pb->network_policies[i]->value->n_binaries
			: 0;
	}
	if (pb->n_network_policies <= POLICY_RULES_MAX && endpoints <= POLICY_ENDPOINTS_MAX &&
		binaries <= POLICY_BINARIES_MAX)
		return true;
	check_error(c, "E04", pb, "network_policies", "join rules",
		"%zu rules, %zu endpoints, %zu binaries: more than %d, %d, %d",
		pb->n_network_policies, endpoints, binaries, POLICY_RULES_MAX, POLICY_ENDPOINTS_MAX,
		POLICY_BINARIES_MAX);
	return false;
}

void policy_check(struct check *c)
{
	SANDBOX(SandboxPolicy) *pb = c->doc->pb;
	size_t back = trail_field(&c->trail, "network_policies");

	trail_back(&c->trail, 0);
	check_filesystem(c);
	check_landlock(c);
	check_process(c);
	policy_check_middlewares(c);
	if (!within_bounds(c))
		return;
	for (size_t i = 0; i < pb->n_network_policies; i++) {
		(void) trail_field(&c->trail, "network_policies");
		(void) trail_field(&c->trail, pb->network_policies[i]->key);
		if (pb->network_policies[i]->value)
			check_rule(c, pb->network_policies[i]->value);
		trail_back(&c->trail, 0);
	}
	trail_back(&c->trail, back);
	if (!c->report->n_errors)
		policy_check_overlap(c);
}
