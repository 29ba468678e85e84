/* test_net_body.c - bodies framed anew, first bytes of tunnels, authorities, handshakes. */
#include <errno.h>
#include "net_authority.h"
#include "net_http_body.h"
#include "net_peek.h"
#include "net_upgrade.h"
#include "test.h"

static char keep[NET_TRAILERS_MAX];

/* Carries text in pieces of step bytes; the output is NUL-terminated. */
static int carry(struct net_carry *c, const char *text, size_t step, size_t *ret_used, char *out,
	size_t size)
{
	struct net_bytes b = { .at = out, .size = size - 1 };
	size_t len = strlen(text), used;
	struct err e = { 0 };

	*ret_used = 0;
	while (*ret_used < len && !c->done) {
		size_t n = len - *ret_used < step ? len - *ret_used : step;

		if (net_carry(c, text + *ret_used, n, &used, &b, &e) < 0)
			return -e.code;
		*ret_used += used;
	}
	out[b.len] = '\0';
	return 0;
}

#define CHUNKED (&(struct net_body){ NET_BODY_CHUNKED, 0 })

TEST(chunks_are_written_anew)
{
	struct net_carry c;
	char out[512];
	size_t used;

	net_carry_init(&c, CHUNKED, true, true, keep);
	ASSERT_OK(carry(&c, "0005;ext=1\r\nhello\r\n1\r\n!\r\n0\r\nA:b\r\n\r\nGET /next", 999,
		&used, out, sizeof out));
	ASSERT(c.done);
	ASSERT_EQ(used, strlen("0005;ext=1\r\nhello\r\n1\r\n!\r\n0\r\nA:b\r\n\r\n"));
	ASSERT_STR(out, "6\r\nhello!\r\n0\r\nA: b\r\n\r\n");
}

TEST(chunks_are_the_same_however_they_arrive)
{
	static const char text[] = "3\r\nabc\r\nA\r\n0123456789\r\n0\r\nX: 1\r\nY: 2\r\n\r\n";
	char out[512];

	for (size_t step = 1; step < sizeof text; step++) {
		struct net_carry c;
		size_t used;

		net_carry_init(&c, CHUNKED, true, false, keep);
		ASSERT_OK(carry(&c, text, step, &used, out, sizeof out));
		ASSERT(c.done);
		ASSERT_EQ(used, sizeof text - 1);
		ASSERT_STR(out, "abc0123456789");
	}
}

TEST(a_length_is_followed_to_its_end)
{
	struct net_carry c;
	char out[64];
	size_t used;

	net_carry_init(&c, &(struct net_body){ NET_BODY_LENGTH, 5 }, true, false, NULL);
	ASSERT_OK(carry(&c, "helloGET /", 3, &used, out, sizeof out));
	ASSERT(c.done);
	ASSERT_EQ(used, 5);
	ASSERT_STR(out, "hello");
}

TEST(output_without_room_takes_nothing)
{
	struct net_carry c;
	struct net_bytes b = { .at = keep, .size = NET_CARRY_OVERHEAD };
	struct err e = { 0 };
	size_t used;

	net_carry_init(&c, CHUNKED, true, true, NULL);
	ASSERT_OK(net_carry(&c, "1\r\na\r\n", 6, &used, &b, &e));
	ASSERT_EQ(used, 0);
	ASSERT_EQ(b.len, 0);
}

TEST(the_end_of_a_body_waits_for_room)
{
	struct net_carry c;
	char out[64];
	struct net_bytes b = { .at = out, .size = NET_CARRY_OVERHEAD + 5 };
	struct err e = { 0 };
	size_t used;

	net_carry_init(&c, CHUNKED, false, true, keep);
	ASSERT_OK(net_carry(&c, "0\r\n\r\n", 5, &used, &b, &e));
	ASSERT_EQ(used, 5);
	ASSERT(c.done);
	net_carry_init(&c, CHUNKED, false, true, keep);
	b.len = 0;
	b.size = NET_CARRY_OVERHEAD + 6;
	ASSERT_OK(net_carry(&c, "1\r\na\r\n", 6, &used, &b, &e));
	ASSERT_EQ(used, 6);
	for (const char *at = "0\r\n\r\n"; !c.read; at += used, b.size++)
		ASSERT_OK(net_carry(&c, at, strlen(at), &used, &b, &e));
	b.len = 0; /* it has left */
	ASSERT_OK(net_carry(&c, "", 0, &used, &b, &e));
	ASSERT(c.done);
	net_carry_init(&c, &(struct net_body){ NET_BODY_LENGTH, 1 }, false, true, keep);
	b.size = b.len = sizeof out; /* full */
	c.read = true;
	ASSERT_OK(net_carry(&c, "", 0, &used, &b, &e));
	ASSERT(!c.done);
}

