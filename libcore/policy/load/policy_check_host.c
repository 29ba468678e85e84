/* policy_check_host.c - the shape of hosts, and selectors of middlewares. */
#include <stdio.h>
#include <string.h>
#include "core_addr.h"
#include "core_policy_snapshot.h"
#include "core_text.h"
#include "policy_doc.h"

#define SANDBOX(x) Openshell__Sandbox__V1__##x
#define MIDDLEWARES_MAX 10
#define PATTERNS_MAX 32

static unsigned count_labels(const char *host)
{
	unsigned n = 1;

	for (; *host; host++)
		n += *host == '.';
	return n;
}

/* NULL when the wildcards stand where they may. */
static const char *wildcard_problem(const char *host)
{
	const char *first_end = strchrnul(host, '.');

	if (strcmp(host, "*") == 0 || strcmp(host, "**") == 0)
		return "a bare wildcard is every host";
	if (count_labels(host) <= 2)
		return "a wildcard below a top-level domain is too broad";
	for (const char *p = host; (p = strstr(p, "**")); p += 2)
		if (p != host || p + 2 != first_end)
			return "`**` may only be the whole first label";
	for (const char *label = *first_end ? first_end + 1 : NULL; label;) {
		const char *end = strchrnul(label, '.');

		if (memchr(label, '*', (size_t) (end - label)) && end - label != 1)
			return "after the first label, `*` must be a whole label";
		label = *end ? end + 1 : NULL;
	}
	return NULL;
}

static void check_spelling(struct check *c, SANDBOX(NetworkEndpoint) * ep)
{
	const char *host = ep->host;
	struct addr a;
	char q[QUOTE_SIZE];

	if (addr_parse(host, strlen(host), &a) == 0)
		return;
	if (strstr(host, "://") || strpbrk(host, " /\t") || strchr(host, ':') ||
		(host[0] && host[strlen(host) - 1] == '.'))
		check_warn(c, "E11", &ep->host, "host",
			"write only the name; ports go in `port`, paths in `path`",
			"%s has a scheme, blank, path, port or trailing dot and never matches",
			quote(host, q));
	else if (strpbrk(host, "{}[]?") && !strchr(host, '*'))
		check_warn(c, "E12", &ep->host, "host", "list each host separately",
			"%s is taken literally and never matches", quote(host, q));
	else if (strpbrk(host, "{}[]?"))
		check_warn(c, "E12", &ep->host, "host", "list each host separately",
			"braces, classes and `?` in hosts are easily misread");
}

/* protocol: tcp has a name that policy DNS can answer for. */
static void check_tcp_host(struct check *c, SANDBOX(NetworkEndpoint) * ep)
{
	const char *host = ep->host;
	struct addr a;

	if (!host[0])
		check_error(c, "E29", ep, "host", "name a host", "`protocol: tcp` needs a host");
	else if (addr_parse(host, strlen(host), &a) == 0)
		check_error(c, "E29", &ep->host, "host", "name a host",
			"`protocol: tcp` takes no address");
	else if (host[strlen(host) - 1] == '.' || strpbrk(host, "{}[]? /:") || host[0] == '-' ||
		strstr(host, "..") || strstr(host, ".-") || host[0] == '.')
		check_error(c, "E29", &ep->host, "host", "write a plain name",
			"`protocol: tcp` needs a plain host name");
	else if (strchr(host, '*'))
		check_warn(c, "W04", &ep->host, "host", "name each host",
			"a wildcard for native TCP is broad");
}

void policy_check_host(struct check *c, SANDBOX(NetworkEndpoint) * ep)
{
	const char *problem;
	struct policy_glob *g = NULL;
	struct err why = { 0 };

	if (strcmp(ep->protocol, "tcp") == 0) {
		check_tcp_host(c, ep);
		if (!ep->host[0])
			return;
	}
	if (!ep->host[0]) {
		if (ep->n_allowed_ips == 0)
			check_error(
				c, "E10", ep, "host", "name a host or give allowed_ips", "no host");
		return;
	}
	if (!strchr(ep->host, '*')) {
		check_spelling(c, ep);
		return;
	}
	problem = wildcard_problem(ep->host);
	if (problem) {
		check_error(c, "E13", &ep->host, "host",
			"allowed: `*.example.com` (one label), `**.example.com` (one or more)",
			"%s", problem);
		return;
	}
	check_spelling(c, ep);
	if (policy_glob_new(POLICY_GLOB_HOST, ep->host, strlen(ep->host), &g, &why) < 0)
		check_warn(c, "E22", &ep->host, "host", "it never allows", "malformed pattern: %s",
			why.text);
	policy_glob_free(g);
}

