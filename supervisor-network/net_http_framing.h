/* net_http_framing.h - where a message body ends (RFC 9112 6 and 7, spec/network 1.4).
 *
 * Pure.  Ambiguity is refused, never resolved: two lengths, a length beside a
 * coding, a list of codings, signs and blanks in numbers.
 */
#pragma once
#include <stdint.h>
#include "net_http_head.h"

enum net_framing {
	NET_BODY_NONE,
	NET_BODY_LENGTH,
	NET_BODY_CHUNKED,
	NET_BODY_TO_END, /* responses only: until the connection ends */
};

struct net_body {
	enum net_framing framing;
	uint64_t length; /* NET_BODY_LENGTH */
};

/* -EBADMSG with a sentence: the head leaves open where its body ends, or frames it in a way that
 * requests can't be. */
int net_body_of_request(const struct net_head *h, struct net_body *ret, struct err *e);
/* The same for a response; to_head: the request was a HEAD. */
int net_body_of_response(
	const struct net_head *h, bool to_head, struct net_body *ret, struct err *e);

struct net_chunked { /* zero-initialise */
	int state;
	uint64_t left;	 /* bytes of the current chunk's data */
	size_t line;	 /* bytes of the current size line or trailer */
	size_t trailers; /* bytes of all trailers */
	char name[32];	 /* beginning of the current trailer's name */
	bool digits;
	bool any_trailer; /* a trailer that names a framing field is not an error: it is dropped */
	char *keep;	  /* borrowed, NET_TRAILERS_MAX bytes, or NULL: the trailers go there */
	size_t kept;
};

/* How many of these bytes belong to the message; *ret_done when its last byte is among them.
 * Trailers that name a framing or routing field are refused. */
int net_chunked_feed(struct net_chunked *c, const char *bytes, size_t len, size_t *ret_used,
	bool *ret_done, struct err *e);
/* The same, as far as one run of chunk data, which is *ret_data (empty: these bytes held none). */
int net_chunked_next(struct net_chunked *c, const char *bytes, size_t len, size_t *ret_used,
	struct net_slice *ret_data, struct err *e);
bool net_chunked_is_done(const struct net_chunked *c);
/* Fields that frame, route or authenticate a message have no place behind its body. */
bool net_trailer_is_refused(struct net_slice name);
