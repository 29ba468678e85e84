#include "tls_pair.h"

TEST(both_versions_carry_data_both_ways)
{
	struct pair p;

	for (int tls12 = 0; tls12 < 2; tls12++) {
		pair_begin(&p);
		if (tls12)
			pair_only_tls12(&p);
		pair_open(&p, "example.test");
		ASSERT_STR(tls_version(p.s), tls12 ? "TLSv1.2" : "TLSv1.3");
		ASSERT_STR(tls_version(p.c), tls_version(p.s));
		ASSERT(strstr(tls_cipher(p.s), "AES-128-GCM"));
		ASSERT_STR(tls_sni(p.s), "example.test");
		ASSERT(tls_has_alpn(p.s) && tls_has_alpn(p.c));
		ASSERT(!tls_is_resumed(p.s) && !tls_is_resumed(p.c));
		pair_say(p.c, p.s, "GET / HTTP/1.1");
		pair_say(p.s, p.c, "HTTP/1.1 200 OK");
		pair_end(&p);
	}
}

TEST(second_connection_resumes_in_both_versions)
{
	struct pair p;

	for (int tls12 = 0; tls12 < 2; tls12++) {
		pair_begin(&p);
		if (tls12)
			pair_only_tls12(&p);
		pair_open(&p, "example.test");
		pair_say(p.s, p.c, "so that the client reads its ticket");
		pair_close(&p);
		pair_open(&p, "example.test");
		ASSERT(tls_is_resumed(p.s) && tls_is_resumed(p.c));
		pair_say(p.c, p.s, "again");
		pair_end(&p);
	}
}

TEST(session_is_not_used_for_another_host_or_port)
{
	struct pair p;
	struct err e = { 0 };

	pair_begin(&p);
	pair_open(&p, "a.test");
	pair_say(p.s, p.c, "ticket");
	pair_close(&p);
	pair_open(&p, "b.test");
	ASSERT(!tls_is_resumed(p.c));
	pair_close(&p);
	pair_connect(&p, "a.test", "a.test");
	tls_free(p.c);
	ASSERT_OK(tls_client_stream(p.client, p.fds[1], "a.test", 8443, &p.c, &e));
	pair_handshake(&p);
	ASSERT_EQ(p.c_step, TLS_DONE);
	ASSERT(!tls_is_resumed(p.c));
	pair_end(&p);
}

TEST(ticket_of_one_host_does_not_open_another)
{
	mbedtls_ssl_session session;
	struct pair p;

	for (int same = 0; same < 2; same++) {
		const char *second = same ? "a.test" : "b.test";

		pair_begin(&p);
		pair_only_tls12(&p); /* mbedTLS's own client would not try it in 1.3 */
		pair_open(&p, "a.test");
		mbedtls_ssl_session_init(&session);
		/* the stream has exported it for its cache, and mbedTLS gives it out once */
		p.c->ssl.MBEDTLS_PRIVATE(session)->MBEDTLS_PRIVATE(exported) = 0;
		ASSERT_EQ(mbedtls_ssl_get_session(&p.c->ssl, &session), 0);
		pair_close(&p);
		pair_connect(&p, second, second);
		if (!same) /* the other one is offered by itself */
			ASSERT_EQ(mbedtls_ssl_set_session(&p.c->ssl, &session), 0);
		pair_handshake(&p);
		ASSERT_EQ(p.s_step, TLS_DONE);
		ASSERT_EQ(tls_is_resumed(p.s), same);
		mbedtls_ssl_session_free(&session);
		pair_end(&p);
	}
}

TEST(other_server_name_is_refused)
{
	struct pair p;

	for (int tls12 = 0; tls12 < 2; tls12++) {
		pair_begin(&p);
		if (tls12)
			pair_only_tls12(&p);
		pair_connect(&p, "allowed.test", "denied.test");
		pair_handshake(&p);
		pair_settle(&p);
		ASSERT_EQ(p.s_step, TLS_FAILED);
		ASSERT_EQ(tls_reason(p.s), TLS_REASON_NAME_DIFFERS);
		ASSERT_EQ(p.c_step, TLS_FAILED);
		ASSERT_EQ(tls_reason(p.c), TLS_REASON_REFUSED);
		ASSERT(strstr(p.c_err.text, "unrecognized name"));
		pair_end(&p);
	}
}

TEST(addresses_have_certificates_and_no_server_name)
{
	static const char *const hosts[] = { "192.0.2.7", "2001:db8::7" };
	struct pair p;

	for (size_t i = 0; i < 2; i++) {
		pair_begin(&p);
		pair_open(&p, hosts[i]);
		ASSERT_STR(tls_sni(p.s), "");
		pair_close(&p);
		pair_connect(&p, hosts[i], hosts[1 - i]);
		pair_handshake(&p);
		ASSERT_EQ(p.c_step, TLS_FAILED);
		ASSERT_EQ(tls_reason(p.c), TLS_REASON_CERT_NAME);
		pair_end(&p);
	}
}

