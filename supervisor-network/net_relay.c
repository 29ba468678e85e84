#include "net_relay.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "core_secret.h"
#include "net_collect.h"
#include "net_copy.h"
#include "net_credential.h"
#include "net_http_body.h"
#include "net_http_write.h"
#include "net_refuse.h"
#include "net_upgrade.h"

#define DOWN_SIZE (NET_RESPONSE_HEAD_MAX + NET_BUFFER)
#define CLIENT_SIZE (NET_STRAIGHT > LEAST_SIZE ? NET_STRAIGHT : LEAST_SIZE)
#define LEAST_SIZE (NET_RESPONSE_HEAD_MAX + NET_BUFFER + 1024)
#define UP_SIZE (NET_SENT_HEAD_MAX + NET_STRAIGHT / 2)

#define WHOLE_MAX (2 * CREDENTIAL_BODY_MAX) /* bytes of a rewritten body */

struct net_exchange {
	struct net_carry request, response;
	struct net_bytes to_up, to_client;
	bool told;	       /* bytes of an answer are with the client */
	bool reused, repeated; /* over a kept connection; sent a second time */
	bool any_response, head_done, upstream_eof, upstream_close, close_after, up_broken;
	bool is_head, is_safe, old_client, upgrade, switched, is_events;
	unsigned informational;
	size_t head_len; /* of the request, in up */
	size_t in_len;	 /* of response bytes not yet looked at */
	struct credential_scan scan;
	struct credential_scrub *scrub; /* what may not come back */
	bool secret;			/* head_len bytes of up hold a credential */
	size_t kept; /* bytes of the request head that stay in the client's buffer */
	char *whole; /* a body that was read and rewritten before; NULL: it comes from the client */
	size_t whole_len, whole_sent;
	char *trailers[2];
	char up[UP_SIZE], client[CLIENT_SIZE], in[DOWN_SIZE];
};

static void pump(struct net_client *c);

static void wipe(struct net_exchange *x)
{
	if (x->secret)
		secret_wipe(x->up, x->head_len);
	x->secret = false;
}

void net_exchange_free(struct net_exchange *x)
{
	if (!x)
		return;
	wipe(x);
	credential_scrub_free(x->scrub);
	if (x->whole)
		secret_wipe(x->whole, WHOLE_MAX);
	free(x->whole);
	free(x->trailers[0]);
	free(x->trailers[1]);
	free(x);
}

static bool wants_close(const struct net_head *h)
{
	return h->minor == 0 || net_head_has_token(h, "connection", "close") ||
		net_head_has_token(h, "proxy-connection", "close");
}

/* May be sent twice without harm: it asks for nothing but an answer (RFC 9110 9.2.2 allows more;
 * a body is not kept, and a second PUT or DELETE could undo what others did in between). */
static bool is_safe(const struct net_client *c)
{
	static const char *const safe[] = { "GET", "HEAD", "OPTIONS" };

	for (size_t i = 0; i < sizeof safe / sizeof *safe; i++)
		if (net_slice_is(c->head->method, safe[i]))
			return c->body.framing == NET_BODY_NONE;
	return false;
}

static char *trailers_for(struct net_exchange *x, int which, const struct net_body *b)
{
	if (b->framing == NET_BODY_CHUNKED && !x->trailers[which])
		x->trailers[which] = malloc(NET_TRAILERS_MAX);
	return x->trailers[which]; /* without memory they are dropped */
}

static struct net_exchange *exchange_new(struct net_client *c)
{
	struct net_exchange *x = malloc(sizeof *x); /* large buffers: not cleared */

	if (!x)
		return NULL;
	(void) memset(x, 0, offsetof(struct net_exchange, up));
	x->to_up = (struct net_bytes){ .at = x->up, .size = sizeof x->up };
	x->to_client = (struct net_bytes){ .at = x->client, .size = sizeof x->client };
	x->close_after = wants_close(c->head);
	x->old_client = c->head->minor == 0;
	x->is_head = net_slice_is(c->head->method, "HEAD");
	x->is_safe = is_safe(c);
	x->upgrade = c->upgrade;
	net_carry_init(&x->request, &c->body, true, c->body.framing == NET_BODY_CHUNKED,
		trailers_for(x, 0, &c->body));
	x->request.scan = c->care.scan ? &x->scan : NULL;
	return x;
}

