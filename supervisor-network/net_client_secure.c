/* net_client_secure.c - TLS that ends here: towards the workload's client, and towards its server. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include "net_client.h"
#include "net_relay.h"
#include "net_tls.h"

static void report_failure(struct net_client *c, enum tls_reason reason, const struct err *why)
{
	char text[ERR_TEXT_MAX + 64];

	(void) snprintf(text, sizeof text, "%s: %s", tls_reason_name(reason), why->text);
	/* A client that goes away, or shows that it does not trust us, is not worth an event. */
	if (reason == TLS_REASON_CLOSED)
		return;
	net_client_report(c, true, "connect-tls", "l7_parse_rejection", "tls", text);
}

void net_client_begin_tls(struct net_client *c)
{
	struct err e = { 0 };
	int r;

	if (!net_tls_is_ready(c->leaf->tls)) {
		(void) err_set(&e, ENOENT, "no certificate authority");
		report_failure(c, TLS_REASON_SYSTEM, &e);
		net_client_free(c);
		return;
	}
	c->phase = NET_PHASE_SECURE;
	net_client_deadline(c, NET_TLS_MS);
	r = net_stream_serve_tls(
		c->stream, net_tls_server(c->leaf->tls), c->to.host, c->in, c->in_len, &e);
	c->in_len = 0;
	if (r < 0) {
		report_failure(c, r == -EBUSY ? TLS_REASON_MINT_RATE : TLS_REASON_SYSTEM, &e);
		net_client_free(c);
		return;
	}
	net_client_secure(c);
}

void net_client_secure(struct net_client *c)
{
	struct err e = { 0 };

	switch (net_stream_handshake(c->stream, &e)) {
	case TLS_DONE:
		c->secure = true;
		net_client_begin_http(c);
		break;
	case TLS_FAILED:
		report_failure(c, tls_reason(net_stream_tls(c->stream)), &e);
		net_client_free(c);
		break;
	case TLS_WANT_READ:
	case TLS_WANT_WRITE:
		break;
	}
}

void net_client_refuse_upstream_tls(struct net_client *c, const struct err *why)
{
	const struct tls_stream *t = net_stream_tls(c->upstream);
	enum tls_reason reason = tls_reason(t);
	char detail[512], text[ERR_TEXT_MAX + 256];

	if (tls_client_cert_wanted(t))
		reason = TLS_REASON_CLIENT_CERT;
	(void) snprintf(detail, sizeof detail, "TLS with %s:%u failed: %s", c->to.host, c->to.port,
		tls_reason_name(reason));
	(void) snprintf(text, sizeof text, "%s%s", why->text,
		reason == TLS_REASON_CLIENT_CERT
			? "; the server wants a client certificate, which an intercepted "
			  "connection does not have: `tls: skip` on its endpoint would leave TLS "
			  "to "
			  "the program"
			: "");
	net_client_report(c, true, "connect-tls", "l7_policy", "tls", text);
	net_client_refuse(c, 502, "upstream_tls_failed", detail, text);
}

void net_client_begin_upstream(struct net_client *c)
{
	struct err e = { 0 };

	if (!c->secure || net_stream_tls(c->upstream)) {
		net_relay_connected(c);
		return;
	}
	if (net_stream_use_tls(
		    c->upstream, net_tls_client(c->leaf->tls), c->to.host, c->to.port, &e) < 0) {
		net_client_refuse(c, 502, "upstream_tls_failed", e.text, "");
		return;
	}
	c->phase = NET_PHASE_SECURE_UPSTREAM;
	net_client_deadline(c, NET_TLS_MS);
	net_client_secure_upstream(c);
}

void net_client_secure_upstream(struct net_client *c)
{
	struct err e = { 0 };

	switch (net_stream_handshake(c->upstream, &e)) {
	case TLS_DONE:
		net_relay_connected(c);
		break;
	case TLS_FAILED:
		net_client_refuse_upstream_tls(c, &e);
		break;
	case TLS_WANT_READ:
	case TLS_WANT_WRITE:
		break;
	}
}
