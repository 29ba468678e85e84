#include "net_listen.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <unistd.h>
#include "net_client.h"
#include "net_refuse.h"
#include "net_report.h"

struct net_listen {
	struct net_leaf *leaf;
	struct loop_io *io;
	struct loop_timer *pause;
	int fd;
	unsigned resource_errors, unknown_errors;
	bool gate;
	struct addr at; /* where it listens; every connection has it as its own end */
	uint16_t port;
};

enum accept_class { ACCEPT_RESOURCE, ACCEPT_TRANSIENT, ACCEPT_TERMINAL, ACCEPT_UNKNOWN };

static enum accept_class classify(int code)
{
	static const int resource[] = { EMFILE, ENFILE, ENOBUFS, ENOMEM, ENOSR };
	static const int transient[] = { ECONNABORTED, ECONNRESET, EINTR, ENETDOWN, EPROTO,
		ENOPROTOOPT, EHOSTDOWN, ENONET, EHOSTUNREACH, EOPNOTSUPP, ENETUNREACH,
		ESOCKTNOSUPPORT, EPROTONOSUPPORT, ETIMEDOUT };
	static const int terminal[] = { EBADF, EINVAL, ENOTSOCK };

	for (size_t i = 0; i < sizeof resource / sizeof *resource; i++)
		if (code == resource[i])
			return ACCEPT_RESOURCE;
	for (size_t i = 0; i < sizeof transient / sizeof *transient; i++)
		if (code == transient[i])
			return ACCEPT_TRANSIENT;
	for (size_t i = 0; i < sizeof terminal / sizeof *terminal; i++)
		if (code == terminal[i])
			return ACCEPT_TERMINAL;
	return ACCEPT_UNKNOWN;
}

static uint64_t back_off(unsigned n)
{
	uint64_t ms = NET_ACCEPT_BACKOFF_MIN_MS;

	while (--n && ms < NET_ACCEPT_BACKOFF_MAX_MS)
		ms *= 2;
	return ms < NET_ACCEPT_BACKOFF_MAX_MS ? ms : NET_ACCEPT_BACKOFF_MAX_MS;
}

static void pause_for(struct net_listen *l, uint64_t ms)
{
	(void) loop_io_watch(l->io, 0);
	(void) loop_timer_start(l->pause, ms);
}

static void on_error(struct net_listen *l, int code)
{
	char text[256];

	(void) snprintf(text, sizeof text, "accepting connections fails: %s; it is tried again",
		strerror(code));
	switch (classify(code)) {
	case ACCEPT_RESOURCE:
		if (++l->resource_errors == 1)
			net_report_notice(l->leaf, "accept", text);
		l->unknown_errors = 0;
		pause_for(l, back_off(l->resource_errors));
		break;
	case ACCEPT_TRANSIENT:
		l->unknown_errors = 0;
		pause_for(l, NET_ACCEPT_BACKOFF_MIN_MS);
		break;
	case ACCEPT_TERMINAL:
		net_report_notice(
			l->leaf, "accept", "the listener is not usable; egress is closed");
		(void) loop_io_watch(l->io, 0);
		break;
	case ACCEPT_UNKNOWN:
		net_report_notice(l->leaf, "accept", text);
		if (++l->unknown_errors < NET_ACCEPT_UNKNOWN_MAX)
			pause_for(l, back_off(l->unknown_errors));
		else
			(void) loop_io_watch(l->io, 0);
		break;
	}
}

static void refuse_full(int fd)
{
	static char sink[NET_HEAD_MAX];
	char answer[NET_REFUSAL_MAX];
	struct text t;

	text_init(&t, answer, sizeof answer);
	net_refuse_json(503, "too_many_connections",
		"the proxy has reached its limit of connections",
		"close some of the sandbox's connections and try again", &t);
	(void) send(fd, answer, t.len, MSG_DONTWAIT | MSG_NOSIGNAL);
	/* Closing with unread bytes is a reset, which may take the answer away. */
	(void) shutdown(fd, SHUT_WR);
	(void) recv(fd, sink, sizeof sink, MSG_DONTWAIT);
	(void) close(fd);
}

