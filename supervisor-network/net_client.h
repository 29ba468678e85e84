/* net_client.h - one connection of the workload: head, identity, decision, destination, relay.
 *
 * CONNECT and forward requests take the same way to a decision; a tunnel then
 * carries raw bytes (net_tunnel) or, when HTTP comes in it, enters the same
 * request loop that forward requests use (net_relay).  A client pins the policy
 * snapshot that decided its current request.
 */
#pragma once
#include "net_dial.h"
#include "net_http_framing.h"
#include "net_identity.h"
#include "net_leaf.h"
#include "net_stream.h"
#include "net_target.h"
#include "net_tunnel.h"

struct net_collect;
struct net_copy;
struct net_exchange;

enum net_phase {
	NET_PHASE_HEAD, /* reading a request head; also idle between requests */
	NET_PHASE_IDENTITY,
	NET_PHASE_BODY, /* reading a request body whole, before it goes on */
	NET_PHASE_RESOLVE,
	NET_PHASE_DIAL,
	NET_PHASE_PEEK,		   /* inside a tunnel: what does it carry? */
	NET_PHASE_SECURE,	   /* TLS with the client begins */
	NET_PHASE_TUNNEL,	   /* raw bytes */
	NET_PHASE_SECURE_UPSTREAM, /* TLS with the server begins; a request waits */
	NET_PHASE_RELAY,	   /* a request is under way upstream */
	NET_PHASE_COPY,		   /* the protocol was switched */
	NET_PHASE_LINGER,	   /* answered with a refusal; what still comes is dropped */
};

struct net_client {
	struct net_leaf *leaf;
	struct net_client *prev, *next;
	enum net_phase phase;
	struct net_stream *stream;
	uint64_t deadline_ms;
	struct loop_timer *again; /* a turn was cut short: edge-triggered events don't repeat */

	char *in; /* unread bytes of the client; NULL while idle, and in a raw tunnel */
	size_t in_len;
	unsigned answered; /* requests of this turn of the loop */
	bool served;	   /* a request was answered on this connection before */

	/* the request that is being decided */
	bool is_connect;      /* only ever the first one */
	bool tunnelled;	      /* requests come inside a tunnel: host and port of `to` are fixed */
	bool secure;	      /* inside TLS */
	bool upgrade;	      /* asks for WebSocket */
	struct {	      /* what its credentials ask for */
		bool scan;    /* of the body: no placeholder may pass */
		bool rewrite; /* of the body: placeholders are replaced */
		bool scrub;   /* of the response: what was injected is blanked */
	} care;
	struct net_head *head; /* slices of in */
	struct net_target to;  /* path and query: slices of in, or of canonical */
	char *canonical;
	struct net_body body;
	struct net_collect *collect; /* the body, when it was read before */
	bool holds_body;	     /* counted in the leaf, from then until it has been sent */

	struct identity_question question;
	uint32_t asked;
	struct net_who who;
	uint64_t who_ms; /* when it was answered; 0: never */

	struct policy_snapshot *pinned;
	struct policy_decision *decision;
	struct net_query *query;
	struct net_dial *dial;

	struct net_stream *upstream; /* kept between requests */
	char upstream_host[NET_HOST_MAX + 1];
	uint16_t upstream_port;
	struct addr upstream_addr;
	bool upstream_used; /* it carried a request */

	struct net_tunnel *tunnel;
	struct net_exchange *exchange;
	struct net_copy *copy;
};

/* ---- net_client.c ---- */

/* A client that was accepted; take_fd is its even when this fails.  ends: its addresses, as the identity
 * worker will be asked about them. */
int net_client_new(
	struct net_leaf *n, int take_fd, const struct identity_question *ends, struct err *e);
/* At once: what was not sent yet is lost. */
void net_client_free(struct net_client *c);
/* Connections that another generation decided end now. */
void net_client_close_stale(struct net_leaf *n, uint64_t generation);
/* Nobody is asked any more: identity, names, the dial.  An answer that still comes is for nobody, so
 * what was refused is not done after all. */
void net_client_cancel(struct net_client *c);
/* The current phase goes on in the next turn of the loop. */
void net_client_again(struct net_client *c);
/* Read what is there into in; false when the connection has ended or failed. */
bool net_client_fill(struct net_client *c);
/* A request was answered: wait for the next one.  May free c. */
void net_client_next(struct net_client *c);
/* Heads are awaited from now on; some bytes may be there.  May free c. */
void net_client_await_head(struct net_client *c);

