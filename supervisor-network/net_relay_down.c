/* net_relay_down.c - the response towards the client: its heads, its body, and what must not be in them.
 *
 * Runs in the network leaf (openshell-supervisor-network), without privilege.  The server is not
 * trusted: its heads are parsed strictly and written anew, its body is followed to its exact end, and a
 * credential that was put into the request is blanked before a byte goes on.  Where that can't be done
 * (a part, a compressed body) the response is refused whole.
 */
#include <errno.h>
#include <string.h>
#include "net_credential.h"
#include "net_exchange.h"
#include "net_http_write.h"
#include "net_upgrade.h"

static void drop_in(struct net_exchange *x, size_t n)
{
	(void) memmove(x->in, x->in + n, x->in_len - n);
	x->in_len -= n;
}

/* 101 is the last head of its exchange, too: what follows is of another protocol. */
static bool is_final(const struct net_head *h)
{
	return h->status >= 200 || h->status == 101;
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

static bool has_body(const struct net_body *b)
{
	return b->framing != NET_BODY_NONE && (b->framing != NET_BODY_LENGTH || b->length);
}

/* Blank what was injected, in the head; and is the body to be looked through? */
static int scrub_head(struct net_exchange *x, const struct net_head *h, const struct net_body *body,
	bool *ret_scrub_body, struct err *e)
{
	*ret_scrub_body = false;
	if (!x->scrub)
		return 0;
	(void) credential_scrub_text(x->scrub, x->in, h->len);
	return has_body(body) ? net_credential_scrub_body(h, ret_scrub_body, e) : 0;
}

static void note_head(struct net_exchange *x, const struct net_head *h, const struct net_body *out)
{
	x->upstream_close |= h->minor == 0 || net_head_has_token(h, "connection", "close");
	x->switched = h->status == 101;
	x->is_events = is_event_stream(h);
	/* An answer before the end of the request: what is left of it is not read. */
	x->close_after |= h->status >= 200 && (out->framing == NET_BODY_TO_END || !x->request.done);
}

static int write_head(
	struct net_exchange *x, const struct net_head *h, const struct net_body *out, struct err *e)
{
	const struct net_write_response w = { h, out, x->close_after, x->switched };
	struct net_bytes *to = &x->to_client;
	struct text t;

	text_init(&t, to->at + to->len, to->size - to->len);
	net_write_response(&w, &t);
	if (t.cut)
		return err_set(e, EBADMSG, "response head is too large");
	to->len += t.len;
	return 0;
}

static int take_head(struct net_exchange *x, const struct net_head *h, struct err *e)
{
	struct net_body in, out;
	bool scrub_body;

	if (net_body_of_response(h, x->is_head, &in, e) < 0 || check_interim(x, h, e) < 0 ||
		scrub_head(x, h, &in, &scrub_body, e) < 0)
		return -e->code;
	out = body_out(x, &in);
	note_head(x, h, &out);
	if ((is_final(h) || !x->old_client) && write_head(x, h, &out, e) < 0)
		return -e->code;
	if (!is_final(h))
		return 0;
	x->head_done = true;
	net_carry_init(&x->response, &in, false, out.framing == NET_BODY_CHUNKED,
		net_exchange_trailers(x, 1, &in));
	x->response.scrub = scrub_body ? x->scrub : NULL;
	x->response.scrub_trailers = x->scrub;
	return 0;
}

/* 1 a head was taken, 0 incomplete, negative malformed. */
static int response_head(struct net_exchange *x, struct err *e)
{
	/* Too large to be cleared for every call.  Filled and read here; what it is handed to keeps no
	 * pointer to it, and calls nothing that could come back here. */
	static struct net_head head;
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
	n = x->head_done && x->in_len == 0
		? net_exchange_read_straight(c->upstream, &x->response, &x->to_client)
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

/* 1 progress, 0 needs more, negative malformed. */
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

int net_relay_down(struct net_client *c, struct err *e)
{
	struct net_exchange *x = c->exchange;
	bool pending = x->to_client.len > 0;
	int r = net_exchange_flush(c->stream, &x->to_client), got;

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
