/* net_tunnel.h - bytes both ways between two sockets, by splice(2), with half-close.
 *
 * An idle tunnel holds no buffer and no pipe: pipes are taken from a small pool
 * while data is in flight.  Small transfers go through one shared buffer, as a
 * splice would cost two more system calls.
 */
#pragma once
#include "net_leaf.h"

/* Once, when both directions have ended, or either has failed. */
typedef void (*net_tunnel_fn)(void *owner);
struct net_tunnel;

struct net_tunnel_ends {
	int client, upstream; /* not taken: the owner closes them after net_tunnel_free() */
	const char *early;    /* what the client sent behind its request head; copied */
	size_t early_len;
	net_tunnel_fn fn;
	void *owner;
};

/* Watches both ends from now on.  Data moves from the loop, never from here. */
int net_tunnel_new(struct net_leaf *n, const struct net_tunnel_ends *ends, struct net_tunnel **ret,
	struct err *e);
/* May be called from fn. */
void net_tunnel_free(struct net_tunnel *t);
uint64_t net_tunnel_active_ms(const struct net_tunnel *t); /* when the last byte passed */
/* Close the pipes that are kept for the next tunnel. */
void net_tunnel_drain_pool(void);