static void on_connections(void *owner, int fd, unsigned ready)
{
	struct net_listen *l = owner;
	struct err e = { 0 };

	(void) ready;
	for (int i = 0; i < NET_ACCEPT_TURN_MAX; i++) {
		struct identity_question ends = { .local = l->at, .local_port = l->port };
		struct sockaddr_storage from = { 0 };
		socklen_t len = sizeof from;
		int peer =
			accept4(fd, (struct sockaddr *) &from, &len, SOCK_NONBLOCK | SOCK_CLOEXEC);

		if (peer < 0) {
			if (errno != EAGAIN)
				on_error(l, errno);
			return;
		}
		l->resource_errors = l->unknown_errors = 0;
		if (l->leaf->n_clients >= NET_CLIENTS_MAX)
			refuse_full(peer);
		else if (addr_from_sockaddr(
				 (struct sockaddr *) &from, len, &ends.peer, &ends.peer_port) < 0)
			(void) close(peer); /* of no family that policy knows */
		else
			(void) net_client_new(l->leaf, peer, &ends, &e); /* it has gone again */
	}
}

static void on_pause_over(void *owner)
{
	struct net_listen *l = owner;

	(void) loop_io_watch(l->io, l->gate ? LOOP_READ : 0);
}

/* Connections inherit what is set here (tcp(7)).  A client that has gone looks like one that only ended
 * its own direction; the probes tell them apart. */
static void set_options(int fd)
{
	static const struct {
		int level, name, value;
	} options[] = { { IPPROTO_TCP, TCP_NODELAY, 1 }, { SOL_SOCKET, SO_KEEPALIVE, 1 },
		{ IPPROTO_TCP, TCP_KEEPIDLE, NET_PROBE_S },
		{ IPPROTO_TCP, TCP_KEEPINTVL, NET_PROBE_AGAIN_S },
		{ IPPROTO_TCP, TCP_KEEPCNT, NET_PROBES_MAX } };

	for (size_t i = 0; i < sizeof options / sizeof *options; i++)
		(void) setsockopt(fd, options[i].level, options[i].name, &options[i].value,
			sizeof options[i].value); /* it works without, too */
}

/* Every connection has the listener's address as its own end, which must be a single one. */
static int prepare(struct net_listen *l, int fd, struct err *e)
{
	struct sockaddr_storage at = { 0 };
	socklen_t len = sizeof at;
	struct addr any4, any6;

	set_options(fd);
	if (getsockname(fd, (struct sockaddr *) &at, &len) < 0 ||
		addr_from_sockaddr((struct sockaddr *) &at, len, &l->at, &l->port) < 0 ||
		addr_parse("0.0.0.0", 7, &any4) < 0 || addr_parse("::", 2, &any6) < 0)
		return err_set(e, EINVAL, "address of the listener");
	if (addr_equal(&l->at, &any4) || addr_equal(&l->at, &any6))
		return err_set(e, EINVAL, "the listener must be bound to one address");
	return 0;
}

int net_listen_new(struct net_leaf *n, int take_fd, struct net_listen **ret, struct err *e)
{
	AUTO_CLOSE int fd = take_fd;
	struct net_listen *l = calloc(1, sizeof *l);

	if (!l)
		return err_set(e, ENOMEM, "listener");
	l->leaf = n;
	l->fd = -1;
	if (prepare(l, fd, e) < 0 || loop_io_new(n->loop, fd, on_connections, l, &l->io, e) < 0 ||
		loop_timer_new(n->loop, on_pause_over, l, &l->pause, e) < 0) {
		net_listen_free(l);
		return -e->code;
	}
	l->fd = TAKE_FD(fd);
	*ret = l;
	return 0;
}

int net_listen_open_gate(struct net_listen *l, struct err *e)
{
	l->gate = true;
	return loop_io_watch(l->io, LOOP_READ) < 0 ? err_set(e, EIO, "watch the listener") : 0;
}

void net_listen_free(struct net_listen *l)
{
	if (!l)
		return;
	loop_io_free(l->io);
	loop_timer_free(l->pause);
	core_closep(&l->fd);
	free(l);
}
