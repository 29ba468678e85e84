/* net_http_write.h - heads written anew: what goes upstream, and what comes back (spec/network 1.6, 1.8).
 *
 * Pure.  Hop-by-hop fields end here; framing fields are written from what was
 * decided, not copied; nothing that was not parsed is passed on.
 */
#pragma once
#include "core_text.h"
#include "net_http_framing.h"
#include "net_target.h"

struct net_write_request {
	const struct net_head *head;
	const struct net_target *to; /* path and query as they are to be sent */
	const struct net_body *body;
	uint16_t default_port; /* left out of Host: 80, or 443 inside TLS */
	bool via;	       /* say who forwarded it */
	bool searched;	       /* its response is looked through: asked for whole and unencoded */
	bool asked;	       /* its Expect was answered here */
	bool upgrade;	       /* a valid WebSocket handshake */
};

struct net_write_response {
	const struct net_head *head;
	const struct net_body *body; /* as it is written to the client */
	bool close_after;	     /* this connection ends behind the message */
	bool upgrade;
};

/* Origin form with the target's authority as Host; t->cut when it did not fit. */
void net_write_request(const struct net_write_request *w, struct text *t);
void net_write_response(const struct net_write_response *w, struct text *t);
