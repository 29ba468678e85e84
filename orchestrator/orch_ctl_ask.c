/* orch_ctl_ask.c - the client's side of the control socket. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include "core_hello.h"
#include "core_channel.h"
#include "ipc_common.pb-c.h"
#include "ipc_ctl.h"
#include "ipc_ctl.pb-c.h"
#include "orch_ctl.h"
#include "orch_ctl_socket.h"
#include "orch_limits.h"

struct question {
	struct loop *loop;
	struct channel *channel;
	uint32_t state;
	uint16_t request;
	int answer;
	struct err why;
};

static int on_CTL_GREETING(void *owner, const struct channel_msg *m, int *fds, struct err *e)
{
	struct question *q = owner;

	(void) m;
	(void) fds;
	q->state = CTL_ASKED;
	return channel_send(q->channel, q->request, 0, NULL, e);
}

static int on_CTL_CHANNEL(void *owner, const struct channel_msg *m, int *fds, struct err *e)
{
	struct question *q = owner;

	(void) m;
	(void) e;
	q->answer = TAKE_FD(fds[0]);
	loop_stop(q->loop);
	return 0;
}

static int on_CTL_REFUSED(void *owner, const struct channel_msg *m, int *fds, struct err *e)
{
	struct question *q = owner;
	ProtobufCMessage *base;

	(void) fds;
	if (channel_unpack(m, &openshell__ipc__ctl_refused__descriptor, &base, e) < 0)
		return -e->code;
	(void) err_set(&q->why, EPERM, "%s", ((Openshell__Ipc__CtlRefused *) base)->text);
	protobuf_c_message_free_unpacked(base, NULL);
	loop_stop(q->loop);
	return 0;
}

#define X(n, num, lo, hi, fds, st) { #n, (num), (lo), (hi), (fds), (st), on_##n },
static const struct channel_rule ask_rules[] = { CTL_ANSWERS(X){ 0 } };
#undef X

static void say_closed(struct err *e)
{
	(void) err_set(e, EPIPE,
		"the sandbox closed the connection; it is for root and for the user who started "
		"it, from outside");
}

static void on_end(void *owner, const struct err *why)
{
	struct question *q = owner;

	if (why->code)
		q->why = *why;
	else
		say_closed(&q->why);
	loop_stop(q->loop);
}

static void on_late(void *owner)
{
	struct question *q = owner;

	(void) err_set(&q->why, ETIMEDOUT, "the sandbox does not answer");
	loop_stop(q->loop);
}

static int ask(struct question *q, int take_fd, struct err *e)
{
	AUTO(loop_timer_free) struct loop_timer *deadline = NULL;
	const struct channel_user user = { ask_rules, &q->state, on_end, q };

	if (channel_open(q->loop, take_fd, &user, &q->channel, e) < 0 ||
		loop_timer_new(q->loop, on_late, q, &deadline, e) < 0 ||
		hello_send(q->channel, CTL_HELLO, "openshell-supervisor ctl", e) < 0) {
		if (e->code == EPIPE)
			say_closed(e);
		return -e->code;
	}
	if (loop_timer_start(deadline, ORCH_CTL_ANSWER_MS) < 0)
		return err_set(e, EIO, "no timer");
	return loop_run(q->loop, e);
}

int orch_ctl_ask(struct loop *l, const char *path, uint16_t request, int *ret_fd, struct err *e)
{
	struct question q = { .loop = l, .state = CTL_NEW, .request = request, .answer = -1 };
	int fd, r;

	if (orch_ctl_connect(path, &fd, e) < 0) {
		if (e->code == ECONNREFUSED || e->code == ENOENT)
			return err_set(e, e->code, "no sandbox is running at %s", path);
		return -e->code;
	}
	r = ask(&q, fd, e);
	channel_free(q.channel);
	if (r == 0 && q.answer < 0)
		r = err_set(e, q.why.code ? q.why.code : EIO, "%s", q.why.text);
	if (r < 0)
		core_closep(&q.answer);
	else
		*ret_fd = q.answer;
	return r;
}