TEST(only_a_body_that_nothing_looks_at_goes_straight)
{
	const struct net_body sized = { NET_BODY_LENGTH, 10 }, endless = { NET_BODY_TO_END, 0 };
	struct credential_scan scan = { .hit = false };
	struct net_carry c;

	net_carry_init(&c, &sized, false, false, NULL);
	ASSERT_EQ(net_carry_straight(&c, 4), 4);
	ASSERT_EQ(net_carry_straight(&c, 64), 10); /* never a byte of the next message */
	net_carry_went(&c, 9);
	ASSERT_EQ(net_carry_straight(&c, 64), 1);
	ASSERT(!c.read);
	net_carry_went(&c, 1);
	ASSERT(c.read);
	ASSERT_EQ(net_carry_straight(&c, 64), 0);
	net_carry_init(&c, &endless, false, false, NULL);
	ASSERT_EQ(net_carry_straight(&c, 64), 64);
	c.scan = &scan;
	ASSERT_EQ(net_carry_straight(&c, 64), 0);
	net_carry_init(&c, &endless, false, true, NULL); /* becomes chunks */
	ASSERT_EQ(net_carry_straight(&c, 64), 0);
	net_carry_init(&c, CHUNKED, false, false, keep);
	ASSERT_EQ(net_carry_straight(&c, 64), 0);
}

TEST(a_placeholder_in_a_body_stops_it)
{
	static const char text[] =
		"1c\r\n{\"k\":\"openshell:resolve:env:\r\n8\r\nNAME\"}  \r\n0\r\n\r\n";
	char out[512];

	for (size_t step = 1; step < sizeof text; step++) {
		struct credential_scan scan = { .hit = false };
		struct net_carry c;
		size_t used;

		net_carry_init(&c, CHUNKED, true, true, keep);
		c.scan = &scan;
		ASSERT_ERR(carry(&c, text, step, &used, out, sizeof out), EACCES);
	}
}

TEST(a_scanned_body_without_placeholder_is_whole)
{
	static const char text[] = "openshell:resolve:en is no marker";
	char out[512];

	for (size_t step = 1; step < sizeof text; step++) {
		struct credential_scan scan = { .hit = false };
		struct net_carry c;
		size_t used;

		net_carry_init(&c, &(struct net_body){ NET_BODY_LENGTH, sizeof text - 1 }, true,
			false, NULL);
		c.scan = &scan;
		ASSERT_OK(carry(&c, text, step, &used, out, sizeof out));
		ASSERT(c.done);
		ASSERT_STR(out, text);
	}
}

TEST(forbidden_trailers_are_refused_in_requests_and_dropped_from_responses)
{
	static const char text[] = "0\r\nX: 1\r\nContent-Length: 7\r\nSet-Cookie: a\r\n\r\n";
	struct net_carry c;
	char out[128];
	size_t used;

	net_carry_init(&c, CHUNKED, true, true, keep);
	ASSERT_ERR(carry(&c, text, 999, &used, out, sizeof out), EBADMSG);
	net_carry_init(&c, CHUNKED, false, true, keep);
	ASSERT_OK(carry(&c, text, 1, &used, out, sizeof out));
	ASSERT_STR(out, "0\r\nX: 1\r\n\r\n");
}

TEST(only_a_body_without_framing_ends_with_its_connection)
{
	struct net_carry c;

	net_carry_init(&c, &(struct net_body){ NET_BODY_TO_END, 0 }, false, false, NULL);
	ASSERT(net_carry_at_end(&c));
	ASSERT(!c.done); /* what is held back comes with the next call */
	net_carry_init(&c, &(struct net_body){ NET_BODY_LENGTH, 1 }, false, false, NULL);
	ASSERT(!net_carry_at_end(&c));
	net_carry_init(&c, CHUNKED, false, false, NULL);
	ASSERT(!net_carry_at_end(&c));
}

TEST(first_bytes_say_what_a_tunnel_carries)
{
	static const struct {
		const char *bytes;
		size_t len;
		enum net_peek want;
	} table[] = { { "", 0, NET_PEEK_MORE }, { "\x16", 1, NET_PEEK_MORE },
		{ "\x16\x03", 2, NET_PEEK_MORE }, { "\x16\x03\x01", 3, NET_PEEK_TLS },
		{ "\x16\x03\x05", 3, NET_PEEK_OTHER }, { "\x16\x02", 2, NET_PEEK_OTHER },
		{ "G", 1, NET_PEEK_MORE }, { "GET", 3, NET_PEEK_MORE },
		{ "GET ", 4, NET_PEEK_HTTP }, { "get /", 5, NET_PEEK_OTHER },
		{ "PRI * HT", 8, NET_PEEK_HTTP2 }, { "PRI * H", 7, NET_PEEK_MORE },
		{ "PROPFIND /", 10, NET_PEEK_HTTP }, { "PURGE http://h", 14, NET_PEEK_HTTP },
		{ "EHLO host", 9, NET_PEEK_OTHER }, { "SSH-2.0", 7, NET_PEEK_OTHER },
		{ "\0", 1, NET_PEEK_OTHER } };

	for (size_t i = 0; i < sizeof table / sizeof *table; i++)
		if (net_peek_classify(table[i].bytes, table[i].len) != table[i].want)
			FAIL_("\"%s\" is %d", table[i].bytes,
				net_peek_classify(table[i].bytes, table[i].len));
}

