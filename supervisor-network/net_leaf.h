/* net_leaf.h - the network leaf behind its control channel, and what its parts share.
 *
 * One process, one loop, no privilege: everything here runs after net_main.c has
 * confined itself.  The leaf owns the listener, the current policy snapshot and
 * the list of clients; parts are handed the leaf and keep nothing global.
 */
#pragma once
#include <stdbool.h>
#include <stdint.h>
#include "core_addr.h"
#include "core_channel.h"
#include "core_cleanup.h"
#include "core_loop.h"
#include "core_policy_snapshot.h"
#include "net_limits.h"

struct net_client;
struct net_credentials;
struct net_identity;
struct net_listen;
struct net_policy;
struct net_resolve;
struct net_tls;

struct net_leaf {
	struct loop *loop;
	struct channel *up;
	uint32_t state;

	struct net_listen *listen;
	struct net_identity *identity;
	struct net_policy *policy;
	struct net_resolve *resolve;
	struct net_credentials *credentials; /* NULL: none were given */
	struct net_tls *tls;		     /* NULL: nothing to terminate TLS with; refuse */

	struct net_client *clients; /* doubly linked */
	size_t n_clients;
	char *spare_in[NET_SPARE_BUFFERS_MAX]; /* for net_client_buffer.c */
	unsigned n_spare_in;
	size_t n_bodies; /* clients that hold a body which was, or is being, read whole */
	struct loop_timer *tick;
	uint64_t tick_at_ms; /* 0: not armed */

	struct addr proxy; /* our own address, as the workload knows it */
	uint16_t proxy_port;
	bool identity_required, report_activity;
	bool has_gateway;
	struct addr gateway;

	uint64_t events_second;
	unsigned events_sent, events_dropped;
	bool ready_sent;
};

/* Without a channel; l is borrowed and outlives it. */
int net_leaf_new(struct loop *l, struct net_leaf **ret, struct err *e);
/* Greet the orchestrator at the other end of take_fd, and serve it. */
int net_leaf_open(struct net_leaf *n, int take_fd, struct err *e);
/* With all its parts and clients. */
void net_leaf_free(struct net_leaf *n);
/* The gate opens when entrypoint, policy and its aliases are there. */
void net_leaf_try_open_gate(struct net_leaf *n);
DEFINE_AUTO(struct net_leaf, net_leaf_free)