static void shift(struct net_client *c, size_t n)
{
	(void) memmove(c->in, c->in + n, c->in_len - n);
	c->in_len -= n;
}

void net_relay_request(struct net_client *c)
{
	if (c->upstream && net_client_upstream_fits(c) && !net_stream_has_input(c->upstream)) {
		net_client_begin_upstream(c);
		return;
	}
	net_client_drop_upstream(c);
	net_client_go(c);
}

static void refuse_credential(struct net_client *c, const struct net_credential_refusal *why)
{
	char answer[NET_REFUSAL_MAX];
	struct text t;

	text_init(&t, answer, sizeof answer);
	net_credential_answer(why, c->tunnelled, &t);
	net_client_report(c, true, c->tunnelled ? "connect-l7" : "forward", "credentials",
		why->engine, why->reason);
	net_client_send_and_linger(c, answer, t.len);
}

static bool write_head(struct net_client *c, bool injected)
{
	struct net_exchange *x = c->exchange;
	struct net_write_request w = { .head = c->head,
		.to = &c->to,
		.body = &c->body,
		.default_port = c->secure ? 443 : 80,
		.via = !c->tunnelled,
		.searched = injected && c->care.scrub,
		.asked = x->whole != NULL,
		.upgrade = c->upgrade };
	struct text t;

	text_init(&t, x->up, NET_SENT_HEAD_MAX);
	net_write_request(&w, &t);
	x->to_up.len = x->head_len = t.len;
	return !t.cut;
}

/* A body that was read whole gets its credentials, and a length. */
static int rewrite_body(struct net_client *c, const struct net_credential_where *at,
	struct net_injected **injected, struct net_credential_refusal *why)
{
	struct net_exchange *x = c->exchange;
	struct net_credential_text body = { .text = net_collect_bytes(c->collect) };
	const struct net_field *type;
	struct text out;
	size_t n;

	x->whole = malloc(WHOLE_MAX);
	if (!x->whole)
		return -ENOMEM;
	type = net_head_field(c->head, "content-type", &n);
	body.type = type ? type->value : (struct net_slice){ "", 0 };
	text_init(&out, x->whole, WHOLE_MAX);
	if (net_credential_body(c->leaf, at, &body, &out, injected, why) < 0)
		return -EACCES;
	if (out.cut)
		return -ENOMEM;
	x->whole_len = out.len;
	net_collect_free(TAKE_PTR(c->collect));
	c->body = (struct net_body){ NET_BODY_LENGTH, x->whole_len };
	net_carry_init(&x->request, &c->body, true, false, NULL);
	return 0;
}

/* An old client that names no host says nothing of whom its credential is for (spec/network 1.6). */
static bool names_nobody(const struct net_client *c)
{
	size_t n;

	return c->tunnelled && c->head->minor == 0 && !net_head_field(c->head, "host", &n) &&
		c->head->target.at[0] == '/';
}

/* The last step before the first byte goes upstream: credentials, and the head.  false: answered. */
static bool prepare_head(struct net_client *c)
{
	struct net_credential_where at = { c->to.host, c->to.port, c->to.path };
	struct net_exchange *x = c->exchange;
	struct net_slice path = c->to.path, query = c->to.query;
	struct net_credential_refusal why;
	struct net_injected *injected = NULL;
	struct err e = { 0 };
	bool fits;
	int r;

	r = net_credential_apply(c->leaf, &at, c->head, &c->to.path,
		c->to.has_query ? &c->to.query : NULL, &injected, &why);
	if (r == 0 && c->collect)
		r = rewrite_body(c, &at, &injected, &why);
	if (names_nobody(c) && (injected || r == -EACCES))
		r = -EXDEV;
	if (r < 0) {
		net_injected_done(c->leaf, injected);
		c->to.path = path;
		if (r == -EXDEV)
			net_client_refuse_authority(c);
		else if (r == -EACCES)
			refuse_credential(c, &why);
		else
			net_client_refuse(
				c, 503, "out_of_memory", "no memory for this request", "");
		return false;
	}
	x->secret = injected != NULL;
	fits = write_head(c, injected != NULL);
	credential_scrub_free(TAKE_PTR(x->scrub));
	if (injected && c->care.scrub && net_injected_scrub(injected, &x->scrub, &e) < 0)
		fits = false;
	net_injected_done(c->leaf, injected);
	c->to.path = path; /* for the report, and a second try: as the workload wrote it */
	c->to.query = query;
	if (!fits)
		net_client_refuse(c, e.code ? 503 : 400,
			e.code ? "out_of_memory" : "malformed_request",
			e.code ? e.text : "the request head is too large", "");
	return fits;
}

