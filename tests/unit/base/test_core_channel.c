/* test_core_channel.c - a real peer in this process sends what a broken or hostile one would. */
#include <errno.h>
#include <fcntl.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>
#include "core_channel.h"
#include "core_loop.h"
#include "event.pb-c.h"
#include "test.h"

enum { STATE_A = 1, STATE_B = 2 };

struct end {
	struct loop *loop;
	struct channel *channel;
	uint32_t state;
	int handled, got_fd, ended;
	bool free_inside;
	struct err why;
};

static int on_thing(void *owner, const struct channel_msg *m, int *fds, struct err *e)
{
	struct end *x = owner;

	(void) m;
	(void) e;
	x->handled++;
	if (fds[0] >= 0)
		x->got_fd = TAKE_FD(fds[0]);
	if (x->free_inside) {
		channel_free(TAKE_PTR(x->channel));
		loop_stop(x->loop);
	}
	return 0;
}

static const struct channel_rule rules[] = {
	{ "PLAIN", 1, 0, 16, 0, STATE_A, on_thing },
	{ "WITH_FD", 2, 0, 0, 1, STATE_A, on_thing },
	{ "LATER", 3, 0, 0, 0, STATE_B, on_thing },
	{ 0 },
};

static void on_end(void *owner, const struct err *why)
{
	struct end *x = owner;

	x->ended++;
	x->why = *why;
	loop_stop(x->loop);
}

static void open_end(struct end *x, int *ret_peer)
{
	struct err e = { 0 };
	int pair[2];

	const struct channel_user user = { rules, &x->state, on_end, x };

	*x = (struct end){ .state = STATE_A, .got_fd = -1 };
	ASSERT_OK(loop_new(&x->loop, &e));
	ASSERT_OK(channel_pair(pair, &e));
	ASSERT_OK(channel_open(x->loop, pair[0], &user, &x->channel, &e));
	*ret_peer = pair[1];
}

static void close_end(struct end *x, int peer)
{
	channel_free(x->channel);
	loop_free(x->loop);
	core_closep(&x->got_fd);
	if (peer >= 0)
		(void) close(peer);
}

static void send_raw(int fd, const void *bytes, size_t len, int n_fds)
{
	union {
		struct cmsghdr align;
		char bytes[CMSG_SPACE(sizeof(int) * 8)];
	} control = { 0 };
	struct iovec iov = { (void *) (uintptr_t) bytes, len };
	struct msghdr m = { .msg_iov = &iov, .msg_iovlen = 1 };
	int fds[8] = { 0 };

	if (n_fds) {
		struct cmsghdr *h;

		m.msg_control = &control;
		m.msg_controllen = CMSG_SPACE(sizeof(int) * (size_t) n_fds);
		h = CMSG_FIRSTHDR(&m);
		h->cmsg_level = SOL_SOCKET;
		h->cmsg_type = SCM_RIGHTS;
		h->cmsg_len = CMSG_LEN(sizeof(int) * (size_t) n_fds);
		(void) memcpy(CMSG_DATA(h), fds, sizeof(int) * (size_t) n_fds);
	}
	ASSERT(sendmsg(fd, &m, MSG_NOSIGNAL) == (ssize_t) len);
}

/* Send, run until the channel ends, and return why. */
static void expect_end(const void *bytes, size_t len, int n_fds, const char *why)
{
	struct err e = { 0 };
	struct end x;
	int peer;

	open_end(&x, &peer);
	send_raw(peer, bytes, len, n_fds);
	ASSERT_OK(loop_run(x.loop, &e));
	ASSERT_EQ(x.ended, 1);
	ASSERT_EQ(x.handled, 0);
	if (!strstr(x.why.text, why))
		FAIL_("\"%s\" instead of \"%s\"", x.why.text, why);
	close_end(&x, peer);
}

TEST(broken_packets_end_the_channel)
{
	static uint8_t big[CHANNEL_HEADER_LEN + CHANNEL_PAYLOAD_MAX + 100];

	expect_end("\1\0\0", 3, 0, "packet of 3 bytes");
	expect_end("\1\0\1\0\0\0\0\0", 8, 0, "flags");
	expect_end("\11\0\0\0\0\0\0\0", 8, 0, "unknown message 9");
	expect_end("\3\0\0\0\0\0\0\0", 8, 0, "LATER in state 0x1");
	expect_end("\1\0\0\0\0\0\0\0aaaaaaaaaaaaaaaaa", 25, 0, "PLAIN of 17 bytes");
	expect_end("\1\0\0\0\0\0\0\0", 8, 1, "PLAIN with 1 descriptors");
	expect_end("\2\0\0\0\0\0\0\0", 8, 0, "WITH_FD with 0 descriptors");
	expect_end("\2\0\0\0\0\0\0\0", 8, 8, "too many");
	big[0] = 1;
	expect_end(big, sizeof big, 0, "too many");
}

TEST(a_peer_that_closes_ends_it_in_order)
{
	struct err e = { 0 };
	struct end x;
	int peer;

	open_end(&x, &peer);
	(void) close(peer);
	ASSERT_OK(loop_run(x.loop, &e));
	ASSERT_EQ(x.ended, 1);
	ASSERT_EQ(x.why.code, 0);
	close_end(&x, -1);
}

TEST(a_good_packet_is_handled_and_its_descriptor_kept)
{
	struct err e = { 0 };
	struct end x;
	int peer;

	open_end(&x, &peer);
	send_raw(peer, "\1\0\0\0\7\0\0\0abc", 11, 0);
	send_raw(peer, "\2\0\0\0\0\0\0\0", 8, 1);
	(void) close(peer);
	ASSERT_OK(loop_run(x.loop, &e));
	ASSERT_EQ(x.handled, 2);
	ASSERT(x.got_fd >= 0 && (fcntl(x.got_fd, F_GETFD) & FD_CLOEXEC));
	close_end(&x, -1);
}

TEST(a_handler_may_free_its_channel)
{
	struct err e = { 0 };
	struct end x;
	int peer;

	open_end(&x, &peer);
	x.free_inside = true;
	send_raw(peer, "\1\0\0\0\0\0\0\0", 8, 0);
	send_raw(peer, "\1\0\0\0\0\0\0\0", 8, 0);
	ASSERT_OK(loop_run(x.loop, &e));
	ASSERT_EQ(x.handled, 1);
	close_end(&x, peer);
}

TEST(a_peer_that_does_not_read_is_not_waited_for)
{
	Openshell__Event__Event m = OPENSHELL__EVENT__EVENT__INIT;
	char text[4096];
	struct err e = { 0 };
	struct end x;
	int peer, sent = 0;

	open_end(&x, &peer);
	(void) memset(text, 'a', sizeof text - 1);
	text[sizeof text - 1] = '\0';
	m.message = text;
	while (channel_send(x.channel, 1, 0, &m.base, &e) == 0)
		ASSERT(++sent < 100000);
	ASSERT_EQ(e.code, ENOBUFS);
	ASSERT(channel_queued(x.channel) <= CHANNEL_QUEUE_MAX);
	ASSERT(channel_queued(x.channel) > CHANNEL_QUEUE_MAX - 8192);
	close_end(&x, peer);
}
