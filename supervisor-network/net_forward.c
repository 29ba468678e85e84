#include "net_forward.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include "net_http_forward.h"

#define OUT_SIZE (NET_RESPONSE_HEAD_MAX + NET_BUFFER + 1024)
#define UP_SIZE (NET_HEAD_MAX + NET_BUFFER + 1024)

struct out { /* bytes that a socket has not taken yet */
	size_t at, len;
};

struct message { /* a body on its way */
	struct net_body body;
	struct net_chunked chunks;
	uint64_t left;
	bool done;
};

struct net_forward {
	struct loop_io *io;	  /* upstream */
	struct loop_timer *again; /* a turn was cut short: edge-triggered events don't repeat */
	int fd;			  /* -1: none kept */
	char host[NET_HOST_MAX + 1];
	uint16_t port;
	bool reused, any_response, upstream_eof;

	struct message request, response;
	bool response_head_done, close_after, upstream_close, is_head;
	unsigned informational;

	struct out to_up, to_client;
	size_t in_len; /* of response bytes not yet looked at */
	char up[UP_SIZE], client[OUT_SIZE], in[NET_RESPONSE_HEAD_MAX + NET_BUFFER];
};

static void pump(struct net_client *c);

static void on_upstream(void *owner, int fd, unsigned ready)
{
	(void) fd;
	(void) ready;
	pump(owner);
}

static void on_again(void *owner)
{
	struct net_client *c = owner;

	if (c->phase == NET_PHASE_FORWARD)
		pump(c);
}

void net_forward_free(struct net_forward *f)
{
	if (!f)
		return;
	loop_io_free(f->io);
	loop_timer_free(f->again);
	core_closep(&f->fd);
	free(f);
}

void net_forward_forget(struct net_client *c)
{
	struct net_forward *f = c->forward;

	if (!f)
		return;
	loop_io_free(TAKE_PTR(f->io));
	core_closep(&f->fd);
	f->fd = -1;
}

bool net_forward_can_reuse(struct net_client *c)
{
	const struct net_forward *f = c->forward;

	return !c->is_connect && f && f->fd >= 0 && f->port == c->to.port &&
		strcmp(f->host, c->to.host) == 0;
}

static int adopt(struct net_client *c, struct err *e)
{
	struct net_forward *f = c->forward;

	if (!f) {
		f = c->forward = malloc(sizeof *f); /* large buffers: not cleared */
		if (!f)
			return err_set(e, ENOMEM, "forward request");
		f->io = NULL;
		f->again = NULL;
		f->fd = -1;
		if (loop_timer_new(c->leaf->loop, on_again, c, &f->again, e) < 0)
			return -e->code;
	}
	f->reused = f->fd >= 0;
	if (f->reused)
		return 0;
	f->fd = TAKE_FD(c->upstream);
	(void) snprintf(f->host, sizeof f->host, "%s", c->to.host);
	f->port = c->to.port;
	if (loop_io_new(c->leaf->loop, f->fd, on_upstream, c, &f->io, e) < 0)
		return -e->code;
	return loop_io_watch(f->io, LOOP_READ | LOOP_WRITE | LOOP_EDGE) < 0
		? err_set(e, EIO, "watch an upstream connection")
		: 0;
}

static bool wants_close(const struct net_head *h)
{
	return h->minor == 0 || net_head_has_token(h, "connection", "close") ||
		net_head_has_token(h, "proxy-connection", "close");
}

static void reset(struct net_client *c)
{
	struct net_forward *f = c->forward;

	f->request = (struct message){ .body = c->body, .left = c->body.length };
	f->request.done = c->body.framing == NET_BODY_NONE ||
		(c->body.framing == NET_BODY_LENGTH && c->body.length == 0);
	f->response = (struct message){ 0 };
	f->response_head_done = f->any_response = f->upstream_eof = false;
	f->upstream_close = false;
	f->informational = 0;
	f->close_after = wants_close(c->head);
	f->is_head = net_slice_is(c->head->method, "HEAD");
	f->to_up = f->to_client = (struct out){ 0, 0 };
	f->in_len = 0;
}

static void shift(struct net_client *c, size_t n)
{
	(void) memmove(c->in, c->in + n, c->in_len - n);
	c->in_len -= n;
}

void net_forward_start(struct net_client *c)
{
	struct err e = { 0 };
	struct text t;

	c->phase = NET_PHASE_FORWARD;
	if (adopt(c, &e) < 0) {
		net_client_refuse(c, 502, "upstream_unreachable", e.text, "");
		return;
	}
	reset(c);
	text_init(&t, c->forward->up, sizeof c->forward->up);
	net_forward_request(c->head, &c->to, &c->body, &t);
	if (t.cut) {
		net_client_refuse(c, 400, "malformed_request", "the request head is too large", "");
		return;
	}
	c->forward->to_up.len = t.len;
	net_client_report(c, false, "forward", "unknown", "policy", "");
	/* From here on the head's slices are gone; what is needed was taken. */
	shift(c, c->head->len);
	net_client_deadline(c, NET_RESPONSE_MS);
	(void) loop_io_watch(c->io, LOOP_READ | LOOP_WRITE | LOOP_EDGE);
	pump(c);
}