bool policy_check_selector(const char *pattern, const char **ret_why)
{
	struct policy_glob *g = NULL;
	struct err why = { 0 };
	bool good;

	*ret_why = "empty, with a blank, a brace or an empty label";
	if (!pattern[0] || strpbrk(pattern, " \t{}") || strstr(pattern, "..") ||
		pattern[0] == '.' || pattern[strlen(pattern) - 1] == '.')
		return false;
	*ret_why = "malformed pattern";
	good = policy_glob_new(POLICY_GLOB_HOST, pattern, strlen(pattern), &g, &why) == 0;
	policy_glob_free(g);
	return good;
}

static void check_patterns(struct check *c, char **list, size_t n, const char *field)
{
	for (size_t i = 0; i < n; i++) {
		const char *why;

		if (!policy_check_selector(list[i], &why))
			check_error(c, "E34", &list[i], field,
				"write a host pattern like `*.example.com`",
				"selector is not usable: %s", why);
	}
}

static void check_middleware(struct check *c, SANDBOX(NetworkMiddlewareConfig) * m)
{
	SANDBOX(MiddlewareEndpointSelector) *s = m->endpoints;

	if (!m->middleware[0])
		check_error(c, "E34", m, "middleware", NULL, "the middleware's name is missing");
	if (m->on_error[0] && strcmp(m->on_error, "fail_closed") != 0 &&
		strcmp(m->on_error, "fail_open") != 0)
		check_error(c, "E34", &m->on_error, "on_error",
			"expected `fail_closed` or `fail_open`", "unknown value");
	if (!s || s->n_include == 0) {
		check_error(
			c, "E34", m, "endpoints.include", "name the hosts", "no host is included");
		return;
	}
	if (s->n_include + s->n_exclude > PATTERNS_MAX)
		check_error(c, "E34", s, "endpoints", NULL, "more than %d patterns", PATTERNS_MAX);
	check_patterns(c, s->include, s->n_include, "endpoints.include");
	check_patterns(c, s->exclude, s->n_exclude, "endpoints.exclude");
}

static void check_skip_clash(struct check *c, SANDBOX(NetworkMiddlewareConfig) * m)
{
	SANDBOX(SandboxPolicy) *pb = c->doc->pb;

	if (strcmp(m->on_error, "fail_open") == 0 || !m->endpoints)
		return;
	for (size_t i = 0; i < pb->n_network_policies; i++) {
		SANDBOX(NetworkPolicyRule) *r = pb->network_policies[i]->value;

		for (size_t k = 0; r && k < r->n_endpoints; k++) {
			if (!text_ieq(
				    r->endpoints[k]->tls, strlen(r->endpoints[k]->tls), "skip", 4))
				continue;
			for (size_t j = 0; j < m->endpoints->n_include; j++)
				if (policy_hosts_overlap(
					    m->endpoints->include[j], r->endpoints[k]->host))
					check_error(c, "E34", m, NULL,
						"exclude the host, or remove `tls: skip`",
						"middleware must see what rule `%.80s` (endpoint "
						"%zu) hides with `tls: skip`",
						pb->network_policies[i]->key, k);
		}
	}
}

void policy_check_middlewares(struct check *c)
{
	SANDBOX(SandboxPolicy) *pb = c->doc->pb;

	if (pb->n_network_middlewares > MIDDLEWARES_MAX)
		check_error(c, "E34", pb, "network_middlewares", NULL, "more than %d middlewares",
			MIDDLEWARES_MAX);
	for (size_t i = 0; i < pb->n_network_middlewares && i <= MIDDLEWARES_MAX; i++) {
		SANDBOX(NetworkMiddlewareConfig) *m = pb->network_middlewares[i]->value;
		size_t back = trail_field(&c->trail, "network_middlewares");

		(void) trail_field(&c->trail, pb->network_middlewares[i]->key);
		if (m) {
			check_middleware(c, m);
			check_skip_clash(c, m);
		}
		for (size_t k = 0; m && k < i; k++)
			if (pb->network_middlewares[k]->value &&
				pb->network_middlewares[k]->value->order == m->order)
				check_error(c, "E34", &m->order, "order",
					"give each its own number", "`%.80s` has the same order %d",
					pb->network_middlewares[k]->key, m->order);
		trail_back(&c->trail, back);
	}
}
