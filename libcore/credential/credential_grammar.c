/* credential_grammar.c - how placeholders look, where they stand, and texts without them. */
#include <errno.h>
#include <string.h>
#include "credential_inner.h"

static bool is_digit(char c)
{
	return c >= '0' && c <= '9';
}

static bool is_key(char c)
{
	return is_digit(c) || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_';
}

static bool is_prefix(char c)
{
	return is_key(c) || c == '.' || c == '~' || c == '-';
}

static int hex(char c)
{
	if (is_digit(c))
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

static bool is_handle(const char *s, size_t len)
{
	for (size_t i = 0; i < len; i++)
		if (hex(s[i]) < 0 || (s[i] >= 'A' && s[i] <= 'F'))
			return false;
	return len == CREDENTIAL_HANDLE_LEN;
}

/* v<digits>_X or s<64 hex>_X would be read as a revision or a handle. */
static bool is_reserved(const char *name, size_t len)
{
	size_t n = 1;

	if (len > CREDENTIAL_HANDLE_LEN + 2 && name[0] == 's' &&
		is_handle(name + 1, CREDENTIAL_HANDLE_LEN) &&
		name[CREDENTIAL_HANDLE_LEN + 1] == '_')
		return true;
	if (name[0] != 'v')
		return false;
	while (n < len && is_digit(name[n]))
		n++;
	return n > 1 && n + 1 < len && name[n] == '_';
}

bool credential_name_is_valid(const char *name, size_t len)
{
	if (len == 0 || len > CREDENTIAL_NAME_MAX)
		return false;
	for (size_t i = 0; i < len; i++)
		if (!is_key(name[i]))
			return false;
	return !is_reserved(name, len);
}

void credential_placeholder(
	const struct credential_spec *c, uint64_t revision, const char *prefix, struct text *out)
{
	text_add(out, prefix && prefix[0] ? prefix : "");
	text_add(out, prefix && prefix[0] ? CREDENTIAL_ALIAS : CREDENTIAL_MARKER);
	if (c->handle && c->handle[0])
		text_addf(out, "s%s_", c->handle);
	else if (revision)
		text_addf(out, "v%llu_", (unsigned long long) revision);
	text_add(out, c->name);
}

size_t credential_unit(const char *text, size_t len, size_t at, char *ret)
{
	int high, low;

	*ret = text[at];
	if (text[at] != '%' || len - at < 3 || (high = hex(text[at + 1])) < 0 ||
		(low = hex(text[at + 2])) < 0)
		return 1;
	*ret = (char) (high * 16 + low);
	return 3;
}

unsigned credential_step(const char *marker, unsigned k, char c)
{
	for (unsigned j = k + 1; j > 0; j--)
		if (marker[j - 1] == c && memcmp(marker, marker + (k + 1 - j), j - 1) == 0)
			return j;
	return 0;
}

static bool has_encoded(const char *bytes, size_t len)
{
	unsigned plain = 0, alias = 0;
	char c;

	for (size_t i = 0; i < len;) {
		i += credential_unit(bytes, len, i, &c);
		plain = credential_step(CREDENTIAL_MARKER, plain, c);
		alias = credential_step(CREDENTIAL_ALIAS, alias, c);
		if (plain == CREDENTIAL_MARKER_LEN || alias == CREDENTIAL_MARKER_LEN)
			return true;
	}
	return false;
}

static const char *locate(const char *s, size_t len, const char *marker)
{
	return s && len >= CREDENTIAL_MARKER_LEN ? memmem(s, len, marker, CREDENTIAL_MARKER_LEN)
						 : NULL;
}

bool credential_has_marker(const char *bytes, size_t len)
{
	if (len < CREDENTIAL_MARKER_LEN)
		return false;
	if (locate(bytes, len, CREDENTIAL_MARKER) || locate(bytes, len, CREDENTIAL_ALIAS))
		return true;
	return memchr(bytes, '%', len) && has_encoded(bytes, len);
}

bool credential_find(const char *text, size_t len, size_t from, struct credential_found *ret)
{
	const char *plain, *alias, *first;
	size_t start, end;

	plain = locate(text + from, len - from, CREDENTIAL_MARKER);
	alias = locate(text + from, len - from, CREDENTIAL_ALIAS);
	if (!plain && !alias)
		return false;
	first = !alias || (plain && plain < alias) ? plain : alias;
	ret->alias = first == alias;
	start = (size_t) (first - text);
	ret->tail = end = start + CREDENTIAL_MARKER_LEN;
	while (end < len && is_key(text[end]))
		end++;
	ret->tail_len = end - ret->tail;
	ret->at = start;
	while (ret->alias && ret->at > from && is_prefix(text[ret->at - 1]))
		ret->at--;
	if (ret->alias && ret->at == start)
		ret->tail_len = 0; /* an alias has a prefix */
	ret->len = end - ret->at;
	return true;
}

int credential_view_new(const char *text, size_t len, bool decode, struct credential_view *ret)
{
	if (len >= UINT32_MAX)
		return -E2BIG;
	*ret = (struct credential_view){ malloc(len + 1), malloc((len + 1) * sizeof *ret->at), 0 };
	if (!ret->text || !ret->at) {
		credential_view_done(ret);
		return -ENOMEM;
	}
	for (size_t i = 0; i < len; ret->len++) {
		ret->at[ret->len] = (uint32_t) i;
		ret->text[ret->len] = text[i];
		i += decode ? credential_unit(text, len, i, &ret->text[ret->len]) : 1;
	}
	ret->at[ret->len] = (uint32_t) len;
	return 0;
}

void credential_view_done(struct credential_view *v)
{
	free(v->text);
	free(v->at);
	*v = (struct credential_view){ 0 };
}

bool credential_has_incomplete(const char *bytes, size_t len)
{
	struct credential_found f;
	struct credential_view v;
	bool found = false;

	if (!credential_has_marker(bytes, len))
		return false;
	if (credential_view_new(bytes, len, true, &v) < 0)
		return true;
	for (size_t at = 0; !found && credential_find(v.text, v.len, at, &f); at = f.at + f.len)
		found = f.tail_len == 0;
	credential_view_done(&v);
	return found;
}

void credential_redact(const char *text, size_t len, struct text *out)
{
	struct credential_found f;
	struct credential_view v;
	size_t at = 0;

	if (!credential_has_marker(text, len)) {
		text_add_n(out, text, len);
		return;
	}
	if (credential_view_new(text, len, true, &v) < 0) {
		text_add(out, CREDENTIAL_REDACTED);
		return;
	}
	while (credential_find(v.text, v.len, at, &f)) {
		text_add_n(out, text + v.at[at], v.at[f.at] - v.at[at]);
		text_add(out, CREDENTIAL_REDACTED);
		at = f.at + f.len;
	}
	text_add_n(out, text + v.at[at], v.at[v.len] - v.at[at]);
	credential_view_done(&v);
}

void credential_redact_target(const char *target, size_t len, struct text *out)
{
	size_t n = 0;

	while (n < len && target[n] != '?' && target[n] != '#')
		n++;
	credential_redact(target, n, out);
}
