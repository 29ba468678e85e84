#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include "core_text.h"
#include "policy_snapshot.h"

#define SANDBOX(x) Openshell__Sandbox__V1__##x

static int by_key(const void *a, const void *b)
{
	const SANDBOX(SandboxPolicy__NetworkPoliciesEntry) *const *x = a, *const *y = b;

	return strcmp((*x)->key, (*y)->key);
}

static int by_path(const void *a, const void *b)
{
	return strcmp(
		((const struct policy_binary *) a)->path, ((const struct policy_binary *) b)->path);
}

static enum policy_protocol protocol_of(const char *text)
{
	static const char *const names[] = { "", "tcp", "sql", "rest", "websocket", "graphql",
		"json-rpc", "mcp" };

	for (unsigned i = 0; i < sizeof names / sizeof *names; i++)
		if (text_ieq(text, strlen(text), names[i], strlen(names[i])))
			return (enum policy_protocol) i;
	/* The validator refuses unknown ones; inspection that does not exist is the safe reading. */
	return POLICY_REST;
}

static int compile_ips(struct policy_endpoint *ep, struct err *e)
{
	ep->has_ips = ep->pb->n_allowed_ips > 0;
	ep->ips = calloc(ep->pb->n_allowed_ips + 1, sizeof *ep->ips);
	if (!ep->ips)
		return err_set(e, ENOMEM, "policy addresses");
	for (size_t i = 0; i < ep->pb->n_allowed_ips; i++) {
		const char *text = ep->pb->allowed_ips[i];

		if (addr_net_parse(text, strlen(text), &ep->ips[i]) < 0 ||
			addr_net_touches_blocked(&ep->ips[i]))
			ep->ips_bad = true;
	}
	ep->n_ips = ep->pb->n_allowed_ips;
	return 0;
}

static int compile_ports(struct policy_endpoint *ep, struct err *e)
{
	const SANDBOX(NetworkEndpoint) *pb = ep->pb;
	size_t n = pb->n_ports ? pb->n_ports : pb->port ? 1 : 0;

	ep->ports = calloc(n + 1, sizeof *ep->ports);
	if (!ep->ports)
		return err_set(e, ENOMEM, "policy ports");
	for (size_t i = 0; i < n; i++) {
		uint32_t port = pb->n_ports ? pb->ports[i] : pb->port;

		if (port > 0 && port <= UINT16_MAX)
			ep->ports[ep->n_ports++] = (uint16_t) port;
	}
	return 0;
}

/* The labels behind the last label with a wildcard, a brace or a class. */
static const char *literal_suffix(const char *host)
{
	size_t at = strlen(host);

	while (at > 0 && !strchr("*?[]{}\\", host[at - 1]))
		at--;
	while (host[at] && host[at] != '.')
		at++;
	return host[at] ? host + at + 1 : host + at;
}

static int compile_host(struct policy_endpoint *ep, struct err *e)
{
	struct err why = { 0 };

	ep->host = strdup(ep->pb->host);
	if (!ep->host)
		return err_set(e, ENOMEM, "policy host");
	text_lower(ep->host, strlen(ep->host));
	if (!strchr(ep->host, '*'))
		return 0;
	ep->suffix = literal_suffix(ep->host);
	if (policy_glob_new(POLICY_GLOB_HOST, ep->host, strlen(ep->host), &ep->glob, &why) < 0) {
		if (why.code == ENOMEM)
			return err_set(e, ENOMEM, "policy host");
		ep->dead = true;
	}
	return 0;
}

static int compile_endpoint(struct policy_endpoint *ep, struct err *e)
{
	ep->protocol = protocol_of(ep->pb->protocol);
	ep->tls = text_ieq(ep->pb->tls, strlen(ep->pb->tls), "skip", 4) ? POLICY_TLS_SKIP
									: POLICY_TLS_AUTO;
	if (compile_host(ep, e) < 0 || compile_ports(ep, e) < 0)
		return -e->code;
	if (compile_ips(ep, e) < 0)
		return -e->code;
	return policy_compile_requests(ep, e);
}

