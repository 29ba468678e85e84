#include "orch_json.h"
#include <errno.h>
#include <string.h>
#include "core_text.h"

static int bad(const struct orch_json *j, const char *what, struct err *e)
{
	return err_set(e, EINVAL, "not JSON: %s at byte %zu", what, (size_t) (j->p - j->text) + 1);
}

static void skip_blank(struct orch_json *j)
{
	while (j->p < j->end && (*j->p == ' ' || *j->p == '\t' || *j->p == '\r' || *j->p == '\n'))
		j->p++;
}

static int add(struct orch_json *j, enum orch_json_kind kind, struct err *e)
{
	if (j->n == ORCH_JSON_NODES_MAX)
		return bad(j, "too many values", e);
	j->nodes[j->n] = (struct orch_json_node){ .kind = kind };
	return (int) j->n++;
}

static int hex4(const struct orch_json *j, const char *p, unsigned *ret)
{
	if (j->end - p < 4)
		return -EINVAL;
	*ret = 0;
	for (int i = 0; i < 4; i++) {
		char c = p[i];
		unsigned v;

		if (c >= '0' && c <= '9')
			v = (unsigned) (c - '0');
		else if (c >= 'a' && c <= 'f')
			v = (unsigned) (c - 'a') + 10;
		else if (c >= 'A' && c <= 'F')
			v = (unsigned) (c - 'A') + 10;
		else
			return -EINVAL;
		*ret = *ret * 16 + v;
	}
	return 0;
}

static char *put_utf8(char *out, unsigned c)
{
	if (c < 0x80) {
		*out++ = (char) c;
	} else if (c < 0x800) {
		*out++ = (char) (0xc0 | c >> 6);
		*out++ = (char) (0x80 | (c & 0x3f));
	} else if (c < 0x10000) {
		*out++ = (char) (0xe0 | c >> 12);
		*out++ = (char) (0x80 | (c >> 6 & 0x3f));
		*out++ = (char) (0x80 | (c & 0x3f));
	} else {
		*out++ = (char) (0xf0 | c >> 18);
		*out++ = (char) (0x80 | (c >> 12 & 0x3f));
		*out++ = (char) (0x80 | (c >> 6 & 0x3f));
		*out++ = (char) (0x80 | (c & 0x3f));
	}
	return out;
}

/* p stands behind "\u". */
static int unicode(struct orch_json *j, char **out, struct err *e)
{
	unsigned c, low;

	if (hex4(j, j->p, &c) < 0)
		return bad(j, "bad \\u escape", e);
	j->p += 4;
	if (c >= 0xd800 && c < 0xdc00) {
		if (j->end - j->p < 6 || j->p[0] != '\\' || j->p[1] != 'u' ||
			hex4(j, j->p + 2, &low) < 0 || low < 0xdc00 || low > 0xdfff)
			return bad(j, "half a surrogate pair", e);
		j->p += 6;
		c = 0x10000 + ((c - 0xd800) << 10) + (low - 0xdc00);
	} else if (c >= 0xdc00 && c <= 0xdfff) {
		return bad(j, "half a surrogate pair", e);
	}
	*out = put_utf8(*out, c);
	return 0;
}

static int escaped(struct orch_json *j, char **out, struct err *e)
{
	static const char from[] = "\"\\/bfnrt", to[] = "\"\\/\b\f\n\r\t";
	char c = j->p < j->end ? *j->p++ : '\0';
	const char *at = c ? strchr(from, c) : NULL;

	if (c == 'u')
		return unicode(j, out, e);
	if (!at)
		return bad(j, "bad escape", e);
	*(*out)++ = to[at - from];
	return 0;
}

/* Bytes that stand for themselves in a string. */
static size_t plain_len(const char *p, const char *end)
{
	const char *start = p;

	while (p < end && (unsigned char) *p >= 0x20 && *p != '"' && *p != '\\')
		p++;
	return (size_t) (p - start);
}

static int read_string(struct orch_json *j, struct err *e)
{
	int at = add(j, ORCH_JSON_STRING, e);
	char *start = ++j->p, *out = start;

	if (at < 0)
		return at;
	for (;;) {
		size_t n = plain_len(j->p, j->end);

		if (out != j->p)
			(void) memmove(out, j->p, n);
		out += n;
		j->p += n;
		if (j->p == j->end || (unsigned char) *j->p < 0x20)
			return bad(j, "a string that does not end", e);
		if (*j->p++ == '"')
			break;
		if (escaped(j, &out, e) < 0)
			return -e->code;
	}
	j->nodes[at].at = start;
	j->nodes[at].len = (size_t) (out - start);
	return at;
}

static size_t digits(struct orch_json *j)
{
	char *start = j->p;

	while (j->p < j->end && *j->p >= '0' && *j->p <= '9')
		j->p++;
	return (size_t) (j->p - start);
}

