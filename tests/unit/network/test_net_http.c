/* test_net_http.c - heads, framing, and heads written anew. */
#include <errno.h>
#include "net_http_write.h"
#include "test.h"

static struct net_head head;

static int request(const char *text)
{
	struct err e = { 0 };
	int r = net_head_request(text, strlen(text), &head, &e);

	ASSERT(r == 0 || e.text[0]);
	return r;
}

#define LINE "GET http://a/ HTTP/1.1\r\n"

TEST(a_plain_request_is_taken_apart)
{
	size_t n;

	ASSERT_OK(request("POST http://a/b HTTP/1.0\r\nHost:  a \r\nX-Y:\r\n\r\n"));
	ASSERT(net_slice_is(head.method, "POST") && net_slice_is(head.target, "http://a/b"));
	ASSERT_EQ(head.minor, 0);
	ASSERT_EQ(head.n_fields, 2);
	ASSERT(net_slice_is(net_head_field(&head, "host", &n)->value, "a"));
	ASSERT_EQ(head.fields[1].value.len, 0);
}

TEST(malformed_heads_are_refused)
{
	static const char *const bad[] = { "GET  http://a/ HTTP/1.1\r\n\r\n",
		"GET http://a/\r\n\r\n", "GET http://a/ HTTP/2.0\r\n\r\n",
		"GET http://a/ http/1.1\r\n\r\n", "G(T http://a/ HTTP/1.1\r\n\r\n",
		"GET http://a/ x HTTP/1.1\r\n\r\n", LINE "A : b\r\n\r\n", LINE "A b\r\n\r\n",
		LINE " A: b\r\n\r\n", LINE "A: b\n\r\n", LINE "A: b\rc\r\n\r\n",
		LINE "A: \x01\r\n\r\n", LINE "A: \x7f\r\n\r\n", LINE ": b\r\n\r\n",
		LINE "Connection: host\r\n\r\n", LINE "Connection: a,,b\r\n\r\n",
		LINE "Connection: Content-Length\r\n\r\n",
		LINE "Connection: x, transfer-encoding\r\n\r\n", LINE "Connection:\r\n\r\n",
		"GET http://a/ HTTP/1.2\r\n\r\n", LINE "A: \xff\r\n\r\n", LINE "\r\nx" };

	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
		if (request(bad[i]) != -EBADMSG)
			FAIL_("accepted: %s", bad[i]);
}

/* Values are looked at eight bytes at a time: wherever a byte stands, it is seen. */
TEST(every_control_character_in_a_value_is_refused)
{
	static const char good[] = "GET / HTTP/1.1\r\nA: 0123456789abcdef\xc3\xa9x\r\n\r\n";
	const size_t from = sizeof "GET / HTTP/1.1\r\nA: " - 1;
	char bytes[sizeof good];
	struct err e = { 0 };

	for (size_t at = from; at < from + 16; at++)
		for (int c = 0; c < 128; c++) {
			bool is_clean = (c >= ' ' && c != 0x7f) || c == '\t';

			(void) memcpy(bytes, good, sizeof good);
			bytes[at] = (char) c;
			ASSERT_EQ(
				net_head_request(bytes, sizeof good - 1, &head, &e) == 0, is_clean);
		}
}

TEST(every_truncation_is_refused)
{
	static const char whole[] = LINE "Host: a\r\nConnection: close\r\n\r\n";
	char part[sizeof whole];

	for (size_t len = 0; len < sizeof whole - 1; len++) {
		struct err e = { 0 };

		(void) memcpy(part, whole, len);
		ASSERT_ERR(net_head_request(part, len, &head, &e), EBADMSG);
	}
}

TEST(fields_are_bounded)
{
	char text[16384];
	struct text t;

	text_init(&t, text, sizeof text);
	text_add(&t, LINE);
	for (int i = 0; i < NET_FIELDS_MAX; i++)
		text_add(&t, "A: b\r\n");
	text_add(&t, "\r\n");
	ASSERT_OK(request(text));
	t.len -= 2;
	text_add(&t, "A: b\r\n\r\n");
	ASSERT_ERR(request(text), EBADMSG);
}

static int framing(const char *fields, struct net_body *b)
{
	char text[1024];
	struct err e = { 0 };

	(void) snprintf(text, sizeof text, LINE "%s\r\n", fields);
	ASSERT_OK(request(text));
	return net_body_of_request(&head, b, &e);
}

TEST(framing_is_unambiguous_or_refused)
{
	static const char *const bad[] = { "Content-Length: 1\r\nContent-Length: 2\r\n",
		"Content-Length: 1, 1\r\n", "Content-Length: +1\r\n", "Content-Length: \r\n",
		"Content-Length: 99999999999999999999\r\n", "Content-Length: 0x1\r\n",
		"Content-Length: 18446744073709551615\r\n",
		"Content-Length: x\r\nContent-Length: x\r\n",
		"Content-Length: 1\r\nContent-Length: x\r\n",
		"Content-Length: 1\r\nTransfer-Encoding: identity\r\n",
		"Content-Length: 1\r\nTransfer-Encoding: chunked\r\n",
		"Transfer-Encoding: chunked\r\nContent-Length: 1\r\n",
		"Transfer-Encoding: gzip, chunked\r\n", "Transfer-Encoding: chunked, chunked\r\n",
		"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n",
		"Transfer-Encoding: identity\r\n", "Transfer-Encoding: xchunked\r\n",
		"Transfer-Encoding: \r\n" };
	struct net_body b;

	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
		if (framing(bad[i], &b) != -EBADMSG)
			FAIL_("accepted: %s", bad[i]);
	ASSERT_OK(framing("Content-Length: 5\r\nContent-Length: 5\r\n", &b));
	ASSERT_EQ(b.length, 5);
	ASSERT_OK(framing("Transfer-Encoding: Chunked\r\n", &b));
	ASSERT_EQ(b.framing, NET_BODY_CHUNKED);
	ASSERT_OK(framing("", &b));
	ASSERT_EQ(b.framing, NET_BODY_NONE);
}

