/* policy_overlap.c - endpoints that can be the same destination must agree (spec/policy 3.2).
 *
 * Pairs are looked for by the literal end of their hosts, so that a large document
 * costs little more than its length.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include "core_cleanup.h"
#include "core_text.h"
#include "policy_doc.h"

#define SANDBOX(x) Openshell__Sandbox__V1__##x
#define endpoint_msg SANDBOX(NetworkEndpoint)
#define BODY_DEFAULT 65536u

struct item {
	endpoint_msg *ep;
	const char *key;
	size_t index;
	const char *ending; /* of the host, in its memory */
	uint64_t signature;
};

/* Can one label match both patterns?  Only stars matter; other characters stand for themselves. */
static bool labels_meet(const char *a, size_t na, const char *b, size_t nb)
{
	if (na == 0 || nb == 0) {
		const char *rest = na ? a : b;
		size_t n = na ? na : nb;

		return strspn(rest, "*") >= n;
	}
	if (*a == '*')
		return labels_meet(a + 1, na - 1, b, nb) || labels_meet(a, na, b + 1, nb - 1);
	if (*b == '*')
		return labels_meet(a, na, b + 1, nb - 1) || labels_meet(a + 1, na - 1, b, nb);
	if (strchr("?[]{}", *a) || strchr("?[]{}", *b))
		return true; /* too clever to tell: say yes */
	return text_ieq(a, 1, b, 1) && labels_meet(a + 1, na - 1, b + 1, nb - 1);
}

static bool deep(const char *s, size_t n)
{
	return n == 2 && s[0] == '*' && s[1] == '*';
}

static bool hosts_meet(const char *a, const char *b, int depth)
{
	size_t na = strcspn(a, "."), nb = strcspn(b, ".");
	const char *ra = a[na] ? a + na + 1 : NULL, *rb = b[nb] ? b + nb + 1 : NULL;

	if (depth > 64)
		return true;
	if (deep(a, na) || deep(b, nb)) {
		const char *other = deep(a, na) ? b : a, *rest = deep(a, na) ? ra : rb;

		if (!rest)
			return true;
		/* Two stars take one label or more of the other. */
		for (const char *p = strchr(other, '.'); p; p = strchr(p + 1, '.'))
			if (hosts_meet(rest, p + 1, depth + 1))
				return true;
		return false;
	}
	if (!labels_meet(a, na, b, nb))
		return false;
	if (!ra || !rb)
		return ra == rb;
	return hosts_meet(ra, rb, depth + 1);
}

bool policy_hosts_overlap(const char *a, const char *b)
{
	if (!a[0] || !b[0])
		return true;
	if (strlen(a) > 253 || strlen(b) > 253)
		return text_ieq(a, strlen(a), b, strlen(b));
	return hosts_meet(a, b, 0);
}

static size_t ports(const endpoint_msg *ep)
{
	return ep->n_ports ? ep->n_ports : 1;
}

static uint32_t port(const endpoint_msg *ep, size_t i)
{
	return ep->n_ports ? ep->ports[i] : ep->port;
}

static bool ports_meet(const endpoint_msg *a, const endpoint_msg *b)
{
	for (size_t i = 0; i < ports(a); i++)
		for (size_t k = 0; k < ports(b); k++)
			if (port(a, i) == port(b, k))
				return true;
	return false;
}

static bool has_ip(const endpoint_msg *ep, const char *ip)
{
	for (size_t i = 0; i < ep->n_allowed_ips; i++)
		if (text_ieq(ep->allowed_ips[i], strlen(ep->allowed_ips[i]), ip, strlen(ip)))
			return true;
	return false;
}

static bool same_ips(const endpoint_msg *a, const endpoint_msg *b)
{
	for (size_t i = 0; i < a->n_allowed_ips; i++)
		if (!has_ip(b, a->allowed_ips[i]))
			return false;
	for (size_t i = 0; i < b->n_allowed_ips; i++)
		if (!has_ip(a, b->allowed_ips[i]))
			return false;
	return true;
}

static bool carries(const endpoint_msg *ep)
{
	return (ep->protocol[0] && strcmp(ep->protocol, "tcp") != 0) || ep->tls[0] ||
		ep->n_allowed_ips || ep->credential_binding;
}

static size_t specificity(const char *path)
{
	size_t n = 0;

	for (; *path; path++)
		n += *path != '*';
	return n;
}

/* By segments, stars inside a segment as in labels; anything below two stars meets. */
static bool paths_meet(const char *a, const char *b)
{
	while (*a && *b) {
		size_t na = strcspn(a, "/"), nb = strcspn(b, "/");

		if (deep(a, na) || deep(b, nb))
			return true;
		if (!labels_meet(a, na, b, nb))
			return false;
		if (!a[na] || !b[nb])
			return a[na] == b[nb];
		a += na + 1;
		b += nb + 1;
	}
	return true;
}

static bool l7_paths_meet(const endpoint_msg *a, const endpoint_msg *b)
{
	if (specificity(a->path) != specificity(b->path))
		return false;
	return !a->path[0] || !b->path[0] || paths_meet(a->path, b->path);
}

