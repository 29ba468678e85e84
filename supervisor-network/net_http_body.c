#include "net_http_body.h"
#include <errno.h>
#include <stdio.h>
#include <string.h>

#define SIZE_LINE 6 /* "3fff\r\n": no step writes more than 64 KiB - 1 of data */
#define STEP_MAX 65535

void net_carry_init(struct net_carry *c, const struct net_body *from, bool is_request,
	bool to_chunks, char *keep)
{
	*c = (struct net_carry){ .from = *from, .to_chunks = to_chunks, .left = from->length };
	c->chunks.any_trailer = !is_request;
	c->chunks.keep = keep;
	c->read = c->flushed = c->done = from->framing == NET_BODY_NONE ||
		(from->framing == NET_BODY_LENGTH && from->length == 0);
}

static size_t room(const struct net_carry *c, const struct net_bytes *out)
{
	size_t free = out->size - out->len, overhead = c->to_chunks ? NET_CARRY_OVERHEAD : 0;

	overhead += c->scan ? CREDENTIAL_SCAN_HELD_MAX : 0;
	overhead += c->scrub ? credential_scrub_held_max(c->scrub) : 0;
	if (free <= overhead)
		return 0;
	return free - overhead < STEP_MAX ? free - overhead : STEP_MAX;
}

static void put(struct net_bytes *out, const char *bytes, size_t len)
{
	(void) memcpy(out->at + out->len, bytes, len);
	out->len += len;
}

static int put_data(
	struct net_carry *c, const char *bytes, size_t len, struct net_bytes *out, struct err *e)
{
	size_t n = len;

	if (c->scan && !credential_scan_feed(c->scan, bytes, len, out->at + out->len, &n))
		return err_set(e, EACCES,
			"the body holds a credential's placeholder, which is replaced in bodies "
			"only where request_body_credential_rewrite is on");
	if (c->scrub)
		credential_scrub_feed(c->scrub, bytes, len, out->at + out->len, &n);
	if (c->scan || c->scrub)
		out->len += n;
	else
		put(out, bytes, len);
	return 0;
}

static void put_held(struct net_carry *c, struct net_bytes *out)
{
	if (c->scan)
		out->len += credential_scan_finish(c->scan, out->at + out->len);
	if (c->scrub)
		out->len += credential_scrub_finish(c->scrub, out->at + out->len);
	c->flushed = true;
}

/* Data runs of one step, one behind the other; the number of bytes taken from in. */
static int take(struct net_carry *c, const char *in, size_t len, size_t *ret_used,
	struct net_bytes *out, struct err *e)
{
	struct net_slice data;
	size_t used;

	*ret_used = 0;
	if (c->from.framing != NET_BODY_CHUNKED) {
		if (c->from.framing == NET_BODY_LENGTH && len > c->left)
			len = (size_t) c->left;
		if (put_data(c, in, len, out, e) < 0)
			return -e->code;
		c->left -= c->from.framing == NET_BODY_LENGTH ? len : 0;
		c->read = c->from.framing == NET_BODY_LENGTH && c->left == 0;
		*ret_used = len;
		return 0;
	}
	while (*ret_used < len && !net_chunked_is_done(&c->chunks)) {
		if (net_chunked_next(&c->chunks, in + *ret_used, len - *ret_used, &used, &data, e) <
			0)
			return -e->code;
		if (data.len && put_data(c, data.at, data.len, out, e) < 0)
			return -e->code;
		*ret_used += used;
	}
	c->read = net_chunked_is_done(&c->chunks);
	return 0;
}

/* The data that stands behind the room for a size line becomes a chunk. */
static void close_chunk(struct net_bytes *out, size_t begin)
{
	size_t n = out->len - begin - SIZE_LINE;
	char line[16];
	int digits = snprintf(line, sizeof line, "%zx\r\n", n);

	if (n == 0) { /* an empty chunk would end the body */
		out->len = begin;
		return;
	}
	(void) memmove(out->at + begin + digits, out->at + begin + SIZE_LINE, n);
	(void) memcpy(out->at + begin, line, (size_t) digits);
	out->len = begin + (size_t) digits + n;
	put(out, "\r\n", 2);
}

static int write_trailers(struct net_carry *c, struct net_bytes *out, struct err *e)
{
	/* Too large to be cleared for every call; a pure leaf: nothing here comes back here. */
	static struct net_head h;
	char block[NET_TRAILERS_MAX + 2];

	(void) memcpy(block, c->chunks.keep, c->chunks.kept);
	(void) memcpy(block + c->chunks.kept - 1, "\r\n", 2); /* the last CR began the empty line */
	if (c->scrub_trailers)
		(void) credential_scrub_text(c->scrub_trailers, block, c->chunks.kept - 1);
	if (net_head_trailers(block, c->chunks.kept + 1, &h, e) < 0)
		return err_wrap(e, "trailers");
	if (c->scrub_trailers)
		(void) credential_scrub_text(c->scrub_trailers, block, c->chunks.kept + 1);
	for (size_t i = 0; i < h.n_fields; i++) {
		if (net_trailer_is_refused(h.fields[i].name))
			continue;
		put(out, h.fields[i].name.at, h.fields[i].name.len);
		put(out, ": ", 2);
		put(out, h.fields[i].value.at, h.fields[i].value.len);
		put(out, "\r\n", 2);
	}
	return 0;
}

static int write_end(struct net_carry *c, struct net_bytes *out, struct err *e)
{
	/* "a:b" becomes "a: b": one byte more for each line of at least five */
	size_t trailers = c->chunks.kept + c->chunks.kept / 4;

	if (c->to_chunks) {
		if (out->size - out->len < trailers + NET_CARRY_OVERHEAD)
			return 0;
		put(out, "0\r\n", 3);
		if (c->chunks.kept > 1 && write_trailers(c, out, e) < 0)
			return -e->code;
		put(out, "\r\n", 2);
	}
	c->done = true;
	return 0;
}

int net_carry(struct net_carry *c, const char *in, size_t len, size_t *ret_used,
	struct net_bytes *out, struct err *e)
{
	size_t begin = out->len, max = room(c, out);
	int r = 0;

	*ret_used = 0;
	if (len > max)
		len = max;
	if (!c->flushed && (c->read ? max > 0 : len > 0)) {
		if (c->to_chunks)
			out->len += SIZE_LINE;
		if (!c->read)
			r = take(c, in, len, ret_used, out, e);
		if (r < 0)
			return r;
		if (c->read)
			put_held(c, out);
		if (c->to_chunks)
			close_chunk(out, begin);
	}
	if (c->flushed && !c->done)
		r = write_end(c, out, e);
	return r;
}

size_t net_carry_straight(const struct net_carry *c, size_t max)
{
	if (c->read || c->to_chunks || c->scan || c->scrub || c->from.framing == NET_BODY_CHUNKED)
		return 0;
	return c->from.framing == NET_BODY_LENGTH && c->left < max ? (size_t) c->left : max;
}

void net_carry_went(struct net_carry *c, size_t n)
{
	if (c->from.framing != NET_BODY_LENGTH)
		return;
	c->left -= n;
	c->read = c->left == 0;
}

bool net_carry_at_end(struct net_carry *c)
{
	if (c->from.framing == NET_BODY_TO_END)
		c->read = true;
	return c->read;
}
