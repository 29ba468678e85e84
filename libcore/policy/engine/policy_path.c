/* policy_path.c - canonical paths and decoded queries (spec/network 3.10, 1.6). */
#include "core_policy_path.h"
#include <errno.h>
#include <stdint.h>
#include <string.h>
#include "core_text.h"

/* Stands for a kept "%2F" inside a decoded segment; real control bytes are refused before. */
#define SLASH_MARK '\1'

static int hex(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

/* The byte that "%HH" at p stands for, or -1. */
static int escape(const char *p, size_t len)
{
	if (len < 3 || hex(p[1]) < 0 || hex(p[2]) < 0)
		return -1;
	return hex(p[1]) * 16 + hex(p[2]);
}

static bool is_control(unsigned char c)
{
	return c < 0x20 || c == 0x7f;
}

static bool is_alpha(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

static bool is_digit(char c)
{
	return c >= '0' && c <= '9';
}

/* unreserved, sub-delims, ':' and '@' (RFC 3986 pchar) */
static bool is_literal(unsigned char c)
{
	return is_alpha((char) c) || is_digit((char) c) ||
		(c != '\0' && strchr("-._~!$&'()*+,;=:@", c));
}

/* Bytes of "scheme://authority" at the start, or 0. */
static size_t authority_len(const char *p, size_t len)
{
	size_t i = 0;

	if (len == 0 || !is_alpha(p[0]))
		return 0;
	while (i < len && (is_alpha(p[i]) || is_digit(p[i]) || strchr("+-.", p[i])))
		i++;
	if (len - i < 3 || memcmp(p + i, "://", 3) != 0)
		return 0;
	for (i += 3; i < len && p[i] != '/' && p[i] != '?';)
		i++;
	return i;
}

struct segment {
	char at[POLICY_TARGET_PATH_MAX];
	size_t len;
};

/* Decode one segment, and cut its parameters (";..."), also when they were written "%3B". */
static enum policy_path_fault decode(const char *p, size_t len, bool keep_slash, struct segment *s)
{
	bool cut = false;

	s->len = 0;
	for (size_t i = 0; i < len; i++) {
		int c = (unsigned char) p[i];
		bool escaped = c == '%';

		if (escaped) {
			c = escape(p + i, len - i);
			if (c < 0)
				return POLICY_PATH_ESCAPE;
			i += 2;
		}
		if (is_control((unsigned char) c))
			return POLICY_PATH_BYTE;
		if (escaped && c == '/' && !keep_slash)
			return POLICY_PATH_ENCODED_SLASH;
		cut |= c == ';';
		if (!cut)
			s->at[s->len++] = escaped && c == '/' ? SLASH_MARK : (char) c;
	}
	return POLICY_PATH_FINE;
}

static bool is_dots(const char *p, size_t len)
{
	return (len == 1 && p[0] == '.') || (len == 2 && p[0] == '.' && p[1] == '.');
}

/* A server that decodes "%2F" late would see a dot segment here. */
static bool has_hidden_dots(const struct segment *s)
{
	for (size_t from = 0, i = 0; i <= s->len; i++) {
		if (i < s->len && s->at[i] != SLASH_MARK)
			continue;
		if (is_dots(s->at + from, i - from))
			return true;
		from = i + 1;
	}
	return false;
}

static bool add(struct policy_path *out, char c)
{
	if (out->len == POLICY_TARGET_PATH_MAX)
		return false;
	out->at[out->len++] = c;
	return true;
}

static bool add_escaped(struct policy_path *out, unsigned char c)
{
	static const char digits[] = "0123456789ABCDEF";

	return add(out, '%') && add(out, digits[c >> 4]) && add(out, digits[c & 15]);
}

static enum policy_path_fault append(struct policy_path *out, const struct segment *s)
{
	bool fits = add(out, '/');

	for (size_t i = 0; fits && i < s->len; i++) {
		unsigned char c = (unsigned char) s->at[i];

		out->encoded_slash |= c == SLASH_MARK;
		if (c == SLASH_MARK)
			fits = add_escaped(out, '/');
		else
			fits = is_literal(c) ? add(out, (char) c) : add_escaped(out, c);
	}
	return fits ? POLICY_PATH_FINE : POLICY_PATH_LONG;
}

/* trailing: the path would end in '/' if this segment were the last. */
static enum policy_path_fault take(struct policy_path *out, const struct segment *s, bool *trailing)
{
	*trailing = true;
	if (s->len == 0 || (s->len == 1 && s->at[0] == '.'))
		return POLICY_PATH_FINE;
	if (s->len == 2 && is_dots(s->at, 2)) {
		if (out->len == 0)
			return POLICY_PATH_ABOVE_ROOT;
		while (out->at[--out->len] != '/')
			;
		return POLICY_PATH_FINE;
	}
	if (has_hidden_dots(s))
		return POLICY_PATH_DOTS;
	*trailing = false;
	return append(out, s);
}

static enum policy_path_fault canonical(
	const char *p, size_t len, bool keep_slash, struct policy_path *out)
{
	struct segment s;
	bool trailing = true;

	for (size_t i = 1, n; i <= len; i += n + 1) {
		const char *slash = memchr(p + i, '/', len - i);
		enum policy_path_fault f;

		n = slash ? (size_t) (slash - (p + i)) : len - i;
		f = decode(p + i, n, keep_slash, &s);
		if (f == POLICY_PATH_FINE)
			f = take(out, &s, &trailing);
		if (f != POLICY_PATH_FINE)
			return f;
	}
	if (trailing && !add(out, '/'))
		return POLICY_PATH_LONG;
	return POLICY_PATH_FINE;
}

enum policy_path_fault policy_path_canonical(
	const char *target, size_t len, bool allow_encoded_slash, struct policy_path *ret)
{
	const char *mark, *p = target;
	enum policy_path_fault f;
	size_t n;

	ret->len = 0;
	ret->encoded_slash = false;
	ret->query = (struct policy_bytes){ NULL, 0 };
	for (size_t i = 0; i < len; i++)
		if (is_control((unsigned char) p[i]) || (unsigned char) p[i] >= 0x80 || p[i] == '#')
			return POLICY_PATH_BYTE;
	n = authority_len(p, len);
	p += n;
	len -= n;
	mark = len ? memchr(p, '?', len) : NULL;
	if (mark) {
		ret->query = (struct policy_bytes){ mark + 1, len - (size_t) (mark + 1 - p) };
		len = (size_t) (mark - p);
	}
	if (len > POLICY_TARGET_PATH_MAX)
		return POLICY_PATH_LONG;
	if (len > 0 && p[0] != '/')
		return POLICY_PATH_FORM;
	f = len ? canonical(p, len, allow_encoded_slash, ret)
		: canonical("/", 1, allow_encoded_slash, ret);
	ret->at[ret->len] = '\0';
	ret->changed = ret->len != len || memcmp(ret->at, p, len) != 0;
	return f;
}

const char *policy_path_fault_text(enum policy_path_fault f)
{
	switch (f) {
	case POLICY_PATH_FINE:
		return "";
	case POLICY_PATH_BYTE:
		return "the path holds a control byte, a raw non-ASCII byte or '#'";
	case POLICY_PATH_ESCAPE:
		return "the path holds a '%' that two hexadecimal digits do not follow";
	case POLICY_PATH_ENCODED_SLASH:
		return "the path holds an encoded slash; allow_encoded_slash: true on the endpoint "
		       "would permit it";
	case POLICY_PATH_ABOVE_ROOT:
		return "the path climbs above its root with '..'";
	case POLICY_PATH_DOTS:
		return "the path hides a dot segment behind an encoded slash";
	case POLICY_PATH_FORM:
		return "the target is neither a path that begins with '/' nor an absolute URL";
	case POLICY_PATH_LONG:
		return "the path has more than 4096 bytes";
	}
	return "the path is malformed";
}

/* Decodes into ret->text; NULL for a bad escape, or when the text is not UTF-8 or holds a NUL. */
static const char *decode_word(const char *p, size_t len, char *out, size_t *ret_len)
{
	size_t n = 0;

	for (size_t i = 0; i < len; i++) {
		int c = (unsigned char) p[i];

		if (c == '%') {
			c = escape(p + i, len - i);
			if (c < 0)
				return NULL;
			i += 2;
		} else if (c == '+') {
			c = ' ';
		}
		if (c == '\0')
			return NULL;
		out[n++] = (char) c;
	}
	*ret_len = n;
	return text_is_utf8(out, n) ? out : NULL;
}

static int add_param(const char *p, size_t len, struct policy_query *q, size_t *used, struct err *e)
{
	const char *equals = memchr(p, '=', len);
	size_t key = equals ? (size_t) (equals - p) : len;
	struct policy_param *to = &q->at[q->n];

	if (q->n == POLICY_QUERY_PARAMS_MAX)
		return err_set(
			e, E2BIG, "the query has more than %d parameters", POLICY_QUERY_PARAMS_MAX);
	to->key.at = decode_word(p, key, q->text + *used, &to->key.len);
	if (!to->key.at)
		return err_set(e, EINVAL, "the query is not percent-encoded UTF-8 text");
	*used += to->key.len;
	to->value.at = equals
		? decode_word(equals + 1, len - key - 1, q->text + *used, &to->value.len)
		: q->text + *used;
	if (!equals)
		to->value.len = 0;
	if (!to->value.at)
		return err_set(e, EINVAL, "the query is not percent-encoded UTF-8 text");
	*used += to->value.len;
	q->n++;
	return 0;
}

int policy_query_decode(struct policy_bytes query, struct policy_query *ret, struct err *e)
{
	size_t used = 0;

	ret->n = 0;
	if (query.len > POLICY_QUERY_BYTES_MAX)
		return err_set(
			e, E2BIG, "the query has more than %d bytes", POLICY_QUERY_BYTES_MAX);
	for (size_t i = 0, n; i < query.len; i += n + 1) {
		const char *end = memchr(query.at + i, '&', query.len - i);

		n = end ? (size_t) (end - (query.at + i)) : query.len - i;
		if (n && add_param(query.at + i, n, ret, &used, e) < 0)
			return -e->code;
	}
	return 0;
}
