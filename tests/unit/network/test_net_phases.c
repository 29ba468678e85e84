/* test_net_phases.c - each phase of a client ends at its limit, with the answer that fits, and with
 * nothing left open. */
#include <netinet/tcp.h>
#include "net_lab.h"

#define REST "{host: origin.test, port: 80, protocol: rest, access: full, enforcement: enforce}"
#define PLAIN "{host: origin.test, port: 80}"
#define REST_TLS \
	"{host: origin.test, port: 443, protocol: rest, access: full, enforcement: enforce}"
#define GET "GET http://origin.test/x HTTP/1.1\r\nHost: origin.test\r\n\r\n"
#define CONNECT(port) "CONNECT origin.test:" port " HTTP/1.1\r\n\r\n"

static char out[16384];

/* The refusal, and then the end of both connections. */
static void expect_refusal(struct lab *l, int client, int upstream, const char *status,
	const char *error, const char *detail)
{
	lab_hear_all(l, client, out, sizeof out);
	if (!strstr(out, status) || !strstr(out, error) || !strstr(out, detail))
		FAIL_("%s", out);
	(void) close(client);
	if (upstream >= 0) {
		lab_hear_all(l, upstream, out, sizeof out);
		(void) close(upstream);
	}
	LAB_UNTIL(l, l->leaf->n_clients == 0);
	lab_end(l);
}

/* Both ends are cut, and the client hears nothing more than `want`. */
static void expect_cut(struct lab *l, int client, int upstream, const char *want)
{
	ASSERT_EQ(l->leaf->n_clients, 0);
	lab_hear_all(l, client, out, sizeof out);
	ASSERT_STR(out, want);
	(void) close(client);
	if (upstream >= 0) {
		lab_hear_all(l, upstream, out, sizeof out);
		(void) close(upstream);
	}
	lab_end(l);
}

/* A request is under way: it was sent, and arrived. */
static void begin_exchange(struct lab *l, const char *request, int *client, int *upstream)
{
	*client = lab_client(l);
	lab_say(*client, request);
	*upstream = lab_accept(l);
	lab_hear(l, *upstream, out, sizeof out, "\r\n\r\n");
}

TEST(head_that_is_not_complete_is_408_and_none_is_nothing)
{
	struct lab l;
	uint64_t since;
	int client;

	lab_begin(&l, 80, LAB_POLICY(REST));
	since = loop_now_ms(l.loop);
	client = lab_client(&l);
	lab_pass(&l, since, NET_HEADER_MS, NET_PHASE_HEAD);
	lab_hear_all(&l, client, out, sizeof out);
	ASSERT_STR(out, "");
	(void) close(client);
	since = loop_now_ms(l.loop);
	client = lab_client(&l);
	lab_say(client, "GET http://orig");
	LAB_UNTIL(&l, l.leaf->clients->in_len > 0);
	lab_pass(&l, since, NET_HEADER_MS, NET_PHASE_HEAD);
	expect_refusal(&l, client, -1, "HTTP/1.1 408 Request Timeout\r\n",
		"\"error\":\"request_timeout\"", "the request head was not complete in time");
}

