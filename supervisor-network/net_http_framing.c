#include "net_http_framing.h"
#include <errno.h>
#include <string.h>
#include "core_text.h"

static int length_of(const struct net_head *h, bool *ret_any, uint64_t *ret, struct err *e)
{
	uint64_t v;

	*ret_any = false;
	for (size_t i = 0; i < h->n_fields; i++) {
		const struct net_slice *s = &h->fields[i].value;

		if (!net_slice_ieq(h->fields[i].name, "content-length"))
			continue;
		if (text_to_u64(s->at, s->len, 0, INT64_MAX, &v) < 0)
			return err_set(e, EBADMSG, "Content-Length is not a plain number");
		if (*ret_any && v != *ret)
			return err_set(e, EBADMSG, "two different Content-Length values");
		*ret_any = true;
		*ret = v;
	}
	return 0;
}

static int framing_of(const struct net_head *h, struct net_body *ret, struct err *e)
{
	const struct net_field *coding;
	bool has_length;
	size_t n;

	*ret = (struct net_body){ NET_BODY_NONE, 0 };
	coding = net_head_field(h, "transfer-encoding", &n);
	if (length_of(h, &has_length, &ret->length, e) < 0)
		return -e->code;
	if (coding && has_length)
		return err_set(e, EBADMSG, "Transfer-Encoding together with Content-Length");
	if (coding && h->minor == 0)
		return err_set(e, EBADMSG, "Transfer-Encoding in HTTP/1.0");
	if (coding && (n != 1 || !net_slice_ieq(coding->value, "chunked")))
		return err_set(e, EBADMSG, "a Transfer-Encoding other than one `chunked`");
	ret->framing = coding ? NET_BODY_CHUNKED : has_length ? NET_BODY_LENGTH : NET_BODY_NONE;
	return 0;
}

int net_body_of_request(const struct net_head *h, struct net_body *ret, struct err *e)
{
	return framing_of(h, ret, e);
}

int net_body_of_response(
	const struct net_head *h, bool to_head, struct net_body *ret, struct err *e)
{
	if (framing_of(h, ret, e) < 0)
		return -e->code;
	if (to_head || h->status < 200 || h->status == 204 || h->status == 304)
		ret->framing = NET_BODY_NONE;
	else if (ret->framing == NET_BODY_NONE)
		ret->framing = NET_BODY_TO_END;
	return 0;
}

enum { SIZE, EXTENSION, SIZE_LF, DATA, DATA_CR, DATA_LF, TRAILER, TRAILER_LF, END_LF, DONE };

static int hex(char c)
{
	return c >= '0' && c <= '9'    ? c - '0'
		: c >= 'a' && c <= 'f' ? c - 'a' + 10
		: c >= 'A' && c <= 'F' ? c - 'A' + 10
				       : -1;
}

static int feed_size(struct net_chunked *c, char b, struct err *e)
{
	int v = hex(b);

	if (++c->line > NET_CHUNK_LINE_MAX)
		return err_set(
			e, EBADMSG, "chunk-size line of more than %d bytes", NET_CHUNK_LINE_MAX);
	if (c->state == SIZE && v >= 0) {
		if (c->left >> 58)
			return err_set(e, EBADMSG, "chunk size is too large");
		c->left = c->left << 4 | (unsigned) v;
		c->digits = true;
		return 0;
	}
	if (!c->digits || (c->state == SIZE && b != ';' && b != '\r'))
		return err_set(e, EBADMSG, "chunk size is not plain hexadecimal");
	if ((unsigned char) b < 0x20 && b != '\r' && b != '\t')
		return err_set(e, EBADMSG, "control character in a chunk extension");
	c->state = b == '\r' ? SIZE_LF : EXTENSION;
	return 0;
}

bool net_trailer_is_refused(struct net_slice name)
{
	static const char *const refused[] = { "host", "authorization", "content-length",
		"transfer-encoding", "trailer", "te", "connection", "keep-alive", "upgrade",
		"expect", "cookie", "set-cookie", "proxy-authorization", "proxy-authenticate",
		"proxy-connection", "www-authenticate", "content-encoding", "content-type",
		"content-range", "range", "location", "age", "cache-control", "max-forwards" };

	for (size_t i = 0; i < sizeof refused / sizeof *refused; i++)
		if (net_slice_ieq(name, refused[i]))
			return true;
	return false;
}

