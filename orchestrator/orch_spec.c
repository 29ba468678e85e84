/* orch_spec.c - a strict reader for one small JSON object. */
#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include "core_cleanup.h"
#include "core_text.h"
#include "orch_limits.h"
#include "orch_spec.h"

#define SPEC "OPENSHELL_MAIN_PROCESS_SPEC"
#define PREFIX "base64url:"

struct reader {
	const char *at, *end;
	struct err *e;
};

struct words {
	char **at;
	size_t n;
};

static void words_done(struct words *w)
{
	orch_spec_free_words(w->at);
	w->at = NULL;
}

void orch_spec_free_words(char **words)
{
	for (size_t i = 0; words && words[i]; i++)
		free(words[i]);
	free(words);
}

static int bad(struct reader *r, const char *what)
{
	return err_set(
		r->e, EINVAL, SPEC ": %s; write {\"version\":1,\"command\":[\"...\"]}", what);
}

static void skip_blank(struct reader *r)
{
	while (r->at < r->end && memchr(" \t\r\n", *r->at, 4))
		r->at++;
}

static bool take(struct reader *r, char c)
{
	skip_blank(r);
	if (r->at == r->end || *r->at != c)
		return false;
	r->at++;
	return true;
}

static bool take_word(struct reader *r, const char *word)
{
	size_t n = strlen(word);

	skip_blank(r);
	if ((size_t) (r->end - r->at) < n || memcmp(r->at, word, n) != 0)
		return false;
	r->at += n;
	return true;
}

static int hex4(struct reader *r, uint32_t *ret)
{
	uint32_t v = 0;

	if (r->end - r->at < 4)
		return bad(r, "a \\u escape is cut short");
	for (int i = 0; i < 4; i++, r->at++) {
		char c = *r->at;
		uint32_t d;

		if (c >= '0' && c <= '9')
			d = (uint32_t) (c - '0');
		else if (c >= 'a' && c <= 'f')
			d = (uint32_t) (c - 'a' + 10);
		else if (c >= 'A' && c <= 'F')
			d = (uint32_t) (c - 'A' + 10);
		else
			return bad(r, "a \\u escape needs four hex digits");
		v = v << 4 | d;
	}
	*ret = v;
	return 0;
}

static size_t utf8_put(uint32_t c, char *out)
{
	if (c < 0x80) {
		out[0] = (char) c;
		return 1;
	}
	if (c < 0x800) {
		out[0] = (char) (0xc0 | c >> 6);
		out[1] = (char) (0x80 | (c & 0x3f));
		return 2;
	}
	if (c < 0x10000) {
		out[0] = (char) (0xe0 | c >> 12);
		out[1] = (char) (0x80 | (c >> 6 & 0x3f));
		out[2] = (char) (0x80 | (c & 0x3f));
		return 3;
	}
	out[0] = (char) (0xf0 | c >> 18);
	out[1] = (char) (0x80 | (c >> 12 & 0x3f));
	out[2] = (char) (0x80 | (c >> 6 & 0x3f));
	out[3] = (char) (0x80 | (c & 0x3f));
	return 4;
}

static int unicode_escape(struct reader *r, char *out, size_t *ret_n)
{
	uint32_t c, low;

	if (hex4(r, &c) < 0)
		return -EINVAL;
	if (c == 0)
		return bad(r, "a string may not contain NUL");
	if (c >= 0xd800 && c < 0xdc00) {
		if (r->end - r->at < 2 || r->at[0] != '\\' || r->at[1] != 'u')
			return bad(r, "half a surrogate pair");
		r->at += 2;
		if (hex4(r, &low) < 0)
			return -EINVAL;
		if (low < 0xdc00 || low > 0xdfff)
			return bad(r, "half a surrogate pair");
		c = 0x10000 + ((c - 0xd800) << 10) + (low - 0xdc00);
	} else if (c >= 0xdc00 && c < 0xe000) {
		return bad(r, "half a surrogate pair");
	}
	*ret_n = utf8_put(c, out);
	return 0;
}