TEST(kept_connection_ends_in_silence)
{
	struct lab l;
	uint64_t since;
	int client, upstream;

	lab_begin(&l, 80, LAB_POLICY(REST));
	begin_exchange(&l, GET, &client, &upstream);
	since = loop_now_ms(l.loop);
	lab_say(upstream, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
	lab_hear(&l, client, out, sizeof out, "ok");
	LAB_UNTIL(&l, l.leaf->clients->phase == NET_PHASE_HEAD);
	lab_pass(&l, since, NET_KEEPALIVE_MS, NET_PHASE_HEAD);
	expect_cut(&l, client, upstream, "");
}

TEST(tunnel_that_says_nothing_is_refused_where_requests_are_judged)
{
	struct lab l;
	uint64_t since;
	int client, upstream;

	lab_begin(&l, 80, LAB_POLICY(REST));
	since = loop_now_ms(l.loop);
	client = lab_client(&l);
	lab_say(client, CONNECT("80"));
	upstream = lab_accept(&l);
	lab_hear(&l, client, out, sizeof out, "200 Connection Established\r\n\r\n");
	lab_pass(&l, since, NET_PEEK_MS, NET_PHASE_PEEK);
	expect_refusal(&l, client, upstream, "HTTP/1.1 403", "unsupported_l7_protocol",
		"Unsupported tunnel protocol");
}

TEST(tunnel_that_says_nothing_becomes_raw_elsewhere_and_idles_for_ten_minutes)
{
	struct lab l;
	uint64_t since;
	int client, upstream;

	lab_begin(&l, 80, LAB_POLICY(PLAIN));
	since = loop_now_ms(l.loop);
	client = lab_client(&l);
	lab_say(client, CONNECT("80"));
	upstream = lab_accept(&l);
	lab_hear(&l, client, out, sizeof out, "200 Connection Established\r\n\r\n");
	lab_pass(&l, since, NET_PEEK_MS, NET_PHASE_PEEK);
	ASSERT_EQ(l.leaf->clients->phase, NET_PHASE_TUNNEL);
	since = loop_now_ms(l.loop);
	lab_say(upstream, "hello");
	lab_hear(&l, client, out, sizeof out, "hello");
	lab_pass(&l, since, NET_IDLE_MS, NET_PHASE_TUNNEL);
	expect_cut(&l, client, upstream, "");
}

/* A ClientHello of which the last byte never comes. */
TEST(client_that_stops_in_its_handshake_is_cut)
{
	static const char hello[] = "\x16\x03\x01\x00\x40\x01\x00\x00\x3c\x03\x03";
	struct lab l;
	uint64_t since;
	int client, upstream;

	lab_begin(&l, 443, LAB_POLICY(REST_TLS));
	client = lab_client(&l);
	lab_say(client, CONNECT("443"));
	upstream = lab_accept(&l);
	lab_hear(&l, client, out, sizeof out, "200 Connection Established\r\n\r\n");
	since = loop_now_ms(l.loop);
	ASSERT_EQ(send(client, hello, sizeof hello - 1, 0), sizeof hello - 1);
	LAB_UNTIL(&l, l.leaf->clients->phase == NET_PHASE_SECURE);
	lab_pass(&l, since, NET_TLS_MS, NET_PHASE_SECURE);
	expect_cut(&l, client, upstream, "");
}

/* The client's end of an intercepted tunnel, with its handshake done. */
static struct tls_stream *enter(struct lab *l, int client)
{
	struct err e = { 0 };
	struct tls_stream *t;
	enum tls_step step;

	lab_say(client, CONNECT("443"));
	lab_hear(l, client, out, sizeof out, "200 Connection Established\r\n\r\n");
	ASSERT_OK(tls_client_stream(l->program, client, "origin.test", 443, &t, &e));
	LAB_UNTIL(l, (step = tls_handshake(t, &e)) == TLS_DONE || step == TLS_FAILED);
	if (step == TLS_FAILED)
		FAIL_("%s", e.text);
	return t;
}

static void tls_say(struct tls_stream *t, const char *text)
{
	struct err e = { 0 };

	ASSERT_EQ(tls_write(t, text, strlen(text), &e), (ssize_t) strlen(text));
}

static void tls_hear(struct lab *l, struct tls_stream *t, const char *mark)
{
	struct err e = { 0 };
	size_t len = 0;

	for (out[0] = '\0'; !strstr(out, mark);) {
		ssize_t n = tls_read(t, out + len, sizeof out - 1 - len, &e);

		if (n == 0 || (n < 0 && n != -EAGAIN))
			FAIL_("ended before \"%s\": %s", mark, out);
		if (n < 0)
			lab_turn(l);
		else
			len += (size_t) n;
		out[len] = '\0';
	}
}

/* It accepts, and never says a word of TLS; or it begins, and stops. */
TEST(upstream_that_stops_in_its_handshake_is_504)
{
	for (int begun = 0; begun < 2; begun++) {
		struct lab l;
		struct tls_stream *t;
		uint64_t since;
		int client, upstream;

		lab_begin(&l, 443, LAB_POLICY(REST_TLS));
		client = lab_client(&l);
		t = enter(&l, client);
		upstream = lab_accept(&l);
		since = loop_now_ms(l.loop);
		tls_say(t, "GET /x HTTP/1.1\r\nHost: origin.test\r\n\r\n");
		LAB_UNTIL(&l, l.leaf->clients->phase == NET_PHASE_SECURE_UPSTREAM);
		if (begun)
			lab_say(upstream, "\x16\x03\x03");
		lab_turn(&l);
		lab_pass(&l, since, NET_TLS_MS, NET_PHASE_SECURE_UPSTREAM);
		tls_hear(&l, t, "}");
		ASSERT(strstr(out, "HTTP/1.1 504 Gateway Timeout\r\n"));
		ASSERT(strstr(out, "\"error\":\"upstream_timeout\""));
		ASSERT(strstr(out, "origin.test:443 did not finish the TLS handshake in time"));
		tls_free(t);
		(void) close(client);
		lab_hear_all(&l, upstream, out, sizeof out);
		(void) close(upstream);
		LAB_UNTIL(&l, l.leaf->n_clients == 0);
		lab_end(&l);
	}
}

TEST(body_that_is_read_whole_has_two_minutes)
{
	struct lab l;
	uint64_t since;
	int client;

	lab_begin(&l, 80,
		LAB_POLICY("{host: origin.test, port: 80, protocol: rest, access: full, "
			   "enforcement: enforce, request_body_credential_rewrite: true}"));
	lab_credentials(&l);
	client = lab_client(&l);
	since = loop_now_ms(l.loop);
	lab_say(client,
		"POST http://origin.test/x HTTP/1.1\r\nHost: origin.test\r\nContent-Type: "
		"text/plain\r\n"
		"Content-Length: 9\r\n\r\nhalf");
	LAB_UNTIL(&l, l.leaf->clients->phase == NET_PHASE_BODY);
	lab_pass(&l, since, NET_BODY_MS, NET_PHASE_BODY);
	/* Its request never reached the server. */
	ASSERT(accept(l.listener, NULL, NULL) < 0 && errno == EAGAIN);
	expect_refusal(&l, client, -1, "HTTP/1.1 408 Request Timeout\r\n",
		"\"error\":\"request_timeout\"", "the request body was not complete in time");
}

TEST(upstream_that_never_answers_is_504)
{
	struct lab l;
	uint64_t since;
	int client, upstream;

	lab_begin(&l, 80, LAB_POLICY(REST));
	since = loop_now_ms(l.loop);
	begin_exchange(&l, GET, &client, &upstream);
	lab_pass(&l, since, NET_RESPONSE_MS, NET_PHASE_RELAY);
	expect_refusal(&l, client, upstream, "HTTP/1.1 504 Gateway Timeout\r\n",
		"\"error\":\"upstream_timeout\"", "origin.test:80 did not answer in time");
}

TEST(half_a_response_head_is_504_too)
{
	struct lab l;
	uint64_t since;
	int client, upstream;

	lab_begin(&l, 80, LAB_POLICY(REST));
	begin_exchange(&l, GET, &client, &upstream);
	since = loop_now_ms(l.loop);
	lab_say(upstream, "HTTP/1.1 200 OK\r\nContent-Le");
	lab_turn(&l);
	lab_pass(&l, since, NET_RESPONSE_MS, NET_PHASE_RELAY);
	expect_refusal(&l, client, upstream, "HTTP/1.1 504 Gateway Timeout\r\n",
		"\"error\":\"upstream_timeout\"", "origin.test:80 did not answer in time");
}

/* The client has its beginning: a cut is the only way to say that there is no end. */
TEST(response_body_that_stalls_is_cut)
{
	struct lab l;
	uint64_t since;
	int client, upstream;

	lab_begin(&l, 80, LAB_POLICY(REST));
	begin_exchange(&l, GET, &client, &upstream);
	since = loop_now_ms(l.loop);
	lab_say(upstream, "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf");
	lab_hear(&l, client, out, sizeof out, "half");
	lab_pass(&l, since, NET_IDLE_MS, NET_PHASE_RELAY);
	expect_cut(&l, client, upstream, "");
}

TEST(events_may_be_a_day_apart)
{
	struct lab l;
	uint64_t since;
	int client, upstream;

	lab_begin(&l, 80, LAB_POLICY(REST));
	begin_exchange(&l, GET, &client, &upstream);
	since = loop_now_ms(l.loop);
	lab_say(upstream, "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\ndata: 1\n\n");
	lab_hear(&l, client, out, sizeof out, "data: 1\n\n");
	lab_pass(&l, since, NET_EVENTS_IDLE_MS, NET_PHASE_RELAY);
	expect_cut(&l, client, upstream, "");
}

TEST(request_body_that_stalls_is_408)
{
	struct lab l;
	uint64_t since;
	int client, upstream;

	lab_begin(&l, 80, LAB_POLICY(REST));
	begin_exchange(&l,
		"PUT http://origin.test/x HTTP/1.1\r\nHost: origin.test\r\nContent-Length: "
		"9\r\n\r\n",
		&client, &upstream);
	since = loop_now_ms(l.loop);
	lab_say(client, "half");
	lab_hear(&l, upstream, out, sizeof out, "half");
	lab_pass(&l, since, NET_IDLE_MS, NET_PHASE_RELAY);
	expect_refusal(&l, client, upstream, "HTTP/1.1 408 Request Timeout\r\n",
		"\"error\":\"request_timeout\"", "the request body was not complete in time");
}

/* Here it is the server that stopped: it reads nothing more, and its socket is full. */
TEST(request_body_that_nobody_reads_is_504)
{
	static char block[65536];
	struct lab l;
	uint64_t since;
	int client, upstream;
	size_t sent = 0;

	lab_begin(&l, 80, LAB_POLICY(REST));
	begin_exchange(&l,
		"PUT http://origin.test/x HTTP/1.1\r\nHost: origin.test\r\n"
		"Content-Length: 1073741824\r\n\r\n",
		&client, &upstream);
	since = loop_now_ms(l.loop);
	for (unsigned quiet = 0; quiet < 50;) { /* turns of the loop in which nothing moved */
		ssize_t n = send(client, block, sizeof block, MSG_NOSIGNAL | MSG_DONTWAIT);

		ASSERT(n > 0 || errno == EAGAIN);
		quiet = n > 0 ? 0 : quiet + 1;
		sent += n > 0 ? (size_t) n : 0;
		if (n < 0)
			lab_turn(&l);
	}
	ASSERT(sent > sizeof block);
	lab_pass(&l, since, NET_IDLE_MS, NET_PHASE_RELAY);
	expect_refusal(&l, client, upstream, "HTTP/1.1 504 Gateway Timeout\r\n",
		"\"error\":\"upstream_timeout\"", "origin.test:80 did not answer in time");
}

TEST(switched_connection_idles_for_ten_minutes)
{
	struct lab l;
	uint64_t since;
	int client, upstream;

	lab_begin(&l, 80, LAB_POLICY(REST));
	begin_exchange(&l,
		"GET http://origin.test/x HTTP/1.1\r\nHost: origin.test\r\nUpgrade: websocket\r\n"
		"Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
		"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
		&client, &upstream);
	since = loop_now_ms(l.loop);
	lab_say(upstream,
		"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: "
		"Upgrade\r\n\r\n!");
	lab_hear(&l, client, out, sizeof out, "!");
	lab_pass(&l, since, NET_IDLE_MS, NET_PHASE_COPY);
	expect_cut(&l, client, upstream, "");
}

/* A server whose queue is full answers no SYN. */
TEST(dial_that_nobody_answers_is_502)
{
	struct lab l;
	uint64_t since;
	int client, full[4];

	lab_begin(&l, 80, LAB_POLICY(REST));
	ASSERT(listen(l.listener, 0) == 0);
	for (size_t i = 0; i < 4; i++)
		full[i] = lab_connect(LAB_ORIGIN, 80);
	since = loop_now_ms(l.loop);
	client = lab_client(&l);
	lab_say(client, GET);
	LAB_UNTIL(&l, l.leaf->clients->phase == NET_PHASE_DIAL);
	lab_pass(&l, since, NET_DIAL_MS + NET_DIAL_ONE_MS, NET_PHASE_DIAL);
	for (size_t i = 0; i < 4; i++)
		(void) close(full[i]);
	expect_refusal(&l, client, -1, "HTTP/1.1 502 Bad Gateway\r\n",
		"\"error\":\"upstream_unreachable\"", "connection to origin.test:80 failed");
}

/* It took its refusal, and sends on: that is read for two seconds, and no longer. */
TEST(refused_client_that_does_not_leave_is_cut)
{
	struct lab l;
	uint64_t since;
	int client;

	lab_begin(&l, 80, LAB_POLICY(REST));
	client = lab_client(&l);
	since = loop_now_ms(l.loop);
	lab_say(client, "GET http://other.test/ HTTP/1.1\r\n\r\n");
	lab_hear(&l, client, out, sizeof out, "}");
	ASSERT(strstr(out, "policy_denied"));
	lab_say(client, "and more");
	lab_turn(&l);
	lab_pass(&l, since, NET_LINGER_MS, NET_PHASE_LINGER);
	expect_cut(&l, client, -1, "");
}

/* X12: what an older policy allowed does not leave under a newer one, however far it had come. */
TEST(request_of_an_older_policy_never_leaves)
{
	struct lab l;
	int client, full[4], fd;

	lab_begin(&l, 80, LAB_POLICY(REST));
	ASSERT(listen(l.listener, 0) == 0);
	for (size_t i = 0; i < 4; i++)
		full[i] = lab_connect(LAB_ORIGIN, 80);
	client = lab_client(&l);
	lab_say(client, GET);
	LAB_UNTIL(&l, l.leaf->clients->phase == NET_PHASE_DIAL);
	lab_policy(&l, 2, LAB_POLICY(PLAIN));
	LAB_UNTIL(&l, l.leaf->n_clients == 0);
	for (size_t i = 0; i < 4; i++)
		(void) close(full[i]);
	while ((fd = accept(l.listener, NULL, NULL)) >= 0) {
		lab_hear_all(&l, fd, out, sizeof out);
		ASSERT_STR(out, "");
		(void) close(fd);
	}
	expect_cut(&l, client, -1, "");
}

/* The same while its body is read, and while its answer is awaited. */
TEST(reload_ends_requests_in_every_phase)
{
	struct lab l;
	int client, upstream;

	lab_begin(&l, 80,
		LAB_POLICY("{host: origin.test, port: 80, protocol: rest, access: full, "
			   "enforcement: enforce, request_body_credential_rewrite: true}"));
	lab_credentials(&l);
	client = lab_client(&l);
	lab_say(client,
		"POST http://origin.test/x HTTP/1.1\r\nHost: origin.test\r\nContent-Type: "
		"text/plain\r\n"
		"Content-Length: 9\r\n\r\nhalf");
	LAB_UNTIL(&l, l.leaf->clients->phase == NET_PHASE_BODY);
	lab_policy(&l, 2, LAB_POLICY(REST));
	LAB_UNTIL(&l, l.leaf->n_clients == 0);
	(void) close(client);
	ASSERT(accept(l.listener, NULL, NULL) < 0 && errno == EAGAIN);
	begin_exchange(&l, GET, &client, &upstream);
	lab_policy(&l, 3, LAB_POLICY(REST));
	LAB_UNTIL(&l, l.leaf->n_clients == 0);
	expect_cut(&l, client, upstream, "");
}