static int check_trailer_name(const struct net_chunked *c, struct err *e)
{
	struct net_slice name = { c->name, strcspn(c->name, ":") };

	if (name.len == 0 || c->name[name.len] == '\0')
		return err_set(e, EBADMSG, "a trailer is malformed");
	if (!c->any_trailer && net_trailer_is_refused(name))
		return err_set(e, EBADMSG, "a trailer names %.*s", (int) name.len, name.at);
	for (size_t i = 0; i < name.len; i++)
		if ((unsigned char) name.at[i] <= ' ' || (unsigned char) name.at[i] >= 0x7f)
			return err_set(e, EBADMSG, "a trailer name is malformed");
	return 0;
}

static int feed_trailer(struct net_chunked *c, char b, struct err *e)
{
	if (++c->trailers > NET_TRAILERS_MAX)
		return err_set(e, EBADMSG, "trailers of more than %d bytes", NET_TRAILERS_MAX);
	if (c->keep)
		c->keep[c->kept++] = b;
	if (b == '\r') {
		if (c->line && check_trailer_name(c, e) < 0)
			return -e->code;
		c->state = c->line ? TRAILER_LF : END_LF;
		return 0;
	}
	if (((unsigned char) b < 0x20 && b != '\t') || b == 0x7f)
		return err_set(e, EBADMSG, "control character in a trailer");
	if (c->line < sizeof c->name - 1) {
		c->name[c->line] = b;
		c->name[c->line + 1] = '\0';
	}
	c->line++;
	return 0;
}

static int feed_end_of_line(struct net_chunked *c, char b, struct err *e)
{
	char want = c->state == DATA_CR ? '\r' : '\n';

	if (b != want)
		return err_set(e, EBADMSG, "chunk framing without CR LF");
	switch (c->state) {
	case SIZE_LF:
		c->state = c->left ? DATA : TRAILER;
		c->line = 0;
		break;
	case DATA_CR:
		c->state = DATA_LF;
		break;
	case DATA_LF:
		c->state = SIZE;
		c->line = 0;
		c->digits = false;
		break;
	case TRAILER_LF:
		if (++c->trailers > NET_TRAILERS_MAX)
			return err_set(
				e, EBADMSG, "trailers of more than %d bytes", NET_TRAILERS_MAX);
		if (c->keep)
			c->keep[c->kept++] = b;
		c->state = TRAILER;
		c->line = 0;
		break;
	default:
		c->state = DONE;
		break;
	}
	return 0;
}

bool net_chunked_is_done(const struct net_chunked *c)
{
	return c->state == DONE;
}

static int feed_byte(struct net_chunked *c, char b, struct err *e)
{
	if (c->state == SIZE || c->state == EXTENSION)
		return feed_size(c, b, e);
	if (c->state == TRAILER)
		return feed_trailer(c, b, e);
	return feed_end_of_line(c, b, e);
}

int net_chunked_next(struct net_chunked *c, const char *bytes, size_t len, size_t *ret_used,
	struct net_slice *ret_data, struct err *e)
{
	size_t i = 0;
	int r = 0;

	*ret_data = (struct net_slice){ "", 0 };
	while (i < len && c->state != DONE && c->state != DATA && r == 0)
		r = feed_byte(c, bytes[i++], e);
	if (r < 0)
		return r;
	if (c->state == DATA && i < len) {
		size_t n = len - i < c->left ? len - i : (size_t) c->left;

		*ret_data = (struct net_slice){ bytes + i, n };
		i += n;
		c->left -= n;
		if (c->left == 0)
			c->state = DATA_CR;
	}
	*ret_used = i;
	return 0;
}

int net_chunked_feed(struct net_chunked *c, const char *bytes, size_t len, size_t *ret_used,
	bool *ret_done, struct err *e)
{
	struct net_slice data;
	size_t used, i = 0;

	while (i < len && c->state != DONE) {
		if (net_chunked_next(c, bytes + i, len - i, &used, &data, e) < 0)
			return -e->code;
		i += used;
	}
	*ret_used = i;
	*ret_done = c->state == DONE;
	return 0;
}
