#include "core_text.h"
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

void text_init(struct text *t, char *buf, size_t size)
{
	*t = (struct text){ .at = buf, .size = size };
	buf[0] = '\0';
}

/* Length of the UTF-8 character that begins at s (RFC 3629), 0 when it is not one. */
static size_t utf8_len(const unsigned char *s, size_t len)
{
	static const unsigned char low[4] = { 0, 0x80, 0xa0, 0x90 };
	size_t n = s[0] < 0x80 ? 1
		: s[0] < 0xc2  ? 0
		: s[0] < 0xe0  ? 2
		: s[0] < 0xf0  ? 3
		: s[0] < 0xf5  ? 4
			       : 0;

	if (n == 0 || n > len)
		return 0;
	for (size_t i = 1; i < n; i++)
		if ((s[i] & 0xc0) != 0x80)
			return 0;
	if ((s[0] == 0xe0 && s[1] < low[2]) || (s[0] == 0xf0 && s[1] < low[3]) ||
		(s[0] == 0xed && s[1] > 0x9f) || (s[0] == 0xf4 && s[1] > 0x8f))
		return 0;
	return n;
}

size_t text_utf8_cut(const char *s, size_t len, size_t max)
{
	size_t n = len < max ? len : max, back = 0;

	/* Step back over an incomplete character, at most three bytes of it. */
	while (back < 4 && back < n) {
		unsigned char c = (unsigned char) s[n - 1 - back];
		size_t want = c < 0x80 ? 1 : c < 0xc0 ? 0 : c < 0xe0 ? 2 : c < 0xf0 ? 3 : 4;

		back++;
		if (want)
			return want <= back ? n : n - back;
	}
	return n;
}

void text_add_n(struct text *t, const char *s, size_t len)
{
	size_t room = t->size - 1 - t->len, n = len;

	if (t->cut)
		return;
	if (n > room) {
		n = text_utf8_cut(s, len, room);
		t->cut = true;
	}
	(void) memcpy(t->at + t->len, s, n);
	t->len += n;
	t->at[t->len] = '\0';
}

void text_add_u64(struct text *t, uint64_t v)
{
	char digits[20];
	size_t at = sizeof digits;

	do
		digits[--at] = (char) ('0' + v % 10);
	while (v /= 10);
	text_add_n(t, digits + at, sizeof digits - at);
}

void text_addf(struct text *t, const char *fmt, ...)
{
	size_t room = t->size - t->len;
	va_list ap;
	int n;

	if (t->cut)
		return;
	va_start(ap, fmt);
	n = vsnprintf(t->at + t->len, room, fmt, ap);
	va_end(ap);
	if (n < 0)
		return;
	if ((size_t) n >= room) {
		t->cut = true;
		t->len += text_utf8_cut(t->at + t->len, room - 1, room - 1);
		t->at[t->len] = '\0';
		return;
	}
	t->len += (size_t) n;
}

static bool is_control(const unsigned char *s, size_t n)
{
	return n == 1 ? s[0] < 0x20 || s[0] == 0x7f : n == 2 && s[0] == 0xc2 && s[1] < 0xa0;
}

static void add_escape(struct text *t, unsigned char c)
{
	if (c == '\n')
		text_add(t, "\\n");
	else if (c == '\t')
		text_add(t, "\\t");
	else if (c == '"' || c == '\\')
		text_addf(t, "\\%c", c);
	else
		text_addf(t, "\\x%02X", c);
}

void text_add_quoted(struct text *t, const char *s, size_t len, size_t max)
{
	const unsigned char *p = (const unsigned char *) s;
	size_t end = text_utf8_cut(s, len, max);

	for (size_t i = 0; i < end;) {
		size_t n = utf8_len(p + i, end - i);

		if (n == 0 || is_control(p + i, n) || p[i] == '"' || p[i] == '\\') {
			for (size_t k = 0; k < (n ? n : 1); k++)
				add_escape(t, p[i + k]);
			i += n ? n : 1;
			continue;
		}
		text_add_n(t, s + i, n);
		i += n;
	}
	if (end < len)
		text_add(t, "...");
}

