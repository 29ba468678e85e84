/* net_relay.h - one HTTP exchange after the other between a client and an upstream server.
 *
 * The same loop serves forward requests and what comes inside a tunnel, in the
 * clear or over TLS that ended here.  A request gets here when it is decided;
 * heads are written anew in both directions and bodies are followed to their
 * exact end, so nothing can hide behind them.  Memory is constant: a side that
 * does not read stops the other.  Between two requests nothing but the upstream
 * connection is kept, for the same host and port and policy generation.
 */
#pragma once
#include "net_client.h"

/* The request in c->head is decided: send it, over the kept upstream connection or a new one (which
 * comes back by net_relay_connected()).  May free c. */
void net_relay_request(struct net_client *c);
void net_relay_connected(struct net_client *c);
/* A socket is ready in NET_PHASE_RELAY.  May free c. */
void net_relay_ready(struct net_client *c);
/* The deadline has passed in NET_PHASE_RELAY.  May free c. */
void net_relay_late(struct net_client *c);
void net_exchange_free(struct net_exchange *x);