static struct net_head head;

static int authority(const char *text, const char *tunnel, bool secure)
{
	struct net_target to;
	struct err e = { 0 };
	struct net_slice s = { tunnel, strlen(tunnel) };
	int r;

	ASSERT_OK(net_target_authority(s, &to, &e));
	ASSERT_OK(net_head_request(text, strlen(text), &head, &e));
	r = net_authority_check(&head, &to, secure, &e);
	ASSERT(r == 0 || e.text[0]);
	return r;
}

TEST(authorities_agree_or_are_refused)
{
	ASSERT_OK(authority("GET / HTTP/1.1\r\nHost: A.test.\r\n\r\n", "a.test:80", false));
	ASSERT_OK(authority("GET / HTTP/1.1\r\nHost: a.test:443\r\n\r\n", "a.test:443", true));
	ASSERT_OK(authority("GET / HTTP/1.1\r\nHost: a.test\r\n\r\n", "a.test:443", true));
	ASSERT_OK(authority(
		"GET / HTTP/1.1\r\nHost: [2001:DB8::1]\r\n\r\n", "[2001:db8:0::1]:80", false));
	ASSERT_OK(authority("GET / HTTP/1.0\r\n\r\n", "a.test:80", false));
	ASSERT_ERR(authority("GET / HTTP/1.1\r\nHost: a.test\r\n\r\n", "a.test:8443", true), EXDEV);
	ASSERT_ERR(authority("GET / HTTP/1.1\r\nHost: b.test\r\n\r\n", "a.test:80", false), EXDEV);
	ASSERT_ERR(authority("GET / HTTP/1.1\r\n\r\n", "a.test:80", false), EBADMSG);
	ASSERT_ERR(authority("GET / HTTP/1.1\r\nHost: a.test\r\nHost: a.test\r\n\r\n", "a.test:80",
			   false),
		EBADMSG);
	ASSERT_ERR(
		authority("CONNECT a.test:80 HTTP/1.1\r\nHost: a.test\r\n\r\n", "a.test:80", false),
		EBADMSG);
	ASSERT_ERR(authority("GET http://b.test/ HTTP/1.1\r\nHost: a.test\r\n\r\n", "a.test:80",
			   false),
		EBADMSG);
	ASSERT_ERR(authority("GET http://a.test/ HTTP/1.1\r\nHost: a.test\r\n\r\n", "a.test:443",
			   true),
		EBADMSG);
}

static enum net_upgrade upgrade(const char *fields)
{
	char text[512];
	struct err e = { 0 };

	(void) snprintf(text, sizeof text, "GET / HTTP/1.1\r\nHost: a\r\n%s\r\n", fields);
	ASSERT_OK(net_head_request(text, strlen(text), &head, &e));
	return net_upgrade_of(&head);
}

#define KEY "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
#define VERSION "Sec-WebSocket-Version: 13\r\n"
#define BOTH "Upgrade: websocket\r\nConnection: keep-alive, Upgrade\r\n"

TEST(handshakes_are_whole_or_refused)
{
	ASSERT_EQ(upgrade(BOTH KEY VERSION), NET_UPGRADE_WEBSOCKET);
	ASSERT_EQ(upgrade(""), NET_UPGRADE_NONE);
	ASSERT_EQ(upgrade("Upgrade: foo\r\nConnection: upgrade\r\n"), NET_UPGRADE_NONE);
	ASSERT_EQ(upgrade("Upgrade: h2c\r\nConnection: upgrade\r\n"), NET_UPGRADE_H2C);
	ASSERT_EQ(upgrade("Upgrade: h2c\r\n"), NET_UPGRADE_NONE);
	ASSERT_EQ(upgrade(BOTH VERSION), NET_UPGRADE_BAD);
	ASSERT_EQ(upgrade(BOTH KEY), NET_UPGRADE_BAD);
	ASSERT_EQ(upgrade(KEY), NET_UPGRADE_BAD);
	ASSERT_EQ(upgrade(BOTH KEY KEY VERSION), NET_UPGRADE_BAD);
	ASSERT_EQ(upgrade("Upgrade: websocket\r\n" KEY VERSION), NET_UPGRADE_BAD);
	ASSERT_EQ(upgrade(BOTH "Sec-WebSocket-Key: short==\r\n" VERSION), NET_UPGRADE_BAD);
	ASSERT_EQ(upgrade(BOTH KEY "Sec-WebSocket-Version: 8\r\n"), NET_UPGRADE_BAD);
}
