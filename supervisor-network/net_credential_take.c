/* net_credential_take.c - credentials as the orchestrator sends them. */
#include <errno.h>
#include <stdlib.h>
#include <sys/mman.h>
#include "core_fd.h"
#include "core_secret.h"
#include "ipc_network.pb-c.h"
#include "net_credentials.h"
#include "net_leaf.h"

#define ARENA_MORE (192 * 1024) /* bytes beside the texts: structures of everything at its limit */

static int fill(const Openshell__Ipc__NetCredential *from, struct credential_endpoint *endpoints,
	struct credential_spec *ret, struct err *e)
{
	*ret = (struct credential_spec){ .name = from->name,
		.value = from->has_value ? (const char *) from->value.data : NULL,
		.len = from->value.len,
		.handle = from->handle,
		.identity = from->identity,
		.expires_at_ms = from->expires_at_ms,
		.endpoints = endpoints,
		.n_endpoints = from->n_endpoints,
		.require = from->require };
	for (size_t i = 0; i < from->n_endpoints; i++) {
		const Openshell__Ipc__NetCredentialEndpoint *ep = from->endpoints[i];

		if (ep->port > UINT16_MAX)
			return err_set(e, EBADMSG, "malformed credential endpoint");
		endpoints[i] =
			(struct credential_endpoint){ ep->host, (uint16_t) ep->port, ep->path };
	}
	return 0;
}

static int update(struct net_credentials *c, const Openshell__Ipc__NetCredentials *m, struct err *e)
{
	AUTO_FREE struct credential_endpoint *endpoints = NULL;
	AUTO_FREE struct credential_spec *specs = NULL;
	size_t n = 0;

	for (size_t i = 0; i < m->n_credentials; i++)
		n += m->credentials[i]->n_endpoints;
	if (n > CREDENTIAL_ENDPOINTS_ALL_MAX || m->n_credentials > CREDENTIAL_MAX)
		return err_set(e, EBADMSG, "more credentials or endpoints than there may be");
	endpoints = calloc(n + 1, sizeof *endpoints);
	specs = calloc(m->n_credentials + 1, sizeof *specs);
	if (!endpoints || !specs)
		return err_set(e, ENOMEM, "credentials");
	n = 0;
	for (size_t i = 0; i < m->n_credentials; i++) {
		if (fill(m->credentials[i], endpoints + n, &specs[i], e) < 0)
			return -e->code;
		n += m->credentials[i]->n_endpoints;
	}
	return credential_store_update(c->store, m->revision, specs, m->n_credentials, e);
}

static int unpack(struct net_credentials *c, const void *at, size_t len, struct err *e)
{
	AUTO(secret_free) struct secret *memory = NULL;
	struct secret_arena arena = { 0 };
	ProtobufCAllocator allocator = { secret_arena_take, secret_arena_give, &arena };
	Openshell__Ipc__NetCredentials *m;

	/* protobuf-c copies what it unpacks; the copies are locked and wiped like the rest. */
	if (secret_new_empty(len + ARENA_MORE, &memory, e) < 0)
		return -e->code;
	arena.memory = memory;
	m = openshell__ipc__net_credentials__unpack(&allocator, len, at);
	return m ? update(c, m, e) : err_set(e, EBADMSG, "malformed credentials");
}

static int make(struct net_leaf *n, struct err *e)
{
	struct net_credentials *c;

	if (n->credentials)
		return 0;
	c = calloc(1, sizeof *c);
	if (!c)
		return err_set(e, ENOMEM, "credentials");
	if (credential_store_new(&c->store, e) < 0) {
		free(c);
		return -e->code;
	}
	n->credentials = c;
	return 0;
}

int net_credential_take(struct net_leaf *n, int fd, struct err *e)
{
	const void *at;
	size_t len;
	int r = make(n, e);

	if (r < 0)
		return r;
	r = fd_sealed_map(fd, CREDENTIAL_BUNDLE_MAX, &at, &len, e);
	if (r == 0) {
		/* Shared memory without a name counts as anonymous in core(5): left out like the
		 * copies. */
		(void) madvise((void *) (uintptr_t) at, len, MADV_DONTDUMP);
		r = unpack(n->credentials, at, len, e);
		fd_sealed_unmap(at, len);
	}
	if (r < 0)
		credential_store_revoke(n->credentials->store);
	return r < 0 ? err_wrap(e, "credentials") : 0;
}

void net_credential_free(struct net_leaf *n)
{
	if (!n->credentials)
		return;
	net_injected_free(n->credentials->idle);
	credential_store_free(n->credentials->store);
	free(n->credentials);
	n->credentials = NULL;
}