/* One character or escape of a string, written to out (at least 4 bytes). */
static int string_step(struct reader *r, char *out, size_t *ret_n)
{
	static const char plain[] = "\"\\/bfnrt", meaning[] = "\"\\/\b\f\n\r\t";
	char c = *r->at++;
	const char *p;

	*ret_n = 1;
	if ((unsigned char) c < 0x20)
		return bad(r, "a control character stands in a string");
	if (c != '\\') {
		*out = c;
		return 0;
	}
	if (r->at == r->end)
		return bad(r, "a string is not closed");
	c = *r->at++;
	if (c == 'u')
		return unicode_escape(r, out, ret_n);
	p = memchr(plain, c, sizeof plain - 1);
	if (!p)
		return bad(r, "unknown escape in a string");
	*out = meaning[p - plain];
	return 0;
}

static int read_string(struct reader *r, char **ret)
{
	AUTO_FREE char *s = NULL;
	size_t n = 0, step;

	if (!take(r, '"'))
		return bad(r, "a string is expected");
	/* An escape never becomes longer than it was written. */
	s = malloc((size_t) (r->end - r->at) + 1);
	if (!s)
		return err_set(r->e, ENOMEM, SPEC ": out of memory");
	while (r->at < r->end && *r->at != '"') {
		char c[4];
		int rc = string_step(r, c, &step);

		if (rc < 0)
			return rc;
		(void) memcpy(s + n, c, step);
		n += step;
	}
	if (!take(r, '"'))
		return bad(r, "a string is not closed");
	s[n] = '\0';
	*ret = TAKE_PTR(s);
	return 0;
}

static int read_command(struct reader *r, struct words *w)
{
	if (w->at)
		return bad(r, "command is written twice");
	w->at = calloc(ORCH_COMMAND_WORDS_MAX + 1, sizeof *w->at);
	if (!w->at)
		return err_set(r->e, ENOMEM, SPEC ": out of memory");
	if (!take(r, '['))
		return bad(r, "command must be a list of strings");
	if (take(r, ']'))
		return 0;
	do {
		int rc;

		if (w->n == ORCH_COMMAND_WORDS_MAX)
			return bad(r, "command has too many words");
		rc = read_string(r, &w->at[w->n]);
		if (rc < 0)
			return rc;
		w->n++;
	} while (take(r, ','));
	return take(r, ']') ? 0 : bad(r, "the command list is not closed");
}

static int skip_value(struct reader *r, unsigned depth);

static int skip_list(struct reader *r, char close, unsigned depth)
{
	if (depth >= ORCH_SPEC_DEPTH_MAX)
		return bad(r, "nested too deeply");
	if (take(r, close))
		return 0;
	do {
		AUTO_FREE char *key = NULL;

		if (close == '}' && read_string(r, &key) < 0)
			return -EINVAL;
		if (close == '}' && !take(r, ':'))
			return bad(r, "':' is expected");
		if (skip_value(r, depth + 1) < 0)
			return -EINVAL;
	} while (take(r, ','));
	return take(r, close) ? 0 : bad(r, "a list or object is not closed");
}

static int skip_number(struct reader *r)
{
	const char *from = r->at;

	while (r->at < r->end && memchr("+-.0123456789eE", *r->at, 15))
		r->at++;
	return r->at > from ? 0 : bad(r, "a value is expected");
}

static int skip_value(struct reader *r, unsigned depth)
{
	AUTO_FREE char *s = NULL;

	skip_blank(r);
	if (r->at < r->end && *r->at == '"')
		return read_string(r, &s);
	if (take(r, '{'))
		return skip_list(r, '}', depth);
	if (take(r, '['))
		return skip_list(r, ']', depth);
	if (take_word(r, "true") || take_word(r, "false") || take_word(r, "null"))
		return 0;
	return skip_number(r);
}

