/* net_forward.h - plain HTTP requests in absolute form, one after the other on one connection.
 *
 * Each request is decided anew before a byte of it goes upstream.  Heads are
 * written anew in both directions, bodies are followed to their exact end, so
 * nothing can hide behind them.  The upstream connection is kept for the next
 * request to the same host and port while the policy generation is the same.
 */
#pragma once
#include "net_client.h"

/* The dial is done, or an upstream connection is kept: send the decided request. May free c. */
void net_forward_start(struct net_client *c);
bool net_forward_can_reuse(struct net_client *c);
/* The client's socket is ready in NET_PHASE_FORWARD. May free c. */
void net_forward_ready(struct net_client *c, unsigned ready);
/* Drop the kept upstream connection. */
void net_forward_forget(struct net_client *c);
void net_forward_free(struct net_forward *f);
