/* net_refuse.c - refusals as bytes of an answer.
 *
 * Runs in the network leaf (openshell-supervisor-network).  Pure.  Everything that a request or a policy
 * may have put into a text is cut to a bound before it is escaped.
 */
#include "net_refuse.h"
#include <string.h>
#include "core_json.h"

#define BODY_MAX (NET_REFUSAL_MAX - 256)
#define METHOD_SHOWN_MAX 32 /* bytes of a method that an answer repeats */
#define PATH_SHOWN_MAX 512  /* of a path */

static const char *phrase(unsigned status)
{
	switch (status) {
	case 400:
		return "Bad Request";
	case 403:
		return "Forbidden";
	case 408:
		return "Request Timeout";
	case 413:
		return "Content Too Large";
	case 431:
		return "Request Header Fields Too Large";
	case 500:
		return "Internal Server Error";
	case 502:
		return "Bad Gateway";
	case 503:
		return "Service Unavailable";
	case 504:
		return "Gateway Timeout";
	default:
		return "Error";
	}
}

void net_refuse_bare(unsigned status, struct text *t)
{
	text_addf(t, "HTTP/1.1 %u %s\r\n\r\n", status, phrase(status));
}

static void member(struct json *j, const char *name, const char *value, size_t max)
{
	json_add_bytes(j, name, value, strlen(value), max);
}

static void open_body(struct json *j, struct text *t, char *buf, size_t size)
{
	text_init(t, buf, size);
	json_init(j, t);
	json_open(j, NULL, '{');
}

static void send_json(unsigned status, const struct text *body, struct text *t)
{
	text_addf(t,
		"HTTP/1.1 %u %s\r\nContent-Type: application/json\r\nContent-Length: "
		"%zu\r\nConnection: close\r\n\r\n",
		status, phrase(status), body->len);
	text_add_n(t, body->at, body->len);
}

void net_refuse_json(
	unsigned status, const char *error, const char *detail, const char *reason, struct text *t)
{
	char body[BODY_MAX];
	struct json j;
	struct text b;

	open_body(&j, &b, body, sizeof body);
	member(&j, "error", error, 64);
	member(&j, "detail", detail, 2048);
	if (reason[0])
		member(&j, "reason", reason, 2048);
	json_close(&j, '}');
	send_json(status, &b, t);
}

void net_refuse_message(
	unsigned status, const char *error, const char *message, const char *reason, struct text *t)
{
	char body[BODY_MAX];
	struct json j;
	struct text b;

	open_body(&j, &b, body, sizeof body);
	member(&j, "error", error, 64);
	member(&j, "message", message, 512);
	if (reason[0])
		member(&j, "reason", reason, 2048);
	json_close(&j, '}');
	send_json(status, &b, t);
}

void net_refuse_https(struct text *t)
{
	static const char body[] = "Use CONNECT for HTTPS URLs";

	text_addf(t, "HTTP/1.1 400 Bad Request\r\nContent-Length: %zu\r\n\r\n%s", sizeof body - 1,
		body);
}

static void add_request(struct json *j, const struct net_refusal *r)
{
	json_add_bytes(j, "method", r->method.at, r->method.len, METHOD_SHOWN_MAX);
	json_add_bytes(j, "path", r->path.at, r->path.len, PATH_SHOWN_MAX);
	member(j, "host", r->host, 256);
	json_add_number(j, "port", r->port);
	if (r->binary[0])
		member(j, "binary", r->binary, 512);
}

static void add_cut(struct text *t, struct net_slice s, size_t max)
{
	size_t n = text_utf8_cut(s.at, s.len, max);

	text_add_n(t, s.at, n);
	if (n < s.len)
		text_add(t, "...");
}

/* "GET /path" */
static void add_rule(struct json *j, const struct net_refusal *r)
{
	char rule[METHOD_SHOWN_MAX + PATH_SHOWN_MAX + 16];
	struct text t;

	text_init(&t, rule, sizeof rule);
	add_cut(&t, r->method, METHOD_SHOWN_MAX);
	text_add(&t, " ");
	add_cut(&t, r->path, PATH_SHOWN_MAX);
	json_add_bytes(j, "rule", rule, t.len, t.len);
}

/* A rule's name may be anything that YAML takes. */
static void add_policy_header(struct text *t, const char *policy)
{
	text_add(t, "X-OpenShell-Policy: ");
	for (size_t i = 0; policy[i] && i < 128; i++) {
		char c = policy[i] > ' ' && policy[i] < 0x7f ? policy[i] : '_';

		text_add_n(t, &c, 1);
	}
	text_add(t, policy[0] ? "\r\n" : "-\r\n");
}

void net_refuse_policy(const struct net_refusal *r, struct text *t)
{
	char body[BODY_MAX];
	struct json j;
	struct text b;

	open_body(&j, &b, body, sizeof body);
	json_add_text(&j, "error", "policy_denied");
	member(&j, "policy", r->policy, 128);
	add_rule(&j, r);
	member(&j, "detail", r->detail, 1536);
	if (r->remedy[0])
		member(&j, "remedy", r->remedy, 1024);
	json_add_text(&j, "layer", "l7");
	member(&j, "protocol", r->protocol, 32);
	add_request(&j, r);
	json_open(&j, "rule_missing", '{');
	json_add_text(&j, "type", "rest_allow");
	json_add_text(&j, "layer", "l7");
	add_request(&j, r);
	json_close(&j, '}');
	json_open(&j, "next_steps", '[');
	json_close(&j, ']');
	json_close(&j, '}');
	text_addf(t,
		"HTTP/1.1 403 Forbidden\r\nContent-Type: application/json\r\n"
		"Content-Length: %zu\r\n",
		b.len);
	add_policy_header(t, r->policy);
	text_add(t, "Connection: close\r\n\r\n");
	text_add_n(t, body, b.len);
}
