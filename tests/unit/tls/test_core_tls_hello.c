#include "core_tls_hello.h"
#include "tls_pair.h"

#define HELLO_MAX 4096

/* A real one, of our own client. */
static size_t make_hello(unsigned char *buf, const char *host)
{
	struct err e = { 0 };
	struct pair p;
	ssize_t n;

	pair_begin(&p);
	pair_connect(&p, host, host);
	ASSERT_EQ(tls_handshake(p.c, &e), TLS_WANT_READ);
	n = recv(p.fds[0], buf, HELLO_MAX, 0);
	ASSERT(n > 100);
	pair_end(&p);
	return (size_t) n;
}

TEST(real_hello_is_understood)
{
	unsigned char buf[HELLO_MAX];
	struct tls_hello h;
	size_t n = make_hello(buf, "example.test");

	ASSERT_EQ(tls_hello_parse(buf, n, &h), TLS_HELLO_YES);
	ASSERT_STR(h.sni, "example.test");
	ASSERT(h.has_alpn && h.alpn_http11 && !h.alpn_h2 && h.tls13 && !h.has_early_data);
	ASSERT_EQ(h.version, 0x0303);
	ASSERT_EQ((long long) h.len, (long long) n);
	n = make_hello(buf, "192.0.2.1");
	ASSERT_EQ(tls_hello_parse(buf, n, &h), TLS_HELLO_YES);
	ASSERT_STR(h.sni, "");
}

TEST(every_truncation_wants_more)
{
	unsigned char buf[HELLO_MAX];
	struct tls_hello h;
	size_t n = make_hello(buf, "example.test");

	for (size_t i = 0; i < n; i++)
		ASSERT_EQ(tls_hello_parse(buf, i, &h), TLS_HELLO_MORE);
}

TEST(other_protocols_are_no_tls)
{
	static const char *const others[] = { "GET / HTTP/1.1\r\n", "PRI * HTTP/2.0\r\n",
		"SSH-2.0-x", "\x16\x02\x00", "\x16\x03\x05", "\x17\x03\x03", "\x80\x2e\x01" };
	struct tls_hello h;

	for (size_t i = 0; i < sizeof others / sizeof *others; i++) {
		const uint8_t *b = (const uint8_t *) others[i];

		ASSERT_EQ(tls_hello_parse(b, strlen(others[i]), &h), TLS_HELLO_NO);
		ASSERT_EQ(tls_hello_is_tls(b, 3), TLS_HELLO_NO);
	}
	ASSERT_EQ(tls_hello_is_tls((const uint8_t *) "", 0), TLS_HELLO_MORE);
	ASSERT_EQ(tls_hello_is_tls((const uint8_t *) "\x16\x03", 2), TLS_HELLO_MORE);
	ASSERT_EQ(tls_hello_is_tls((const uint8_t *) "\x16\x03\x01", 3), TLS_HELLO_YES);
}

/* The same message in records of size bytes. */
static size_t cut(const unsigned char *hello, size_t n, size_t size, unsigned char *ret)
{
	size_t out = 0;

	for (size_t at = 5; at < n; at += size) {
		size_t k = n - at < size ? n - at : size;

		(void) memcpy(ret + out, "\x16\x03\x01", 3);
		ret[out + 3] = (unsigned char) (k >> 8);
		ret[out + 4] = (unsigned char) k;
		(void) memcpy(ret + out + 5, hello + at, k);
		out += 5 + k;
	}
	return out;
}

TEST(hello_in_several_records_is_understood_up_to_the_limit)
{
	unsigned char buf[HELLO_MAX], *parts = malloc(HELLO_MAX * 6);
	struct tls_hello h;
	size_t n = make_hello(buf, "example.test"), size, len;

	ASSERT(parts);
	size = (n - 5 + TLS_HELLO_RECORDS_MAX - 1) / TLS_HELLO_RECORDS_MAX;
	len = cut(buf, n, size, parts);
	ASSERT_EQ(tls_hello_parse(parts, len, &h), TLS_HELLO_YES);
	ASSERT_STR(h.sni, "example.test");
	ASSERT_EQ((long long) h.len, (long long) len);
	len = cut(buf, n, 1, parts);
	ASSERT_EQ(tls_hello_parse(parts, len, &h), TLS_HELLO_BAD);
	free(parts);
}

TEST(our_server_takes_a_hello_in_several_records)
{
	unsigned char buf[HELLO_MAX], parts[HELLO_MAX * 2];
	struct err e = { 0 };
	struct pair p;
	ssize_t n;

	pair_begin(&p);
	pair_connect(&p, "example.test", "example.test");
	p.c_step = tls_handshake(p.c, &e);
	n = recv(p.fds[0], buf, sizeof buf, 0);
	ASSERT_OK(tls_early(p.s, parts, cut(buf, (size_t) n, 50, parts), &e));
	pair_handshake(&p);
	if (p.s_step != TLS_DONE)
		FAIL_("%s", p.s_err.text);
	pair_end(&p);
}

TEST(lies_about_lengths_are_bad)
{
	unsigned char buf[HELLO_MAX], copy[HELLO_MAX];
	struct tls_hello h;
	size_t n = make_hello(buf, "example.test");

	/* every byte of the headers changed in every bit: never a crash, never another length */
	for (size_t i = 5; i < n; i++)
		for (int bit = 0; bit < 8; bit++) {
			(void) memcpy(copy, buf, n);
			copy[i] ^= (unsigned char) (1 << bit);
			if (tls_hello_parse(copy, n, &h) == TLS_HELLO_YES)
				ASSERT_EQ((long long) h.len, (long long) n);
		}
	(void) memcpy(copy, buf, n);
	copy[5] = 2; /* a ServerHello */
	ASSERT_EQ(tls_hello_parse(copy, n, &h), TLS_HELLO_BAD);
	(void) memcpy(copy, "\x16\x03\x01\x00\x00", 5); /* an empty record */
	ASSERT_EQ(tls_hello_parse(copy, 5, &h), TLS_HELLO_BAD);
	(void) memcpy(copy, "\x16\x03\x01\x00\x04\x01\x01\x00\x00", 9); /* 64 KiB announced */
	ASSERT_EQ(tls_hello_parse(copy, 9, &h), TLS_HELLO_BAD);
	(void) memcpy(copy, buf, n); /* something behind the message */
	copy[3] = (unsigned char) ((n - 5 + 1) >> 8);
	copy[4] = (unsigned char) (n - 5 + 1);
	ASSERT_EQ(tls_hello_parse(copy, n + 1, &h), TLS_HELLO_BAD);
}
