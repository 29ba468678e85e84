/* net_client_decide.c - from a request head to a dialled connection, or a refusal. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include "net_client.h"
#include "net_copy.h"
#include "net_credential.h"
#include "net_destination.h"
#include "net_policy.h"
#include "net_refuse.h"
#include "net_relay.h"
#include "net_report.h"
#include "net_tls.h"

#define DETAIL_MAX 1024

void net_client_report_allowed(struct net_client *c)
{
	net_client_report(c, false, c->tunnelled || c->is_connect ? "connect" : "forward",
		"unknown", "policy", "");
}

static void refuse_malformed(struct net_client *c, const char *error, const struct err *why)
{
	static const char unknown[] = "/[INVALID_REQUEST_TARGET]";

	/* Nothing was decided for it yet; what its target was is not known, or not to be told. */
	c->to = (struct net_target){ .path = { unknown, c->is_connect ? 0 : sizeof unknown - 1 } };
	net_client_report_as(c, "", true, c->is_connect ? "connect" : "forward",
		"forward_parse_rejection", "parser", why->text);
	net_client_refuse(c, 400, error, why->text, "");
}

static bool is_local_service(const struct net_client *c)
{
	return strcmp(c->to.host, "policy.local") == 0 ||
		strcmp(c->to.host, "inference.local") == 0;
}

static bool parse_connect(struct net_client *c, struct err *e)
{
	if (c->body.framing != NET_BODY_NONE) {
		(void) err_set(e, EBADMSG, "CONNECT with a body");
		return false;
	}
	return net_target_authority(c->head->target, &c->to, e) == 0;
}

/* false: answered. */
static bool parse_forward(struct net_client *c)
{
	enum net_scheme scheme;
	char answer[256];
	struct text t;
	struct err e = { 0 };

	if (net_target_absolute(c->head->target, &c->to, &scheme, &e) < 0) {
		refuse_malformed(c, "invalid_request_target", &e);
		return false;
	}
	if (scheme == NET_SCHEME_HTTPS) {
		text_init(&t, answer, sizeof answer);
		net_refuse_https(&t);
		net_client_send_and_linger(c, answer, t.len);
		return false;
	}
	if (scheme == NET_SCHEME_OTHER) {
		net_client_refuse(c, 400, "unsupported_proxy_scheme",
			"Forward proxy requests must use http", "");
		return false;
	}
	return true;
}

static void ask_identity(struct net_client *c);

void net_client_take_head(struct net_client *c, size_t head_len)
{
	struct err e = { 0 };

	if (net_head_request(c->in, head_len, c->head, &e) < 0 ||
		net_body_of_request(c->head, &c->body, &e) < 0) {
		refuse_malformed(c, "malformed_request", &e);
		return;
	}
	c->is_connect = net_slice_is(c->head->method, "CONNECT");
	if (c->is_connect && c->served) {
		(void) err_set(
			&e, EBADMSG, "CONNECT behind a forward request; open a connection for it");
		refuse_malformed(c, "malformed_request", &e);
		return;
	}
	if (c->is_connect && !parse_connect(c, &e)) {
		refuse_malformed(c, "invalid_request_target", &e);
		return;
	}
	if (!c->is_connect && !parse_forward(c))
		return;
	if (is_local_service(c)) {
		net_client_refuse(c, 404, "not_built",
			"inference.local and policy.local are not built yet in this program", "");
		return;
	}
	ask_identity(c);
}

static void decide(struct net_client *c);

static void on_identity(void *owner, struct net_who *take)
{
	struct net_client *c = owner;

	c->asked = 0;
	net_who_done(&c->who);
	c->who = *take;
	c->who_ms = loop_now_ms(c->leaf->loop);
	decide(c);
}

