#include "net_stream.h"
#include <errno.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>
#include "net_limits.h"

struct net_stream {
	int fd;
	struct loop *loop;
	struct loop_io *io;
	struct tls_stream *tls;
	struct loop_timer *again; /* decrypted bytes wait although the socket is silent */
	bool readable;		  /* until a read says -EAGAIN; then until the next event */
	bool watches_room;	  /* the socket was full once */
	bool ending;		  /* shut down once TLS has sent what it took */
	loop_fn fn;
	void *owner;
};

/* Written, never read: what the errno of a read or write does not tell is told by tls_reason(). */
static struct err unread;

/* Most sockets are never full: told of room as well, each would be reported twice as often. */
static int await_room(struct net_stream *s)
{
	if (s->watches_room || !s->io)
		return 0;
	s->watches_room = true;
	return loop_io_watch(s->io, LOOP_READ | LOOP_WRITE | LOOP_EDGE);
}

/* What TLS took goes on its way; the end behind it. */
static int flush(struct net_stream *s)
{
	struct err e = { 0 };
	int r = tls_unsent(s->tls) ? tls_flush(s->tls, &e) : 0;

	if (r == 0 && s->ending)
		(void) shutdown(s->fd, SHUT_WR);
	return r;
}

static void on_ready(void *owner, int fd, unsigned ready)
{
	struct net_stream *s = owner;

	(void) fd;
	s->readable |= (ready & LOOP_READ) != 0;
	if (s->tls && tls_is_done(s->tls))
		(void) flush(s); /* a failure shows in the next read or write */
	s->fn(s->owner);
}

static void on_again(void *owner)
{
	struct net_stream *s = owner;

	s->fn(s->owner);
}

int net_stream_new(struct loop *l, int take_fd, loop_fn fn, void *owner, struct net_stream **ret,
	struct err *e)
{
	AUTO_CLOSE int fd = take_fd;
	struct net_stream *s = malloc(sizeof *s);

	if (!s)
		return err_set(e, ENOMEM, "stream");
	*s = (struct net_stream){ .fd = fd, .loop = l, .fn = fn, .owner = owner, .readable = true };
	if (loop_io_new(l, fd, on_ready, s, &s->io, e) < 0) {
		free(s);
		return -e->code;
	}
	if (loop_io_watch(s->io, LOOP_READ | LOOP_EDGE) < 0) {
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
	loop_timer_free(s->again);
	loop_io_free(s->io);
	tls_free(s->tls);
	(void) close(s->fd);
	free(s);
}

int net_stream_serve_tls(struct net_stream *s, struct tls_server *with, const char *host,
	const char *early, size_t early_len, struct err *e)
{
	int r = tls_server_stream(with, s->fd, host, &s->tls, e);

	return r < 0 || early_len == 0 ? r : tls_early(s->tls, early, early_len, e);
}

int net_stream_use_tls(struct net_stream *s, struct tls_client *with, const char *host,
	uint16_t port, struct err *e)
{
	return tls_client_stream(with, s->fd, host, port, &s->tls, e);
}

enum tls_step net_stream_handshake(struct net_stream *s, struct err *e)
{
	enum tls_step step = tls_handshake(s->tls, e);

	if (step == TLS_FAILED || !tls_unsent(s->tls) || await_room(s) == 0)
		return step;
	(void) err_set(e, EIO, "watch a connection");
	return TLS_FAILED;
}

const struct tls_stream *net_stream_tls(const struct net_stream *s)
{
	return s->tls;
}

static int read_again(struct net_stream *s)
{
	struct err e = { 0 };

	if (!s->again && loop_timer_new(s->loop, on_again, s, &s->again, &e) < 0)
		return -ENOMEM;
	return loop_timer_start(s->again, 0);
}

static ssize_t read_tls(struct net_stream *s, void *buf, size_t len)
{
	ssize_t n = tls_read(s->tls, buf, len, &unread);

	/* Reading may answer: an alert, a new key. */
	if (tls_unsent(s->tls) && await_room(s) < 0)
		return -EIO;
	if (n != -EAGAIN)
		return n;
	s->readable = tls_has_input(s->tls);
	/* It stopped to let others have a turn. */
	if (s->readable && read_again(s) < 0)
		return -ENOMEM;
	return n;
}

ssize_t net_stream_read(struct net_stream *s, void *buf, size_t len)
{
	ssize_t n;

	if (!s->readable)
		return -EAGAIN;
	if (s->tls)
		return read_tls(s, buf, len);
	n = recv(s->fd, buf, len, MSG_DONTWAIT);
	if (n >= 0)
		return n;
	s->readable = errno != EAGAIN;
	return -errno;
}

ssize_t net_stream_write(struct net_stream *s, const void *buf, size_t len)
{
	ssize_t n;
	bool full;

	if (s->tls) {
		n = tls_write(s->tls, buf, len, &unread);
		full = n == -EAGAIN || tls_unsent(s->tls) > 0;
	} else {
		n = send(s->fd, buf, len, MSG_DONTWAIT | MSG_NOSIGNAL);
		n = n < 0 ? -errno : n;
		full = n == -EAGAIN || (n >= 0 && (size_t) n < len);
	}
	return full && await_room(s) < 0 ? -EIO : n;
}

bool net_stream_is_sent(const struct net_stream *s)
{
	return !s->tls || !tls_unsent(s->tls);
}

void net_stream_end(struct net_stream *s)
{
	struct err e = { 0 };

	if (!s->tls) {
		(void) shutdown(s->fd, SHUT_WR);
		return;
	}
	s->ending = true;
	if (tls_close(s->tls, &e) == 0)
		(void) shutdown(s->fd, SHUT_WR);
	else if (tls_unsent(s->tls))
		(void) await_room(s); /* without it, the deadline ends the connection */
}

int net_stream_drop_input(struct net_stream *s)
{
	static char sink[NET_BUFFER];
	ssize_t n;

	/* A peer that sends as fast as we drop would have the loop for itself. */
	for (unsigned i = 0; i < NET_DROP_TURN; i++) {
		n = recv(s->fd, sink, sizeof sink, MSG_DONTWAIT);
		if (n < 0)
			return errno == EAGAIN ? 0 : -EPIPE;
		if (n == 0)
			return net_stream_is_sent(s) ? -EPIPE : 0;
	}
	return 1;
}

bool net_stream_has_input(struct net_stream *s)
{
	char byte;

	if (!s->readable)
		return false;
	if (s->tls)
		return read_tls(s, &byte, 1) != -EAGAIN;
	s->readable = recv(s->fd, &byte, 1, MSG_DONTWAIT | MSG_PEEK) >= 0 || errno != EAGAIN;
	return s->readable;
}

bool net_stream_is_broken(const struct net_stream *s)
{
	int code = 0;
	socklen_t len = sizeof code;
	char byte;
	ssize_t n = s->readable ? recv(s->fd, &byte, 1, MSG_DONTWAIT | MSG_PEEK) : 1;

	if (n != 0)
		return n < 0 && errno != EAGAIN;
	/* Behind the peer's end, reading says no more; what comes then is told here. */
	return getsockopt(s->fd, SOL_SOCKET, SO_ERROR, &code, &len) == 0 && code;
}

int net_stream_unwatch(struct net_stream *s)
{
	loop_io_free(TAKE_PTR(s->io));
	return s->fd;
}
