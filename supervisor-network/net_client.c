/* net_client.c - life of a client: accept, head, deadlines, refusal, end. */
#include "net_client.h"
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include "net_forward.h"
#include "net_refuse.h"
#include "net_report.h"

#define IN_SIZE (NET_HEAD_MAX + NET_BUFFER)

static void on_ready(void *owner, int fd, unsigned ready);
static void on_tick(void *owner);

static void arm_tick(struct net_leaf *n, uint64_t at_ms)
{
	uint64_t now = loop_now_ms(n->loop);
	uint64_t earliest = now + NET_TICK_MS;
	struct err e = { 0 };

	if (at_ms < earliest)
		at_ms = earliest;
	if (n->tick_at_ms && n->tick_at_ms <= at_ms)
		return;
	if (!n->tick && loop_timer_new(n->loop, on_tick, n, &n->tick, &e) < 0)
		return;
	n->tick_at_ms = at_ms;
	(void) loop_timer_start(n->tick, at_ms - now);
}

void net_client_deadline(struct net_client *c, uint64_t after_ms)
{
	c->deadline_ms = loop_now_ms(c->leaf->loop) + after_ms;
	arm_tick(c->leaf, c->deadline_ms);
}

static void too_late(struct net_client *c)
{
	char detail[512], name[400];

	net_client_name(c, name, sizeof name);
	switch (c->phase) {
	case NET_PHASE_HEAD:
		if (c->in_len == 0) {
			net_client_free(c);
			return;
		}
		net_client_refuse(
			c, 408, "request_timeout", "the request head was not complete in time", "");
		break;
	case NET_PHASE_IDENTITY:
		(void) snprintf(detail, sizeof detail, "%s not permitted by policy", name);
		net_client_refuse(c, 403, "policy_denied", detail,
			"the calling program could not be identified in time; try again");
		break;
	case NET_PHASE_RESOLVE:
	case NET_PHASE_DIAL:
		(void) snprintf(detail, sizeof detail, "connection to %s:%u failed", c->to.host,
			c->to.port);
		net_client_refuse(c, 502, "upstream_unreachable", detail, "no answer in time");
		break;
	case NET_PHASE_TUNNEL:
	case NET_PHASE_FORWARD:
	case NET_PHASE_LINGER:
		net_client_free(c);
		break;
	}
}

/* A tunnel moves its deadline by being used; it is asked only when the deadline is reached. */
static bool is_late(struct net_client *c, uint64_t now)
{
	if (c->tunnel)
		c->deadline_ms = net_tunnel_active_ms(c->tunnel) + NET_IDLE_MS;
	return c->deadline_ms <= now;
}

static void on_tick(void *owner)
{
	struct net_leaf *n = owner;
	uint64_t now = loop_now_ms(n->loop), next = 0;

	n->tick_at_ms = 0;
	for (struct net_client *c = n->clients, *after; c; c = after) {
		after = c->next;
		if (is_late(c, now))
			too_late(c);
	}
	for (struct net_client *c = n->clients; c; c = c->next)
		if (!next || c->deadline_ms < next)
			next = c->deadline_ms;
	if (next)
		arm_tick(n, next);
}

static int addresses_of(struct net_client *c, struct err *e)
{
	struct sockaddr_storage peer = { 0 }, local = { 0 };
	socklen_t peer_len = sizeof peer, local_len = sizeof local;

	if (getpeername(c->fd, (struct sockaddr *) &peer, &peer_len) < 0 ||
		getsockname(c->fd, (struct sockaddr *) &local, &local_len) < 0)
		return err_set(e, errno, "addresses of a connection");
	if (addr_from_sockaddr((struct sockaddr *) &peer, peer_len, &c->question.peer,
		    &c->question.peer_port) < 0 ||
		addr_from_sockaddr((struct sockaddr *) &local, local_len, &c->question.local,
			&c->question.local_port) < 0)
		return err_set(e, EAFNOSUPPORT, "addresses of a connection");
	return 0;
}

static void link_client(struct net_client *c)
{
	struct net_leaf *n = c->leaf;

	c->next = n->clients;
	if (n->clients)
		n->clients->prev = c;
	n->clients = c;
	n->n_clients++;
}

int net_client_new(struct net_leaf *n, int take_fd, struct err *e)
{
	AUTO_CLOSE int fd = take_fd;
	struct net_client *c = calloc(1, sizeof *c);
	int one = 1;

	if (!c)
		return err_set(e, ENOMEM, "client");
	c->leaf = n;
	c->upstream = -1;
	c->fd = TAKE_FD(fd);
	c->who.caller = (struct identity_caller){ .exe = "", .sha256 = "", .reason = "" };
	link_client(c);
	c->in = malloc(IN_SIZE);
	c->head = calloc(1, sizeof *c->head);
	c->decision = malloc(sizeof *c->decision);
	(void) setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
	if (!c->in || !c->head || !c->decision || addresses_of(c, e) < 0 ||
		loop_io_new(n->loop, c->fd, on_ready, c, &c->io, e) < 0 ||
		loop_io_watch(c->io, LOOP_READ) < 0) {
		net_client_free(c);
		return e->code ? -e->code : err_set(e, ENOMEM, "client");
	}
	net_client_deadline(c, NET_HEADER_MS);
	return 0;
}