static void add_exact(struct policy_rule *r, const char *path, bool advisor)
{
	r->binaries[r->n_binaries++] = (struct policy_binary){ path, advisor };
}

static int compile_binary(struct policy_snapshot *s, struct policy_rule *r,
	const SANDBOX(NetworkBinary) * pb, struct err *e)
{
	struct policy_glob *g;
	struct err why = { 0 };

	if (!strchr(pb->path, '*')) {
		if (!pb->path[0])
			return 0;
		add_exact(r, pb->path, pb->harness);
		s->binaries[s->n_binaries++] = pb->path;
		return 0;
	}
	if (policy_glob_new(POLICY_GLOB_PATH, pb->path, strlen(pb->path), &g, &why) < 0)
		return why.code == ENOMEM ? err_set(e, ENOMEM, "policy binary")
					  : 0; /* never matches */
	r->globs[r->n_globs++] = (struct policy_binary_glob){ g, pb->harness };
	return 0;
}

static int add_aliases(struct policy_snapshot *s, struct policy_rule *r,
	const struct policy_alias *a, size_t n, struct err *e)
{
	size_t literal = r->n_binaries;

	for (size_t i = 0; i < literal; i++) {
		for (size_t k = 0; k < n; k++) {
			char *target;

			if (strcmp(r->binaries[i].path, a[k].path) != 0 || !a[k].target[0])
				continue;
			target = strdup(a[k].target);
			if (!target)
				return err_set(e, ENOMEM, "policy binary");
			s->owned[s->n_owned++] = target;
			add_exact(r, target, r->binaries[i].advisor);
			break;
		}
	}
	return 0;
}

struct source {
	const struct policy_doc *doc;
	const struct policy_alias *aliases;
	size_t n_aliases;
	size_t *place; /* of each rule in the document */
};

static int compile_rule(struct policy_snapshot *s, struct policy_rule *r,
	const SANDBOX(SandboxPolicy__NetworkPoliciesEntry) * entry, const struct source *from,
	size_t place, struct err *e)
{
	const SANDBOX(NetworkPolicyRule) *pb = entry->value;

	r->key = entry->key;
	if (!pb)
		return 0;
	r->endpoints = calloc(pb->n_endpoints + 1, sizeof *r->endpoints);
	r->binaries = calloc(2 * pb->n_binaries + 1, sizeof *r->binaries);
	r->globs = calloc(pb->n_binaries + 1, sizeof *r->globs);
	if (!r->endpoints || !r->binaries || !r->globs)
		return err_set(e, ENOMEM, "policy rule");
	for (size_t i = 0; i < pb->n_endpoints; i++) {
		struct policy_endpoint *ep = &r->endpoints[r->n_endpoints++];

		*ep = (struct policy_endpoint){ .pb = pb->endpoints[i], .rule = r, .index = i };
		ep->line = policy_endpoint_line(from->doc, place, i);
		if (compile_endpoint(ep, e) < 0)
			return -e->code;
	}
	for (size_t i = 0; i < pb->n_binaries; i++)
		if (compile_binary(s, r, pb->binaries[i], e) < 0)
			return -e->code;
	if (add_aliases(s, r, from->aliases, from->n_aliases, e) < 0)
		return -e->code;
	qsort(r->binaries, r->n_binaries, sizeof *r->binaries, by_path);
	return 0;
}

static size_t count_binaries(const SANDBOX(SandboxPolicy) * m)
{
	size_t n = 0;

	for (size_t i = 0; i < m->n_network_policies; i++) {
		const SANDBOX(NetworkPolicyRule) *r = m->network_policies[i]->value;

		n += r ? r->n_binaries : 0;
	}
	return n;
}

struct placed {
	SANDBOX(SandboxPolicy__NetworkPoliciesEntry) * entry;
	size_t place;
};

