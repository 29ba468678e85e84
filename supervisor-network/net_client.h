/* net_client.h - one connection of the workload: head, identity, decision, destination, relay.
 *
 * CONNECT and forward requests take the same way to a decision; what happens
 * after the dial differs (net_tunnel, net_forward).  A client pins the policy
 * snapshot that decided its current request.
 */
#pragma once
#include "net_dial.h"
#include "net_http_framing.h"
#include "net_identity.h"
#include "net_leaf.h"
#include "net_target.h"
#include "net_tunnel.h"

struct net_forward;

enum net_phase {
	NET_PHASE_HEAD, /* reading a request head; also idle between requests */
	NET_PHASE_IDENTITY,
	NET_PHASE_RESOLVE,
	NET_PHASE_DIAL,
	NET_PHASE_TUNNEL,
	NET_PHASE_FORWARD, /* a request is under way upstream */
	NET_PHASE_LINGER,  /* answered with a refusal; what still comes is dropped */
};

struct net_client {
	struct net_leaf *leaf;
	struct net_client *prev, *next;
	enum net_phase phase;
	int fd;
	struct loop_io *io; /* not while a tunnel has the descriptor */
	uint64_t deadline_ms;

	char *in; /* unread bytes of the client, NET_HEAD_MAX + NET_BUFFER; NULL in a tunnel */
	size_t in_len;
	bool served; /* a request was answered on this connection before */

	/* the request that is being decided */
	bool is_connect;
	struct net_head *head; /* slices of in */
	struct net_target to;
	char *path; /* canonical, where it differs from what was sent; to.path is a slice of it */
	struct net_body body;

	struct identity_question question;
	uint32_t asked;
	struct net_who who;
	uint64_t who_ms; /* when it was answered; 0: never */

	struct policy_snapshot *pinned;
	struct policy_decision *decision;
	struct net_query *query;
	struct net_dial *dial;
	int upstream;
	struct net_tunnel *tunnel;
	struct net_forward *forward;
};

int net_client_new(struct net_leaf *n, int take_fd, struct err *e);
void net_client_free(struct net_client *c);
/* Connections that another generation decided end now. */
void net_client_close_stale(struct net_leaf *n, uint64_t generation);

/* For net_forward.c and the parts of the client. */
void net_client_deadline(struct net_client *c, uint64_t after_ms);
/* Answer and close; reports when report is set. */
void net_client_refuse(struct net_client *c, unsigned status, const char *error, const char *detail,
	const char *reason);
void net_client_send_and_linger(struct net_client *c, const char *bytes, size_t len);
void net_client_report(struct net_client *c, bool denied, const char *stage, const char *group,
	const char *engine, const char *reason);
/* in holds a whole head: parse and decide it.  May free c. */
void net_client_take_head(struct net_client *c, size_t head_len);
/* Read what is there into in; false when the connection has ended or failed. */
bool net_client_fill(struct net_client *c);
/* Names the request in a sentence: "CONNECT h:p" or "GET h:p/path". */
void net_client_name(const struct net_client *c, char *buf, size_t size);
/* The destination is decided: resolve, check, dial. May free c. */
void net_client_go(struct net_client *c);