void net_client_free(struct net_client *c)
{
	struct net_leaf *n = c->leaf;

	if (c->prev)
		c->prev->next = c->next;
	else
		n->clients = c->next;
	if (c->next)
		c->next->prev = c->prev;
	n->n_clients--;
	net_identity_cancel(n->identity, c->asked);
	net_resolve_cancel(c->query);
	net_dial_free(c->dial);
	net_tunnel_free(c->tunnel);
	net_forward_free(c->forward);
	net_who_done(&c->who);
	policy_snapshot_unref(c->pinned);
	loop_io_free(c->io);
	core_closep(&c->upstream);
	(void) close(c->fd);
	free(c->in);
	free(c->head);
	free(c->path);
	free(c->decision);
	free(c);
}

void net_client_close_stale(struct net_leaf *n, uint64_t generation)
{
	for (struct net_client *c = n->clients, *after; c; c = after) {
		after = c->next;
		if (!c->pinned || policy_snapshot_generation(c->pinned) == generation)
			continue;
		if (c->phase == NET_PHASE_HEAD)
			net_forward_forget(c); /* idle: the next request is decided anew */
		else
			net_client_free(c);
	}
}

void net_client_name(const struct net_client *c, char *buf, size_t size)
{
	if (c->is_connect) {
		(void) snprintf(buf, size, "CONNECT %s:%u", c->to.host, c->to.port);
		return;
	}
	(void) snprintf(buf, size, "%.*s %s:%u%.*s",
		(int) (c->head->method.len < 32 ? c->head->method.len : 32),
		c->head->method.at ? c->head->method.at : "", c->to.host, c->to.port,
		(int) (c->to.path.len < 256 ? c->to.path.len : 256),
		c->to.path.at ? c->to.path.at : "");
}

void net_client_report(struct net_client *c, bool denied, const char *stage, const char *group,
	const char *engine, const char *reason)
{
	struct net_report r = { .denied = denied,
		.stage = stage,
		.group = group,
		.engine = engine,
		.host = c->to.host,
		.port = c->to.port,
		.caller = &c->who.caller,
		.policy = c->pinned ? c->decision->policy : "",
		.reason = reason,
		.source_port = c->question.peer_port,
		.generation = c->pinned ? policy_snapshot_generation(c->pinned) : 0 };

	if (!c->is_connect) {
		r.method = c->head->method;
		r.path = c->to.path;
	}
	net_report(c->leaf, &r);
}

/* What the client still sends is read and dropped until it closes: a reset would take the answer
 * away from it. */
static void linger(struct net_client *c)
{
	static char sink[NET_BUFFER];
	ssize_t n;

	do
		n = recv(c->fd, sink, sizeof sink, MSG_DONTWAIT);
	while (n > 0);
	if (n == 0 || errno != EAGAIN)
		net_client_free(c);
}

void net_client_send_and_linger(struct net_client *c, const char *bytes, size_t len)
{
	/* A refusal is smaller than any socket buffer; a client that does not take it loses it. */
	(void) send(c->fd, bytes, len, MSG_DONTWAIT | MSG_NOSIGNAL);
	(void) shutdown(c->fd, SHUT_WR);
	c->phase = NET_PHASE_LINGER;
	if (c->forward)
		net_forward_forget(c);
	(void) loop_io_watch(c->io, LOOP_READ);
	net_client_deadline(c, NET_LINGER_MS);
	linger(c);
}

void net_client_refuse(struct net_client *c, unsigned status, const char *error, const char *detail,
	const char *reason)
{
	char answer[NET_REFUSAL_MAX];
	struct text t;

	text_init(&t, answer, sizeof answer);
	net_refuse_json(status, error, detail, reason, &t);
	net_client_send_and_linger(c, answer, t.len);
}

static void refuse_bare(struct net_client *c, unsigned status)
{
	char answer[256];
	struct text t;

	text_init(&t, answer, sizeof answer);
	net_refuse_bare(status, &t);
	net_client_send_and_linger(c, answer, t.len);
}

bool net_client_fill(struct net_client *c)
{
	size_t room = IN_SIZE - c->in_len;
	ssize_t n;

	if (room == 0)
		return true;
	n = recv(c->fd, c->in + c->in_len, room, MSG_DONTWAIT);
	if (n > 0)
		c->in_len += (size_t) n;
	return n > 0 || (n < 0 && errno == EAGAIN);
}

static void on_head(struct net_client *c)
{
	size_t len, before = c->in_len;

	if (!net_client_fill(c)) {
		net_client_free(c);
		return;
	}
	len = net_head_end(c->in, c->in_len);
	if (len > NET_HEAD_MAX || (!len && c->in_len >= NET_HEAD_MAX))
		refuse_bare(c, 431);
	else if (len)
		net_client_take_head(c, len);
	else if (c->served && c->in_len && !before) /* once: a later byte gives no more time */
		net_client_deadline(c, NET_HEADER_MS);
}

static void on_ready(void *owner, int fd, unsigned ready)
{
	struct net_client *c = owner;

	(void) fd;
	switch (c->phase) {
	case NET_PHASE_HEAD:
		on_head(c);
		break;
	case NET_PHASE_LINGER:
		linger(c);
		break;
	case NET_PHASE_FORWARD:
		net_forward_ready(c, ready);
		break;
	case NET_PHASE_IDENTITY:
	case NET_PHASE_RESOLVE:
	case NET_PHASE_DIAL:
	case NET_PHASE_TUNNEL:
		/* What it sends meanwhile stays in the socket. Edge-triggered, this was said once. */
		if (!c->forward)
			(void) loop_io_watch(c->io, 0);
		break;
	}
}
