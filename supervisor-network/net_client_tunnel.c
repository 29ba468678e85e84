/* net_client_tunnel.c - from a dialled CONNECT to what it carries: raw bytes, HTTP, TLS. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "net_client.h"
#include "net_peek.h"

#define CONNECTED "HTTP/1.1 200 Connection Established\r\n\r\n"

static void on_tunnel_end(void *owner)
{
	net_client_free(owner);
}

/* Bytes that nobody looks at: no limit but time. */
static void go_raw(struct net_client *c)
{
	const struct net_tunnel_ends ends = { net_stream_unwatch(c->stream),
		net_stream_unwatch(c->upstream), c->in, c->in_len, on_tunnel_end, c };
	struct err e = { 0 };

	net_client_report_allowed(c);
	c->phase = NET_PHASE_TUNNEL;
	if (net_tunnel_new(c->leaf, &ends, &c->tunnel, &e) < 0) {
		net_client_free(c);
		return;
	}
	/* An idle tunnel keeps only what it needs. */
	net_client_buffer_spare(c);
	free(TAKE_PTR(c->head));
	free(TAKE_PTR(c->decision));
	net_who_done(&c->who);
	net_client_deadline(c, NET_IDLE_MS);
}

static void refuse_protocol(struct net_client *c, const char *what)
{
	char reason[512];

	(void) snprintf(reason, sizeof reason,
		"rule \"%.64s\" inspects %s:%u as HTTP; `tls: skip` on its endpoint would relay "
		"other protocols unseen",
		c->decision->policy, c->to.host, c->to.port);
	net_client_report(c, true, "connect-l7-parse-rejection", "l7_parse_rejection", "l7", what);
	net_client_refuse(c, 403, "unsupported_l7_protocol", what, reason);
}

void net_client_begin_http(struct net_client *c)
{
	c->tunnelled = true;
	c->is_connect = false;
	net_client_deadline(c, NET_HEADER_MS);
	net_client_await_head(c);
}

static void begin_other(struct net_client *c, enum net_peek what)
{
	if (!c->decision->inspect)
		go_raw(c);
	else if (what == NET_PEEK_HTTP2)
		refuse_protocol(c,
			"HTTP/2 prior-knowledge (h2c) is not supported for L7-inspected endpoints");
	else
		refuse_protocol(c, "Unsupported tunnel protocol for L7-inspected endpoint");
}

void net_client_peek(struct net_client *c)
{
	size_t before = c->in_len;
	enum net_peek what;

	if (!net_client_fill(c)) {
		/* It has ended; what it sent before is still its own business with the server. */
		if (c->in_len && !c->decision->inspect)
			go_raw(c);
		else
			net_client_free(c);
		return;
	}
	what = net_peek_classify(c->in, c->in_len);
	switch (what) {
	case NET_PEEK_HTTP:
		net_client_begin_http(c);
		break;
	case NET_PEEK_MORE:
		/* A server that speaks first, or ends, is no HTTP server. */
		if (c->upstream && net_stream_has_input(c->upstream))
			begin_other(c, NET_PEEK_OTHER);
		else if (!before && c->in_len && !c->decision->inspect)
			net_client_deadline(c, NET_PEEK_PART_MS);
		break;
	case NET_PEEK_TLS:
		net_client_begin_tls(c);
		break;
	case NET_PEEK_HTTP2:
	case NET_PEEK_OTHER:
		begin_other(c, what);
		break;
	}
}

/* Too little to say what it is, for too long. */
void net_client_peek_late(struct net_client *c)
{
	begin_other(c, NET_PEEK_OTHER);
}

void net_client_open_tunnel(struct net_client *c)
{
	static const char connected[] = CONNECTED;
	size_t len = sizeof connected - 1, head = c->head->len;

	if (net_stream_write(c->stream, connected, len) != (ssize_t) len) {
		net_client_free(c);
		return;
	}
	(void) memmove(c->in, c->in + head, c->in_len - head);
	c->in_len -= head;
	if (c->decision->tls == POLICY_TLS_SKIP) {
		go_raw(c);
		return;
	}
	c->phase = NET_PHASE_PEEK;
	net_client_deadline(c, NET_PEEK_MS);
	net_client_peek(c);
}