static bool differ_text(struct text *t, const char *name, const char *a, const char *b)
{
	if (strcmp(a, b) == 0)
		return false;
	text_addf(t, "%s%s (`%.40s` and `%.40s`)", t->len ? ", " : "", name, a[0] ? a : "none",
		b[0] ? b : "none");
	return true;
}

static bool differ_flag(struct text *t, const char *name, bool a, bool b)
{
	if (a == b)
		return false;
	text_addf(t, "%s%s", t->len ? ", " : "", name);
	return true;
}

static uint32_t limit(uint32_t v)
{
	return v ? v : BODY_DEFAULT;
}

static bool has_ws_graphql(const endpoint_msg *ep)
{
	for (size_t i = 0; i < ep->n_rules; i++)
		if (ep->rules[i]->allow && ep->rules[i]->allow->operation_type[0])
			return true;
	for (size_t i = 0; i < ep->n_deny_rules; i++)
		if (ep->deny_rules[i]->operation_type[0])
			return true;
	return false;
}

static const char *enforcement(const endpoint_msg *ep)
{
	return ep->enforcement[0] ? ep->enforcement : "audit";
}

static const char *provider(const endpoint_msg *ep)
{
	return ep->credential_binding ? ep->credential_binding->provider : "";
}

static bool strict_names(const endpoint_msg *ep)
{
	return !ep->mcp || !ep->mcp->_strict_tool_names_case || ep->mcp->strict_tool_names;
}

static void differ_l7(struct text *t, const endpoint_msg *a, const endpoint_msg *b)
{
	(void) differ_text(t, "protocol", a->protocol, b->protocol);
	(void) differ_text(t, "enforcement", enforcement(a), enforcement(b));
	(void) differ_flag(
		t, "allow_encoded_slash", a->allow_encoded_slash, b->allow_encoded_slash);
	(void) differ_flag(t, "websocket_credential_rewrite", a->websocket_credential_rewrite,
		b->websocket_credential_rewrite);
	(void) differ_flag(t, "request_body_credential_rewrite", a->request_body_credential_rewrite,
		b->request_body_credential_rewrite);
	(void) differ_text(t, "credential_signing", a->credential_signing, b->credential_signing);
	(void) differ_text(t, "signing_service", a->signing_service, b->signing_service);
	(void) differ_text(t, "signing_region", a->signing_region, b->signing_region);
	(void) differ_text(t, "credential_binding", provider(a), provider(b));
	if (strcmp(a->protocol, b->protocol) != 0)
		return;
	(void) differ_flag(t, "GraphQL rules",
		has_ws_graphql(a) && strcmp(a->protocol, "websocket") == 0,
		has_ws_graphql(b) && strcmp(b->protocol, "websocket") == 0);
	(void) differ_flag(t, "graphql_max_body_bytes", true,
		limit(a->graphql_max_body_bytes) == limit(b->graphql_max_body_bytes));
	(void) differ_flag(t, "max_body_bytes", true,
		limit(a->json_rpc_max_body_bytes) == limit(b->json_rpc_max_body_bytes));
	(void) differ_flag(t, "mcp.strict_tool_names", strict_names(a), strict_names(b));
}

static void compare(struct check *c, const struct item *x, const struct item *y)
{
	const endpoint_msg *a = x->ep, *b = y->ep;
	char fields[512];
	struct text t;

	if (!ports_meet(a, b) || !policy_hosts_overlap(a->host, b->host))
		return;
	text_init(&t, fields, sizeof fields);
	(void) differ_flag(&t, "protocol: tcp", strcmp(a->protocol, "tcp") == 0,
		strcmp(b->protocol, "tcp") == 0);
	(void) differ_flag(
		&t, "tls: skip", strcmp(a->tls, "skip") == 0, strcmp(b->tls, "skip") == 0);
	(void) differ_flag(&t, "allowed_ips", true, same_ips(a, b));
	(void) differ_flag(&t, "advisor mark", a->advisor_proposed, b->advisor_proposed);
	if (carries(a) && carries(b) && l7_paths_meet(a, b))
		differ_l7(&t, a, b);
	if (!t.len)
		return;
	(void) trail_field(&c->trail, "network_policies");
	(void) trail_field(&c->trail, y->key);
	(void) trail_field(&c->trail, "endpoints");
	(void) trail_index(&c->trail, y->index);
	check_error(c, "E35", b, NULL, "make them agree, or separate their hosts, ports or paths",
		"can be the same destination as `%.80s` endpoint %zu (line %u), but differs in %s",
		x->key, x->index, spot_of(c->doc, a).line, fields);
	trail_back(&c->trail, 0);
}

/* The literal labels behind the last label with anything special: what every name that the pattern
 * matches ends in.  Of an exact name, all of it. */
static const char *ending(const char *host)
{
	size_t at = strlen(host);

	while (at > 0 && !strchr("*?[]{}\\", host[at - 1]))
		at--;
	if (at == 0)
		return host;
	while (host[at] && host[at] != '.')
		at++;
	return host[at] ? host + at + 1 : host + at;
}