static void ask_identity(struct net_client *c)
{
	struct net_leaf *n = c->leaf;
	uint64_t now = loop_now_ms(n->loop);

	c->phase = NET_PHASE_IDENTITY;
	if (!n->identity_required ||
		(c->who_ms && c->who.caller.assurance == IDENTITY_OBSERVED &&
			now - c->who_ms < NET_IDENTITY_FRESH_MS)) {
		decide(c);
		return;
	}
	net_client_deadline(c, 2000);
	c->asked = net_identity_ask(n->identity, &c->question, on_identity, c);
	if (c->asked)
		return;
	net_who_done(&c->who);
	c->who.caller.reason = "the identity worker can't be asked; egress is closed";
	decide(c);
}

static void refuse_policy(struct net_client *c)
{
	const struct policy_decision *d = c->decision;
	char detail[DETAIL_MAX], reason[2 * POLICY_REASON_MAX + 8], name[DETAIL_MAX - 64];

	net_client_name(c, name, sizeof name);
	(void) snprintf(detail, sizeof detail, "%s not permitted by policy", name);
	(void) snprintf(
		reason, sizeof reason, "%s%s%s", d->reason, d->near[0] ? "; " : "", d->near);
	net_client_report(c, true, c->is_connect ? "connect" : "forward",
		c->is_connect ? "connect_policy" : "forward_policy", "policy", d->reason);
	net_client_refuse(c, 403, "policy_denied", detail, reason);
}

static void decide(struct net_client *c)
{
	struct net_leaf *n = c->leaf;
	struct policy_connect q = { c->to.host, c->to.port, n->identity_required, &c->who.caller };
	struct policy_snapshot *now = net_policy_current(n->policy);

	/* An upstream connection of this client stays usable while its generation is current. */
	if (c->pinned != now) {
		net_client_drop_upstream(c);
		policy_snapshot_unref(c->pinned);
		c->pinned = policy_snapshot_ref(now);
	}
	policy_decide_connect(c->pinned, &q, c->decision);
	if (!c->decision->allow) {
		refuse_policy(c);
	} else if (c->decision->credentialed_uninspected_denied ||
		(c->is_connect && c->decision->uninspected_unpermitted &&
			net_credential_covers(n, c->to.host, c->to.port))) {
		net_client_report(c, true, "connect-uninspected-credentials",
			"uninspected_credentials", "policy",
			"credentialed endpoint without inspection; give it protocol: rest with "
			"access or rules, or allow_uninspected_credentials: true");
		net_client_refuse(c, 403, "uninspected_credentials",
			"credentialed endpoint requires L7 inspection; raw tunnel is not "
			"explicitly allowed",
			"a credential belongs to this endpoint: give it `protocol: rest` with "
			"access or "
			"rules, or set allow_uninspected_credentials: true");
	} else if (c->is_connect) {
		net_client_go(c);
	} else {
		net_client_judge(c);
	}
}

static void refuse_destination(struct net_client *c, const char *kind, const char *reason)
{
	char detail[DETAIL_MAX], name[DETAIL_MAX - 128];

	net_client_name(c, name, sizeof name);
	(void) snprintf(detail, sizeof detail, "%s blocked: %s", name, kind);
	net_client_report(c, true, "ssrf", "ssrf", "ssrf", reason);
	net_client_refuse(c, 403, "ssrf_denied", detail, reason);
}

static void refuse_unreachable(struct net_client *c, const char *reason)
{
	char detail[DETAIL_MAX];

	(void) snprintf(
		detail, sizeof detail, "connection to %s:%u failed", c->to.host, c->to.port);
	net_client_refuse(c, 502, "upstream_unreachable", detail, reason);
}

static void on_upstream(void *owner)
{
	struct net_client *c = owner;

	c->answered = 0;
	if (c->phase == NET_PHASE_RELAY)
		net_relay_ready(c);
	else if (c->phase == NET_PHASE_COPY)
		net_copy_ready(c);
	else if (c->phase == NET_PHASE_PEEK)
		net_client_peek(c);
	else if (c->phase == NET_PHASE_SECURE_UPSTREAM)
		net_client_secure_upstream(c);
	else if (c->phase == NET_PHASE_HEAD && net_stream_has_input(c->upstream))
		/* Idle: it has ended, or sent what nobody asked for. */
		net_client_drop_upstream(c);
}

