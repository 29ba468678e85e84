/* net_dial.h - connect to the first of some checked addresses that answers; nothing is resolved. */
#pragma once
#include "net_leaf.h"
#include "net_resolve.h"

/* fd < 0: code says why the last address failed.  Never called before net_dial_start() returns. */
typedef void (*net_dial_fn)(void *owner, int take_fd, const struct addr *to, int code);
struct net_dial;

struct net_dial_to {
	const struct net_addresses *addresses; /* at least one */
	uint16_t port;
	net_dial_fn fn;
	void *owner;
};

/* When the first address answers at once (this machine), *ret_fd is the connection, *ret NULL, and
 * fn is not called; otherwise *ret_fd is -1. */
int net_dial_start(struct net_leaf *n, const struct net_dial_to *to, struct net_dial **ret,
	int *ret_fd, struct err *e);
void net_dial_free(struct net_dial *d); /* also cancels */
DEFINE_AUTO(struct net_dial, net_dial_free)
