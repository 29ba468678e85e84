/* test_net_stream.c - what a stream does for one peer before others have their turn. */
#include <errno.h>
#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>
#include "net_limits.h"
#include "net_stream.h"
#include "test.h"

static void on_ready(void *owner)
{
	(void) owner;
}

static size_t fill(int fd)
{
	static char block[NET_BUFFER];
	size_t sent = 0;
	ssize_t n;

	while ((n = send(fd, block, sizeof block, MSG_DONTWAIT | MSG_NOSIGNAL)) > 0)
		sent += (size_t) n;
	return sent;
}

TEST(dropping_ends_a_turn_even_when_there_is_more)
{
	AUTO(loop_free) struct loop *l = NULL;
	struct net_stream *s;
	struct err e = { 0 };
	int pair[2], size = 4 * NET_DROP_TURN * NET_BUFFER, turns = 0, r;

	ASSERT_OK(loop_new(&l, &e));
	ASSERT_OK(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair));
	(void) setsockopt(pair[0], SOL_SOCKET, SO_SNDBUFFORCE, &size, sizeof size);
	if (fill(pair[0]) <= (size_t) NET_DROP_TURN * NET_BUFFER) {
		(void) fputs("SKIP: needs CAP_NET_ADMIN for a large buffer\n", stderr);
		(void) close(pair[0]);
		(void) close(pair[1]);
		return;
	}
	ASSERT_OK(net_stream_new(l, pair[1], on_ready, NULL, &s, &e));
	while ((r = net_stream_drop_input(s)) > 0)
		turns++;
	ASSERT(turns > 0);
	ASSERT_EQ(r, 0);
	(void) close(pair[0]);
	ASSERT_ERR(net_stream_drop_input(s), EPIPE);
	net_stream_free(s);
}

TEST(a_peer_that_ended_is_not_broken_and_one_that_reset_is)
{
	AUTO(loop_free) struct loop *l = NULL;
	struct net_stream *s;
	struct err e = { 0 };
	int pair[2];

	ASSERT_OK(loop_new(&l, &e));
	ASSERT_OK(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair));
	ASSERT_OK(net_stream_new(l, pair[1], on_ready, NULL, &s, &e));
	ASSERT(!net_stream_is_broken(s));
	ASSERT_OK(shutdown(pair[0], SHUT_WR));
	ASSERT(!net_stream_is_broken(s));
	/* With bytes of ours unread, the end is a reset. */
	ASSERT_EQ(net_stream_write(s, "x", 1), 1);
	(void) close(pair[0]);
	ASSERT(net_stream_is_broken(s));
	net_stream_free(s);
}
