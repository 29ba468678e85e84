#include "core_hello.h"
#include "orch_ctl_server.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include "core_channel.h"
#include "core_peer.h"
#include "ipc_common.pb-c.h"
#include "ipc_ctl.h"
#include "ipc_ctl.pb-c.h"
#include "orch_limits.h"

struct asker {
	struct orch_ctl_server *server;
	struct channel *channel;
	struct loop_timer *deadline;
	uint32_t state;
};

struct orch_ctl_server {
	struct loop *loop;
	int fd; /* borrowed */
	struct loop_io *io;
	struct loop_timer *pause;
	const struct orch_ctl_calls *calls;
	void *owner;
	struct asker *askers[ORCH_CTL_CONNECTIONS_MAX];
};

typedef int (*give_fn)(void *owner, int fd, struct err *e);

static void asker_free(struct asker *a)
{
	struct orch_ctl_server *s;

	if (!a)
		return;
	s = a->server;
	for (size_t i = 0; i < ORCH_CTL_CONNECTIONS_MAX; i++)
		if (s->askers[i] == a)
			s->askers[i] = NULL;
	channel_free(a->channel);
	loop_timer_free(a->deadline);
	free(a);
}

/* The asker reads the reason and goes; the deadline ends one that does not. */
static void refuse(struct asker *a, const struct err *why)
{
	Openshell__Ipc__CtlRefused m = OPENSHELL__IPC__CTL_REFUSED__INIT;
	struct err ignored = { 0 };

	m.text = (char *) (uintptr_t) why->text;
	(void) channel_send(a->channel, CTL_REFUSED, 0, &m.base, &ignored);
}

static int give(struct asker *a, int type, give_fn fn, struct err *e)
{
	struct orch_ctl_server *s = a->server;
	int pair[2], r;

	if (socketpair(AF_UNIX, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair) < 0)
		return err_set(e, errno, "make a socket pair: %s", strerror(errno));
	r = fn(s->owner, pair[0], e);
	if (r == 0)
		r = channel_send_fds(a->channel, CTL_CHANNEL, 0, NULL, &pair[1], 1, e);
	(void) close(pair[0]);
	(void) close(pair[1]);
	return r;
}

static int answer(struct asker *a, int type, give_fn fn)
{
	struct err why = { 0 };

	a->state = CTL_ASKED;
	if (give(a, type, fn, &why) < 0)
		refuse(a, &why);
	return 0;
}

static int on_CTL_HELLO(void *owner, const struct channel_msg *m, int *fds, struct err *e)
{
	struct asker *a = owner;
	uint32_t major;

	(void) fds;
	if (hello_read(m, &major, e) < 0)
		return -e->code;
	a->state = CTL_GREETED;
	if (major != IPC_MAJOR) {
		struct err why = { 0 };

		(void) err_set(&why, EPROTO,
			"this sandbox was started by another release (version %u, ctl has %u); use "
			"the same program",
			IPC_MAJOR, major);
		a->state = CTL_ASKED;
		refuse(a, &why);
		return 0;
	}
	return hello_send(a->channel, CTL_GREETING, "openshell-supervisor", e);
}

static int on_CTL_SHELL(void *owner, const struct channel_msg *m, int *fds, struct err *e)
{
	struct asker *a = owner;

	(void) m;
	(void) fds;
	(void) e;
	return answer(a, SOCK_SEQPACKET, a->server->calls->shell);
}

static int on_CTL_ATTACH(void *owner, const struct channel_msg *m, int *fds, struct err *e)
{
	struct asker *a = owner;

	(void) m;
	(void) fds;
	(void) e;
	return answer(a, SOCK_SEQPACKET, a->server->calls->attach);
}

static int on_CTL_SSH(void *owner, const struct channel_msg *m, int *fds, struct err *e)
{
	struct asker *a = owner;

	(void) m;
	(void) fds;
	(void) e;
	return answer(a, SOCK_STREAM, a->server->calls->ssh);
}

#define X(n, num, lo, hi, fds, st) { #n, (num), (lo), (hi), (fds), (st), on_##n },
static const struct channel_rule ctl_rules[] = { CTL_REQUESTS(X){ 0 } };
#undef X

static void on_end(void *owner, const struct err *why)
{
	(void) why; /* an asker's own mistake, or its end */
	asker_free(owner);
}

static void on_late(void *owner)
{
	asker_free(owner);
}

static int add(struct orch_ctl_server *s, int take_fd, struct err *e)
{
	AUTO_CLOSE int fd = take_fd;
	AUTO_FREE struct asker *a = calloc(1, sizeof *a);
	size_t i = 0;

	if (!a)
		return err_set(e, ENOMEM, "out of memory");
	while (i < ORCH_CTL_CONNECTIONS_MAX && s->askers[i])
		i++;
	if (i == ORCH_CTL_CONNECTIONS_MAX)
		return err_set(e, EUSERS, "too many");
	if (peer_check(fd, s->calls->netns(s->owner), e) < 0)
		return -e->code;
	a->server = s;
	a->state = CTL_NEW;
	if (loop_timer_new(s->loop, on_late, a, &a->deadline, e) < 0 ||
		channel_open(s->loop, TAKE_FD(fd),
			&(struct channel_user){ ctl_rules, &a->state, on_end, a }, &a->channel,
			e) < 0 ||
		loop_timer_start(a->deadline, ORCH_CTL_HELLO_MS) < 0) {
		asker_free(TAKE_PTR(a));
		return -EIO;
	}
	s->askers[i] = TAKE_PTR(a);
	return 0;
}

/* Back after a pause when there are no descriptors left, or so. */
static void on_connect(void *owner, int fd, unsigned ready)
{
	struct orch_ctl_server *s = owner;
	int peer = accept4(fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
	struct err ignored = { 0 };

	(void) ready;
	if (peer >= 0) {
		(void) add(s, peer, &ignored);
		return;
	}
	if (errno == EAGAIN || errno == EINTR || errno == ECONNABORTED)
		return;
	(void) loop_io_watch(s->io, 0);
	(void) loop_timer_start(s->pause, ORCH_ACCEPT_PAUSE_MS);
}

static void on_pause_over(void *owner)
{
	struct orch_ctl_server *s = owner;

	(void) loop_io_watch(s->io, LOOP_READ);
}

int orch_ctl_server_new(struct loop *l, const struct orch_ctl_socket *socket,
	const struct orch_ctl_calls *calls, void *owner, struct orch_ctl_server **ret,
	struct err *e)
{
	AUTO(orch_ctl_server_free) struct orch_ctl_server *s = calloc(1, sizeof *s);

	if (!s)
		return err_set(e, ENOMEM, "control socket: out of memory");
	s->loop = l;
	s->fd = socket->fd;
	s->calls = calls;
	s->owner = owner;
	if (loop_timer_new(l, on_pause_over, s, &s->pause, e) < 0 ||
		loop_io_new(l, s->fd, on_connect, s, &s->io, e) < 0)
		return -e->code;
	if (loop_io_watch(s->io, LOOP_READ) < 0)
		return err_set(e, EIO, "watch the control socket");
	*ret = TAKE_PTR(s);
	return 0;
}

void orch_ctl_server_free(struct orch_ctl_server *s)
{
	if (!s)
		return;
	for (size_t i = 0; i < ORCH_CTL_CONNECTIONS_MAX; i++)
		asker_free(s->askers[i]);
	loop_io_free(s->io);
	loop_timer_free(s->pause);
	free(s);
}
