/* net_refuse.h - refusals as the client sees them: JSON with cause, thing refused and remedy.
 *
 * Pure.  Each appends a whole answer, head and body, to t, for which NET_REFUSAL_MAX bytes are enough;
 * the caller closes the connection behind it.  Texts may hold any bytes: they are escaped, and long ones
 * are cut and end in "...".  An empty reason, remedy or binary is left out.
 */
#pragma once
#include <stdint.h>
#include "core_text.h"
#include "net_http_head.h"

#define NET_REFUSAL_MAX 8192 /* bytes */

/* Bare "HTTP/1.1 431 ...", no body. */
void net_refuse_bare(unsigned status, struct text *t);
/* {"error":error,"detail":detail[,"reason":reason]} with the header order of spec/network 0. */
void net_refuse_json(
	unsigned status, const char *error, const char *detail, const char *reason, struct text *t);
/* {"error":error,"message":message[,"reason":reason]}: the few refusals that have no detail
 * (spec/network 1.6, 5.6). */
void net_refuse_message(unsigned status, const char *error, const char *message, const char *reason,
	struct text *t);
/* The https-in-forward-form answer of spec/network 1.7. */
void net_refuse_https(struct text *t);

struct net_refusal { /* of a request by rules (spec/network 3.13) */
	const char *policy, *detail, *remedy, *protocol;
	struct net_slice method, path; /* path without query and credentials */
	const char *host;
	uint16_t port;
	const char *binary;
};
void net_refuse_policy(const struct net_refusal *r, struct text *t);
