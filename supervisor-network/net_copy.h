/* net_copy.h - bytes both ways between the two streams of a client, with half-close.
 *
 * For connections that switched protocols behind a decided request (WebSocket);
 * raw tunnels use net_tunnel, which costs less.
 */
#pragma once
#include "net_client.h"

/* early: what the upstream server sent behind its head; what the client sent is in c->in. */
int net_copy_new(struct net_client *c, const char *early, size_t early_len, struct net_copy **ret,
	struct err *e);
void net_copy_free(struct net_copy *y);
/* A socket is ready.  May free c. */
void net_copy_ready(struct net_client *c);
