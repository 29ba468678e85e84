/* credential_rewrite.c - placeholders replaced in the parts of a head (spec/network 5.3). */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include "credential_inner.h"
#include "credential_replace.h"

#define WHERE_TO_PUT_IT \
	"a placeholder may be a whole header value, what follows the first word of one, user or " \
	"password of Basic, a cookie's value, part of a path, or the value of a query parameter"

int credential_refuse(struct credential_use *u, enum credential_verdict verdict, const char *why)
{
	u->verdict = verdict;
	(void) snprintf(u->why, sizeof u->why, "%s", why);
	return -EACCES;
}

static int misplaced(struct credential_use *u)
{
	return credential_refuse(u, CREDENTIAL_MISPLACED,
		"a placeholder stands where none is replaced; " WHERE_TO_PUT_IT);
}

int credential_refuse_marker(struct credential_use *u, const char *bytes, size_t len)
{
	return credential_has_marker(bytes, len) ? misplaced(u) : 0;
}

static int note_used(struct credential_use *u, const struct credential_value *v)
{
	for (size_t i = 0; i < u->n_used; i++)
		if (u->used[i] == v)
			return 0;
	if (u->n_used == CREDENTIAL_USED_MAX)
		return credential_refuse(u, CREDENTIAL_MISPLACED,
			"more different credentials in one request than this program injects; send "
			"fewer");
	u->used[u->n_used++] = v;
	return 0;
}

int credential_lookup(struct credential_use *u, const char *text, const struct credential_found *f,
	enum credential_code code, const struct credential_value **ret)
{
	enum credential_verdict verdict;
	const char *why;

	if (f->tail_len == 0)
		return credential_refuse(u, CREDENTIAL_UNAVAILABLE,
			"the placeholder is incomplete: it must end with a credential's name");
	verdict = credential_resolve(u->store, &u->at, text + f->tail, f->tail_len, ret, &why);
	if (verdict != CREDENTIAL_FINE)
		return credential_refuse(u, verdict, why);
	if (!credential_fits(code, *ret, &why))
		return credential_refuse(u, CREDENTIAL_UNAVAILABLE, why);
	return note_used(u, *ret);
}

int credential_replace(struct credential_use *u, const char *text, size_t len,
	const struct credential_manner *m, struct text *out)
{
	const struct credential_value *v;
	struct credential_found f;
	struct credential_view view;
	size_t at = 0;
	int r = 0;

	if (!credential_has_marker(text, len)) {
		text_add_n(out, text, len);
		return 0;
	}
	if (credential_view_new(text, len, m->decode, &view) < 0)
		return credential_refuse(u, CREDENTIAL_UNAVAILABLE, "out of memory; try again");
	while (r == 0 && credential_find(view.text, view.len, at, &f)) {
		r = credential_lookup(u, view.text, &f, m->code, &v);
		if (r < 0)
			break;
		/* What was not decoded here may hide a marker from us, but not from a server. */
		r = credential_refuse_marker(u, text + view.at[at], view.at[f.at] - view.at[at]);
		text_add_n(out, text + view.at[at], view.at[f.at] - view.at[at]);
		credential_write(m->code, v->at, v->len, out);
		at = f.at + f.len;
	}
	if (r == 0)
		r = credential_refuse_marker(u, text + view.at[at], len - view.at[at]);
	text_add_n(out, text + view.at[at], len - view.at[at]);
	credential_view_done(&view);
	return r;
}

int credential_rewrite_path(
	struct credential_use *u, const char *path, size_t len, struct text *out)
{
	static const struct credential_manner manner = { CREDENTIAL_PATH, true };

	return credential_replace(u, path, len, &manner, out);
}

int credential_rewrite_query(
	struct credential_use *u, const char *query, size_t len, struct text *out)
{
	static const struct credential_manner manner = { CREDENTIAL_QUERY, true };

	for (size_t at = 0; at <= len;) {
		const char *end = at < len ? memchr(query + at, '&', len - at) : NULL;
		size_t next = end ? (size_t) (end - query) : len;
		const char *equals = next > at ? memchr(query + at, '=', next - at) : NULL;
		size_t name = equals ? (size_t) (equals - query) + 1 - at : next - at;

		if (credential_refuse_marker(u, query + at, name) < 0)
			return -EACCES;
		text_add_n(out, query + at, name);
		if (credential_replace(u, query + at + name, next - at - name, &manner, out) < 0)
			return -EACCES;
		if (next < len)
			text_add_n(out, "&", 1);
		at = next + 1;
	}
	return 0;
}

/* ---- header values ---- */

