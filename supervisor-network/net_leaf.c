#include "core_hello.h"
#include "net_leaf.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include "core_log.h"
#include "ipc_common.pb-c.h"
#include "ipc_network.h"
#include "ipc_network.pb-c.h"
#include "net_client.h"
#include "net_credential.h"
#include "net_identity.h"
#include "net_listen.h"
#include "net_policy.h"
#include "net_resolve.h"
#include "net_tls.h"

static int on_NET_HELLO(void *owner, const struct channel_msg *m, int *fds, struct err *e)
{
	struct net_leaf *n = owner;

	(void) fds;
	if (hello_check(m, "orchestrator", e) < 0)
		return -e->code;
	n->state = NET_GREETED;
	return 0;
}

static int configure(struct net_leaf *n, const Openshell__Ipc__NetConfigure *c, struct err *e)
{
	if (addr_parse(c->proxy_address, strlen(c->proxy_address), &n->proxy) < 0 ||
		c->proxy_port > UINT16_MAX)
		return err_set(e, EBADMSG, "malformed proxy address");
	n->proxy_port = (uint16_t) c->proxy_port;
	n->identity_required = c->identity_required;
	n->report_activity = c->report_activity;
	n->has_gateway = c->trusted_gateway[0] &&
		addr_parse(c->trusted_gateway, strlen(c->trusted_gateway), &n->gateway) == 0;
	return net_resolve_servers(n->resolve, c->nameservers, c->n_nameservers, e);
}

static int on_NET_CONFIGURE(void *owner, const struct channel_msg *m, int *fds, struct err *e)
{
	struct net_leaf *n = owner;
	ProtobufCMessage *base;
	int r;

	(void) fds;
	if (channel_unpack(m, &openshell__ipc__net_configure__descriptor, &base, e) < 0)
		return -e->code;
	r = configure(n, (Openshell__Ipc__NetConfigure *) base, e);
	protobuf_c_message_free_unpacked(base, NULL);
	if (r == 0)
		n->state = NET_CONFIGURED;
	return r;
}

static int on_NET_LISTENER(void *owner, const struct channel_msg *m, int *fds, struct err *e)
{
	struct net_leaf *n = owner;

	(void) m;
	if (n->listen)
		return err_set(e, EALREADY, "a second listener");
	return net_listen_new(n, TAKE_FD(fds[0]), &n->listen, e);
}

static int on_NET_IDENTITY(void *owner, const struct channel_msg *m, int *fds, struct err *e)
{
	struct net_leaf *n = owner;

	(void) m;
	return net_identity_channel(n->identity, TAKE_FD(fds[0]), e);
}

static int on_NET_HOSTS(void *owner, const struct channel_msg *m, int *fds, struct err *e)
{
	struct net_leaf *n = owner;

	(void) m;
	return net_resolve_hosts(n->resolve, fds[0], e);
}

static int on_NET_POLICY(void *owner, const struct channel_msg *m, int *fds, struct err *e)
{
	struct net_leaf *n = owner;
	ProtobufCMessage *base;
	uint64_t generation;

	if (channel_unpack(m, &openshell__ipc__net_policy__descriptor, &base, e) < 0)
		return -e->code;
	generation = ((Openshell__Ipc__NetPolicy *) base)->generation;
	protobuf_c_message_free_unpacked(base, NULL);
	net_policy_load(n->policy, fds[0], generation);
	return 0;
}

static int on_NET_ENTRYPOINT(void *owner, const struct channel_msg *m, int *fds, struct err *e)
{
	struct net_leaf *n = owner;

	(void) m;
	(void) fds;
	(void) e;
	net_policy_entrypoint(n->policy);
	return 0;
}

static int on_NET_NAMESERVERS(void *owner, const struct channel_msg *m, int *fds, struct err *e)
{
	const Openshell__Ipc__NetConfigure *c;
	struct net_leaf *n = owner;
	ProtobufCMessage *base;
	int r;

	(void) fds;
	if (channel_unpack(m, &openshell__ipc__net_configure__descriptor, &base, e) < 0)
		return -e->code;
	c = (Openshell__Ipc__NetConfigure *) base;
	r = net_resolve_servers(n->resolve, c->nameservers, c->n_nameservers, e);
	protobuf_c_message_free_unpacked(base, NULL);
	return r;
}

