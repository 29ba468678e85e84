/* net_client_request.c - one request inside a tunnel: is it well formed, and for this host? */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "net_authority.h"
#include "net_client.h"
#include "net_refuse.h"
#include "net_relay.h"

static void refuse_malformed(struct net_client *c, const char *error, const struct err *why)
{
	net_client_report(c, true, "connect-l7-parse-rejection", "l7_parse_rejection",
		"http-parser", why->text);
	net_client_refuse(c, 400, error, why->text, "");
}

static void refuse_authority(struct net_client *c)
{
	static const char message[] =
		"HTTP request authority does not match the authorized tunnel endpoint";
	char answer[1024];
	struct text t;

	net_client_report(
		c, true, "connect-l7-parse-rejection", "l7_policy", "request-authority", message);
	text_init(&t, answer, sizeof answer);
	net_refuse_message(403, "request_authority_mismatch", message, &t);
	net_client_send_and_linger(c, answer, t.len);
}

void net_client_take_tunnelled(struct net_client *c, size_t head_len)
{
	struct err e = { 0 };
	int r;

	if (net_head_request(c->in, head_len, c->head, &e) < 0 ||
		net_body_of_request(c->head, &c->body, &e) < 0) {
		refuse_malformed(c, "malformed_request", &e);
		return;
	}
	r = net_authority_check(c->head, &c->to, c->secure, &e);
	if (r == -EXDEV)
		refuse_authority(c);
	else if (r < 0)
		refuse_malformed(c, "malformed_request", &e);
	else
		net_relay_request(c);
}