/* 1 all taken, 0 waits, negative failed. */
static int flush(int fd, const char *buf, struct out *o)
{
	while (o->at < o->len) {
		ssize_t n = send(fd, buf + o->at, o->len - o->at, MSG_DONTWAIT | MSG_NOSIGNAL);

		if (n < 0)
			return errno == EAGAIN ? 0 : -errno;
		o->at += (size_t) n;
	}
	o->at = o->len = 0;
	return 1;
}

/* How many of these bytes are body; done at the end of the message. */
static int take(struct message *m, const char *bytes, size_t len, size_t *ret_used, struct err *e)
{
	switch (m->body.framing) {
	case NET_BODY_LENGTH:
		*ret_used = len < m->left ? len : (size_t) m->left;
		m->left -= *ret_used;
		m->done = m->left == 0;
		return 0;
	case NET_BODY_CHUNKED:
		return net_chunked_feed(&m->chunks, bytes, len, ret_used, &m->done, e);
	case NET_BODY_TO_END:
		*ret_used = len;
		return 0;
	case NET_BODY_NONE:
		*ret_used = 0;
		m->done = true;
		return 0;
	}
	return 0;
}

/* Request body towards upstream.  1 progress, 0 waits, negative failed. */
static int pump_up(struct net_client *c, struct err *e)
{
	struct net_forward *f = c->forward;
	size_t used, room;
	int r = flush(f->fd, f->up, &f->to_up);

	if (r < 0)
		/* The answer may be there although the request was not read to its end. */
		return f->upstream_eof || r == -EPIPE || r == -ECONNRESET
			? 0
			: err_set(e, -r, "send the request");
	if (r == 0 || f->request.done)
		return 0;
	if (c->in_len == 0 && !net_client_fill(c))
		return err_set(e, ECONNRESET, "the client ended");
	if (c->in_len == 0)
		return 0;
	room = c->in_len < NET_BUFFER ? c->in_len : NET_BUFFER;
	if (take(&f->request, c->in, room, &used, e) < 0)
		return -e->code;
	(void) memcpy(f->up, c->in, used);
	f->to_up = (struct out){ 0, used };
	shift(c, used);
	return 1;
}

static void drop_in(struct net_forward *f, size_t n)
{
	(void) memmove(f->in, f->in + n, f->in_len - n);
	f->in_len -= n;
}

/* 1 a head was written towards the client, 0 incomplete, negative malformed. */
static int response_head(struct net_client *c, struct err *e)
{
	static struct net_head head; /* one loop, not kept between calls */
	struct net_forward *f = c->forward;
	size_t len = net_head_end(f->in, f->in_len);
	struct text t;

	if (len > NET_RESPONSE_HEAD_MAX || (!len && f->in_len >= NET_RESPONSE_HEAD_MAX))
		return err_set(
			e, EBADMSG, "response head of more than %d bytes", NET_RESPONSE_HEAD_MAX);
	if (!len)
		return 0;
	if (net_head_response(f->in, len, &head, e) < 0 ||
		net_body_of_response(&head, f->is_head, &f->response.body, e) < 0)
		return -e->code;
	if (head.status == 101)
		return err_set(e, EPROTO, "the server switched protocols, which was not asked for");
	if (head.status < 200 && ++f->informational > NET_INFORMATIONAL_MAX)
		return err_set(e, EPROTO, "more than %d interim responses", NET_INFORMATIONAL_MAX);
	f->response.left = f->response.body.length;
	f->upstream_close |= head.minor == 0 || net_head_has_token(&head, "connection", "close");
	f->close_after |= f->response.body.framing == NET_BODY_TO_END;
	text_init(&t, f->client + f->to_client.len, sizeof f->client - f->to_client.len);
	net_forward_response(&head, &f->response.body, f->close_after, &t);
	if (t.cut)
		return err_set(e, EBADMSG, "response head is too large");
	f->to_client.len += t.len;
	drop_in(f, len);
	if (head.status < 200)
		return 1;
	f->response_head_done = true;
	f->response.done = f->response.body.framing == NET_BODY_NONE ||
		(f->response.body.framing == NET_BODY_LENGTH && f->response.body.length == 0);
	return 1;
}

static int read_upstream(struct net_forward *f)
{
	ssize_t n;

	if (f->upstream_eof || f->in_len == sizeof f->in)
		return 0;
	n = recv(f->fd, f->in + f->in_len, sizeof f->in - f->in_len, MSG_DONTWAIT);
	if (n < 0)
		return errno == EAGAIN ? 0 : -errno;
	if (n == 0)
		f->upstream_eof = true;
	f->any_response |= n > 0;
	f->in_len += (size_t) n;
	return 1;
}