static int read_number(struct orch_json *j, struct err *e)
{
	int at = add(j, ORCH_JSON_NUMBER, e);
	char *start = j->p;
	size_t n;

	if (at < 0)
		return at;
	j->p += *j->p == '-';
	n = digits(j);
	if (n == 0 || (n > 1 && j->p[-(ptrdiff_t) n] == '0'))
		return bad(j, "bad number", e);
	if (j->p < j->end && *j->p == '.') {
		j->p++;
		if (digits(j) == 0)
			return bad(j, "bad number", e);
	}
	if (j->p < j->end && (*j->p == 'e' || *j->p == 'E')) {
		j->p++;
		j->p += j->p < j->end && (*j->p == '+' || *j->p == '-');
		if (digits(j) == 0)
			return bad(j, "bad number", e);
	}
	j->nodes[at].at = start;
	j->nodes[at].len = (size_t) (j->p - start);
	return at;
}

static int read_word(struct orch_json *j, struct err *e)
{
	static const char *const words[] = { "null", "false", "true" };

	for (unsigned i = 0; i < 3; i++) {
		size_t n = strlen(words[i]);

		if ((size_t) (j->end - j->p) < n || memcmp(j->p, words[i], n) != 0)
			continue;
		j->p += n;
		return add(j, (enum orch_json_kind) i, e);
	}
	return bad(j, "no value", e);
}

static int read_value(struct orch_json *j, struct err *e);

/* The keys of a map are every other child from the first on. */
static bool repeats(const struct orch_json *j, uint32_t map, int key)
{
	const struct orch_json_node *k = &j->nodes[key];

	for (uint32_t i = j->nodes[map].first; i && i != (uint32_t) key;
		i = j->nodes[j->nodes[i].next].next)
		if (j->nodes[i].len == k->len && memcmp(j->nodes[i].at, k->at, k->len) == 0)
			return true;
	return false;
}

static void append(struct orch_json *j, int parent, uint32_t *last, int child)
{
	if (*last)
		j->nodes[*last].next = (uint32_t) child;
	else
		j->nodes[parent].first = (uint32_t) child;
	*last = (uint32_t) child;
}

static int read_pair(struct orch_json *j, int at, uint32_t *last, struct err *e)
{
	int key, value;

	skip_blank(j);
	if (j->p == j->end || *j->p != '"')
		return bad(j, "no key", e);
	key = read_string(j, e);
	if (key < 0)
		return key;
	if (repeats(j, (uint32_t) at, key))
		return bad(j, "a key that is there twice", e);
	skip_blank(j);
	if (j->p == j->end || *j->p++ != ':')
		return bad(j, "no ':'", e);
	append(j, at, last, key);
	value = read_value(j, e);
	if (value < 0)
		return value;
	append(j, at, last, value);
	return 0;
}

static int read_item(struct orch_json *j, int at, uint32_t *last, struct err *e)
{
	int value = read_value(j, e);

	if (value < 0)
		return value;
	append(j, at, last, value);
	return 0;
}

static int read_children(struct orch_json *j, bool map, struct err *e)
{
	int at = add(j, map ? ORCH_JSON_MAP : ORCH_JSON_LIST, e);
	char close = map ? '}' : ']';
	uint32_t last = 0;

	if (at < 0)
		return at;
	if (++j->depth > ORCH_JSON_DEPTH_MAX)
		return bad(j, "nested too deeply", e);
	j->p++;
	skip_blank(j);
	while (j->p < j->end && (last || *j->p != close)) {
		int r = map ? read_pair(j, at, &last, e) : read_item(j, at, &last, e);

		if (r < 0)
			return r;
		skip_blank(j);
		if (j->p == j->end || *j->p != ',')
			break;
		j->p++;
	}
	if (j->p == j->end || *j->p != close)
		return bad(j, "a list or map that does not end", e);
	j->p++;
	j->depth--;
	return at;
}

static int read_value(struct orch_json *j, struct err *e)
{
	skip_blank(j);
	if (j->p == j->end)
		return bad(j, "no value", e);
	switch (*j->p) {
	case '{':
	case '[':
		return read_children(j, *j->p == '{', e);
	case '"':
		return read_string(j, e);
	default:
		return *j->p == '-' || (*j->p >= '0' && *j->p <= '9') ? read_number(j, e)
								      : read_word(j, e);
	}
}

int orch_json_read(struct orch_json *j, char *text, size_t len, struct err *e)
{
	int r;

	j->n = 0;
	j->depth = 0;
	j->text = j->p = text;
	j->end = text + len;
	if (!text_is_utf8(text, len))
		return bad(j, "text that is not UTF-8", e);
	r = read_value(j, e);
	if (r < 0)
		return r;
	skip_blank(j);
	return j->p == j->end ? 0 : bad(j, "something behind the value", e);
}

const struct orch_json_node *orch_json_first(
	const struct orch_json *j, const struct orch_json_node *o)
{
	return o && o->first ? &j->nodes[o->first] : NULL;
}

const struct orch_json_node *orch_json_next(
	const struct orch_json *j, const struct orch_json_node *o)
{
	return o->next ? &j->nodes[o->next] : NULL;
}

const struct orch_json_node *orch_json_get(
	const struct orch_json *j, const struct orch_json_node *o, const char *key)
{
	size_t len = strlen(key);

	if (!o || o->kind != ORCH_JSON_MAP)
		return NULL;
	for (uint32_t i = o->first; i; i = j->nodes[j->nodes[i].next].next)
		if (j->nodes[i].len == len && memcmp(j->nodes[i].at, key, len) == 0)
			return &j->nodes[j->nodes[i].next];
	return NULL;
}