/* Printable ASCII with nothing to escape: most text is nothing else, and is copied whole. */
static size_t plain_len(const unsigned char *p, size_t len)
{
	size_t n = 0;

	while (n < len && p[n] >= 0x20 && p[n] < 0x7f && p[n] != '"' && p[n] != '\\')
		n++;
	return n;
}

void text_add_json(struct text *t, const char *s, size_t len, size_t max)
{
	const unsigned char *p = (const unsigned char *) s;
	size_t end = text_utf8_cut(s, len, max);

	for (size_t i = 0; i < end;) {
		size_t n = plain_len(p + i, end - i);

		text_add_n(t, s + i, n);
		i += n;
		if (i == end)
			break;
		n = utf8_len(p + i, end - i);
		if (n == 0)
			text_add(t, "\xef\xbf\xbd");
		else if (n == 1 && (p[i] == '"' || p[i] == '\\'))
			text_addf(t, "\\%c", p[i]);
		else if (n == 1 && (p[i] < 0x20 || p[i] == 0x7f))
			text_addf(t, "\\u%04x", p[i]);
		else if (n == 2 && is_control(p + i, n))
			text_addf(t, "\\u00%02x", p[i + 1]);
		else
			text_add_n(t, s + i, n);
		i += n ? n : 1;
	}
	if (end < len)
		text_add(t, "...");
}

int text_to_u64(const char *s, size_t len, uint64_t min, uint64_t max, uint64_t *ret)
{
	uint64_t v = 0;

	if (len == 0)
		return -EINVAL;
	for (size_t i = 0; i < len; i++) {
		if (s[i] < '0' || s[i] > '9')
			return -EINVAL;
		if (__builtin_mul_overflow(v, 10u, &v) ||
			__builtin_add_overflow(v, (uint64_t) (s[i] - '0'), &v))
			return -ERANGE;
	}
	if (v < min || v > max)
		return -ERANGE;
	*ret = v;
	return 0;
}

bool text_is_utf8(const char *s, size_t len)
{
	for (size_t i = 0; i < len;) {
		uint64_t word = ~0ull;
		size_t n;

		/* Eight bytes of ASCII at a time. */
		if (len - i >= sizeof word)
			(void) memcpy(&word, s + i, sizeof word);
		if (!(word & 0x8080808080808080u)) {
			i += sizeof word;
			continue;
		}
		n = utf8_len((const unsigned char *) s + i, len - i);
		if (n == 0)
			return false;
		i += n;
	}
	return true;
}

static char lower(char c)
{
	return c >= 'A' && c <= 'Z' ? (char) (c + ('a' - 'A')) : c;
}

bool text_ieq(const char *a, size_t a_len, const char *b, size_t b_len)
{
	if (a_len != b_len)
		return false;
	for (size_t i = 0; i < a_len; i++)
		if (lower(a[i]) != lower(b[i]))
			return false;
	return true;
}

void text_lower(char *s, size_t len)
{
	for (size_t i = 0; i < len; i++)
		s[i] = lower(s[i]);
}

/* Bytes of a character at s that a terminal should not see; 0 for all others. */
static size_t hostile(const unsigned char *s)
{
	bool mark = s[0] == 0xe2 && s[1] == 0x80 &&
		((s[2] >= 0x8e && s[2] <= 0x8f) || (s[2] >= 0xa8 && s[2] <= 0xae));

	if (s[0] < 0x20 || s[0] == 0x7f)
		return 1;
	if (s[0] == 0xc2 && s[1] >= 0x80 && s[1] <= 0x9f)
		return 2;
	return mark || (s[0] == 0xe2 && s[1] == 0x81 && s[2] >= 0xa6 && s[2] <= 0xa9) ? 3 : 0;
}

void text_neutralise(char *s)
{
	for (size_t n; *s; s += n ? n : 1) {
		n = hostile((const unsigned char *) s);
		(void) memset(s, '?', n);
	}
}
