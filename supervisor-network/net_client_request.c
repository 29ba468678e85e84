/* net_client_request.c - one request: is it well formed, for this host, and do the rules allow it? */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "core_credential.h"
#include "core_policy_request.h"
#include "net_authority.h"
#include "net_client.h"
#include "net_collect.h"
#include "net_credential.h"
#include "net_refuse.h"
#include "net_relay.h"
#include "net_report.h"
#include "net_upgrade.h"

/* What one judgement needs; nothing of it is kept between two calls. */
struct judged {
	struct policy_connect who;
	struct policy_path path;
	struct policy_query query;
	char redacted[POLICY_TARGET_PATH_MAX + 1]; /* what rules, logs and refusals see */
	size_t redacted_len;
	struct policy_request_decision decision;
};

static const char *stage(const struct net_client *c)
{
	return c->tunnelled ? "connect-l7-parse-rejection" : "forward-l7-parse-rejection";
}

static void refuse_malformed(struct net_client *c, const char *error, const char *why)
{
	net_client_report(c, true, stage(c),
		c->tunnelled ? "l7_parse_rejection" : "forward_parse_rejection", "http-parser",
		why);
	net_client_refuse(c, 400, error, why, "");
}

void net_client_refuse_authority(struct net_client *c)
{
	static const char message[] =
		"HTTP request authority does not match the authorized tunnel endpoint";
	char answer[1024];
	struct text t;

	net_client_report(c, true, stage(c), "l7_policy", "request-authority", message);
	text_init(&t, answer, sizeof answer);
	net_refuse_message(403, "request_authority_mismatch", message, "", &t);
	net_client_send_and_linger(c, answer, t.len);
}

static const char *protocol_name(enum policy_protocol p)
{
	static const char *const names[] = { "L4", "tcp", "sql", "rest", "websocket", "graphql",
		"json-rpc", "mcp" };

	return names[p];
}

/* The path without credentials, for what is shown to somebody. */
static void redact(struct judged *j, struct net_slice path)
{
	struct text t;

	text_init(&t, j->redacted, sizeof j->redacted);
	credential_redact(path.at, path.len, &t);
	j->redacted_len = t.len;
}

static void refuse_by_policy(struct net_client *c, struct judged *j, const char *detail)
{
	const struct policy_request_decision *d = &j->decision;
	struct net_refusal r = { .policy = d->policy,
		.detail = detail,
		.remedy = d->near,
		.protocol = d->has_route ? protocol_name(d->route.protocol) : "rest",
		.method = c->head->method,
		.path = { j->redacted, j->redacted_len },
		.host = c->to.host,
		.port = c->to.port,
		.binary = c->who.caller.exe };
	char answer[NET_REFUSAL_MAX];
	struct text t;

	c->to.path = r.path;
	net_client_report_as(c, d->policy, true, c->tunnelled ? "connect-l7" : "forward-l7-deny",
		"l7_policy", "l7", detail);
	text_init(&t, answer, sizeof answer);
	net_refuse_policy(&r, &t);
	net_client_send_and_linger(c, answer, t.len);
}

static void refuse_denied(struct net_client *c, struct judged *j)
{
	char detail[POLICY_REASON_MAX + 640], name[600];

	if (c->tunnelled) {
		refuse_by_policy(c, j, j->decision.reason);
		return;
	}
	c->to.path = (struct net_slice){ j->redacted, j->redacted_len };
	net_client_name(c, name, sizeof name);
	(void) snprintf(
		detail, sizeof detail, "%s denied by L7 policy: %s", name, j->decision.reason);
	refuse_by_policy(c, j, detail);
}