/* Move what is there of the request body, behind skip bytes, to the buffer towards upstream. */
static int carry_up(struct net_client *c, size_t skip, struct err *e)
{
	struct net_exchange *x = c->exchange;
	const char *from = x->whole ? x->whole + x->whole_sent : c->in + skip;
	size_t used, len = x->whole ? x->whole_len - x->whole_sent : c->in_len - skip;

	if (net_carry(&x->request, from, len < NET_BUFFER ? len : NET_BUFFER, &used, &x->to_up, e) <
		0)
		return -e->code;
	if (x->whole) {
		x->whole_sent += used;
		return 0;
	}
	(void) memmove(c->in + skip, c->in + skip + used, c->in_len - skip - used);
	c->in_len -= used;
	return 0;
}

static void fail(struct net_client *c, const struct err *why);

/* What came of the body with its head leaves with it, or, malformed, keeps it here. */
static bool begin_body(struct net_client *c)
{
	struct err e = { 0 };

	if (c->exchange->request.done || carry_up(c, c->head->len, &e) == 0)
		return true;
	fail(c, &e);
	return false;
}

/* The request's head leaves the client's buffer, and its slices are gone with it. */
static void forget_head(struct net_client *c, size_t len)
{
	shift(c, len);
	c->head->method = c->to.path = c->to.query = (struct net_slice){ "", 0 };
}

/* Written again from what the client sent: a credential may have changed or gone meanwhile. */
static void try_again(struct net_client *c)
{
	struct err e = { 0 };

	if (net_head_request(c->in, c->exchange->kept, c->head, &e) < 0)
		net_client_refuse(c, 400, "malformed_request", e.text, "");
	else if (prepare_head(c))
		pump(c);
}

static void begin(struct net_client *c, bool reused)
{
	struct net_exchange *x = c->exchange;

	x->reused = reused;
	if (!prepare_head(c) || !begin_body(c))
		return;
	net_client_report_allowed(c);
	if (reused && x->is_safe)
		x->kept = c->head->len;
	else
		forget_head(c, c->head->len);
	net_client_deadline(c, NET_RESPONSE_MS);
	pump(c);
}

void net_relay_connected(struct net_client *c)
{
	bool used = c->upstream_used;

	c->phase = NET_PHASE_RELAY;
	c->upstream_used = true;
	if (c->exchange) {
		try_again(c);
		return;
	}
	c->exchange = exchange_new(c);
	if (c->exchange)
		begin(c, used);
	else
		net_client_refuse(c, 503, "out_of_memory", "no memory for this request", "");
}

/* 1 all taken, 0 waits, negative failed. */
static int flush(struct net_stream *s, struct net_bytes *b)
{
	while (b->sent < b->len) {
		ssize_t n = net_stream_write(s, b->at + b->sent, b->len - b->sent);

		if (n < 0)
			return n == -EAGAIN ? 0 : (int) n;
		b->sent += (size_t) n;
	}
	b->sent = b->len = 0;
	return 1;
}

/* A body that nothing looks at is read into the buffer that it leaves from.  > 0 bytes, 0 the end,
 * -EAGAIN nothing now, -ENOTSUP another way, another negative errno failed. */
static ssize_t read_straight(struct net_stream *from, struct net_carry *body, struct net_bytes *to)
{
	size_t max = net_carry_straight(body, to->size < NET_STRAIGHT ? to->size : NET_STRAIGHT);
	ssize_t n;

	if (max == 0 || to->len)
		return -ENOTSUP;
	n = net_stream_read(from, to->at, max);
	if (n <= 0)
		return n;
	net_carry_went(body, (size_t) n);
	to->len = (size_t) n;
	return n;
}

