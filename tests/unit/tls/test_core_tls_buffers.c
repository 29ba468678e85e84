/* Record buffers belong to no stream in particular while nothing is in them. */
#include <malloc.h>
#include <sys/socket.h>
#include "tls_pair.h"

#define MANY (3 * TLS_SPARE_MAX)   /* more than are kept spare */
#define IDLE_BYTES_MAX (16 * 1024) /* of heap, a server and a client stream */
#define KEY_UPDATE_TYPE 24	   /* RFC 8446 4.6.3 */
int mbedtls_ssl_write_record(mbedtls_ssl_context *ssl, int force_flush); /* mbedTLS's own */

struct many {
	struct pair base; /* authority and both sides; its connection is unused */
	struct pair p[MANY];
};

static void open_some(struct many *m, bool tls12, int from, int to)
{
	if (from == 0)
		pair_begin(&m->base);
	if (tls12)
		pair_only_tls12(&m->base);
	for (int i = from; i < to; i++) {
		m->p[i] = m->base;
		pair_open(&m->p[i], "example.test");
		pair_say(m->p[i].c, m->p[i].s, "GET /");
		pair_say(m->p[i].s, m->p[i].c, "200");
	}
}

static void open_many(struct many *m, bool tls12)
{
	open_some(m, tls12, 0, MANY);
}

static void close_many(struct many *m)
{
	for (int i = 0; i < MANY; i++)
		pair_close(&m->p[i]);
	pair_end(&m->base);
}

/* Both ends have read until there was nothing. */
static void become_idle(struct pair *p)
{
	struct err e = { 0 };
	char buf[16];

	ASSERT_EQ(tls_read(p->s, buf, sizeof buf, &e), -EAGAIN);
	ASSERT_EQ(tls_read(p->c, buf, sizeof buf, &e), -EAGAIN);
}

/* Heap in use once connections from..to-1 are idle. */
static size_t heap_of_idle(struct many *m, int from, int to)
{
	for (int i = from; i < to; i++) {
		become_idle(&m->p[i]);
		ASSERT(m->p[i].s->lent && m->p[i].c->lent);
	}
	return mallinfo2().uordblks; /* 0 with a sanitizer */
}

TEST(idle_connection_has_no_record_buffers_and_little_heap)
{
	static struct many m;

	for (int tls12 = 0; tls12 < 2; tls12++) {
		size_t half, all;

		open_some(&m, tls12, 0, MANY / 2); /* spare buffers, too, are there after these */
		half = heap_of_idle(&m, 0, MANY / 2);
		open_some(&m, tls12, MANY / 2, MANY);
		all = heap_of_idle(&m, MANY / 2, MANY);
		if (all - half > MANY / 2 * IDLE_BYTES_MAX)
			FAIL_("%zu bytes of heap for %d connections", all - half, MANY / 2);
		close_many(&m);
	}
}

TEST(idle_connections_wake_in_any_order_and_go_on_where_they_were)
{
	static struct many m;

	for (int tls12 = 0; tls12 < 2; tls12++) {
		open_many(&m, tls12);
		for (int round = 0; round < 5; round++)
			for (int i = 0; i < MANY; i++) {
				struct pair *p = &m.p[(i * 7 + round) % MANY];

				become_idle(p);
				for (int k = 0; k < i % 3; k++) /* numbers of records differ */
					pair_say(p->c, p->s, "more");
				pair_say(p->s, p->c, "answer");
			}
		close_many(&m);
	}
}

TEST(part_of_a_record_stays_with_its_stream)
{
	unsigned char record[256];
	static struct many m;
	struct err e = { 0 };
	char buf[64] = "";
	ssize_t n;

	for (int tls12 = 0; tls12 < 2; tls12++) {
		open_many(&m, tls12);
		become_idle(&m.p[0]);
		ASSERT_EQ(tls_write(m.p[0].c, "one record", 10, &e), 10);
		n = recv(m.p[0].fds[0], record, sizeof record, 0);
		ASSERT(n > 20);
		ASSERT_EQ(send(m.p[0].fds[1], record, 20, 0), 20);
		ASSERT_EQ(tls_read(m.p[0].s, buf, sizeof buf, &e), -EAGAIN);
		ASSERT(!m.p[0].s->lent);
		for (int i = 1; i < MANY; i++)
			pair_say(m.p[i].c, m.p[i].s, "others meanwhile");
		ASSERT_EQ(send(m.p[0].fds[1], record + 20, (size_t) n - 20, 0), n - 20);
		ASSERT_EQ(tls_read(m.p[0].s, buf, sizeof buf, &e), 10);
		ASSERT(memcmp(buf, "one record", 10) == 0);
		close_many(&m);
	}
}

TEST(record_that_is_half_read_stays_with_its_stream)
{
	static struct many m;
	struct err e = { 0 };
	char buf[64] = "";

	open_many(&m, false);
	ASSERT_EQ(tls_write(m.p[0].c, "half and half", 13, &e), 13);
	ASSERT_EQ(tls_read(m.p[0].s, buf, 5, &e), 5);
	ASSERT(!m.p[0].s->lent && tls_has_input(m.p[0].s));
	for (int i = 1; i < MANY; i++)
		pair_say(m.p[i].c, m.p[i].s, "others meanwhile");
	ASSERT_EQ(tls_read(m.p[0].s, buf + 5, 8, &e), 8);
	ASSERT_STR(buf, "half and half");
	close_many(&m);
}

TEST(connection_that_was_idle_can_be_ended_in_order)
{
	struct err e = { 0 };
	struct pair p;
	char buf[16];

	pair_begin(&p);
	pair_open(&p, "example.test");
	pair_say(p.s, p.c, "ticket");
	become_idle(&p);
	ASSERT_OK(tls_close(p.s, &e));
	ASSERT_EQ(tls_read(p.c, buf, sizeof buf, &e), 0);
	pair_end(&p);
}

/* A message of a handshake as a record of an established connection. */
static void send_handshake_message(struct tls_stream *t, int fd)
{
	static const unsigned char key_update[] = { KEY_UPDATE_TYPE, 0, 0, 1, 0 };

	ASSERT_OK(tls_buffers_want(t));
	t->common->out_len = 0;
	(void) memcpy(t->ssl.MBEDTLS_PRIVATE(out_msg), key_update, sizeof key_update);
	t->ssl.MBEDTLS_PRIVATE(out_msglen) = sizeof key_update;
	t->ssl.MBEDTLS_PRIVATE(out_msgtype) = MBEDTLS_SSL_MSG_HANDSHAKE;
	ASSERT_OK(mbedtls_ssl_write_record(&t->ssl, 1));
	ASSERT_EQ(send(fd, t->common->out, t->common->out_len, 0), (ssize_t) t->common->out_len);
}

TEST(handshake_message_after_the_handshake_ends_the_connection)
{
	struct pair p;

	for (int to_server = 0; to_server < 2; to_server++) {
		struct tls_stream *to;
		struct err e = { 0 };
		char buf[16];

		pair_begin(&p);
		pair_open(&p, "example.test");
		pair_say(p.s, p.c, "ticket");
		become_idle(&p);
		to = to_server ? p.s : p.c;
		send_handshake_message(to_server ? p.c : p.s, p.fds[to_server]);
		ASSERT(tls_read(to, buf, sizeof buf, &e) < 0);
		ASSERT_EQ(tls_reason(to), TLS_REASON_PROTOCOL);
		pair_end(&p);
	}
}
