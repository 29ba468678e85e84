/* net_http_body.h - a body on its way: followed to its exact end, framed anew.
 *
 * Pure.  What the sender wrote around the data (chunk sizes, extensions, bytes
 * behind the message) is read and never copied; trailers are parsed and written
 * anew.  Nothing of the next message can therefore be taken for this one.
 */
#pragma once
#include "core_credential_scan.h"
#include "core_credential_scrub.h"
#include "net_http_framing.h"

/* Bytes for a peer, in a buffer of fixed size. */
struct net_bytes {
	char *at;
	size_t size, len;
	size_t sent; /* of len; what is before it has left */
};

/* Fixed part of what one step may write beside data: a chunk's size and line ends. */
#define NET_CARRY_OVERHEAD 16

struct net_carry {
	struct net_body from;
	bool to_chunks; /* written as chunks; otherwise as it is */
	uint64_t left;
	struct net_chunked chunks;
	/* What the data goes through; borrowed, each may be NULL. */
	struct credential_scan *scan;
	struct credential_scrub *scrub;
	const struct credential_scrub *scrub_trailers; /* of whatever body */
	bool read;				       /* the last byte of the message was seen */
	bool flushed; /* what scan or scrub held back was written */
	bool done;    /* and the end was written */
};

/* keep: NET_TRAILERS_MAX bytes that outlive c, needed for chunked bodies only. */
void net_carry_init(struct net_carry *c, const struct net_body *from, bool is_request,
	bool to_chunks, char *keep);
/* Take what fits from in, write it to out.  Once read is set, done may need one more call with len 0
 * and an emptier out.  -EBADMSG: the body is malformed; -EACCES: it holds a credential's
 * placeholder, no byte of which is in out. */
int net_carry(struct net_carry *c, const char *in, size_t len, size_t *ret_used,
	struct net_bytes *out, struct err *e);
/* Bytes that may go from the sender to the receiver as they are, without net_carry(): 0 where
 * framing, scan or scrub must see them.  net_carry_went(): n of them did. */
size_t net_carry_straight(const struct net_carry *c, size_t max);
void net_carry_went(struct net_carry *c, size_t n);
/* The connection has ended: is the message whole?  Only one without framing is, and is read then. */
bool net_carry_at_end(struct net_carry *c);