/* What is there of the request body comes closer.  1 there may be some, 0 waits, negative failed. */
static int fetch_body(struct net_client *c, struct err *e)
{
	struct net_exchange *x = c->exchange;
	ssize_t n;

	if (x->request.read || x->whole || c->in_len)
		return 1;
	n = read_straight(c->stream, &x->request, &x->to_up);
	if (n == 0 || (n < 0 && n != -EAGAIN && n != -ENOTSUP) ||
		(n == -ENOTSUP && !net_client_fill(c)))
		return err_set(e, ECONNABORTED, "the client ended");
	return n != -EAGAIN;
}

/* Request towards upstream.  1 progress, 0 waits, negative failed. */
static int pump_up(struct net_client *c, struct err *e)
{
	struct net_exchange *x = c->exchange;
	bool pending = x->to_up.len > 0;
	int r;

	r = x->up_broken ? 0 : flush(c->upstream, &x->to_up);
	if (r < 0)
		x->up_broken = true; /* its answer may be there nevertheless */
	if (r > 0)
		wipe(x);
	if (r <= 0 || x->request.done)
		return r > 0 && pending;
	r = fetch_body(c, e);
	if (r <= 0 || x->to_up.len > 0)
		return r;
	if (carry_up(c, 0, e) < 0)
		return -e->code;
	return x->to_up.len > 0;
}

static void drop_in(struct net_exchange *x, size_t n)
{
	(void) memmove(x->in, x->in + n, x->in_len - n);
	x->in_len -= n;
}

static int check_interim(struct net_exchange *x, const struct net_head *h, struct err *e)
{
	if (h->status == 101 && !(x->upgrade && net_upgrade_is_accepted(h)))
		return err_set(e, EPROTO, "the server switched protocols, which was not asked for");
	if (h->status < 200 && ++x->informational > NET_INFORMATIONAL_MAX)
		return err_set(e, EPROTO, "more than %d interim responses", NET_INFORMATIONAL_MAX);
	return 0;
}

/* How the body goes on to the client, who may be too old for chunks. */
static struct net_body body_out(const struct net_exchange *x, const struct net_body *in)
{
	struct net_body out = *in;

	if (in->framing == NET_BODY_CHUNKED && x->old_client)
		out.framing = NET_BODY_TO_END;
	return out;
}

/* A server that tells of events may be silent for long. */
static bool is_event_stream(const struct net_head *h)
{
	static const char type[] = "text/event-stream";
	size_t n;
	const struct net_field *f = net_head_field(h, "content-type", &n);

	return f && f->value.len >= sizeof type - 1 &&
		text_ieq(f->value.at, sizeof type - 1, type, sizeof type - 1);
}

static uint64_t patience_ms(const struct net_exchange *x)
{
	if (!x->request.done)
		return NET_IDLE_MS;
	if (!x->head_done)
		return NET_RESPONSE_MS;
	return x->is_events ? NET_EVENTS_IDLE_MS : NET_IDLE_MS;
}

static bool has_body(const struct net_body *b)
{
	return b->framing != NET_BODY_NONE && (b->framing != NET_BODY_LENGTH || b->length);
}

static int take_head(struct net_exchange *x, const struct net_head *h, struct err *e)
{
	struct net_body in, out;
	bool scrub_body = false;
	struct text t;

	if (net_body_of_response(h, x->is_head, &in, e) < 0 || check_interim(x, h, e) < 0)
		return -e->code;
	if (x->scrub)
		(void) credential_scrub_text(x->scrub, x->in, h->len);
	if (x->scrub && has_body(&in) && net_credential_scrub_body(h, &scrub_body, e) < 0)
		return -e->code;
	out = body_out(x, &in);
	x->upstream_close |= h->minor == 0 || net_head_has_token(h, "connection", "close");
	x->switched = h->status == 101;
	x->is_events = is_event_stream(h);
	/* An answer before the end of the request: what is left of it is not read. */
	x->close_after |= h->status >= 200 && (out.framing == NET_BODY_TO_END || !x->request.done);
	if (h->status >= 200 || x->switched || !x->old_client) {
		struct net_write_response w = { h, &out, x->close_after, x->switched };

		text_init(&t, x->to_client.at + x->to_client.len,
			x->to_client.size - x->to_client.len);
		net_write_response(&w, &t);
		if (t.cut)
			return err_set(e, EBADMSG, "response head is too large");
		x->to_client.len += t.len;
	}
	if (h->status < 200 && !x->switched)
		return 0;
	x->head_done = true;
	net_carry_init(
		&x->response, &in, false, out.framing == NET_BODY_CHUNKED, trailers_for(x, 1, &in));
	x->response.scrub = scrub_body ? x->scrub : NULL;
	x->response.scrub_trailers = x->scrub;
	return 0;
}

