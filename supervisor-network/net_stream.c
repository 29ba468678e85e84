#include "net_stream.h"
#include <errno.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>
#include "net_limits.h"

struct net_stream {
	int fd;
	struct loop_io *io;
	loop_fn fn;
	void *owner;
};

static void on_ready(void *owner, int fd, unsigned ready)
{
	struct net_stream *s = owner;

	(void) fd;
	(void) ready;
	s->fn(s->owner);
}

int net_stream_new(struct loop *l, int take_fd, loop_fn fn, void *owner, struct net_stream **ret,
	struct err *e)
{
	AUTO_CLOSE int fd = take_fd;
	struct net_stream *s = malloc(sizeof *s);

	if (!s)
		return err_set(e, ENOMEM, "stream");
	*s = (struct net_stream){ .fd = fd, .fn = fn, .owner = owner };
	if (loop_io_new(l, fd, on_ready, s, &s->io, e) < 0) {
		free(s);
		return -e->code;
	}
	if (loop_io_watch(s->io, LOOP_READ | LOOP_WRITE | LOOP_EDGE) < 0) {
		loop_io_free(s->io);
		free(s);
		return err_set(e, EIO, "watch a connection");
	}
	(void) TAKE_FD(fd);
	*ret = s;
	return 0;
}

void net_stream_free(struct net_stream *s)
{
	if (!s)
		return;
	loop_io_free(s->io);
	(void) close(s->fd);
	free(s);
}

ssize_t net_stream_read(struct net_stream *s, void *buf, size_t len)
{
	ssize_t n = recv(s->fd, buf, len, MSG_DONTWAIT);

	return n < 0 ? -errno : n;
}

ssize_t net_stream_write(struct net_stream *s, const void *buf, size_t len)
{
	ssize_t n = send(s->fd, buf, len, MSG_DONTWAIT | MSG_NOSIGNAL);

	return n < 0 ? -errno : n;
}

void net_stream_end(struct net_stream *s)
{
	(void) shutdown(s->fd, SHUT_WR);
}

bool net_stream_drop_input(struct net_stream *s)
{
	static char sink[NET_BUFFER];
	ssize_t n;

	do
		n = recv(s->fd, sink, sizeof sink, MSG_DONTWAIT);
	while (n > 0);
	return n < 0 && errno == EAGAIN;
}

bool net_stream_has_input(struct net_stream *s)
{
	char byte;

	return recv(s->fd, &byte, 1, MSG_DONTWAIT | MSG_PEEK) >= 0 || errno != EAGAIN;
}

int net_stream_unwatch(struct net_stream *s)
{
	loop_io_free(TAKE_PTR(s->io));
	return s->fd;
}
