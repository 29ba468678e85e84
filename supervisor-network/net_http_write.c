#include "net_http_write.h"
#include <string.h>

static const struct net_slice hop_by_hop[] = { NET_SLICE("connection"), NET_SLICE("keep-alive"),
	NET_SLICE("proxy-connection"), NET_SLICE("proxy-authorization"),
	NET_SLICE("proxy-authenticate"), NET_SLICE("proxy-authentication-info"), NET_SLICE("te"),
	NET_SLICE("upgrade"), NET_SLICE("transfer-encoding"), NET_SLICE("content-length"),
	NET_SLICE("http2-settings") };

static bool stays_here(const struct net_head *h, const struct net_field *f)
{
	return net_slice_is_one(f->name, hop_by_hop, sizeof hop_by_hop / sizeof *hop_by_hop) ||
		net_head_nominates(h, f->name);
}

/* An encoded response can't be looked through, nor can a secret that two parts share. */
static bool hides(struct net_slice name)
{
	return net_slice_ieq(name, "accept-encoding") || net_slice_ieq(name, "range") ||
		net_slice_ieq(name, "if-range");
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
	if (body->framing == NET_BODY_CHUNKED) {
		text_add(t, "Transfer-Encoding: chunked\r\n");
	} else if (body->framing == NET_BODY_LENGTH) {
		text_add(t, "Content-Length: ");
		text_add_u64(t, body->length);
		text_add(t, "\r\n");
	}
}

static void add_authority(struct text *t, const struct net_target *to, uint16_t default_port)
{
	bool v6 = strchr(to->host, ':') != NULL;

	text_add(t, v6 ? "Host: [" : "Host: ");
	text_add(t, to->host);
	text_add(t, v6 ? "]" : "");
	if (to->port != default_port) {
		text_add(t, ":");
		text_add_u64(t, to->port);
	}
	text_add(t, "\r\n");
}

static void add_request_line(struct text *t, const struct net_write_request *w)
{
	text_add_n(t, w->head->method.at, w->head->method.len);
	text_add(t, " ");
	text_add_n(t, w->to->path.at, w->to->path.len);
	if (w->to->has_query) {
		text_add(t, "?");
		text_add_n(t, w->to->query.at, w->to->query.len);
	}
	/* A client of the older version may not understand an answer of the newer one. */
	text_add(t, w->head->minor ? " HTTP/1.1\r\n" : " HTTP/1.0\r\n");
}

static void add_connection(struct text *t, bool upgrade, bool close_after)
{
	if (upgrade)
		text_add(t, "Connection: Upgrade\r\nUpgrade: websocket\r\n");
	else
		text_add(t, close_after ? "Connection: close\r\n" : "Connection: keep-alive\r\n");
}

void net_write_request(const struct net_write_request *w, struct text *t)
{
	const struct net_head *h = w->head;
	bool via = !w->via;

	add_request_line(t, w);
	add_authority(t, w->to, w->default_port);
	for (size_t i = 0; i < h->n_fields; i++) {
		if (net_slice_ieq(h->fields[i].name, "host") || stays_here(h, &h->fields[i]))
			continue;
		if (w->searched && hides(h->fields[i].name))
			continue;
		if (w->asked && net_slice_ieq(h->fields[i].name, "expect"))
			continue;
		via |= net_slice_ieq(h->fields[i].name, "via");
		add_field(t, &h->fields[i]);
	}
	add_framing(t, w->body);
	if (w->searched)
		text_add(t, "Accept-Encoding: identity\r\n");
	if (!via)
		text_add(t, "Via: 1.1 openshell-sandbox\r\n");
	add_connection(t, w->upgrade, w->head->minor == 0);
	text_add(t, "\r\n");
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

void net_write_response(const struct net_write_response *w, struct text *t)
{
	const struct net_head *h = w->head;

	text_add(t, "HTTP/1.1 ");
	text_add_u64(t, h->status); /* three digits */
	text_add(t, " ");
	text_add_n(t, h->reason.at, h->reason.len);
	text_add(t, "\r\n");
	for (size_t i = 0; i < h->n_fields; i++)
		if (!stays_here(h, &h->fields[i]))
			add_field(t, &h->fields[i]);
	add_framing(t, w->body);
	add_length_alone(h, w->body, t);
	if (h->status >= 200 || w->upgrade)
		add_connection(t, w->upgrade, w->close_after);
	text_add(t, "\r\n");
}