static int chunks(const char *text, size_t *used, bool *done)
{
	struct net_chunked c = { 0 };
	struct err e = { 0 };

	return net_chunked_feed(&c, text, strlen(text), used, done, &e);
}

TEST(a_chunked_body_ends_exactly_where_it_ends)
{
	size_t used;
	bool done;

	ASSERT_OK(chunks("5;a=b\r\nhello\r\n0\r\nX: y\r\n\r\nGET /next", &used, &done));
	ASSERT(done);
	ASSERT_EQ(used, strlen("5;a=b\r\nhello\r\n0\r\nX: y\r\n\r\n"));
	ASSERT_OK(chunks("5\r\nhel", &used, &done));
	ASSERT(!done);
}

TEST(odd_chunks_are_refused)
{
	static const char *const bad[] = { "+5\r\nhello\r\n", " 5\r\n", "5\nhello", "5\r\nhelloX",
		"g\r\n", "\r\n", ";a\r\n", "fffffffffffffffff\r\n",
		"0\r\nContent-Length: 1\r\n\r\n", "0\r\nhost: x\r\n\r\n", "0\r\nno colon\r\n\r\n",
		"0\r\nAuthorization: x\r\n\r\n", "1\r\na\n0\r\n\r\n" };
	size_t used;
	bool done;

	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
		if (chunks(bad[i], &used, &done) != -EBADMSG)
			FAIL_("accepted: %s", bad[i]);
}

TEST(the_request_upstream_is_written_anew)
{
	struct net_target to;
	struct net_body body;
	enum net_scheme scheme;
	char out[1024];
	struct text t;
	struct err e = { 0 };

	ASSERT_OK(request(
		"GET http://A.test:80/x?y HTTP/1.1\r\nHost: evil.test\r\nConnection: x-secret\r\n"
		"X-Secret: 1\r\nProxy-Authorization: Basic x\r\nUpgrade: h2c\r\nAccept: "
		"*/*\r\n\r\n"));
	ASSERT_OK(net_target_absolute(head.target, &to, &scheme, &e));
	ASSERT_OK(net_body_of_request(&head, &body, &e));
	text_init(&t, out, sizeof out);
	net_write_request(
		&(struct net_write_request){
			.head = &head, .to = &to, .body = &body, .default_port = 80, .via = true },
		&t);
	ASSERT_STR(out,
		"GET /x?y HTTP/1.1\r\nHost: a.test\r\nAccept: */*\r\n"
		"Via: 1.1 openshell-sandbox\r\nConnection: keep-alive\r\n\r\n");
}

/* Who forwarded it before is kept, and not said twice. */
TEST(a_via_that_is_there_stays_alone)
{
	struct net_target to = { .host = "a.test", .port = 80, .path = { "/", 1 } };
	struct net_body body = { NET_BODY_NONE, 0 };
	char out[512];
	struct text t;

	ASSERT_OK(request("GET http://a.test/ HTTP/1.1\r\nVIA: 1.0 fred\r\n\r\n"));
	text_init(&t, out, sizeof out);
	net_write_request(
		&(struct net_write_request){
			.head = &head, .to = &to, .body = &body, .default_port = 80, .via = true },
		&t);
	ASSERT_STR(out,
		"GET / HTTP/1.1\r\nHost: a.test\r\nVIA: 1.0 fred\r\nConnection: "
		"keep-alive\r\n\r\n");
}

TEST(the_response_is_written_anew)
{
	static const char raw[] =
		"HTTP/1.1 200 Fine\r\nTransfer-Encoding: chunked\r\nKeep-Alive: 5\r\n"
		"Connection: keep-alive\r\nX: y\r\n\r\n";
	struct net_body body;
	char out[512];
	struct text t;
	struct err e = { 0 };

	ASSERT_OK(net_head_response(raw, sizeof raw - 1, &head, &e));
	ASSERT_OK(net_body_of_response(&head, false, &body, &e));
	text_init(&t, out, sizeof out);
	net_write_response(&(struct net_write_response){ &head, &body, true, false }, &t);
	ASSERT_STR(out,
		"HTTP/1.1 200 Fine\r\nX: y\r\nTransfer-Encoding: chunked\r\nConnection: "
		"close\r\n\r\n");
}

TEST(responses_without_body_have_none)
{
	static const char raw[] = "HTTP/1.1 204 No\r\nContent-Length: 5\r\n\r\n";
	struct net_body body;
	struct err e = { 0 };

	ASSERT_OK(net_head_response(raw, sizeof raw - 1, &head, &e));
	ASSERT_OK(net_body_of_response(&head, false, &body, &e));
	ASSERT_EQ(body.framing, NET_BODY_NONE);
	head.status = 200;
	ASSERT_OK(net_body_of_response(&head, true, &body, &e));
	ASSERT_EQ(body.framing, NET_BODY_NONE);
}
