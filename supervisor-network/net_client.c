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
#include "core_credential.h"
#include "net_collect.h"
#include "net_copy.h"
#include "net_refuse.h"
#include "net_relay.h"
#include "net_report.h"

static void on_client(void *owner);
static void on_tick(void *owner);

static void start_tick(struct net_leaf *n, uint64_t now, uint64_t at_ms)
{
	struct err e = { 0 };

	if (!n->tick && loop_timer_new(n->loop, on_tick, n, &n->tick, &e) < 0)
		return;
	n->tick_at_ms = at_ms;
	(void) loop_timer_start(n->tick, at_ms - now);
}

static void arm_tick(struct net_leaf *n, uint64_t now, uint64_t at_ms)
{
	if (at_ms < now + NET_TICK_MS)
		at_ms = now + NET_TICK_MS;
	if (!n->tick_at_ms || n->tick_at_ms > at_ms)
		start_tick(n, now, at_ms);
}

void net_client_deadline(struct net_client *c, uint64_t after_ms)
{
	uint64_t now = loop_now_ms(c->leaf->loop);

	c->deadline_ms = now + after_ms;
	arm_tick(c->leaf, now, c->deadline_ms);
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
	case NET_PHASE_SECURE_UPSTREAM:
		(void) snprintf(detail, sizeof detail,
			"%s:%u did not finish the TLS handshake in time", c->to.host, c->to.port);
		net_client_refuse(c, 504, "upstream_timeout", detail, "");
		break;
	case NET_PHASE_BODY:
		net_client_refuse(
			c, 408, "request_timeout", "the request body was not complete in time", "");
		break;
	case NET_PHASE_PEEK:
		net_client_peek_late(c);
		break;
	case NET_PHASE_RELAY:
		net_relay_late(c);
		break;
	case NET_PHASE_SECURE:
	case NET_PHASE_TUNNEL:
	case NET_PHASE_COPY:
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

void net_client_expire(struct net_leaf *n, uint64_t now_ms)
{
	for (struct net_client *c = n->clients, *after; c; c = after) {
		after = c->next;
		if (is_late(c, now_ms))
			too_late(c);
	}
}

static void on_tick(void *owner)
{
	struct net_leaf *n = owner;
	uint64_t now = loop_now_ms(n->loop), next = 0;

	n->tick_at_ms = 0;
	net_client_expire(n, now);
	for (struct net_client *c = n->clients; c; c = c->next)
		if (!next || c->deadline_ms < next)
			next = c->deadline_ms;
	if (next)
		arm_tick(n, now, next);
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

int net_client_new(
	struct net_leaf *n, int take_fd, const struct identity_question *ends, struct err *e)
{
	AUTO_CLOSE int fd = take_fd;
	struct net_client *c = calloc(1, sizeof *c);
	int r;

	if (!c)
		return err_set(e, ENOMEM, "client");
	c->leaf = n;
	c->question = *ends;
	c->who.caller = (struct identity_caller){ .exe = "", .sha256 = "", .reason = "" };
	link_client(c);
	c->head = calloc(1, sizeof *c->head);
	c->decision = malloc(sizeof *c->decision);
	if (!c->head || !c->decision)
		r = err_set(e, ENOMEM, "client");
	else
		r = net_stream_new(n->loop, TAKE_FD(fd), on_client, c, &c->stream, e);
	if (r < 0) {
		net_client_free(c);
		return r;
	}
	net_client_deadline(c, NET_HEADER_MS);
	return 0;
}

/* An answer that still comes is for nobody: what was refused is not done after all. */
static void cancel_questions(struct net_client *c)
{
	net_identity_cancel(c->leaf->identity, c->asked);
	c->asked = 0;
	net_resolve_cancel(TAKE_PTR(c->query));
	net_dial_free(TAKE_PTR(c->dial));
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
	cancel_questions(c);
	net_tunnel_free(c->tunnel);
	net_collect_free(c->collect);
	net_collect_release(c);
	net_copy_free(c->copy);
	net_exchange_free(c->exchange);
	net_who_done(&c->who);
	policy_snapshot_unref(c->pinned);
	net_stream_free(c->upstream);
	net_stream_free(c->stream);
	loop_timer_free(c->again);
	free(c->canonical);
	net_client_buffer_spare(c);
	free(c->head);
	free(c->decision);
	free(c);
}

void net_client_close_stale(struct net_leaf *n, uint64_t generation)
{
	for (struct net_client *c = n->clients, *after; c; c = after) {
		after = c->next;
		if (!c->pinned || policy_snapshot_generation(c->pinned) == generation)
			continue;
		if (c->phase == NET_PHASE_HEAD && !c->tunnelled)
			net_client_drop_upstream(c); /* idle: the next request is decided anew */
		else
			net_client_free(c);
	}
}

void net_client_name(const struct net_client *c, char *buf, size_t size)
{
	char path[257];
	struct text t;

	if (c->is_connect) {
		(void) snprintf(buf, size, "CONNECT %s:%u", c->to.host, c->to.port);
		return;
	}
	text_init(&t, path, sizeof path);
	if (c->to.path.at)
		credential_redact_target(c->to.path.at, c->to.path.len, &t);
	(void) snprintf(buf, size, "%.*s %s:%u%s",
		(int) (c->head->method.len < 32 ? c->head->method.len : 32),
		c->head->method.at ? c->head->method.at : "", c->to.host, c->to.port, path);
}

void net_client_report_as(struct net_client *c, const char *policy, bool denied, const char *stage,
	const char *group, const char *engine, const char *reason)
{
	struct net_report r = { .denied = denied,
		.audit = strcmp(group, "audit") == 0,
		.stage = stage,
		.group = group,
		.engine = engine,
		.host = c->to.host,
		.port = c->to.port,
		.caller = &c->who.caller,
		.policy = policy,
		.reason = reason,
		.source_port = c->question.peer_port,
		.generation = c->pinned ? policy_snapshot_generation(c->pinned) : 0 };

	if (!c->is_connect && c->head) {
		r.method = c->head->method;
		r.path = c->to.path;
		r.secure = c->secure;
	}
	net_report(c->leaf, &r);
}

void net_client_report(struct net_client *c, bool denied, const char *stage, const char *group,
	const char *engine, const char *reason)
{
	net_client_report_as(
		c, c->pinned ? c->decision->policy : "", denied, stage, group, engine, reason);
}

/* What the client still sends is read and dropped until it closes: a reset would take the answer
 * away from it. */
static void linger(struct net_client *c)
{
	int r = net_stream_drop_input(c->stream);

	if (r < 0)
		net_client_free(c);
	else if (r > 0)
		net_client_again(c);
}

void net_client_send_and_linger(struct net_client *c, const char *bytes, size_t len)
{
	/* A refusal is smaller than any socket buffer; a client that does not take it loses it. */
	if (len)
		(void) net_stream_write(c->stream, bytes, len);
	net_stream_end(c->stream);
	c->phase = NET_PHASE_LINGER;
	cancel_questions(c);
	net_collect_free(TAKE_PTR(c->collect));
	net_collect_release(c);
	net_exchange_free(TAKE_PTR(c->exchange));
	net_client_drop_upstream(c);
	/* A slow reader gets its time for what TLS still holds. */
	net_client_deadline(c, net_stream_is_sent(c->stream) ? NET_LINGER_MS : NET_KEEPALIVE_MS);
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
	size_t room = NET_CLIENT_BUFFER - c->in_len;
	ssize_t n;

	if (room == 0)
		return true;
	n = net_stream_read(c->stream, c->in + c->in_len, room);
	if (n > 0)
		c->in_len += (size_t) n;
	return n > 0 || n == -EAGAIN;
}

/* Length of the head that is there, 0 when it needs more; false: the client has ended. */
static bool read_head(struct net_client *c, size_t max, size_t *ret_len)
{
	size_t before;

	/* Edge-triggered: the end behind a part of a head is told only once. */
	while (*ret_len = net_head_end(c->in, c->in_len), !*ret_len && c->in_len < max) {
		before = c->in_len;
		if (!net_client_fill(c))
			return false;
		if (c->in_len == before)
			break;
	}
	return true;
}

static void on_head(struct net_client *c)
{
	size_t len, before = c->in_len;
	size_t max = c->tunnelled ? NET_TUNNEL_HEAD_MAX : NET_HEAD_MAX;

	if (!net_client_buffer_want(c) || !read_head(c, max, &len))
		net_client_send_and_linger(c, "", 0); /* the last answer may still be on its way */
	else if (len > max || (!len && c->in_len >= max))
		refuse_bare(c, 431);
	else if (len && c->tunnelled)
		net_client_take_tunnelled(c, len);
	else if (len)
		net_client_take_head(c, len);
	else if (c->served && !before && c->in_len)
		net_client_deadline(c, NET_HEADER_MS);
	else if (!c->in_len)
		net_client_buffer_spare(c);
}

void net_client_await_head(struct net_client *c)
{
	c->phase = NET_PHASE_HEAD;
	on_head(c);
}

void net_client_next(struct net_client *c)
{
	c->served = true;
	c->phase = NET_PHASE_HEAD;
	net_collect_release(c);
	net_client_deadline(c, c->in_len ? NET_HEADER_MS : NET_KEEPALIVE_MS);
	if (++c->answered < NET_PIPELINE_TURN)
		on_head(c);
	else
		net_client_again(c);
}

static void go_on(struct net_client *c)
{
	c->answered = 0;
	switch (c->phase) {
	case NET_PHASE_HEAD:
		on_head(c);
		break;
	case NET_PHASE_LINGER:
		linger(c);
		break;
	case NET_PHASE_PEEK:
		net_client_peek(c);
		break;
	case NET_PHASE_BODY:
		net_collect_ready(c);
		break;
	case NET_PHASE_SECURE:
		net_client_secure(c);
		break;
	case NET_PHASE_RELAY:
		/* Between its request and the answer nobody reads it, and its server may be silent. */
		if (net_stream_is_broken(c->stream))
			net_client_free(c);
		else
			net_relay_ready(c);
		break;
	case NET_PHASE_COPY:
		net_copy_ready(c);
		break;
	case NET_PHASE_IDENTITY:
	case NET_PHASE_RESOLVE:
	case NET_PHASE_DIAL:
	case NET_PHASE_SECURE_UPSTREAM:
	case NET_PHASE_TUNNEL:
		break; /* what it sends meanwhile stays in the socket */
	}
}

static void on_client(void *owner)
{
	go_on(owner);
}

void net_client_again(struct net_client *c)
{
	struct err e = { 0 };

	if (!c->again && loop_timer_new(c->leaf->loop, on_client, c, &c->again, &e) < 0) {
		c->deadline_ms = 0; /* without a timer the tick ends it */
		return;
	}
	(void) loop_timer_start(c->again, 0);
}
