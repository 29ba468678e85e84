#include "net_dial.h"
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

struct net_dial {
	struct net_leaf *leaf;
	struct net_addresses addresses;
	uint16_t port;
	size_t next;
	int fd, code;
	struct loop_io *io;
	struct loop_timer *timer;
	net_dial_fn fn;
	void *owner;
	uint64_t started_ms;
};

static void drop(struct net_dial *d)
{
	loop_io_free(TAKE_PTR(d->io));
	core_closep(&d->fd);
	d->fd = -1;
}

static void finish(struct net_dial *d)
{
	const struct addr *to = d->next ? &d->addresses.at[d->next - 1] : &d->addresses.at[0];
	int fd = TAKE_FD(d->fd);

	loop_io_free(TAKE_PTR(d->io));
	loop_timer_stop(d->timer);
	d->fn(d->owner, fd, to, d->code); /* may free d */
}

static int open_socket(struct net_dial *d, const struct addr *a)
{
	struct sockaddr_storage sa;
	socklen_t len;
	int one = 1;

	addr_to_sockaddr(a, d->port, &sa, &len);
	d->fd = socket(sa.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (d->fd < 0)
		return -errno;
	(void) setsockopt(d->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
	if (connect(d->fd, (struct sockaddr *) &sa, len) == 0 || errno == EINPROGRESS)
		return 0;
	return -errno;
}

static void on_ready(void *owner, int fd, unsigned ready);

/* One address after the other until one is under way; finished when none is left. */
static void try_next(struct net_dial *d)
{
	struct err e = { 0 };

	while (d->next < d->addresses.n) {
		int r = open_socket(d, &d->addresses.at[d->next++]);

		if (r == 0 && loop_io_new(d->leaf->loop, d->fd, on_ready, d, &d->io, &e) == 0 &&
			loop_io_watch(d->io, LOOP_WRITE) == 0) {
			(void) loop_timer_start(d->timer, NET_DIAL_ONE_MS);
			return;
		}
		d->code = r < 0 ? -r : ENOMEM;
		drop(d);
	}
	finish(d);
}

static void on_ready(void *owner, int fd, unsigned ready)
{
	struct net_dial *d = owner;
	socklen_t len = sizeof d->code;

	(void) ready;
	if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &d->code, &len) < 0)
		d->code = errno;
	if (d->code == 0) {
		finish(d);
		return;
	}
	drop(d);
	try_next(d);
}

static void on_timer(void *owner)
{
	struct net_dial *d = owner;

	if (d->fd < 0) { /* the first attempt, deferred so that the caller has the object */
		try_next(d);
		return;
	}
	d->code = ETIMEDOUT;
	drop(d);
	if (loop_now_ms(d->leaf->loop) - d->started_ms >= NET_DIAL_MS)
		d->next = d->addresses.n;
	try_next(d);
}

int net_dial_start(struct net_leaf *n, const struct net_addresses *a, uint16_t port, net_dial_fn fn,
	void *owner, struct net_dial **ret, struct err *e)
{
	AUTO_FREE struct net_dial *d = calloc(1, sizeof *d);
	int r;

	if (!d)
		return err_set(e, ENOMEM, "dial");
	*d = (struct net_dial){ .leaf = n,
		.addresses = *a,
		.port = port,
		.fd = -1,
		.fn = fn,
		.owner = owner,
		.started_ms = loop_now_ms(n->loop) };
	if (loop_timer_new(n->loop, on_timer, d, &d->timer, e) < 0)
		return -e->code;
	/* The usual case is started at once; only an immediate failure waits for the loop. */
	r = open_socket(d, &d->addresses.at[0]);
	if (r == 0 && loop_io_new(n->loop, d->fd, on_ready, d, &d->io, e) == 0 &&
		loop_io_watch(d->io, LOOP_WRITE) == 0) {
		d->next = 1;
		(void) loop_timer_start(d->timer, NET_DIAL_ONE_MS);
	} else {
		drop(d);
		(void) loop_timer_start(d->timer, 0);
	}
	*ret = TAKE_PTR(d);
	return 0;
}

void net_dial_free(struct net_dial *d)
{
	if (!d)
		return;
	drop(d);
	loop_timer_free(d->timer);
	free(d);
}