/* 1 a head was taken, 0 incomplete, negative malformed. */
static int response_head(struct net_exchange *x, struct err *e)
{
	static struct net_head head; /* one loop, not kept between calls */
	size_t len = net_head_end(x->in, x->in_len);

	if (len > NET_RESPONSE_HEAD_MAX || (!len && x->in_len >= NET_RESPONSE_HEAD_MAX))
		return err_set(
			e, EBADMSG, "response head of more than %d bytes", NET_RESPONSE_HEAD_MAX);
	if (!len)
		return 0;
	if (net_head_response(x->in, len, &head, e) < 0 || take_head(x, &head, e) < 0)
		return -e->code;
	drop_in(x, len);
	return 1;
}

/* 1 something came (the end, too), 0 nothing now, negative failed. */
static int read_upstream(struct net_client *c)
{
	struct net_exchange *x = c->exchange;
	ssize_t n;

	if (x->upstream_eof || x->in_len == sizeof x->in)
		return 0;
	n = x->head_done && x->in_len == 0 ? read_straight(c->upstream, &x->response, &x->to_client)
					   : -ENOTSUP;
	if (n == -ENOTSUP) {
		n = net_stream_read(c->upstream, x->in + x->in_len, sizeof x->in - x->in_len);
		x->in_len += n > 0 ? (size_t) n : 0;
	}
	if (n < 0)
		return n == -EAGAIN ? 0 : (int) n;
	if (n == 0)
		x->upstream_eof = true;
	x->any_response |= n > 0;
	return 1;
}

static int response_body(struct net_exchange *x, struct err *e)
{
	size_t used = 0, before = x->to_client.len;

	if (net_carry(&x->response, x->in, x->in_len, &used, &x->to_client, e) < 0)
		return -e->code;
	drop_in(x, used);
	return used > 0 || x->to_client.len > before || x->response.done;
}

/* Take what was read as far as it goes, so that head and body leave together.  1 progress, 0 needs
 * more, negative malformed. */
static int digest(struct net_exchange *x, struct err *e)
{
	int progress = 0, r = 1;

	if (!x->head_done) {
		r = response_head(x, e);
		if (r <= 0 || !x->head_done)
			return r; /* an interim response leaves at once */
		progress = 1;
	}
	while (r > 0 && !x->response.done && (x->in_len || x->response.read)) {
		r = response_body(x, e);
		progress |= r > 0;
	}
	return r < 0 ? r : progress;
}

/* Response towards the client.  1 progress, 0 waits, negative failed. */
static int pump_down(struct net_client *c, struct err *e)
{
	struct net_exchange *x = c->exchange;
	bool pending = x->to_client.len > 0;
	int r = flush(c->stream, &x->to_client), got;

	x->told |= pending && (r > 0 || x->to_client.sent);
	if (r < 0)
		return err_set(e, ECONNABORTED, "send the response: %s", strerror(-r));
	if (r == 0 || (x->head_done && x->response.done))
		return 0;
	r = x->in_len || (x->head_done && x->response.read) ? digest(x, e) : 0;
	if (r != 0)
		return r;
	got = read_upstream(c);
	if (got < 0)
		return err_set(e, -got, "read the response: %s", strerror(-got));
	if (got == 0 || !x->upstream_eof)
		return got;
	if (x->head_done && net_carry_at_end(&x->response))
		return 1;
	return err_set(e, ECONNRESET, "the server ended before its response was complete");
}

/* A kept connection that the server had given up: once more on a new one, when the request asks for
 * nothing that could happen twice and nothing of an answer came. */
static bool retry(struct net_client *c)
{
	struct net_exchange *x = c->exchange;

	if (!x->reused || x->repeated || x->any_response || !x->is_safe)
		return false;
	x->repeated = true;
	x->up_broken = x->upstream_eof = false;
	x->to_up.sent = x->to_up.len = 0;
	wipe(x);
	net_client_drop_upstream(c);
	net_client_go(c);
	return true;
}