static int response_body(struct net_forward *f, struct err *e)
{
	size_t used = 0, room = sizeof f->client - f->to_client.len;

	if (room > f->in_len)
		room = f->in_len;
	if (room == 0)
		return 0;
	if (take(&f->response, f->in, room, &used, e) < 0)
		return -e->code;
	(void) memcpy(f->client + f->to_client.len, f->in, used);
	f->to_client.len += used;
	drop_in(f, used);
	return used > 0;
}

/* Response towards the client.  1 progress, 0 waits, negative failed. */
static int pump_down(struct net_client *c, struct err *e)
{
	struct net_forward *f = c->forward;
	int r = flush(c->fd, f->client, &f->to_client), got;

	if (r < 0)
		return err_set(e, -r, "send the response");
	if (r == 0 || f->response.done)
		return 0;
	got = f->in_len ? 0 : read_upstream(f);
	if (got < 0)
		return err_set(e, -got, "read the response");
	r = f->response_head_done ? 0 : response_head(c, e);
	if (r >= 0 && f->response_head_done && !f->response.done && f->in_len)
		r = response_body(f, e);
	if (r != 0)
		return r;
	if (f->upstream_eof && f->response_head_done &&
		f->response.body.framing == NET_BODY_TO_END) {
		f->response.done = true;
		return 1;
	}
	if (f->upstream_eof)
		return err_set(e, ECONNRESET, "the server ended before its response was complete");
	/* An incomplete head: is there more already? */
	got = read_upstream(f);
	return got < 0 ? err_set(e, -got, "read the response") : got;
}

/* An idle kept connection that the server closed meanwhile: once more on a new one, when nothing
 * of the request could have had an effect. */
static bool retry(struct net_client *c)
{
	struct net_forward *f = c->forward;

	if (!f->reused || f->any_response || f->request.body.framing != NET_BODY_NONE)
		return false;
	return true;
}

static void fail(struct net_client *c, bool by_client, const struct err *why)
{
	struct net_forward *f = c->forward;
	char detail[512];

	(void) loop_io_watch(c->io, 0);
	if (by_client && why->code == EBADMSG && !f->any_response && !f->to_client.len) {
		net_client_refuse(c, 400, "malformed_request", why->text, "");
		return;
	}
	if (f->response_head_done || f->any_response || f->to_client.len) {
		if (!f->response_head_done && !f->to_client.len) {
			(void) snprintf(detail, sizeof detail, "response of %s:%u was refused",
				f->host, f->port);
			net_client_refuse(c, 502, "upstream_response_invalid", detail, why->text);
			return;
		}
		net_client_free(c); /* a cut connection is the only way to say it now */
		return;
	}
	(void) snprintf(detail, sizeof detail, "connection to %s:%u failed", f->host, f->port);
	net_client_refuse(c, 502, "upstream_unreachable", detail, why->text);
}

/* true: the connection goes on with the next request. */
static bool finish(struct net_client *c)
{
	struct net_forward *f = c->forward;

	/* Bytes behind the response were not framed: that connection is not used again. */
	if (f->upstream_close || f->in_len || f->upstream_eof || !f->request.done ||
		f->response.body.framing == NET_BODY_TO_END)
		net_forward_forget(c);
	if (f->close_after || !f->request.done) {
		net_client_send_and_linger(c, "", 0);
		return false;
	}
	c->served = true;
	c->phase = NET_PHASE_HEAD;
	return true;
}

static void next_request(struct net_client *c)
{
	size_t len = net_head_end(c->in, c->in_len);

	/* Edge-triggered: what came during the response was told then. */
	if (!len) {
		if (!net_client_fill(c)) {
			net_client_free(c);
			return;
		}
		len = net_head_end(c->in, c->in_len);
	}
	net_client_deadline(c, c->in_len ? NET_HEADER_MS : NET_KEEPALIVE_MS);
	if (len && len <= NET_HEAD_MAX)
		net_client_take_head(c, len);
}

static void pump(struct net_client *c)
{
	struct net_forward *f = c->forward;
	struct err e = { 0 };
	int up = 1, down = 1, rounds = 0;

	if (c->phase != NET_PHASE_FORWARD) {
		/* Idle between requests: the server has ended, or sent what nobody asked for. */
		net_forward_forget(c);
		return;
	}
	while (up > 0 || down > 0) {
		up = f->fd >= 0 ? pump_up(c, &e) : 0;
		if (up >= 0)
			down = pump_down(c, &e);
		if ((up < 0 || down < 0) && retry(c)) {
			net_forward_forget(c);
			net_client_free(c); /* the client repeats it on a new connection */
			return;
		}
		if (up < 0 || down < 0) {
			fail(c, up < 0, &e);
			return;
		}
		if (f->response.done && f->to_client.len == 0) {
			if (finish(c))
				next_request(c);
			return;
		}
		if (++rounds == NET_FORWARD_TURN) {
			(void) loop_timer_start(f->again, 0);
			break;
		}
	}
	c->deadline_ms = loop_now_ms(c->leaf->loop) +
		(f->response_head_done ? NET_IDLE_MS : NET_RESPONSE_MS);
}

void net_forward_ready(struct net_client *c, unsigned ready)
{
	(void) ready;
	pump(c);
}