bool net_client_upstream_fits(const struct net_client *c)
{
	struct net_addresses a = { .n = 1, .at = { c->upstream_addr } };
	struct net_destination d;

	return c->upstream_port == c->to.port && strcmp(c->upstream_host, c->to.host) == 0 &&
		(c->tunnelled || net_destination_check(c->leaf, &c->to, c->decision, &a, &d));
}

void net_client_drop_upstream(struct net_client *c)
{
	net_stream_free(TAKE_PTR(c->upstream));
}

static void start_relay(struct net_client *c, int take_fd, const struct addr *at)
{
	struct err e = { 0 };

	if (net_stream_new(c->leaf->loop, take_fd, on_upstream, c, &c->upstream, &e) < 0) {
		refuse_unreachable(c, e.text);
		return;
	}
	(void) snprintf(c->upstream_host, sizeof c->upstream_host, "%s", c->to.host);
	c->upstream_port = c->to.port;
	c->upstream_addr = *at;
	c->upstream_used = false;
	if (c->is_connect)
		net_client_open_tunnel(c);
	else
		net_client_begin_upstream(c);
}

static void on_dialled(void *owner, int take_fd, const struct addr *to, int code)
{
	struct net_client *c = owner;
	struct addr at = *to; /* a part of the dial */

	net_dial_free(TAKE_PTR(c->dial));
	if (take_fd < 0)
		refuse_unreachable(c, strerror(code));
	else
		start_relay(c, take_fd, &at);
}

static void refuse_without_tls(struct net_client *c)
{
	static const char detail[] =
		"TLS termination unavailable (CA initialization failed); refusing to tunnel — "
		"credential rewrite would be bypassed";

	net_client_report(c, true, "connect-tls-termination-unavailable",
		"tls_termination_unavailable", "tls", detail);
	net_client_refuse(c, 503, "tls_termination_unavailable", detail, "");
}

static void on_resolved(void *owner, const struct net_addresses *a, const char *why)
{
	struct net_client *c = owner;
	struct net_dial_to to = { a, c->to.port, on_dialled, c };
	struct net_destination d;
	struct err e = { 0 };
	int fd;

	c->query = NULL;
	if (a->n == 0) {
		char reason[256];

		(void) snprintf(
			reason, sizeof reason, "%.120s can't be resolved: %.100s", c->to.host, why);
		refuse_destination(c, "internal address", reason);
		return;
	}
	if (!net_destination_check(c->leaf, &c->to, c->decision, a, &d)) {
		refuse_destination(c, d.kind, d.reason);
		return;
	}
	if (c->is_connect && c->decision->tls != POLICY_TLS_SKIP &&
		!net_tls_is_ready(c->leaf->tls)) {
		refuse_without_tls(c);
		return;
	}
	c->phase = NET_PHASE_DIAL;
	net_client_deadline(c, NET_DIAL_MS + NET_DIAL_ONE_MS);
	if (net_dial_start(c->leaf, &to, &c->dial, &fd, &e) < 0)
		refuse_unreachable(c, e.text);
	else if (fd >= 0)
		start_relay(c, fd, &a->at[0]);
}

void net_client_go(struct net_client *c)
{
	struct net_addresses a = { .n = 1 };
	struct net_query *q;

	c->phase = NET_PHASE_RESOLVE;
	net_client_drop_upstream(c);
	if (c->to.is_ip) {
		a.at[0] = c->to.ip;
		on_resolved(c, &a, "");
		return;
	}
	net_client_deadline(c, NET_RESOLVE_MS + 1000);
	q = net_resolve_name(c->leaf->resolve, c->to.host, on_resolved, c);
	/* NULL: answered already, and c may be gone. */
	if (q)
		c->query = q;
}
