#include "net_path.h"
#include <errno.h>
#include <string.h>

struct writer {
	char *out;
	size_t len;
};

static int hex(char c)
{
	return c >= '0' && c <= '9'    ? c - '0'
		: c >= 'a' && c <= 'f' ? c - 'a' + 10
		: c >= 'A' && c <= 'F' ? c - 'A' + 10
				       : -1;
}

static bool stays_literal(unsigned char c)
{
	return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
		(c && strchr("-._~!$&'()*+,;=:@", c));
}

/* The next character of a segment, escape or not. */
static int next_byte(const char **at, const char *end, unsigned char *ret, struct err *e)
{
	unsigned char c = (unsigned char) **at;
	int high, low;

	if (c <= 0x20 || c >= 0x7f || c == '#')
		return err_set(e, EINVAL,
			"the path holds a character that must be written as a percent escape");
	if (c != '%') {
		*ret = c;
		++*at;
		return 0;
	}
	high = end - *at < 3 ? -1 : hex((*at)[1]);
	low = end - *at < 3 ? -1 : hex((*at)[2]);
	if (high < 0 || low < 0)
		return err_set(e, EINVAL, "the path holds a broken percent escape");
	*ret = (unsigned char) (high << 4 | low);
	*at += 3;
	if (*ret < 0x20 || *ret == 0x7f)
		return err_set(e, EINVAL, "the path hides a control character in a percent escape");
	if (*ret == '/')
		return err_set(e, EINVAL,
			"the path hides a slash in a percent escape (%%2F), which servers read "
			"differently");
	return 0;
}

static int put(struct writer *w, unsigned char c, struct err *e)
{
	static const char digits[] = "0123456789ABCDEF";
	size_t n = stays_literal(c) || c == '/' ? 1 : 3;

	if (w->len + n > NET_PATH_MAX)
		return err_set(e, EINVAL, "path of more than %d bytes", NET_PATH_MAX);
	if (n == 1) {
		w->out[w->len++] = (char) c;
		return 0;
	}
	w->out[w->len++] = '%';
	w->out[w->len++] = digits[c >> 4];
	w->out[w->len++] = digits[c & 15];
	return 0;
}

/* The way back to the "/" in front of the last segment. */
static int go_up(struct writer *w, struct err *e)
{
	if (w->len == 0)
		return err_set(e, EINVAL, "the path leads above the root");
	while (w->out[--w->len] != '/')
		;
	return 0;
}

/* A dot segment writes nothing; so does an empty one. */
static int segment(struct writer *w, const char *at, const char *end, bool *ret_dots, struct err *e)
{
	size_t start = w->len, n;
	bool cut = false;

	if (put(w, '/', e) < 0)
		return -e->code;
	while (at < end) {
		unsigned char c = 0;

		if (next_byte(&at, end, &c, e) < 0)
			return -e->code;
		cut |= c == ';';
		if (!cut && put(w, c, e) < 0)
			return -e->code;
	}
	n = w->len - start - 1;
	*ret_dots = n == 0 || (n == 1 && w->out[start + 1] == '.') ||
		(n == 2 && memcmp(w->out + start + 1, "..", 2) == 0);
	if (*ret_dots)
		w->len = start;
	return *ret_dots && n == 2 ? go_up(w, e) : 0;
}

int net_path_canonical(
	struct net_slice path, char out[NET_PATH_MAX + 1], size_t *ret_len, struct err *e)
{
	const char *at = path.at, *end = path.at + path.len;
	struct writer w = { out, 0 };
	bool dots = true;

	if (path.len == 0 || *at != '/')
		return err_set(e, EINVAL, "the path does not begin with a slash");
	while (at < end) {
		const char *stop = memchr(at + 1, '/', (size_t) (end - at) - 1);

		stop = stop ? stop : end;
		if (segment(&w, at + 1, stop, &dots, e) < 0)
			return -e->code;
		at = stop;
	}
	/* A path that ended in a slash, or in dots, is a directory. */
	if (dots && put(&w, '/', e) < 0)
		return -e->code;
	out[w.len] = '\0';
	*ret_len = w.len;
	return 0;
}
