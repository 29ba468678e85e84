/* net_exchange.c - an exchange's life, and how its buffers are filled and emptied.
 *
 * Runs in the network leaf (openshell-supervisor-network), without privilege.  The exchange owns its
 * buffers, the rewritten body, the trailers and the scrubber; streams are the client's.  What held a
 * credential is overwritten before it is released.
 */
#include "net_exchange.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include "core_secret.h"
#include "net_relay.h"

void net_exchange_wipe(struct net_exchange *x)
{
	if (x->secret)
		secret_wipe(x->up, x->head_len);
	x->secret = false;
}

void net_exchange_free(struct net_exchange *x)
{
	if (!x)
		return;
	net_exchange_wipe(x);
	credential_scrub_free(x->scrub);
	if (x->whole)
		secret_wipe(x->whole, NET_EXCHANGE_WHOLE_MAX);
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

char *net_exchange_trailers(struct net_exchange *x, int which, const struct net_body *b)
{
	if (b->framing == NET_BODY_CHUNKED && !x->trailers[which])
		x->trailers[which] = malloc(NET_TRAILERS_MAX);
	return x->trailers[which]; /* without memory they are dropped */
}

struct net_exchange *net_exchange_new(struct net_client *c)
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
		net_exchange_trailers(x, 0, &c->body));
	x->request.scan = c->care.scan ? &x->scan : NULL;
	return x;
}

int net_exchange_flush(struct net_stream *s, struct net_bytes *b)
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

ssize_t net_exchange_read_straight(
	struct net_stream *from, struct net_carry *body, struct net_bytes *to)
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