static int read_version(struct reader *r, bool *seen)
{
	const char *from;
	uint64_t v;

	if (*seen)
		return bad(r, "version is written twice");
	*seen = true;
	skip_blank(r);
	from = r->at;
	if (skip_number(r) < 0)
		return bad(r, "version must be the number 1");
	if (text_to_u64(from, (size_t) (r->at - from), 1, 1, &v) < 0)
		return bad(r, "only version 1 is known");
	return 0;
}

static int read_tty(struct reader *r, bool *seen, bool *ret)
{
	if (*seen)
		return bad(r, "tty is written twice");
	*seen = true;
	*ret = take_word(r, "true");
	return *ret || take_word(r, "false") ? 0 : bad(r, "tty must be true or false");
}

static int read_members(struct reader *r, struct words *w, bool *ret_tty)
{
	bool version = false, tty = false;

	if (!take(r, '{'))
		return bad(r, "a JSON object is expected");
	do {
		AUTO_FREE char *key = NULL;
		int rc = read_string(r, &key);

		if (rc < 0)
			return rc;
		if (!take(r, ':'))
			return bad(r, "':' is expected");
		if (strcmp(key, "version") == 0)
			rc = read_version(r, &version);
		else if (strcmp(key, "command") == 0)
			rc = read_command(r, w);
		else if (strcmp(key, "tty") == 0)
			rc = read_tty(r, &tty, ret_tty);
		else
			rc = skip_value(r, 0);
		if (rc < 0)
			return rc;
	} while (take(r, ','));
	if (!take(r, '}'))
		return bad(r, "the object is not closed");
	skip_blank(r);
	if (r->at != r->end)
		return bad(r, "something follows the object");
	return version ? 0 : bad(r, "version is missing");
}

static int parse_json(const char *text, size_t len, struct orch_spec *ret, struct err *e)
{
	struct reader r = { text, text + len, e };
	struct words w = { NULL, 0 };
	bool tty = false;
	int rc;

	if (!text_is_utf8(text, len))
		return bad(&r, "not UTF-8");
	rc = read_members(&r, &w, &tty);
	if (rc == 0 && (w.n == 0 || w.at[0][0] == '\0'))
		rc = bad(&r, "command is missing or empty");
	if (rc < 0) {
		words_done(&w);
		return rc;
	}
	ret->command = w.at;
	ret->tty = tty;
	return 0;
}

static int sextet(char c)
{
	static const char digits[] =
		"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
	const char *p = c ? strchr(digits, c) : NULL;

	return p ? (int) (p - digits) : -1;
}

/* Unpadded base64url (RFC 4648 section 5); leftover bits must be zero. */
static int decode(const char *s, size_t len, char *out, size_t *ret_len)
{
	uint32_t bits = 0;
	unsigned have = 0;
	size_t n = 0;

	if (len % 4 == 1)
		return -EINVAL;
	for (size_t i = 0; i < len; i++) {
		int v = sextet(s[i]);

		if (v < 0)
			return -EINVAL;
		bits = (bits << 6 | (uint32_t) v) & 0xffff;
		have += 6;
		if (have >= 8) {
			have -= 8;
			out[n++] = (char) (bits >> have & 0xff);
		}
	}
	if (bits & ((1u << have) - 1))
		return -EINVAL;
	*ret_len = n;
	return 0;
}

int orch_spec_parse(const char *text, size_t len, struct orch_spec *ret, struct err *e)
{
	AUTO_FREE char *plain = NULL;
	size_t n = sizeof PREFIX - 1;

	if (len > ORCH_SPEC_BYTES_MAX)
		return err_set(e, EFBIG, SPEC " has %zu bytes; at most %d are read", len,
			ORCH_SPEC_BYTES_MAX);
	if (len < n || memcmp(text, PREFIX, n) != 0)
		return parse_json(text, len, ret, e);
	plain = malloc(len);
	if (!plain)
		return err_set(e, ENOMEM, SPEC ": out of memory");
	if (decode(text + n, len - n, plain, &n) < 0)
		return err_set(e, EINVAL,
			SPEC ": not base64url without padding; use the alphabet with '-' and '_'");
	return parse_json(plain, n, ret, e);
}
