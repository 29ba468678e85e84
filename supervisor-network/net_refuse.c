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
	case 431:
		return "Request Header Fields Too Large";
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