/* An unsigned request is not what the policy asks for. */
static void refuse_unsigned(struct net_client *c, struct judged *j)
{
	char detail[512];

	(void) snprintf(detail, sizeof detail,
		"%s:%u asks for requests that are signed with a credential (SigV4), which this "
		"build does not do; they are refused rather than sent unsigned",
		c->to.host, c->to.port);
	(void) snprintf(j->decision.near, sizeof j->decision.near,
		"without `credential_signing` in rule \"%.64s\" the program's own requests go "
		"through",
		j->decision.route.policy);
	refuse_by_policy(c, j, detail);
}

static void refuse_unbuilt(struct net_client *c, struct judged *j)
{
	const char *protocol = protocol_name(j->decision.route.protocol);
	char detail[512];

	(void) snprintf(detail, sizeof detail,
		"%s:%u asks for inspection as %s, which this build does not have; it is refused "
		"rather than relayed unseen",
		c->to.host, c->to.port, protocol);
	(void) snprintf(j->decision.near, sizeof j->decision.near,
		"`protocol: rest` in rule \"%.64s\" would judge method and path only",
		j->decision.route.policy);
	refuse_by_policy(c, j, detail);
}

static void refuse_h2c(struct net_client *c, struct judged *j)
{
	static const char detail[] =
		"HTTP/2 cleartext upgrade (h2c) is not supported for L7-inspected endpoints";

	(void) snprintf(j->decision.near, sizeof j->decision.near,
		"send the request without `Upgrade: h2c`");
	if (c->tunnelled) {
		refuse_by_policy(c, j, detail);
		return;
	}
	net_client_report(c, true, stage(c), "l7_parse_rejection", "l7", detail);
	net_client_refuse(c, 403, "unsupported_l7_protocol", detail, "");
}

static bool has_marker(const struct net_client *c)
{
	return credential_has_marker(c->in, c->head->len);
}

/* What a tunnel carries that no rules look into is its own business; all else has one spelling. */
static bool is_verbatim(const struct net_client *c)
{
	return c->tunnelled && !c->decision->inspect && !has_marker(c);
}

/* The path that rules see is the one that is sent. false: answered. */
static bool canonicalise(struct net_client *c, struct judged *j)
{
	bool slash = c->decision->inspect ? policy_select_any_encoded_slash(c->pinned, &j->who)
					  : c->tunnelled;
	enum policy_path_fault f =
		policy_path_canonical(c->to.path.at, c->to.path.len, slash, &j->path);

	if (is_verbatim(c) ||
		(f == POLICY_PATH_FINE && !memchr(c->to.query.at, '#', c->to.query.len)))
		return true;
	refuse_malformed(c, "invalid_request_target",
		f != POLICY_PATH_FINE ? policy_path_fault_text(f)
				      : "a fragment has no place in a request");
	return false;
}

/* A tunnel is answered when the placeholder is to be replaced. false: answered. */
static bool has_whole_placeholders(struct net_client *c)
{
	static const char why[] =
		"a placeholder in the request target is incomplete: it must end with a "
		"credential's name";

	if (c->tunnelled ||
		(!credential_has_incomplete(c->to.path.at, c->to.path.len) &&
			!credential_has_incomplete(c->to.query.at, c->to.query.len)))
		return true;
	refuse_malformed(c, "invalid_credential_placeholder", why);
	return false;
}

/* Keep the canonical path until it is sent. */
static bool adopt_path(struct net_client *c, const struct judged *j)
{
	if (is_verbatim(c) || !j->path.changed)
		return true;
	free(c->canonical);
	c->canonical = strndup(j->path.at, j->path.len);
	if (c->canonical)
		c->to.path = (struct net_slice){ c->canonical, j->path.len };
	return c->canonical != NULL;
}

static void decide(struct net_client *c, struct judged *j)
{
	struct policy_request r = { .method = { c->head->method.at, c->head->method.len },
		.path = { j->redacted, j->redacted_len },
		.query = j->query.at,
		.n_query = j->query.n };

	policy_decide_request(c->pinned, &j->who, &r, &j->decision);
}

