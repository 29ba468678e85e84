/* net_exchange.h - what the files of net_relay share: one request and its response, half done.
 *
 * An exchange belongs to its client (c->exchange) from the moment its upstream
 * connection is there until the message is with the client, and is one allocation:
 * everything that waits for a slow peer is in its four buffers, so memory does not
 * grow with a message.
 *
 *   client  --c->in------------> request.carry  --up-->      upstream
 *   client  <--client--  response.carry  <--in------------   upstream
 *
 * net_exchange.c   its life and its buffers
 * net_relay_up.c   the request: credentials, head, body; a second time where it must be
 * net_relay_down.c the response: head, body; credentials of ours are blanked
 * net_relay.c      both by turns, and what comes after: the next request, a failure, the end
 */
#pragma once
#include "net_client.h"
#include "net_collect.h"
#include "net_http_body.h"

/* Room for what is written at once: a head that was written anew, and some of its body. */
#define NET_EXCHANGE_UP (NET_SENT_HEAD_MAX + NET_STRAIGHT / 2)
#define NET_EXCHANGE_DOWN (NET_RESPONSE_HEAD_MAX + NET_BUFFER)
#define NET_EXCHANGE_LEAST (NET_EXCHANGE_DOWN + 1024)
#define NET_EXCHANGE_CLIENT (NET_STRAIGHT > NET_EXCHANGE_LEAST ? NET_STRAIGHT : NET_EXCHANGE_LEAST)
#define NET_EXCHANGE_WHOLE_MAX (2 * CREDENTIAL_BODY_MAX) /* bytes of a rewritten body */

struct net_exchange {
	struct net_carry request, response; /* where each body is */
	struct net_bytes to_up, to_client;  /* in up, and in client */

	/* the request, as it was asked */
	bool is_head, is_safe; /* HEAD; may be sent twice without harm */
	bool old_client;       /* HTTP/1.0: knows neither chunks nor interim responses */
	bool upgrade;	       /* asks for another protocol */
	bool close_after;      /* the client's connection ends behind the response */

	/* the request, on its way */
	bool reused;	/* over a kept connection, which its server may be giving up */
	bool repeated;	/* sent a second time */
	bool up_broken; /* no byte goes upstream any more */
	bool secret;	/* head_len bytes of up hold a credential */
	size_t head_len;
	size_t kept; /* bytes of its head that stay in the client's buffer, for a second time */
	struct credential_scan scan;
	char *whole; /* a body that was read and rewritten before; NULL: it comes from the client */
	size_t whole_len, whole_sent;

	/* the response */
	bool any_response; /* a byte of it came */
	bool head_done;	   /* its final head was taken */
	bool switched;	   /* and it was 101 */
	bool is_events;	   /* it may be silent for long */
	bool upstream_eof, upstream_close;
	bool told; /* bytes of it are with the client: no other answer can be given */
	unsigned informational;
	size_t in_len;			/* bytes not yet looked at */
	struct credential_scrub *scrub; /* what may not come back; NULL: nothing */

	char *trailers[2]; /* of request and response, NET_TRAILERS_MAX bytes each; NULL: none */
	/* From here on not cleared. */
	char up[NET_EXCHANGE_UP], client[NET_EXCHANGE_CLIENT], in[NET_EXCHANGE_DOWN];
};

/* ---- net_exchange.c ---- */

/* For the decided request in c->head and c->body, of which nothing was taken yet.  NULL: no memory. */
struct net_exchange *net_exchange_new(struct net_client *c);
/* Overwrite the credentials in the head that was written: it has left, or never will. */
void net_exchange_wipe(struct net_exchange *x);
/* Where the trailers of b are kept, `which` 0 of the request, 1 of the response.  NULL: they are
 * dropped, for b has none, or there is no memory. */
char *net_exchange_trailers(struct net_exchange *x, int which, const struct net_body *b);
/* Send what b holds.  1 all taken, 0 the rest waits, negative errno failed. */
int net_exchange_flush(struct net_stream *s, struct net_bytes *b);
/* A body that nothing looks at is read into the buffer that it leaves from.  > 0 bytes, 0 the end,
 * -EAGAIN nothing now, -ENOTSUP another way, another negative errno failed. */
ssize_t net_exchange_read_straight(
	struct net_stream *from, struct net_carry *body, struct net_bytes *to);

/* ---- net_relay_up.c ---- */

/* Request towards upstream.  1 progress, 0 waits, negative errno failed: -ECONNABORTED the client is
 * gone, -EBADMSG its body is malformed, -EACCES it holds a placeholder. */
int net_relay_up(struct net_client *c, struct err *e);
/* The request's head leaves the client's buffer, and the slices of it are gone. */
void net_relay_forget_head(struct net_client *c, size_t len);
/* The upstream connection failed: is the request sent again over a new one?  May free c if true. */
bool net_relay_retry(struct net_client *c);

/* ---- net_relay_down.c ---- */

/* Response towards the client.  1 progress, 0 waits, negative errno failed: -ECONNABORTED the client is
 * gone; else the server's fault, or its response may not be shown. */
int net_relay_down(struct net_client *c, struct err *e);

/* ---- net_relay.c ---- */

/* The exchange ends here: with an answer, or, where one was begun, cut off.  Frees c in the end. */
void net_relay_fail(struct net_client *c, const struct err *why);
