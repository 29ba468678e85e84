#include "net_policy.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include "core_fd.h"
#include "core_policy.h"
#include "ipc_network.h"
#include "ipc_network.pb-c.h"
#include "net_client.h"
#include "net_identity.h"

struct net_policy {
	struct net_leaf *leaf;
	struct policy_doc *doc; /* of the current snapshot */
	struct policy_snapshot *current;
	uint64_t generation;
	bool entrypoint, resolved, pending; /* pending: its loading was not yet reported */
};

int net_policy_new(struct net_leaf *n, struct net_policy **ret, struct err *e)
{
	struct net_policy *p = calloc(1, sizeof *p);

	if (!p)
		return err_set(e, ENOMEM, "policy");
	p->leaf = n;
	*ret = p;
	return 0;
}

void net_policy_free(struct net_policy *p)
{
	if (!p)
		return;
	policy_snapshot_unref(p->current);
	policy_free(p->doc);
	free(p);
}

struct policy_snapshot *net_policy_current(struct net_policy *p)
{
	return p->current;
}

bool net_policy_is_resolved(const struct net_policy *p)
{
	return p->resolved;
}

static void send_result(struct net_policy *p, uint64_t generation, const struct err *why)
{
	Openshell__Ipc__NetPolicyResult m = OPENSHELL__IPC__NET_POLICY_RESULT__INIT;
	struct err e = { 0 };

	m.generation = generation;
	m.loaded = why == NULL;
	m.text = why ? (char *) (uintptr_t) why->text : m.text;
	/* A lost answer ends the channel, and with it this leaf: nothing to do here. */
	(void) channel_send(p->leaf->up, NET_POLICY_RESULT, 0, &m.base, &e);
}

static void swap(struct net_policy *p, struct policy_snapshot *take)
{
	policy_snapshot_unref(p->current);
	p->current = take;
	net_client_close_stale(p->leaf, policy_snapshot_generation(take));
}

static void on_aliases(void *owner, const struct policy_alias *a, size_t n)
{
	struct net_policy *p = owner;
	struct policy_snapshot *s = NULL;
	struct err e = { 0 };

	if (n && policy_compile(p->doc, p->generation, a, n, &s, &e) == 0)
		swap(p, s);
	p->resolved = true;
	if (p->pending)
		send_result(p, p->generation, NULL);
	p->pending = false;
	net_leaf_try_open_gate(p->leaf);
}

static void resolve(struct net_policy *p)
{
	const char *const *paths;
	struct err e = { 0 };
	size_t n;

	paths = policy_snapshot_binaries(p->current, &n);
	p->resolved = false;
	/* Without aliases the literal paths stand, which is the stricter reading. */
	if (net_identity_resolve(p->leaf->identity, paths, n, on_aliases, p, &e) < 0)
		on_aliases(p, NULL, 0);
}

static int load(struct net_policy *p, int fd, uint64_t generation, struct policy_doc **ret_doc,
	struct policy_snapshot **ret, struct err *e)
{
	struct policy_report report = { 0 };
	const void *at;
	size_t len;
	int r;

	(void) p;
	if (fd_sealed_map(fd, POLICY_WIRE_BYTES_MAX, &at, &len, e) < 0)
		return -e->code;
	r = policy_load_wire("policy", at, len, POLICY_GATEWAY, &report, ret_doc, e);
	fd_sealed_unmap(at, len);
	policy_report_done(&report);
	if (r < 0)
		return r;
	r = policy_compile(*ret_doc, generation, NULL, 0, ret, e);
	if (r < 0) {
		policy_free(*ret_doc);
		*ret_doc = NULL;
	}
	return r;
}

void net_policy_load(struct net_policy *p, int fd, uint64_t generation)
{
	struct policy_snapshot *s = NULL;
	struct policy_doc *doc = NULL;
	struct err e = { 0 };

	if (load(p, fd, generation, &doc, &s, &e) < 0) {
		send_result(p, generation, &e);
		return;
	}
	policy_free(p->doc);
	p->doc = doc;
	p->generation = generation;
	swap(p, s);
	if (!p->entrypoint) {
		send_result(p, generation, NULL);
		return;
	}
	p->pending = true;
	resolve(p);
}

void net_policy_entrypoint(struct net_policy *p)
{
	p->entrypoint = true;
	if (p->current)
		resolve(p);
}
