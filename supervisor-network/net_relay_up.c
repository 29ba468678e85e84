/* net_relay_up.c - the request towards upstream: credentials, head, body, and a second try.
 *
 * Runs in the network leaf (openshell-supervisor-network), without privilege.  A request that gets here
 * is decided.  Placeholders become credentials in the one step before the first byte leaves
 * (prepare_head), and only in the exchange's own buffer, which is wiped as soon as that has been sent;
 * the client's buffer and c->to keep what the workload wrote.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include "core_secret.h"
#include "net_credential.h"
#include "net_exchange.h"
#include "net_http_write.h"
#include "net_refuse.h"
#include "net_relay.h"

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

/* A body that was read whole gets its credentials, and a length.  -EACCES refused for *why, -ENOMEM. */
static int rewrite_body(struct net_client *c, const struct net_credential_where *at,
	struct net_injected **injected, struct net_credential_refusal *why)
{
	struct net_exchange *x = c->exchange;
	struct net_credential_text body = { .text = net_collect_bytes(c->collect) };
	const struct net_field *type;
	struct text out;
	size_t n;

	x->whole = malloc(NET_EXCHANGE_WHOLE_MAX);
	if (!x->whole)
		return -ENOMEM;
	type = net_head_field(c->head, "content-type", &n);
	body.type = type ? type->value : (struct net_slice){ "", 0 };
	text_init(&out, x->whole, NET_EXCHANGE_WHOLE_MAX);
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

/* Replace the placeholders in the head, and in a body that was read whole.  Negative: -EACCES refused
 * for *why, -EXDEV it does not say for whom it is, or what e says. */
static int put_credentials(struct net_client *c, struct net_injected **injected,
	struct net_credential_refusal *why, struct err *e)
{
	const struct net_credential_where at = { c->to.host, c->to.port, c->to.path };
	int r = net_credential_apply(c->leaf, &at, c->head, &c->to.path,
		c->to.has_query ? &c->to.query : NULL, injected, why);

	if (r == 0 && c->collect)
		r = rewrite_body(c, &at, injected, why);
	if (names_nobody(c) && (*injected || r == -EACCES))
		return -EXDEV;
	return r == -ENOMEM ? err_set(e, ENOMEM, "no memory for this request") : r;
}

/* Write the head as it is now, and remember what of it may not come back. */
static int finish_head(struct net_client *c, const struct net_injected *injected, struct err *e)
{
	struct net_exchange *x = c->exchange;

	credential_scrub_free(TAKE_PTR(x->scrub)); /* of the first try */
	if (injected && c->care.scrub && net_injected_scrub(injected, &x->scrub, e) < 0)
		return -e->code;
	x->secret = injected != NULL;
	if (!write_head(c, injected != NULL))
		return err_set(e, EMSGSIZE, "the request head is too large");
	return 0;
}

static void refuse_head(
	struct net_client *c, int r, const struct net_credential_refusal *why, const struct err *e)
{
	if (r == -EXDEV)
		net_client_refuse_authority(c);
	else if (r == -EACCES)
		refuse_credential(c, why);
	else if (r == -EMSGSIZE)
		net_client_refuse(c, 400, "malformed_request", e->text, "");
	else
		net_client_refuse(c, 503, "out_of_memory", e->text, "");
}

/* The last step before the first byte goes upstream: credentials, and the head.  false: answered. */
static bool prepare_head(struct net_client *c)
{
	struct net_slice path = c->to.path, query = c->to.query;
	struct net_credential_refusal why;
	struct net_injected *injected = NULL;
	struct err e = { 0 };
	int r = put_credentials(c, &injected, &why, &e);

	if (r == 0)
		r = finish_head(c, injected, &e);
	/* What was put in is wiped here, so whoever looks now (the report, a second try) sees the
	 * target as the workload wrote it. */
	net_injected_done(c->leaf, injected);
	c->to.path = path;
	c->to.query = query;
	if (r < 0)
		refuse_head(c, r, &why, &e);
	return r == 0;
}

/* Move what is there of the request body, behind skip bytes, to the buffer towards upstream. */
static int carry_up(struct net_client *c, size_t skip, struct err *e)
{
	struct net_exchange *x = c->exchange;
	const char *from = x->whole ? x->whole + x->whole_sent : c->in + skip;
	size_t used, len = x->whole ? x->whole_len - x->whole_sent : c->in_len - skip;

	if (len > NET_BUFFER)
		len = NET_BUFFER;
	if (net_carry(&x->request, from, len, &used, &x->to_up, e) < 0)
		return -e->code;
	if (x->whole) {
		x->whole_sent += used;
		return 0;
	}
	(void) memmove(c->in + skip, c->in + skip + used, c->in_len - skip - used);
	c->in_len -= used;
	return 0;
}

/* What came of the body with its head leaves with it, or, malformed, keeps it here. */
static bool begin_body(struct net_client *c)
{
	struct err e = { 0 };

	if (c->exchange->request.done || carry_up(c, c->head->len, &e) == 0)
		return true;
	net_relay_fail(c, &e);
	return false;
}

/* The request's head leaves the client's buffer, and its slices are gone with it. */
void net_relay_forget_head(struct net_client *c, size_t len)
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
		net_relay_ready(c);
}

/* Over a kept connection the head of what may be sent twice stays, in case its server gave it up. */
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
		net_relay_forget_head(c, c->head->len);
	net_client_deadline(c, NET_RESPONSE_MS);
	net_relay_ready(c);
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
	c->exchange = net_exchange_new(c);
	if (c->exchange)
		begin(c, used);
	else
		net_client_refuse(c, 503, "out_of_memory", "no memory for this request", "");
}

/* What is there of the request body comes closer.  1 there may be some, 0 waits, negative failed. */
static int fetch_body(struct net_client *c, struct err *e)
{
	struct net_exchange *x = c->exchange;
	ssize_t n;

	if (x->request.read || x->whole || c->in_len)
		return 1;
	n = net_exchange_read_straight(c->stream, &x->request, &x->to_up);
	if (n == 0 || (n < 0 && n != -EAGAIN && n != -ENOTSUP) ||
		(n == -ENOTSUP && !net_client_fill(c)))
		return err_set(e, ECONNABORTED, "the client ended");
	return n != -EAGAIN;
}

int net_relay_up(struct net_client *c, struct err *e)
{
	struct net_exchange *x = c->exchange;
	bool pending = x->to_up.len > 0;
	int r;

	r = x->up_broken ? 0 : net_exchange_flush(c->upstream, &x->to_up);
	if (r < 0)
		x->up_broken = true; /* its answer may be there nevertheless */
	if (r > 0)
		net_exchange_wipe(x);
	if (r <= 0 || x->request.done)
		return r > 0 && pending;
	r = fetch_body(c, e);
	if (r <= 0 || x->to_up.len > 0)
		return r;
	if (carry_up(c, 0, e) < 0)
		return -e->code;
	return x->to_up.len > 0;
}

/* A kept connection that the server had given up: once more on a new one, when the request asks for
 * nothing that could happen twice and nothing of an answer came. */
bool net_relay_retry(struct net_client *c)
{
	struct net_exchange *x = c->exchange;

	if (!x->reused || x->repeated || x->any_response || !x->is_safe)
		return false;
	x->repeated = true;
	x->up_broken = x->upstream_eof = false;
	x->to_up.sent = x->to_up.len = 0;
	net_exchange_wipe(x);
	net_client_drop_upstream(c);
	net_client_go(c);
	return true;
}
