#include "net_tunnel.h"
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define SMALL (16 * 1024) /* a read that fills this begins splicing */

struct half {
	int from, to;
	int pipe[2]; /* -1: none */
	size_t in_pipe;
	char *rest; /* what a send(2) did not take; NULL: nothing */
	size_t rest_at, rest_len;
	uint64_t bytes;
	bool bulk, eof, shut;
};

struct net_tunnel {
	struct net_leaf *leaf;
	struct half up, down;
	struct loop_io *client_io, *upstream_io;
	struct loop_timer *again; /* a turn was cut short: edge-triggered events don't repeat */
	net_tunnel_fn fn;
	void *owner;
	uint64_t active_ms;
};

/* The pool and the buffer belong to the process: there is one loop, and nothing here is kept
 * between two calls. */
static int pool[NET_PIPES_MAX][2];
static size_t n_pool;
static char shared[SMALL];

static int take_pipe(struct half *h)
{
	if (h->pipe[0] >= 0)
		return 0;
	if (n_pool) {
		(void) memcpy(h->pipe, pool[--n_pool], sizeof h->pipe);
		return 0;
	}
	if (pipe2(h->pipe, O_NONBLOCK | O_CLOEXEC) < 0)
		return -errno;
	/* More than the limit of an unprivileged user is refused; the default does then. */
	(void) fcntl(h->pipe[1], F_SETPIPE_SZ, NET_PIPE_BYTES);
	return 0;
}

static void close_pipe(struct half *h)
{
	core_closep(&h->pipe[0]);
	core_closep(&h->pipe[1]);
	h->pipe[0] = h->pipe[1] = -1;
}

static void give_pipe(struct half *h)
{
	if (h->pipe[0] < 0)
		return;
	if (h->in_pipe || n_pool == NET_PIPES_MAX) {
		close_pipe(h);
		return;
	}
	(void) memcpy(pool[n_pool++], h->pipe, sizeof h->pipe);
	h->pipe[0] = h->pipe[1] = -1;
}

void net_tunnel_drain_pool(void)
{
	while (n_pool) {
		n_pool--;
		(void) close(pool[n_pool][0]);
		(void) close(pool[n_pool][1]);
	}
}

/* What send(2) did not take waits here, not in a pipe: a user who has many pipes gets further ones of
 * a page or two, which would take only a part. */
static int keep(struct half *h, const char *bytes, size_t len)
{
	h->rest = malloc(len);
	if (!h->rest)
		return -ENOMEM;
	(void) memcpy(h->rest, bytes, len);
	h->rest_at = 0;
	h->rest_len = len;
	return 0;
}

/* 1 progress, 0 nothing to do now, negative: failed. */
static int drain_rest(struct half *h)
{
	ssize_t n = send(
		h->to, h->rest + h->rest_at, h->rest_len - h->rest_at, MSG_DONTWAIT | MSG_NOSIGNAL);

	if (n < 0)
		return errno == EAGAIN ? 0 : -errno;
	h->rest_at += (size_t) n;
	if (h->rest_at == h->rest_len)
		free(TAKE_PTR(h->rest));
	return 1;
}

/* The same for the pipe.  Not SPLICE_F_MORE: it would hold the end of a message back until the peer has
 * acknowledged what came before, 40 ms later.  What follows in the pipe the kernel sees by itself. */
static int drain_pipe(struct half *h)
{
	ssize_t n = splice(
		h->pipe[0], NULL, h->to, NULL, h->in_pipe, SPLICE_F_NONBLOCK | SPLICE_F_MOVE);

	if (n < 0)
		return errno == EAGAIN ? 0 : -errno;
	h->in_pipe -= (size_t) n;
	return 1;
}

static int copy(struct half *h)
{
	ssize_t n = recv(h->from, shared, sizeof shared, MSG_DONTWAIT), m;

	if (n < 0)
		return errno == EAGAIN ? 0 : -errno;
	if (n == 0) {
		h->eof = true;
		return 1;
	}
	h->bytes += (uint64_t) n;
	m = send(h->to, shared, (size_t) n, MSG_DONTWAIT | MSG_NOSIGNAL);
	if (m < 0 && errno != EAGAIN)
		return -errno;
	if (m < 0)
		m = 0;
	h->bulk = (size_t) n == sizeof shared;
	if (m < n) {
		int r = keep(h, shared + m, (size_t) (n - m));

		return r < 0 ? r : 1;
	}
	return 1;
}