/* Rules of an inspected endpoint. false: answered. */
static bool obey(struct net_client *c, struct judged *j, enum net_upgrade upgrade)
{
	const struct policy_request_decision *d = &j->decision;
	struct err e = { 0 };

	if (policy_query_decode(
		    (struct policy_bytes){ c->to.query.at, c->to.query.len }, &j->query, &e) < 0) {
		refuse_malformed(c, "invalid_request_target", e.text);
		return false;
	}
	redact(j, (struct net_slice){ j->path.at, j->path.len });
	decide(c, j);
	if (d->has_route && j->path.encoded_slash && !d->route.allow_encoded_slash) {
		refuse_malformed(c, "invalid_request_target",
			policy_path_fault_text(POLICY_PATH_ENCODED_SLASH));
		return false;
	}
	if (d->has_route && d->route.protocol != POLICY_REST)
		refuse_unbuilt(c, j);
	else if (upgrade == NET_UPGRADE_H2C)
		refuse_h2c(c, j);
	else if (d->has_route && d->route.signing != POLICY_SIGN_NONE)
		refuse_unsigned(c, j);
	else if (d->verdict == POLICY_DENIED || !d->has_route)
		refuse_denied(c, j);
	else
		return true;
	return false;
}

static void report(struct net_client *c, const struct judged *j)
{
	const struct policy_request_decision *d = &j->decision;

	if (!c->decision->inspect || d->verdict != POLICY_AUDITED)
		return;
	net_client_report_as(c, d->policy, false, c->tunnelled ? "connect" : "forward", "audit",
		"l7", d->reason);
}

static void take_care(struct net_client *c, const struct judged *j)
{
	const struct policy_route *r = &j->decision.route;
	bool inspect = c->decision->inspect;

	c->care.rewrite = inspect && r->request_body_credential_rewrite &&
		net_credential_scans(c->leaf, false, false);
	c->care.scrub = inspect ? r->scrub_responses : c->decision->scrub_responses;
	c->care.scan = net_credential_scans(c->leaf, inspect && r->provider_credentialed,
		inspect ? r->allow_uninspected_credentials : !c->decision->uninspected_unpermitted);
}

void net_client_judge(struct net_client *c)
{
	/* Too large to be cleared for every call.  Each way out that may come back here, with the next
	 * request of a kept connection, is the last statement, and nothing of j is handed to it:
	 * adopt_path() has copied what it needs. */
	static struct judged j;
	enum net_upgrade upgrade = net_upgrade_of(c->head);

	j.who = (struct policy_connect){ c->to.host, c->to.port, c->leaf->identity_required,
		&c->who.caller };
	if (upgrade == NET_UPGRADE_BAD) {
		refuse_malformed(c, "malformed_request", "the WebSocket handshake is malformed");
		return;
	}
	if (!canonicalise(c, &j) || !has_whole_placeholders(c) ||
		(c->decision->inspect && !obey(c, &j, upgrade)))
		return;
	c->upgrade = upgrade == NET_UPGRADE_WEBSOCKET;
	take_care(c, &j);
	report(c, &j);
	if (!adopt_path(c, &j))
		net_client_refuse(c, 503, "out_of_memory", "no memory for this request", "");
	else if (c->care.rewrite && c->body.framing != NET_BODY_NONE)
		net_collect_begin(c, CREDENTIAL_BODY_MAX, net_relay_request);
	else
		net_relay_request(c);
}

void net_client_take_tunnelled(struct net_client *c, size_t head_len)
{
	struct err e = { 0 };
	int r;

	if (net_head_request(c->in, head_len, c->head, &e) < 0 ||
		net_body_of_request(c->head, &c->body, &e) < 0) {
		refuse_malformed(c, "malformed_request", e.text);
		return;
	}
	r = net_authority_check(c->head, &c->to, c->secure, &e);
	if (r == -EXDEV)
		net_client_refuse_authority(c);
	else if (r < 0)
		refuse_malformed(c, "malformed_request", e.text);
	else
		net_client_judge(c);
}