TEST(unknown_authority_is_refused_and_both_ends_know_why)
{
	struct tls_authority *other;
	struct err e = { 0 };
	struct pair p;

	pair_begin(&p);
	ASSERT_OK(tls_authority_new(&other, &e));
	pair_trust(&p, tls_authority_pem(other));
	pair_connect(&p, "example.test", "example.test");
	pair_handshake(&p);
	pair_settle(&p);
	ASSERT_EQ(tls_reason(p.c), TLS_REASON_CERT_ISSUER);
	ASSERT(strstr(p.c_err.text, "OpenShell Sandbox CA"));
	ASSERT(strstr(p.c_err.text, "--upstream-ca"));
	ASSERT_EQ(tls_reason(p.s), TLS_REASON_REFUSED);
	ASSERT(strstr(p.s_err.text, "unknown CA"));
	tls_authority_free(other);
	pair_end(&p);
}

TEST(end_in_order_is_told_from_a_cut)
{
	struct err e = { 0 };
	struct pair p;
	char buf[64];

	pair_begin(&p);
	pair_open(&p, "example.test");
	ASSERT(tls_write(p.s, "last", 4, &e) == 4);
	ASSERT_OK(tls_close(p.s, &e));
	ASSERT_EQ(tls_read(p.c, buf, sizeof buf, &e), 4);
	ASSERT(tls_has_input(p.c)); /* the end */
	ASSERT_EQ(tls_read(p.c, buf, sizeof buf, &e), 0);
	ASSERT(!tls_has_input(p.c));
	ASSERT_EQ(tls_read(p.c, buf, sizeof buf, &e), 0);
	pair_say(p.c, p.s, "the other direction goes on");
	ASSERT(tls_write(p.s, "x", 1, &e) < 0);
	pair_close(&p);

	pair_open(&p, "example.test");
	ASSERT(tls_write(p.s, "last", 4, &e) == 4);
	ASSERT_OK(shutdown(p.fds[0], SHUT_WR));
	ASSERT_EQ(tls_read(p.c, buf, sizeof buf, &e), 4);
	ASSERT_ERR((int) tls_read(p.c, buf, sizeof buf, &e), EPIPE);
	ASSERT_EQ(tls_reason(p.c), TLS_REASON_TRUNCATED);
	pair_end(&p);
}

TEST(large_transfer_arrives_whole_through_small_sockets)
{
	enum { TOTAL = 3 * 1024 * 1024 };
	unsigned char *out = malloc(TOTAL), *in = malloc(TOTAL);
	size_t sent = 0, got = 0;
	struct err e = { 0 };
	int small = 4096;
	struct pair p;

	ASSERT(out && in);
	for (size_t i = 0; i < TOTAL; i++)
		out[i] = (unsigned char) (i * 2654435761u >> 13);
	pair_begin(&p);
	pair_open(&p, "example.test");
	ASSERT_OK(setsockopt(p.fds[0], SOL_SOCKET, SO_SNDBUF, &small, sizeof small));
	while (got < TOTAL) {
		ssize_t n;

		if (sent < TOTAL) {
			n = tls_write(p.s, out + sent, TOTAL - sent, &e);
			ASSERT(n > 0 || n == -EAGAIN);
			sent += n > 0 ? (size_t) n : 0;
		} else {
			n = tls_flush(p.s, &e);
			ASSERT(n == 0 || n == -EAGAIN);
		}
		ASSERT(tls_unsent(p.s) <= TLS_UNSENT_MAX);
		do {
			/* odd sizes, so that records are cut */
			size_t want = TOTAL - got < 10007 ? TOTAL - got : 10007;

			n = want ? tls_read(p.c, in + got, want, &e) : -EAGAIN;
			ASSERT(n > 0 || n == -EAGAIN);
			got += n > 0 ? (size_t) n : 0;
		} while (n > 0);
		ASSERT(!tls_has_input(p.c));
	}
	ASSERT(memcmp(in, out, TOTAL) == 0);
	ASSERT_EQ((long long) tls_unsent(p.s), 0);
	pair_end(&p);
	free(out);
	free(in);
}

TEST(input_beyond_the_buffer_is_announced)
{
	static unsigned char big[40000];
	struct err e = { 0 };
	struct pair p;
	char buf[100];

	pair_begin(&p);
	pair_open(&p, "example.test");
	ASSERT_EQ(tls_write(p.c, big, sizeof big, &e), (ssize_t) sizeof big);
	ASSERT_EQ(tls_read(p.s, buf, sizeof buf, &e), (ssize_t) sizeof buf);
	ASSERT(tls_has_input(p.s));
	pair_end(&p);
}

