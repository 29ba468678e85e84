#include "credential_write.h"
#include <errno.h>
#include <string.h>
#include "credential_inner.h"

static bool is_unreserved(unsigned char c)
{
	return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
		c == '-' || c == '.' || c == '_' || c == '~';
}

/* pchar of RFC 3986 without ";", which some servers cut a segment at. */
static bool is_path_char(unsigned char c)
{
	return is_unreserved(c) || (c && strchr("!$&'()*+,=:@", c));
}

static bool has_any(const struct credential_value *v, const char *set)
{
	for (size_t i = 0; i < v->len; i++)
		if (v->at[i] && strchr(set, v->at[i]))
			return true;
	return false;
}

static bool has_control(const struct credential_value *v)
{
	for (size_t i = 0; i < v->len; i++)
		if ((unsigned char) v->at[i] < 0x20 || v->at[i] == 0x7f)
			return true;
	return false;
}

static bool is_step_up(const struct credential_value *v)
{
	size_t dots = 0;

	while (dots < v->len && v->at[dots] == '.')
		dots++;
	return dots == v->len || memmem(v->at, v->len, "..", 2);
}

bool credential_fits(
	enum credential_code code, const struct credential_value *v, const char **ret_why)
{
	*ret_why =
		"the credential holds control characters, which may not stand in a head; correct "
		"it at its source";
	if (code != CREDENTIAL_AS_IS && code != CREDENTIAL_JSON && has_control(v))
		return false;
	switch (code) {
	case CREDENTIAL_COOKIE:
		*ret_why =
			"the credential holds a blank, quote, comma, semicolon or backslash, which "
			"may not stand in a cookie; send it in another header";
		return !has_any(v, " \",;\\");
	case CREDENTIAL_PATH:
		*ret_why =
			"the credential holds a slash, backslash, question mark, hash or dots that "
			"would change the path; send it in a header";
		return !has_any(v, "/\\?#") && !is_step_up(v);
	case CREDENTIAL_JSON:
		*ret_why = "the credential is not UTF-8 text, as JSON must be; send it in a header";
		return text_is_utf8(v->at, v->len);
	case CREDENTIAL_AS_IS:
	case CREDENTIAL_FIELD:
	case CREDENTIAL_QUERY:
		break;
	}
	return true;
}

static void write_percent(const char *bytes, size_t len, bool path, struct text *out)
{
	for (size_t i = 0; i < len; i++) {
		unsigned char c = (unsigned char) bytes[i];

		if (path ? is_path_char(c) : is_unreserved(c))
			text_add_n(out, bytes + i, 1);
		else
			text_addf(out, "%%%02X", c);
	}
}

void credential_write(enum credential_code code, const char *bytes, size_t len, struct text *out)
{
	switch (code) {
	case CREDENTIAL_PATH:
	case CREDENTIAL_QUERY:
		write_percent(bytes, len, code == CREDENTIAL_PATH, out);
		break;
	case CREDENTIAL_JSON:
		text_add_json(out, bytes, len, SIZE_MAX);
		break;
	case CREDENTIAL_AS_IS:
	case CREDENTIAL_FIELD:
	case CREDENTIAL_COOKIE:
		text_add_n(out, bytes, len);
		break;
	}
}

static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

static void put_group(struct credential_base64 *b, unsigned n)
{
	char group[4];

	for (unsigned i = 0; i < 4; i++)
		group[i] = i <= n ? alphabet[b->bits >> (18 - 6 * i) & 63] : '=';
	text_add_n(b->out, group, 4);
	b->bits = b->n = 0;
}

void credential_base64_add(struct credential_base64 *b, const char *bytes, size_t len)
{
	for (size_t i = 0; i < len; i++) {
		b->bits |= (uint32_t) (unsigned char) bytes[i] << (16 - 8 * b->n);
		if (++b->n == 3)
			put_group(b, 3);
	}
}

void credential_base64_end(struct credential_base64 *b)
{
	if (b->n)
		put_group(b, b->n);
}

static int sextet(char c)
{
	const char *p = c ? memchr(alphabet, c, 64) : NULL;

	return p ? (int) (p - alphabet) : -1;
}

int credential_base64_decode(const char *s, size_t len, char **ret, size_t *ret_len)
{
	uint32_t bits = 0;
	unsigned n = 0;
	char *buf;

	while (len && s[len - 1] == '=' && n < 2) {
		len--;
		n++;
	}
	if ((len + n) % 4 != 0 && n != 0)
		return -EINVAL;
	if (len % 4 == 1)
		return -EINVAL;
	buf = malloc(len + 1);
	if (!buf)
		return -ENOMEM;
	*ret_len = n = 0;
	for (size_t i = 0; i < len; i++) {
		int v = sextet(s[i]);

		if (v < 0) {
			free(buf);
			return -EINVAL;
		}
		bits = bits << 6 | (uint32_t) v;
		n += 6;
		if (n >= 8) {
			n -= 8;
			buf[(*ret_len)++] = (char) (bits >> n);
		}
	}
	*ret = buf;
	return 0;
}
