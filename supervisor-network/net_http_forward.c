#include "net_http_forward.h"
#include <string.h>

static const char *const hop_by_hop[] = { "connection", "keep-alive", "proxy-connection",
	"proxy-authorization", "proxy-authenticate", "proxy-authentication-info", "te", "upgrade",
	"transfer-encoding", "content-length", "http2-settings" };

static bool stays_here(const struct net_head *h, const struct net_field *f)
{
	for (size_t i = 0; i < sizeof hop_by_hop / sizeof *hop_by_hop; i++)
		if (net_slice_ieq(f->name, hop_by_hop[i]))
			return true;
	return net_head_nominates(h, f->name);
}

static void add_field(struct text *t, const struct net_field *f)
{
	text_add_n(t, f->name.at, f->name.len);
	text_add(t, ": ");
	text_add_n(t, f->value.at, f->value.len);
	text_add(t, "\r\n");
}

static void add_framing(struct text *t, const struct net_body *body)
{
	if (body->framing == NET_BODY_CHUNKED)
		text_add(t, "Transfer-Encoding: chunked\r\n");
	else if (body->framing == NET_BODY_LENGTH)
		text_addf(t, "Content-Length: %llu\r\n", (unsigned long long) body->length);
}

static void add_authority(struct text *t, const struct net_target *to)
{
	bool v6 = strchr(to->host, ':') != NULL;

	text_addf(t, "Host: %s%s%s", v6 ? "[" : "", to->host, v6 ? "]" : "");
	if (to->port != 80)
		text_addf(t, ":%u", to->port);
	text_add(t, "\r\n");
}

void net_forward_request(const struct net_head *h, const struct net_target *to,
	const struct net_body *body, struct text *t)
{
	bool via = false;

	text_add_n(t, h->method.at, h->method.len);
	text_add(t, " ");
	text_add_n(t, to->path.at, to->path.len);
	if (to->has_query) {
		text_add(t, "?");
		text_add_n(t, to->query.at, to->query.len);
	}
	/* A client of the older version can't read chunks: the server must not send them. */
	text_addf(t, " HTTP/1.%d\r\n", h->minor);
	add_authority(t, to);
	for (size_t i = 0; i < h->n_fields; i++) {
		if (net_slice_ieq(h->fields[i].name, "host") || stays_here(h, &h->fields[i]))
			continue;
		via |= net_slice_ieq(h->fields[i].name, "via");
		add_field(t, &h->fields[i]);
	}
	add_framing(t, body);
	if (!via)
		text_add(t, "Via: 1.1 openshell-sandbox\r\n");
	text_add(t, h->minor ? "Connection: keep-alive\r\n\r\n" : "Connection: close\r\n\r\n");
}

/* A length without a body (HEAD, 304) tells about the resource and is passed on. */
static void add_length_alone(const struct net_head *h, const struct net_body *body, struct text *t)
{
	const struct net_field *f;
	size_t n;

	if (body->framing != NET_BODY_NONE || h->status < 200 || h->status == 204)
		return;
	f = net_head_field(h, "content-length", &n);
	if (f)
		add_field(t, f);
}

void net_forward_response(
	const struct net_head *h, const struct net_body *body, bool close_after, struct text *t)
{
	text_addf(t, "HTTP/1.1 %03u ", h->status);
	text_add_n(t, h->reason.at, h->reason.len);
	text_add(t, "\r\n");
	for (size_t i = 0; i < h->n_fields; i++)
		if (!stays_here(h, &h->fields[i]))
			add_field(t, &h->fields[i]);
	add_framing(t, body);
	add_length_alone(h, body, t);
	if (h->status >= 200)
		text_add(t, close_after ? "Connection: close\r\n" : "Connection: keep-alive\r\n");
	text_add(t, "\r\n");
}