static int allocate(struct policy_snapshot *s, struct err *e)
{
	size_t n = count_binaries(s->message);

	s->rules = calloc(s->message->n_network_policies + 1, sizeof *s->rules);
	s->owned = calloc(n + 1, sizeof *s->owned);
	s->binaries = calloc(n + 1, sizeof *s->binaries);
	return s->rules && s->owned && s->binaries ? 0 : err_set(e, ENOMEM, "policy snapshot");
}

static int compile_all(struct policy_snapshot *s, const struct source *from, struct err *e)
{
	size_t n = s->message->n_network_policies;
	AUTO_FREE struct placed *order = calloc(n + 1, sizeof *order);

	if (!order)
		return err_set(e, ENOMEM, "policy snapshot");
	for (size_t i = 0; i < n; i++)
		order[i] = (struct placed){ s->message->network_policies[i], i };
	qsort(order, n, sizeof *order, by_key);
	for (size_t i = 0; i < n; i++)
		if (compile_rule(s, &s->rules[s->n_rules++], order[i].entry, from, order[i].place,
			    e) < 0)
			return -e->code;
	if (policy_holders_build(s, e) < 0)
		return -e->code;
	return policy_index_build(s, e);
}

static SANDBOX(SandboxPolicy) * copy_message(const struct policy_doc *d)
{
	SANDBOX(SandboxPolicy) *copy = NULL;
	struct err e = { 0 };
	uint8_t *bytes;
	size_t len;

	if (policy_encode(d, &bytes, &len, &e) < 0)
		return NULL;
	copy = openshell__sandbox__v1__sandbox_policy__unpack(NULL, len, bytes);
	free(bytes);
	return copy;
}

int policy_compile(const struct policy_doc *d, uint64_t generation,
	const struct policy_alias *aliases, size_t n_aliases, struct policy_snapshot **ret,
	struct err *e)
{
	AUTO(policy_snapshot_unref) struct policy_snapshot *s = calloc(1, sizeof *s);
	struct source from = { .doc = d, .aliases = aliases, .n_aliases = n_aliases };

	if (!s)
		return err_set(e, ENOMEM, "policy snapshot");
	s->refs = 1;
	s->generation = generation;
	s->message = copy_message(d);
	if (!s->message)
		return err_set(e, ENOMEM, "policy snapshot");
	if (allocate(s, e) < 0 || compile_all(s, &from, e) < 0)
		return -e->code;
	*ret = TAKE_PTR(s);
	return 0;
}

struct policy_snapshot *policy_snapshot_ref(struct policy_snapshot *s)
{
	s->refs++;
	return s;
}

static void rule_done(struct policy_rule *r)
{
	for (size_t i = 0; i < r->n_endpoints; i++) {
		policy_glob_free(r->endpoints[i].glob);
		policy_requests_done(&r->endpoints[i]);
		free(r->endpoints[i].host);
		free(r->endpoints[i].ports);
		free(r->endpoints[i].ips);
	}
	for (size_t i = 0; i < r->n_globs; i++)
		policy_glob_free(r->globs[i].glob);
	free(r->endpoints);
	free(r->binaries);
	free(r->globs);
}

void policy_snapshot_unref(struct policy_snapshot *s)
{
	if (!s || --s->refs > 0)
		return;
	for (size_t i = 0; i < s->n_rules; i++)
		rule_done(&s->rules[i]);
	for (size_t i = 0; i < s->n_owned; i++)
		free(s->owned[i]);
	free(s->rules);
	free(s->owned);
	free(s->binaries);
	policy_table_done(&s->exact);
	policy_table_done(&s->wild);
	policy_table_done(&s->hosts);
	policy_holders_done(&s->holders);
	if (s->message)
		openshell__sandbox__v1__sandbox_policy__free_unpacked(s->message, NULL);
	free(s);
}

uint64_t policy_snapshot_generation(const struct policy_snapshot *s)
{
	return s->generation;
}

const char *const *policy_snapshot_binaries(const struct policy_snapshot *s, size_t *ret_n)
{
	*ret_n = s->n_binaries;
	return s->binaries;
}