static int on_NET_CREDENTIALS(void *owner, const struct channel_msg *m, int *fds, struct err *e)
{
	struct net_leaf *n = owner;

	(void) m;
	return net_credential_take(n, fds[0], e);
}

static int on_NET_AUTHORITY(void *owner, const struct channel_msg *m, int *fds, struct err *e)
{
	struct net_leaf *n = owner;
	ProtobufCMessage *base;
	int r;

	if (channel_unpack(m, &openshell__ipc__net_authority__descriptor, &base, e) < 0)
		return -e->code;
	r = net_tls_authority(
		&n->tls, ((Openshell__Ipc__NetAuthority *) base)->certificate, fds[0], e);
	protobuf_c_message_free_unpacked(base, NULL);
	return r;
}

static int on_NET_ROOTS(void *owner, const struct channel_msg *m, int *fds, struct err *e)
{
	struct net_leaf *n = owner;

	(void) m;
	return net_tls_roots(&n->tls, fds[0], e);
}

static int on_NET_STOP(void *owner, const struct channel_msg *m, int *fds, struct err *e)
{
	struct net_leaf *n = owner;

	(void) m;
	(void) fds;
	(void) e;
	loop_stop(n->loop);
	return 0;
}

#define X(n, num, lo, hi, fds, st) { #n, (num), (lo), (hi), (fds), (st), on_##n },
static const struct channel_rule net_rules[] = { NET_REQUESTS(X){ 0 } };
#undef X

void net_leaf_try_open_gate(struct net_leaf *n)
{
	Openshell__Ipc__NetReady m = OPENSHELL__IPC__NET_READY__INIT;
	struct err e = { 0 };

	if (n->ready_sent || !n->listen || !net_policy_current(n->policy) ||
		!net_policy_is_resolved(n->policy))
		return;
	if (net_listen_open_gate(n->listen, &e) < 0) {
		log_line(LOG_LEVEL_ERROR, "%s", e.text);
		loop_stop(n->loop);
		return;
	}
	n->state = NET_SERVING;
	n->ready_sent = true;
	m.generation = policy_snapshot_generation(net_policy_current(n->policy));
	if (channel_send(n->up, NET_READY, 0, &m.base, &e) < 0)
		loop_stop(n->loop);
}

static void on_end(void *owner, const struct err *why)
{
	struct net_leaf *n = owner;

	if (why->code)
		log_line(LOG_LEVEL_ERROR, "ended channel to the orchestrator: %s", why->text);
	loop_stop(n->loop);
}

int net_leaf_new(struct loop *l, struct net_leaf **ret, struct err *e)
{
	AUTO(net_leaf_free) struct net_leaf *n = calloc(1, sizeof *n);

	if (!n)
		return err_set(e, ENOMEM, "network leaf");
	n->loop = l;
	n->state = NET_NEW;
	n->identity_required = true;
	if (net_identity_new(n, &n->identity, e) < 0 || net_policy_new(n, &n->policy, e) < 0 ||
		net_resolve_new(l, &n->resolve, e) < 0)
		return -e->code;
	*ret = TAKE_PTR(n);
	return 0;
}

int net_leaf_open(struct net_leaf *n, int take_fd, struct err *e)
{
	const struct channel_user user = { net_rules, &n->state, on_end, n };

	if (channel_open(n->loop, take_fd, &user, &n->up, e) < 0)
		return -e->code;
	return hello_send(n->up, NET_GREETING, "openshell-supervisor-network", e);
}

void net_leaf_free(struct net_leaf *n)
{
	if (!n)
		return;
	while (n->clients)
		net_client_free(n->clients);
	net_client_buffer_done(n);
	net_tunnel_drain_pool();
	net_listen_free(n->listen);
	net_identity_free(n->identity);
	net_policy_free(n->policy);
	net_resolve_free(n->resolve);
	net_credential_free(n);
	net_tls_free(n->tls);
	loop_timer_free(n->tick);
	channel_free(n->up);
	free(n);
}
