#include "core_tls_pem.h"
#include <string.h>

#define BEGIN "-----BEGIN CERTIFICATE-----"
#define END "-----END CERTIFICATE-----"
#define BAD 0xff
#define DER_SEQUENCE 0x30
#define DER_LENGTH_MAX 4 /* bytes of a length, as in mbedTLS */

const char *tls_pem_next(const char **at, const char *end, size_t *ret_len)
{
	const char *from = memmem(*at, (size_t) (end - *at), BEGIN, sizeof BEGIN - 1), *to;

	if (!from)
		return NULL;
	to = memmem(from, (size_t) (end - from), END, sizeof END - 1);
	*ret_len = to ? (size_t) (to - from) + sizeof END - 1 : 0;
	*at = to ? from + *ret_len : end;
	return from;
}

size_t tls_pem_room(size_t len)
{
	return len / 4 * 3 + 3;
}

static const unsigned char *values(void)
{
	static const unsigned char table[256] = {
#define ROW8 BAD, BAD, BAD, BAD, BAD, BAD, BAD, BAD
#define ROW32 ROW8, ROW8, ROW8, ROW8
		ROW32, ROW8, BAD, BAD, BAD, 62, BAD, BAD, BAD, 63, 52, 53, 54, 55, 56, 57, 58, 59,
		60, 61, BAD, BAD, BAD, BAD, BAD, BAD, BAD, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12,
		13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, BAD, BAD, BAD, BAD, BAD, BAD,
		26, 27, 28, 29, 30, 31, 32, 33, 34, 35, 36, 37, 38, 39, 40, 41, 42, 43, 44, 45, 46,
		47, 48, 49, 50, 51, BAD, BAD, BAD, BAD, BAD, ROW32, ROW32, ROW32, ROW32
#undef ROW8
#undef ROW32
	};

	return table;
}

/* Whole groups of four without padding; how many characters that was. */
static size_t decode_groups(const char *in, size_t len, unsigned char **out)
{
	const unsigned char *v = values();
	size_t i = 0;

	for (; i + 4 <= len; i += 4) {
		unsigned char a = v[(unsigned char) in[i]], b = v[(unsigned char) in[i + 1]],
			      c = v[(unsigned char) in[i + 2]], d = v[(unsigned char) in[i + 3]];

		if ((a | b | c | d) & 0xc0) /* BAD is the only value above 63 */
			break;
		*(*out)++ = (unsigned char) (a << 2 | b >> 4);
		*(*out)++ = (unsigned char) (b << 4 | c >> 2);
		*(*out)++ = (unsigned char) (c << 6 | d);
	}
	return i;
}

/* The last group: "xx==" or "xxx=", with no bit set that is dropped. */
static bool decode_last(const char *in, unsigned char **out)
{
	const unsigned char *v = values();
	unsigned char a = v[(unsigned char) in[0]], b = v[(unsigned char) in[1]],
		      c = in[2] == '=' ? 0 : v[(unsigned char) in[2]];

	if (((a | b | c) & 0xc0) || in[3] != '=' || (in[2] == '=' ? b & 0x0f : c & 0x03))
		return false;
	*(*out)++ = (unsigned char) (a << 2 | b >> 4);
	if (in[2] != '=')
		*(*out)++ = (unsigned char) (b << 4 | c >> 2);
	return true;
}

/* *last: a padded group has been seen, behind which nothing may come. */
static bool decode_line(const char *in, size_t len, bool *last, unsigned char **out)
{
	size_t n;

	if (*last || len == 0 || len % 4 != 0)
		return false;
	n = decode_groups(in, len, out);
	if (n == len)
		return true;
	*last = true;
	return n + 4 == len && decode_last(in + n, out);
}

bool tls_pem_decode(const char *block, size_t len, unsigned char *out, size_t *ret_len)
{
	const char *at = block + sizeof BEGIN - 1, *end = block + len - (sizeof END - 1), *lf;
	unsigned char *to = out;
	bool last = false;

	/* The dashes of BEGIN may be those of END. */
	if (len < sizeof BEGIN - 1 + sizeof END - 1)
		return false;
	lf = memchr(at, '\n', (size_t) (end - at));
	if (!lf || (lf > at && (lf > at + 1 || *at != '\r')))
		return false;
	for (at = lf + 1; at < end; at = lf + 1) {
		size_t n;

		lf = memchr(at, '\n', (size_t) (end - at));
		if (!lf)
			return false;
		n = (size_t) (lf - at);
		if (!decode_line(at, n && at[n - 1] == '\r' ? n - 1 : n, &last, &to))
			return false;
	}
	*ret_len = (size_t) (to - out);
	return to > out;
}

const unsigned char *tls_der_next(
	const unsigned char **at, const unsigned char *end, size_t *ret_len)
{
	const unsigned char *from = *at, *p = from;
	size_t n, len = 0;

	if (end - p < 2 || *p++ != DER_SEQUENCE)
		return NULL;
	n = *p++;
	if (n < 0x80) {
		len = n;
	} else {
		n &= 0x7f;
		if (n == 0 || n > DER_LENGTH_MAX || (size_t) (end - p) < n)
			return NULL;
		while (n-- > 0)
			len = len << 8 | *p++;
	}
	if ((size_t) (end - p) < len)
		return NULL;
	*at = p + len;
	*ret_len = (size_t) (*at - from);
	return from;
}
