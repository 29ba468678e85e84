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

/* 1 connected, 0 under way, or a negative errno; *ret_fd is the socket, or -1. */
static int begin(const struct addr *a, uint16_t port, int *ret_fd)
{
	struct sockaddr_storage sa;
	socklen_t len;
	int one = 1;

	addr_to_sockaddr(a, port, &sa, &len);
	*ret_fd = socket(sa.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (*ret_fd < 0)
		return -errno;
	(void) setsockopt(*ret_fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
	if (connect(*ret_fd, (struct sockaddr *) &sa, len) == 0)
		return 1;
	if (errno != EINPROGRESS)
		return -errno;
	/* A connection within this machine is made by now, but that is told only when asked again. */
	if (connect(*ret_fd, (struct sockaddr *) &sa, len) == 0)
		return 1;
	return errno == EALREADY ? 0 : -errno;
}

static int watch(struct net_dial *d, struct err *e);

static void on_ready(void *owner, int fd, unsigned ready);

/* One address after the other until one is under way; finished when none is left. */
static void try_next(struct net_dial *d)
{
	struct err e = { 0 };

	while (d->next < d->addresses.n) {
		int r = begin(&d->addresses.at[d->next++], d->port, &d->fd);

		if (r >= 0 && watch(d, &e) == 0)
			return; /* a connected one is writable */
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

	if (d->fd < 0) { /* the first one failed at once */
		try_next(d);
		return;
	}
	d->code = ETIMEDOUT;
	drop(d);
	if (loop_now_ms(d->leaf->loop) - d->started_ms >= NET_DIAL_MS)
		d->next = d->addresses.n;
	try_next(d);
}

static int watch(struct net_dial *d, struct err *e)
{
	if (loop_io_new(d->leaf->loop, d->fd, on_ready, d, &d->io, e) < 0)
		return -e->code;
	if (loop_io_watch(d->io, LOOP_WRITE) < 0)
		return err_set(e, EIO, "watch a dial");
	return loop_timer_start(d->timer, NET_DIAL_ONE_MS) < 0 ? err_set(e, EIO, "no timer") : 0;
}

int net_dial_start(struct net_leaf *n, const struct net_dial_to *to, struct net_dial **ret,
	int *ret_fd, struct err *e)
{
	AUTO(net_dial_free) struct net_dial *d = NULL;
	int fd, r = begin(&to->addresses->at[0], to->port, &fd);

	*ret = NULL;
	*ret_fd = -1;
	if (r == 1) {
		*ret_fd = fd;
		return 0;
	}
	d = calloc(1, sizeof *d);
	if (!d) {
		core_closep(&fd);
		return err_set(e, ENOMEM, "dial");
	}
	*d = (struct net_dial){ .leaf = n,
		.addresses = *to->addresses,
		.port = to->port,
		.next = 1,
		.fd = fd,
		.code = r < 0 ? -r : 0,
		.fn = to->fn,
		.owner = to->owner,
		.started_ms = loop_now_ms(n->loop) };
	if (loop_timer_new(n->loop, on_timer, d, &d->timer, e) < 0)
		return -e->code;
	if (r < 0) {
		drop(d); /* the next address is tried from the loop */
		if (loop_timer_start(d->timer, 0) < 0)
			return err_set(e, EIO, "no timer");
	} else if (watch(d, e) < 0) {
		return -e->code;
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