static bool is_token(const char *s, size_t len)
{
	for (size_t i = 0; i < len; i++)
		if ((unsigned char) s[i] <= 0x20 || s[i] == 0x7f ||
			strchr("\",;()<>@[]{}?\\", s[i]))
			return false;
	return len > 0;
}

static int whole(struct credential_use *u, const char *value, size_t len, enum credential_code code,
	struct text *out)
{
	const struct credential_value *v;
	struct credential_found f;

	if (!credential_find(value, len, 0, &f) || f.at != 0 || f.len != len)
		return misplaced(u);
	if (credential_lookup(u, value, &f, code, &v) < 0)
		return -EACCES;
	credential_write(code, v->at, v->len, out);
	return 0;
}

static int one_cookie(struct credential_use *u, const char *pair, size_t len, struct text *out)
{
	const char *equals = memchr(pair, '=', len);
	size_t name = equals ? (size_t) (equals - pair) + 1 : len, quote;

	if (!credential_has_marker(pair, len)) {
		text_add_n(out, pair, len);
		return 0;
	}
	if (credential_refuse_marker(u, pair, name) < 0)
		return -EACCES;
	text_add_n(out, pair, name);
	quote = len - name >= 2 && pair[name] == '"' && pair[len - 1] == '"';
	text_add_n(out, "\"", quote);
	if (whole(u, pair + name + quote, len - name - 2 * quote, CREDENTIAL_COOKIE, out) < 0)
		return -EACCES;
	text_add_n(out, "\"", quote);
	return 0;
}

static int cookies(struct credential_use *u, const char *value, size_t len, struct text *out)
{
	for (size_t at = 0; at < len;) {
		const char *end = memchr(value + at, ';', len - at);
		size_t next = end ? (size_t) (end - value) : len, from = at;

		while (from < next && value[from] == ' ')
			from++;
		text_add_n(out, value + at, from - at);
		if (one_cookie(u, value + from, next - from, out) < 0)
			return -EACCES;
		if (next < len)
			text_add_n(out, ";", 1);
		at = next + 1;
	}
	return 0;
}

/* plain is the decoded text: no secret yet. */
static int basic_plain(
	struct credential_use *u, const char *plain, size_t len, struct credential_base64 *to)
{
	const struct credential_value *v;
	struct credential_found f;
	size_t at = 0;

	while (credential_find(plain, len, at, &f)) {
		if (credential_lookup(u, plain, &f, CREDENTIAL_FIELD, &v) < 0)
			return -EACCES;
		credential_base64_add(to, plain + at, f.at - at);
		credential_base64_add(to, v->at, v->len);
		at = f.at + f.len;
	}
	credential_base64_add(to, plain + at, len - at);
	credential_base64_end(to);
	return 0;
}

/* 1: it is Basic with a placeholder and was written; 0: not; negative: refused. */
static int basic(struct credential_use *u, const char *value, size_t len, struct text *out)
{
	struct credential_base64 to = { .out = out };
	AUTO_FREE char *plain = NULL;
	size_t at = 6, n;

	if (len < 7 || !text_ieq(value, 6, "basic ", 6))
		return 0;
	while (at < len && value[at] == ' ')
		at++;
	if (credential_base64_decode(value + at, len - at, &plain, &n) < 0 ||
		!credential_has_marker(plain, n))
		return 0;
	text_add_n(out, value, at);
	return basic_plain(u, plain, n, &to) < 0 ? -EACCES : 1;
}

int credential_rewrite_header(struct credential_use *u, const char *name, size_t name_len,
	const char *value, size_t len, struct text *out)
{
	const char *blank;
	size_t word;
	int r = 0;

	if (text_ieq(name, name_len, "authorization", 13) ||
		text_ieq(name, name_len, "proxy-authorization", 19))
		r = basic(u, value, len, out);
	if (r != 0)
		return r < 0 ? r : 0;
	if (!credential_has_marker(value, len)) {
		text_add_n(out, value, len);
		return 0;
	}
	if (text_ieq(name, name_len, "cookie", 6))
		return cookies(u, value, len, out);
	blank = memchr(value, ' ', len);
	word = blank ? (size_t) (blank - value) : 0;
	if (!blank || !is_token(value, word))
		return whole(u, value, len, CREDENTIAL_FIELD, out);
	if (credential_refuse_marker(u, value, word) < 0)
		return -EACCES;
	while (word < len && value[word] == ' ')
		word++;
	text_add_n(out, value, word);
	return whole(u, value + word, len - word, CREDENTIAL_FIELD, out);
}
