#include "core_tls_hello.h"
#include <stdlib.h>
#include <string.h>
#include "core_cleanup.h"

#define RECORD_HEADER 5 /* bytes: type, version, length */
#define RECORD_MAX 16384
#define HANDSHAKE_HEADER 4
#define TYPE_HANDSHAKE 0x16
#define TYPE_CLIENT_HELLO 1
#define VERSION_TLS13 0x0304

enum { EXT_SERVER_NAME = 0, EXT_ALPN = 16, EXT_EARLY_DATA = 42, EXT_VERSIONS = 43 };

/* What is left of a vector; a failed take makes it bad for good. */
struct reader {
	const uint8_t *at;
	size_t left;
	bool bad;
};

static const uint8_t *take(struct reader *r, size_t n)
{
	const uint8_t *at = r->at;

	if (r->bad || n > r->left) {
		r->bad = true;
		return NULL;
	}
	r->at += n;
	r->left -= n;
	return at;
}

static unsigned take_number(struct reader *r, size_t n)
{
	const uint8_t *at = take(r, n);
	unsigned v = 0;

	for (size_t i = 0; at && i < n; i++)
		v = v << 8 | at[i];
	return v;
}

/* A vector with a length of n bytes in front. */
static struct reader take_vector(struct reader *r, size_t n)
{
	size_t len = take_number(r, n);
	struct reader v = { take(r, len), len, false };

	if (!v.at)
		v = (struct reader){ NULL, 0, true };
	return v;
}

static bool read_server_name(struct reader *ext, struct tls_hello *ret)
{
	struct reader list = take_vector(ext, 2);

	while (!list.bad && list.left) {
		unsigned type = take_number(&list, 1);
		struct reader name = take_vector(&list, 2);

		if (name.bad || type != 0)
			continue;
		/* Two names, none, or a NUL in one: no honest client sends that. */
		if (ret->sni[0] || !name.left || name.left > TLS_HELLO_NAME_MAX ||
			memchr(name.at, 0, name.left))
			return false;
		(void) memcpy(ret->sni, name.at, name.left);
	}
	return !list.bad && !ext->left;
}

static bool is_name(const struct reader *name, const char *text)
{
	return name->left == strlen(text) && memcmp(name->at, text, name->left) == 0;
}

static bool read_alpn(struct reader *ext, struct tls_hello *ret)
{
	struct reader list = take_vector(ext, 2);

	ret->has_alpn = true;
	while (!list.bad && list.left) {
		struct reader name = take_vector(&list, 1);

		if (name.bad || !name.left)
			return false;
		ret->alpn_http11 |= is_name(&name, "http/1.1");
		ret->alpn_http10 |= is_name(&name, "http/1.0");
		ret->alpn_h2 |= is_name(&name, "h2");
	}
	return !list.bad && !ext->left;
}

static bool read_versions(struct reader *ext, struct tls_hello *ret)
{
	struct reader list = take_vector(ext, 1);

	while (!list.bad && list.left)
		ret->tls13 |= take_number(&list, 2) == VERSION_TLS13;
	return !list.bad && !ext->left;
}

static bool read_extension(unsigned type, struct reader *ext, struct tls_hello *ret)
{
	switch (type) {
	case EXT_SERVER_NAME:
		return read_server_name(ext, ret);
	case EXT_ALPN:
		return read_alpn(ext, ret);
	case EXT_VERSIONS:
		return read_versions(ext, ret);
	case EXT_EARLY_DATA:
		ret->has_early_data = true;
		return true;
	default:
		return true;
	}
}

static bool read_body(const uint8_t *bytes, size_t len, struct tls_hello *ret)
{
	struct reader r = { bytes, len, false }, all;
	uint8_t seen[EXT_VERSIONS + 1] = { 0 };

	ret->version = (uint16_t) take_number(&r, 2);
	(void) take(&r, 32);	   /* random */
	(void) take_vector(&r, 1); /* session id */
	(void) take_vector(&r, 2); /* cipher suites */
	(void) take_vector(&r, 1); /* compression methods */
	if (r.bad)
		return false;
	if (!r.left)
		return true;
	all = take_vector(&r, 2);
	while (!all.bad && all.left) {
		unsigned type = take_number(&all, 2);
		struct reader ext = take_vector(&all, 2);

		if (ext.bad || (type < sizeof seen && seen[type]++))
			return false; /* no extension twice (RFC 8446 4.2) */
		if (!read_extension(type, &ext, ret))
			return false;
	}
	return !all.bad && !r.left;
}

enum tls_hello_is tls_hello_is_tls(const uint8_t *bytes, size_t len)
{
	if ((len > 0 && bytes[0] != TYPE_HANDSHAKE) || (len > 1 && bytes[1] != 3) ||
		(len > 2 && bytes[2] > 4))
		return TLS_HELLO_NO;
	return len < 3 ? TLS_HELLO_MORE : TLS_HELLO_YES;
}

/* Gather the message from its records.  YES: *ret_len bytes of it, all, are in message. */
static enum tls_hello_is gather(
	const uint8_t *bytes, size_t len, uint8_t *message, size_t *ret_len, size_t *ret_used)
{
	size_t have = 0, need = HANDSHAKE_HEADER, used = 0;

	for (unsigned records = 0; have < need; records++) {
		size_t fragment;

		if (used + RECORD_HEADER > len)
			return used < TLS_HELLO_BYTES_MAX ? TLS_HELLO_MORE : TLS_HELLO_BAD;
		fragment = (size_t) bytes[used + 3] << 8 | bytes[used + 4];
		if (records == TLS_HELLO_RECORDS_MAX ||
			tls_hello_is_tls(bytes + used, 3) != TLS_HELLO_YES || !fragment ||
			fragment > RECORD_MAX ||
			used + fragment > TLS_HELLO_BYTES_MAX - RECORD_HEADER)
			return TLS_HELLO_BAD;
		used += RECORD_HEADER;
		if (used + fragment > len)
			return TLS_HELLO_MORE;
		(void) memcpy(message + have, bytes + used, fragment);
		have += fragment;
		used += fragment;
		if (have < HANDSHAKE_HEADER)
			continue;
		need = HANDSHAKE_HEADER +
			((size_t) message[1] << 16 | (size_t) message[2] << 8 | message[3]);
		if (message[0] != TYPE_CLIENT_HELLO || need > TLS_HELLO_BYTES_MAX)
			return TLS_HELLO_BAD;
	}
	*ret_len = need;
	*ret_used = used;
	return have == need ? TLS_HELLO_YES : TLS_HELLO_BAD; /* nothing may follow it yet */
}

enum tls_hello_is tls_hello_parse(const uint8_t *bytes, size_t len, struct tls_hello *ret)
{
	enum tls_hello_is is = tls_hello_is_tls(bytes, len);
	AUTO_FREE uint8_t *message = NULL;
	struct tls_hello hello = { 0 };
	size_t message_len;

	if (is != TLS_HELLO_YES)
		return is;
	message = malloc(TLS_HELLO_BYTES_MAX);
	if (!message)
		return TLS_HELLO_BAD;
	is = gather(bytes, len, message, &message_len, &hello.len);
	if (is != TLS_HELLO_YES)
		return is;
	if (!read_body(message + HANDSHAKE_HEADER, message_len - HANDSHAKE_HEADER, &hello))
		return TLS_HELLO_BAD;
	*ret = hello;
	return TLS_HELLO_YES;
}