/* ---- net_client_deadline.c ---- */

/* Its phase has until then, in place of what was set before. */
void net_client_deadline(struct net_client *c, uint64_t after_ms);
/* Clients whose deadline is not after now_ms end in the way of their phase.  The tick calls it with
 * the time; a test with a time to come. */
void net_client_expire(struct net_leaf *n, uint64_t now_ms);

/* ---- net_client_answer.c ---- */

/* Answer with JSON (net_refuse.h) and close.  reason "" is left out.  May free c. */
void net_client_refuse(struct net_client *c, unsigned status, const char *error, const char *detail,
	const char *reason);
/* Send these bytes, which may be none, as the last ones, and close.  May free c. */
void net_client_send_and_linger(struct net_client *c, const char *bytes, size_t len);
/* What the client still sends is read and dropped until it closes: a reset would take the answer away
 * from it.  May free c. */
void net_client_linger(struct net_client *c);
/* Tell the orchestrator (net_report.h), with the policy that decided the connection. */
void net_client_report(struct net_client *c, bool denied, const char *stage, const char *group,
	const char *engine, const char *reason);
/* The same for a request that rules of `policy` decided; group "audit" is always reported. */
void net_client_report_as(struct net_client *c, const char *policy, bool denied, const char *stage,
	const char *group, const char *engine, const char *reason);
/* Names the request in a sentence: "CONNECT h:p" or "GET h:p/path"; size bytes, cut. */
void net_client_name(const struct net_client *c, char *buf, size_t size);

/* ---- net_client_buffer.c ---- */

/* Have c->in.  false: no memory. */
bool net_client_buffer_want(struct net_client *c);
void net_client_buffer_spare(struct net_client *c); /* nothing in it is needed any more */
void net_client_buffer_done(struct net_leaf *n);    /* those that the leaf keeps for the next one */

/* ---- net_client_decide.c ---- */

/* in holds a whole head: parse and decide it.  May free c. */
void net_client_take_head(struct net_client *c, size_t head_len);
/* The destination is decided: resolve, check, dial.  May free c. */
void net_client_go(struct net_client *c);
/* The connection that is dialled or kept: for this target, and at an address that whoever asks now may
 * reach?  It may have been made for another program. */
bool net_client_upstream_fits(const struct net_client *c);
void net_client_drop_upstream(struct net_client *c);
/* The request was sent: once for each request, and once for a raw tunnel. */
void net_client_report_allowed(struct net_client *c);

/* ---- net_client_request.c ---- */

/* in holds a whole head of a request inside a tunnel: parse and judge it.  May free c. */
void net_client_take_tunnelled(struct net_client *c, size_t head_len);
/* The host is decided: do the rules allow the request in head, with the path in to?  May free c. */
void net_client_judge(struct net_client *c);
/* Its Host is not that of its tunnel, or it has none and asks for a credential.  May free c. */
void net_client_refuse_authority(struct net_client *c);

/* ---- net_client_tunnel.c ---- */

/* CONNECT is dialled: answer it and see what comes.  May free c. */
void net_client_open_tunnel(struct net_client *c);
/* One of the sockets is ready while it waits for the first bytes.  May free c. */
void net_client_peek(struct net_client *c);
/* Nothing came that says what the tunnel carries.  May free c. */
void net_client_peek_late(struct net_client *c);
/* It carries requests, in the clear or inside TLS that ended here.  May free c. */
void net_client_begin_http(struct net_client *c);

/* ---- net_client_secure.c; each may free c ---- */

/* in holds the beginning of a ClientHello: TLS with the client ends here. */
void net_client_begin_tls(struct net_client *c);
/* Its socket is ready in NET_PHASE_SECURE. */
void net_client_secure(struct net_client *c);
/* The upstream connection is there: TLS first, where it belongs, then the request. */
void net_client_begin_upstream(struct net_client *c);
/* The server's socket is ready in NET_PHASE_SECURE_UPSTREAM. */
void net_client_secure_upstream(struct net_client *c);
void net_client_refuse_upstream_tls(struct net_client *c, const struct err *why);