static int fill(struct half *h)
{
	int r = take_pipe(h);
	ssize_t n;

	if (r < 0)
		return r;
	n = splice(
		h->from, NULL, h->pipe[1], NULL, NET_PIPE_BYTES, SPLICE_F_NONBLOCK | SPLICE_F_MOVE);
	if (n < 0 && errno != EAGAIN)
		return -errno;
	if (n < 0) {
		h->bulk = false;
		give_pipe(h);
		return 0;
	}
	h->eof = n == 0;
	h->in_pipe += (size_t) n;
	h->bytes += (uint64_t) n;
	return 1;
}

/* 1: the turn was cut short, 0: waits for the sockets, negative: failed. */
static int pump(struct half *h)
{
	uint64_t limit = h->bytes + NET_SPLICE_TURN;

	while (h->bytes < limit) {
		int r;

		if (h->rest)
			r = drain_rest(h);
		else if (h->in_pipe)
			r = drain_pipe(h);
		else if (h->eof)
			break;
		else
			r = h->bulk ? fill(h) : copy(h);
		if (r <= 0)
			return r;
	}
	if (!h->eof || h->rest || h->in_pipe)
		return 1;
	give_pipe(h);
	if (!h->shut && shutdown(h->to, SHUT_WR) < 0 && errno != ENOTCONN)
		return -errno;
	h->shut = true;
	return 0;
}

static void pump_both(struct net_tunnel *t)
{
	uint64_t before = t->up.bytes + t->down.bytes;
	int a = pump(&t->up), b = a < 0 ? 0 : pump(&t->down);

	if (t->up.bytes + t->down.bytes != before)
		t->active_ms = loop_now_ms(t->leaf->loop);
	if (a < 0 || b < 0 || (t->up.shut && t->down.shut)) {
		t->fn(t->owner); /* frees t */
		return;
	}
	if (a > 0 || b > 0)
		(void) loop_timer_start(t->again, 0);
}

static void on_ready(void *owner, int fd, unsigned ready)
{
	(void) fd;
	(void) ready;
	pump_both(owner);
}

static void on_again(void *owner)
{
	pump_both(owner);
}

static int watch(struct net_tunnel *t, int fd, struct loop_io **ret, struct err *e)
{
	if (loop_io_new(t->leaf->loop, fd, on_ready, t, ret, e) < 0)
		return -e->code;
	return loop_io_watch(*ret, LOOP_READ | LOOP_WRITE | LOOP_EDGE) < 0
		? err_set(e, EIO, "watch a tunnel")
		: 0;
}

int net_tunnel_new(struct net_leaf *n, const struct net_tunnel_ends *ends, struct net_tunnel **ret,
	struct err *e)
{
	struct net_tunnel *t = calloc(1, sizeof *t);
	int r;

	if (!t)
		return err_set(e, ENOMEM, "tunnel");
	*t = (struct net_tunnel){ .leaf = n,
		.fn = ends->fn,
		.owner = ends->owner,
		.up = { .from = ends->client, .to = ends->upstream, .pipe = { -1, -1 } },
		.down = { .from = ends->upstream, .to = ends->client, .pipe = { -1, -1 } },
		.active_ms = loop_now_ms(n->loop) };
	r = ends->early_len ? keep(&t->up, ends->early, ends->early_len) : 0;
	if (r < 0)
		(void) err_set(e, -r, "tunnel");
	if (r < 0 || (r = loop_timer_new(n->loop, on_again, t, &t->again, e)) < 0 ||
		(r = watch(t, ends->client, &t->client_io, e)) < 0 ||
		(r = watch(t, ends->upstream, &t->upstream_io, e)) < 0) {
		net_tunnel_free(t);
		return r;
	}
	t->up.bytes = ends->early_len;
	*ret = t;
	return 0;
}

void net_tunnel_free(struct net_tunnel *t)
{
	if (!t)
		return;
	loop_io_free(t->client_io);
	loop_io_free(t->upstream_io);
	loop_timer_free(t->again);
	give_pipe(&t->up);
	give_pipe(&t->down);
	free(t->up.rest);
	free(t->down.rest);
	free(t);
}

uint64_t net_tunnel_active_ms(const struct net_tunnel *t)
{
	return t->active_ms;
}
