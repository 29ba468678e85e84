/* net_collect.h - a request's body read whole, without its framing, before the request goes on.
 *
 * For what must see a body before any byte of its request goes upstream.  The
 * head stays in c->in meanwhile.  Bounded: a larger body is refused with 413, a
 * malformed one, or one with trailers, with 400.
 */
#pragma once
#include "net_client.h"

struct net_collect;

/* The body is in c->collect.  May free c. */
typedef void (*net_collect_fn)(struct net_client *c);

/* Read the body of the request in c->head, at most max bytes with its framing; a client that waits
 * to be asked (Expect) is asked.  May free c. */
void net_collect_begin(struct net_client *c, size_t max, net_collect_fn fn);
/* The client's socket is ready in NET_PHASE_BODY.  May free c. */
void net_collect_ready(struct net_client *c);
struct net_slice net_collect_bytes(const struct net_collect *k);
/* The client needs its body no more. */
void net_collect_release(struct net_client *c);
void net_collect_free(struct net_collect *k); /* wipes */