static uint64_t hash_text(uint64_t h, const char *s)
{
	for (; *s; s++) {
		unsigned char c = (unsigned char) *s;

		h = (h ^ (c >= 'A' && c <= 'Z' ? c + 32u : c)) * 1099511628211u;
	}
	return (h ^ 0xff) * 1099511628211u;
}

static uint64_t hash_number(uint64_t h, uint64_t v)
{
	return (h ^ v ^ v >> 32) * 1099511628211u;
}

/* Endpoints with the same signature agree in everything that is compared. */
static uint64_t signature(const endpoint_msg *ep)
{
	uint64_t h = 1469598103934665603u, ips = 0;

	for (size_t i = 0; i < ep->n_allowed_ips; i++)
		ips += hash_text(h, ep->allowed_ips[i]);
	h = hash_number(h, ips);
	h = hash_number(h, ep->n_allowed_ips);
	h = hash_text(h, ep->protocol);
	h = hash_text(h, ep->tls);
	h = hash_text(h, enforcement(ep));
	h = hash_text(h, ep->credential_signing);
	h = hash_text(h, ep->signing_service);
	h = hash_text(h, ep->signing_region);
	h = hash_text(h, provider(ep));
	h = hash_number(h, limit(ep->graphql_max_body_bytes));
	h = hash_number(h, limit(ep->json_rpc_max_body_bytes));
	return hash_number(h,
		(uint64_t) ep->advisor_proposed << 6 | (uint64_t) ep->allow_encoded_slash << 5 |
			(uint64_t) ep->websocket_credential_rewrite << 4 |
			(uint64_t) ep->request_body_credential_rewrite << 3 |
			(uint64_t) has_ws_graphql(ep) << 2 | (uint64_t) strict_names(ep) << 1);
}

struct table { /* items by ending, as chains in ascending order */
	struct item *items;
	size_t n, n_slots;
	uint32_t *slots, *next; /* place + 1; 0 ends a chain */
};

static size_t slot_of(const struct table *t, const char *key)
{
	uint64_t h = hash_text(1469598103934665603u, key);

	return (size_t) (h ^ h >> 32) & (t->n_slots - 1);
}

static int table_new(struct table *t)
{
	for (t->n_slots = 64; t->n_slots < 2 * t->n; t->n_slots *= 2)
		;
	t->slots = calloc(t->n_slots, sizeof *t->slots);
	t->next = calloc(t->n + 1, sizeof *t->next);
	if (!t->slots || !t->next)
		return -1;
	for (size_t i = t->n; i-- > 0;) {
		size_t slot = slot_of(t, t->items[i].ending);

		t->next[i] = t->slots[slot];
		t->slots[slot] = (uint32_t) i + 1;
	}
	return 0;
}

static int by_place(const void *a, const void *b)
{
	const struct item *x = a, *y = b;
	int r = strcmp(x->key, y->key);

	return r ? r : x->index < y->index ? -1 : x->index > y->index;
}

static size_t collect(const struct check *c, struct item *items)
{
	SANDBOX(SandboxPolicy) *pb = c->doc->pb;
	size_t n = 0;

	for (size_t i = 0; i < pb->n_network_policies; i++) {
		SANDBOX(NetworkPolicyRule) *r = pb->network_policies[i]->value;

		for (size_t k = 0; r && k < r->n_endpoints; k++)
			items[n++] = (struct item){ .ep = r->endpoints[k],
				.key = pb->network_policies[i]->key,
				.index = k,
				.ending = ending(r->endpoints[k]->host),
				.signature = signature(r->endpoints[k]) };
	}
	return n;
}

/* Names that meet end alike: the ending of one is the ending of the other, or labels at the end of
 * it.  So each item is compared with those whose ending is part of its own. */
static void compare_below(struct check *c, const struct table *t, size_t i)
{
	const char *own = t->items[i].ending;
	const char *part = own;

	while (part) {
		for (uint32_t at = t->slots[slot_of(t, part)]; at; at = t->next[at - 1]) {
			struct item *x = &t->items[at - 1], *y = &t->items[i];

			if (x->signature == y->signature || strcasecmp(x->ending, part) != 0 ||
				(part == own && x >= y))
				continue;
			if (x < y)
				compare(c, x, y);
			else
				compare(c, y, x);
		}
		if (!*part)
			return;
		part = strchr(part, '.');
		part = part ? part + 1 : "";
	}
}

void policy_check_overlap(struct check *c)
{
	AUTO_FREE struct item *items = calloc(POLICY_ENDPOINTS_MAX, sizeof *items);
	AUTO_FREE uint32_t *slots = NULL;
	AUTO_FREE uint32_t *next = NULL;
	struct table t = { .items = items };

	t.n = items ? collect(c, items) : 0;
	if (t.n < 2)
		return;
	qsort(items, t.n, sizeof *items, by_place);
	if (table_new(&t) < 0)
		check_error(c, "E35", c->doc->pb, NULL, NULL, "out of memory");
	slots = t.slots;
	next = t.next;
	for (size_t i = 0; slots && next && i < t.n && c->report->n_errors < POLICY_PROBLEMS_MAX;
		i++)
		compare_below(c, &t, i);
}