TEST(handshake_bytes_are_bounded)
{
	static unsigned char junk[TLS_EARLY_BYTES_MAX];
	struct err e = { 0 };
	struct pair p;

	pair_begin(&p);
	pair_connect(&p, "example.test", "example.test");
	ASSERT_ERR(tls_early(p.s, junk, sizeof junk + 1, &e), EFBIG);
	/* A hello that promises 16 MB, in records of one byte. */
	for (size_t i = 0; i + 6 <= sizeof junk; i += 6)
		(void) memcpy(junk + i, "\x16\x03\x01\x00\x01\x01", 6);
	ASSERT_OK(tls_early(p.s, junk, sizeof junk - sizeof junk % 6, &e));
	ASSERT_EQ(tls_handshake(p.s, &e), TLS_FAILED);
	ASSERT_EQ(tls_reason(p.s), TLS_REASON_PROTOCOL);
	ASSERT_EQ(tls_handshake(p.s, &e), TLS_FAILED); /* for good */
	pair_end(&p);
}

TEST(flood_of_records_that_mean_nothing_is_bounded)
{
	static unsigned char flood[6 * 1000];
	enum tls_step s = TLS_WANT_READ;
	struct err e = { 0 };
	size_t sent = 0;
	struct pair p;

	for (size_t i = 0; i < sizeof flood; i += 6)
		(void) memcpy(flood + i, "\x14\x03\x03\x00\x01\x01", 6); /* change_cipher_spec */
	pair_begin(&p);
	pair_connect(&p, "example.test", "example.test");
	ASSERT_EQ(tls_handshake(p.c, &e), TLS_WANT_READ); /* its hello, and nothing more */
	ASSERT_EQ(tls_handshake(p.s, &e), TLS_WANT_READ);
	while (s == TLS_WANT_READ && sent < 2 * TLS_HANDSHAKE_BYTES_MAX) {
		ssize_t n = send(p.fds[1], flood, sizeof flood, MSG_DONTWAIT);

		ASSERT(n == (ssize_t) sizeof flood);
		sent += (size_t) n;
		s = tls_handshake(p.s, &e);
	}
	ASSERT_EQ(s, TLS_FAILED);
	ASSERT_EQ(tls_reason(p.s), TLS_REASON_PROTOCOL);
	pair_end(&p);
}

TEST(early_bytes_are_the_first_of_the_handshake)
{
	unsigned char hello[4096];
	struct err e = { 0 };
	struct pair p;
	ssize_t n;

	pair_begin(&p);
	pair_connect(&p, "example.test", "example.test");
	p.c_step = tls_handshake(p.c, &e);
	n = recv(p.fds[0], hello, sizeof hello, 0);
	ASSERT(n > 0);
	ASSERT_OK(tls_early(p.s, hello, (size_t) n, &e));
	pair_handshake(&p);
	ASSERT_EQ(p.s_step, TLS_DONE);
	pair_end(&p);
}

TEST(garbage_is_a_protocol_error)
{
	struct err e = { 0 };
	struct pair p;

	pair_begin(&p);
	pair_connect(&p, "example.test", "example.test");
	ASSERT_EQ(send(p.fds[1], "GET / HTTP/1.1\r\n\r\n", 18, 0), 18);
	ASSERT_EQ(tls_handshake(p.s, &e), TLS_FAILED);
	ASSERT_EQ(tls_reason(p.s), TLS_REASON_PROTOCOL);
	pair_end(&p);
}

TEST(end_during_the_handshake_is_closed)
{
	struct err e = { 0 };
	struct pair p;

	pair_begin(&p);
	pair_connect(&p, "example.test", "example.test");
	ASSERT_OK(shutdown(p.fds[0], SHUT_WR));
	ASSERT_EQ(tls_handshake(p.c, &e), TLS_FAILED);
	ASSERT_EQ(tls_reason(p.c), TLS_REASON_CLOSED);
	pair_end(&p);
}

TEST(changed_record_is_refused)
{
	unsigned char record[256];
	struct err e = { 0 };
	struct pair p;
	char buf[64];
	ssize_t n;

	pair_begin(&p);
	pair_open(&p, "example.test");
	pair_say(p.s, p.c, "tickets first");
	ASSERT(tls_write(p.c, "secret", 6, &e) == 6);
	n = recv(p.fds[0], record, sizeof record, 0);
	ASSERT(n > 10);
	record[n - 1] ^= 1;
	ASSERT_EQ(send(p.fds[1], record, (size_t) n, 0), n);
	ASSERT(tls_read(p.s, buf, sizeof buf, &e) < 0);
	ASSERT_EQ(tls_reason(p.s), TLS_REASON_PROTOCOL);
	pair_end(&p);
}

TEST(reasons_have_names)
{
	for (int i = TLS_REASON_NONE; i <= TLS_REASON_SYSTEM; i++)
		ASSERT(tls_reason_name((enum tls_reason) i));
	ASSERT_STR(tls_reason_name(TLS_REASON_CERT_EXPIRED), "certificate_expired");
	ASSERT_STR(tls_reason_name((enum tls_reason) 99), "unknown");
}
