/* net_http_forward.h - heads written anew: what goes upstream, and what comes back (spec/network 1.8).
 *
 * Pure.  Hop-by-hop fields end here; framing fields are written from what was
 * decided, not copied; nothing that was not parsed is passed on.
 */
#pragma once
#include "core_text.h"
#include "net_http_framing.h"
#include "net_target.h"

/* The request as origin-form with the target's authority as Host; t->cut when it did not fit. */
void net_forward_request(const struct net_head *h, const struct net_target *to,
	const struct net_body *body, struct text *t);
/* close_after: this connection ends behind the message. */
void net_forward_response(
	const struct net_head *h, const struct net_body *body, bool close_after, struct text *t);
