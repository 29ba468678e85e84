/* net_relay.c - an exchange goes on, by turns in both directions, and comes to its end.
 *
 * Runs in the network leaf (openshell-supervisor-network), without privilege.  The client owns the
 * exchange and both streams; an end of whatever kind releases the exchange, and one without a next
 * request the client, too.  A failure is answered while nothing of the server's answer was sent; behind
 * that, a cut connection is the only way to say it.
 *
 * finish() may decide and begin the next request of the same client, which comes back to
 * net_relay_ready() before finish() returns, at most NET_PIPELINE_TURN deep; a second try may come back,
 * too.  So whoever calls finish(), net_relay_retry() or net_relay_fail() returns without another look
 * at the client or the exchange, and keeps nothing in static storage.
 */
#include "net_relay.h"
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include "net_copy.h"
#include "net_exchange.h"

void net_relay_fail(struct net_client *c, const struct err *why)
{
	struct net_exchange *x = c->exchange;
	bool ours = why->code == ECONNABORTED;
	char detail[512];

	if (x->told || ours) {
		net_client_free(c);
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

	net_relay_forget_head(c, x->kept);
	if (net_copy_new(c, x->in, x->in_len, &c->copy, &e) < 0) {
		net_client_free(c);
		return;
	}
	net_exchange_free(TAKE_PTR(c->exchange));
	c->phase = NET_PHASE_COPY;
	net_client_deadline(c, NET_IDLE_MS);
	net_copy_ready(c);
}

static bool is_with_client(const struct net_exchange *x)
{
	return x->head_done && x->response.done && x->to_client.len == 0;
}

/* The message is with the client: another protocol, the next request, or the end. */
static void finish(struct net_client *c)
{
	struct net_exchange *x = c->exchange;
	bool close_after = x->close_after || !x->request.done;

	if (x->switched) {
		switch_protocols(c);
		return;
	}
	/* Bytes behind the response were not framed: that connection is not used again. */
	if (x->upstream_close || x->in_len || x->upstream_eof || x->up_broken || !x->request.done ||
		x->to_up.len)
		net_client_drop_upstream(c);
	net_relay_forget_head(c, x->kept);
	net_exchange_free(TAKE_PTR(c->exchange));
	if (close_after)
		net_client_send_and_linger(c, "", 0);
	else
		net_client_next(c);
}

/* How long neither side may move. */
static uint64_t patience_ms(const struct net_exchange *x)
{
	if (!x->request.done)
		return NET_IDLE_MS;
	if (!x->head_done)
		return NET_RESPONSE_MS;
	return x->is_events ? NET_EVENTS_IDLE_MS : NET_IDLE_MS;
}

void net_relay_ready(struct net_client *c)
{
	struct net_exchange *x = c->exchange;
	struct err e = { 0 };
	int up = 1, down = 1;

	for (unsigned turn = 0; up > 0 || down > 0; turn++) {
		if (turn == NET_RELAY_TURNS) {
			net_client_again(c); /* others have their turn */
			break;
		}
		up = net_relay_up(c, &e);
		down = up < 0 ? 0 : net_relay_down(c, &e);
		if (up < 0 || down < 0) {
			if (e.code == ECONNABORTED || !net_relay_retry(c))
				net_relay_fail(c, &e);
			return;
		}
		if (is_with_client(x)) {
			finish(c);
			return;
		}
	}
	c->deadline_ms = loop_now_ms(c->leaf->loop) + patience_ms(x);
}
