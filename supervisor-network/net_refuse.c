#include "net_refuse.h"
#include <string.h>

#define BODY_MAX (NET_REFUSAL_MAX - 256)

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

static void member(struct text *t, const char *name, const char *value, size_t max)
{
	text_addf(t, "\"%s\":\"", name);
	text_add_json(t, value, strlen(value), max);
	text_add(t, "\"");
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
	struct text b;

	text_init(&b, body, sizeof body);
	text_add(&b, "{");
	member(&b, "error", error, 64);
	text_add(&b, ",");
	member(&b, "detail", detail, 2048);
	if (reason[0]) {
		text_add(&b, ",");
		member(&b, "reason", reason, 2048);
	}
	text_add(&b, "}");
	send_json(status, &b, t);
}

void net_refuse_message(unsigned status, const char *error, const char *message, struct text *t)
{
	char body[1024];
	struct text b;

	text_init(&b, body, sizeof body);
	text_add(&b, "{");
	member(&b, "error", error, 64);
	text_add(&b, ",");
	member(&b, "message", message, 512);
	text_add(&b, "}");
	send_json(status, &b, t);
}

void net_refuse_https(struct text *t)
{
	static const char body[] = "Use CONNECT for HTTPS URLs";

	text_addf(t, "HTTP/1.1 400 Bad Request\r\nContent-Length: %zu\r\n\r\n%s", sizeof body - 1,
		body);
}

static void add_quoted(struct text *t, const char *name, const char *value, size_t len, size_t max)
{
	text_addf(t, ",\"%s\":\"", name);
	text_add_json(t, value, len, max);
	text_add(t, "\"");
}

static void add_request(struct text *t, const struct net_refusal *r)
{
	add_quoted(t, "method", r->method.at, r->method.len, 32);
	add_quoted(t, "path", r->path.at, r->path.len, 512);
	add_quoted(t, "host", r->host, strlen(r->host), 256);
	text_addf(t, ",\"port\":%u", r->port);
	if (r->binary[0])
		add_quoted(t, "binary", r->binary, strlen(r->binary), 512);
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
	struct text b;

	text_init(&b, body, sizeof body);
	text_add(&b, "{\"error\":\"policy_denied\"");
	add_quoted(&b, "policy", r->policy, strlen(r->policy), 128);
	text_add(&b, ",\"rule\":\"");
	text_add_json(&b, r->method.at, r->method.len, 32);
	text_add(&b, " ");
	text_add_json(&b, r->path.at, r->path.len, 512);
	text_add(&b, "\"");
	add_quoted(&b, "detail", r->detail, strlen(r->detail), 1536);
	if (r->remedy[0])
		add_quoted(&b, "remedy", r->remedy, strlen(r->remedy), 1024);
	text_add(&b, ",\"layer\":\"l7\"");
	add_quoted(&b, "protocol", r->protocol, strlen(r->protocol), 32);
	add_request(&b, r);
	text_add(&b, ",\"rule_missing\":{\"type\":\"rest_allow\",\"layer\":\"l7\"");
	add_request(&b, r);
	text_add(&b, "},\"next_steps\":[]}");
	text_addf(t,
		"HTTP/1.1 403 Forbidden\r\nContent-Type: application/json\r\n"
		"Content-Length: %zu\r\n",
		b.len);
	add_policy_header(t, r->policy);
	text_add(t, "Connection: close\r\n\r\n");
	text_add_n(t, body, b.len);
}