static void fail(struct net_client *c, const struct err *why)
{
	struct net_exchange *x = c->exchange;
	bool ours = why->code == ECONNABORTED;
	char detail[512];

	if (x->told || ours) {
		net_client_free(c); /* a cut connection is the only way to say it now */
		return;
	}
	/* TLS 1.3 tells of a client certificate that it misses only now. */
	if (!x->any_response && c->upstream && net_stream_tls(c->upstream) &&
		tls_client_cert_wanted(net_stream_tls(c->upstream))) {
		net_client_refuse_upstream_tls(c, why);
		return;
	}
	if (why->code == EACCES) {
		net_client_report(c, true, "connect-uninspected-credentials",
			"uninspected_credentials", "credentials", why->text);
		net_client_refuse(c, 403, "uninspected_credentials", why->text, "");
	} else if (why->code == EBADMSG && !x->any_response) {
		net_client_refuse(c, 400, "malformed_request", why->text, "");
	} else if (x->any_response) {
		(void) snprintf(detail, sizeof detail, "response of %s:%u was refused", c->to.host,
			c->to.port);
		net_client_refuse(c, 502, "upstream_response_invalid", detail, why->text);
	} else {
		(void) snprintf(detail, sizeof detail, "connection to %s:%u failed", c->to.host,
			c->to.port);
		net_client_refuse(c, 502, "upstream_unreachable", detail, why->text);
	}
}

void net_relay_late(struct net_client *c)
{
	struct net_exchange *x = c->exchange;
	char detail[512];

	if (x->told) {
		net_client_free(c);
		return;
	}
	if (!x->request.done && x->to_up.len == 0) { /* all that came of it is upstream */
		net_client_refuse(
			c, 408, "request_timeout", "the request body was not complete in time", "");
		return;
	}
	(void) snprintf(
		detail, sizeof detail, "%s:%u did not answer in time", c->to.host, c->to.port);
	net_client_refuse(c, 504, "upstream_timeout", detail, "");
}

static void switch_protocols(struct net_client *c)
{
	struct net_exchange *x = c->exchange;
	struct err e = { 0 };

	forget_head(c, x->kept);
	if (net_copy_new(c, x->in, x->in_len, &c->copy, &e) < 0) {
		net_client_free(c);
		return;
	}
	net_exchange_free(TAKE_PTR(c->exchange));
	c->phase = NET_PHASE_COPY;
	net_client_deadline(c, NET_IDLE_MS);
	net_copy_ready(c);
}

/* The message is with the client: the next request, or the end. */
static void finish(struct net_client *c)
{
	struct net_exchange *x = c->exchange;
	bool close_after = x->close_after || !x->request.done;

	/* Bytes behind the response were not framed: that connection is not used again. */
	if (x->upstream_close || x->in_len || x->upstream_eof || x->up_broken || !x->request.done ||
		x->to_up.len)
		net_client_drop_upstream(c);
	forget_head(c, x->kept);
	net_exchange_free(TAKE_PTR(c->exchange));
	if (close_after)
		net_client_send_and_linger(c, "", 0);
	else
		net_client_next(c);
}

static void pump(struct net_client *c)
{
	static struct err e; /* large, for every call; one loop, not kept between calls */
	struct net_exchange *x = c->exchange;
	int up = 1, down = 1;

	e.code = 0;
	for (unsigned turn = 0; up > 0 || down > 0; turn++) {
		if (turn == NET_RELAY_TURNS) {
			net_client_again(c); /* others have their turn */
			break;
		}
		up = pump_up(c, &e);
		down = up < 0 ? 0 : pump_down(c, &e);
		if (up < 0 || down < 0) {
			if (e.code == ECONNABORTED || !retry(c))
				fail(c, &e);
			return;
		}
		if (x->head_done && x->response.done && x->to_client.len == 0) {
			if (x->switched)
				switch_protocols(c);
			else
				finish(c);
			return;
		}
	}
	c->deadline_ms = loop_now_ms(c->leaf->loop) + patience_ms(x);
}

void net_relay_ready(struct net_client *c)
{
	pump(c);
}
