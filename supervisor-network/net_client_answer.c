/* net_client_answer.c - what a client is told, what is told of it, and how its connection closes.
 *
 * Runs in the network leaf (openshell-supervisor-network), without privilege.  An answer from here is the
 * last one on its connection: what the client had going is given up, and what it still sends is dropped.
 */
#include <stdio.h>
#include <string.h>
#include "core_credential.h"
#include "net_client.h"
#include "net_collect.h"
#include "net_refuse.h"
#include "net_relay.h"
#include "net_report.h"

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

void net_client_linger(struct net_client *c)
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
	net_client_cancel(c);
	net_collect_free(TAKE_PTR(c->collect));
	net_collect_release(c);
	net_exchange_free(TAKE_PTR(c->exchange));
	net_client_drop_upstream(c);
	/* A slow reader gets its time for what TLS still holds. */
	net_client_deadline(c, net_stream_is_sent(c->stream) ? NET_LINGER_MS : NET_KEEPALIVE_MS);
	net_client_linger(c);
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
