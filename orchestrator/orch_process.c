#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include "core_hello.h"
#include "core_channel.h"
#include "ipc_common.pb-c.h"
#include "ipc_process.h"
#include "orch_limits.h"
#include "orch_process.h"

struct orch_process {
	struct channel *down;
	struct loop_timer *deadline;
	uint32_t state;
	const struct orch_process_plan *plan;
	const struct orch_process_calls *calls;
	void *owner;
	const char *waits_for; /* what the deadline is about */
	bool may_claim;	       /* orch_process_go() was called */
	bool over;	       /* failed() or stopped() was called */
	bool stopping;
};

static void fail(struct orch_process *p, const struct err *why)
{
	if (p->over)
		return;
	p->over = true;
	loop_timer_stop(p->deadline);
	p->calls->failed(p->owner, why);
}

static void on_late(void *owner)
{
	struct orch_process *p = owner;
	struct err e = { 0 };

	(void) err_set(&e, ETIMEDOUT,
		"process leaf: no answer to %s in time; the host is overloaded or the leaf hangs",
		p->waits_for);
	fail(p, &e);
}

struct request {
	uint16_t number;
	const char *name;
	uint64_t limit_ms; /* for the answer */
	const ProtobufCMessage *message;
	const int *fds;
	size_t n_fds;
};

static int ask(struct orch_process *p, const struct request *q, struct err *e)
{
	p->waits_for = q->name;
	if (loop_timer_start(p->deadline, q->limit_ms) < 0)
		return err_set(e, EIO, "process leaf: no timer");
	if (channel_send_fds(p->down, q->number, 0, q->message, q->fds, q->n_fds, e) < 0)
		return err_wrap(e, "process leaf: %s", q->name);
	return 0;
}

/* ---- requests, in their order ---- */

static int ask_claim(struct orch_process *p, struct err *e)
{
	if (!p->may_claim || p->state != PROC_ATTACHED_S)
		return 0;
	return ask(p,
		&(struct request){ PROC_CLAIM, "claim", ORCH_CLAIM_MS, &p->plan->claim->base,
			p->plan->policy_fd, 1 },
		e);
}

static int ask_bind(struct orch_process *p, struct err *e)
{
	return ask(p,
		&(struct request){ PROC_BIND, "bind", ORCH_BIND_MS, &p->plan->bind->base,
			p->plan->identity_fd, 1 },
		e);
}

static int ask_start(struct orch_process *p, struct err *e)
{
	struct request q = { PROC_START_TTY, "start", ORCH_START_MS, &p->plan->start->base, NULL,
		0 };

	if (p->plan->streams) {
		q.number = PROC_START_PIPES;
		q.fds = p->plan->streams;
		q.n_fds = 3;
	}
	return ask(p, &q, e);
}

/* ---- answers ---- */

static int on_PROC_GREETING(void *owner, const struct channel_msg *m, int *fds, struct err *e)
{
	struct orch_process *p = owner;

	(void) fds;
	if (hello_check(m, "it", e) < 0)
		return -e->code;
	p->state = PROC_GREETED;
	return 0;
}

static int on_PROC_ATTACHED(void *owner, const struct channel_msg *m, int *fds, struct err *e)
{
	struct orch_process *p = owner;
	ProtobufCMessage *base;

	if (channel_unpack(m, &openshell__ipc__proc_attached__descriptor, &base, e) < 0)
		return -e->code;
	p->state = PROC_ATTACHED_S;
	loop_timer_stop(p->deadline);
	p->calls->attached(p->owner, (Openshell__Ipc__ProcAttached *) base, &fds[0], &fds[1]);
	protobuf_c_message_free_unpacked(base, NULL);
	return p->over ? 0 : ask_claim(p, e);
}

static int on_PROC_CLAIMED(void *owner, const struct channel_msg *m, int *fds, struct err *e)
{
	struct orch_process *p = owner;
	ProtobufCMessage *base;

	(void) fds;
	if (channel_unpack(m, &openshell__ipc__proc_claimed__descriptor, &base, e) < 0)
		return -e->code;
	p->state = PROC_CLAIMED_S;
	p->calls->claimed(p->owner, (Openshell__Ipc__ProcClaimed *) base);
	protobuf_c_message_free_unpacked(base, NULL);
	return p->over ? 0 : ask_bind(p, e);
}

static int on_PROC_BOUND(void *owner, const struct channel_msg *m, int *fds, struct err *e)
{
	struct orch_process *p = owner;

	(void) m;
	(void) fds;
	p->state = PROC_BOUND_S;
	p->calls->bound(p->owner);
	return p->over || p->stopping ? 0
				      : ask(p,
						&(struct request){ PROC_CONFIRM, "confirm",
							ORCH_CONFIRM_MS, NULL, NULL, 0 },
						e);
}

static int on_PROC_CONFIRMED(void *owner, const struct channel_msg *m, int *fds, struct err *e)
{
	struct orch_process *p = owner;
	ProtobufCMessage *base;
	int r;

	(void) fds;
	if (channel_unpack(m, &openshell__ipc__proc_confirmed__descriptor, &base, e) < 0)
		return -e->code;
	p->state = PROC_READY_S;
	r = p->calls->confirmed(p->owner, (Openshell__Ipc__ProcConfirmed *) base, e);
	protobuf_c_message_free_unpacked(base, NULL);
	if (r < 0) {
		fail(p, e);
		return 0;
	}
	return p->over ? 0 : ask_start(p, e);
}

static int take_started(
	struct orch_process *p, const struct channel_msg *m, int *master, struct err *e)
{
	ProtobufCMessage *base;
	uint32_t pid;

	if (channel_unpack(m, &openshell__ipc__proc_started__descriptor, &base, e) < 0)
		return -e->code;
	pid = ((Openshell__Ipc__ProcStarted *) base)->pid;
	protobuf_c_message_free_unpacked(base, NULL);
	if (pid <= 1 || pid > INT32_MAX)
		return err_set(e, EBADMSG, "pid %u", pid);
	if ((*master < 0) != (p->plan->streams != NULL))
		return err_set(e, EPROTO, "the other kind of streams was asked for");
	p->state = PROC_HELD;
	loop_timer_stop(p->deadline);
	p->calls->started(p->owner, (pid_t) pid, master);
	return 0;
}

static int on_PROC_STARTED(void *owner, const struct channel_msg *m, int *fds, struct err *e)
{
	int none = -1;

	(void) fds;
	return take_started(owner, m, &none, e);
}

static int on_PROC_STARTED_TTY(void *owner, const struct channel_msg *m, int *fds, struct err *e)
{
	return take_started(owner, m, &fds[0], e);
}

static int on_PROC_RUNNING(void *owner, const struct channel_msg *m, int *fds, struct err *e)
{
	struct orch_process *p = owner;

	(void) m;
	(void) fds;
	(void) e;
	p->state = PROC_RUNNING_S;
	loop_timer_stop(p->deadline);
	if (!p->over)
		p->calls->running(p->owner);
	return 0;
}

static int on_PROC_EXITED(void *owner, const struct channel_msg *m, int *fds, struct err *e)
{
	struct orch_process *p = owner;
	Openshell__Ipc__ProcExited *exited;
	ProtobufCMessage *base;

	(void) fds;
	if (channel_unpack(m, &openshell__ipc__proc_exited__descriptor, &base, e) < 0)
		return -e->code;
	exited = (Openshell__Ipc__ProcExited *) base;
	p->state = PROC_ENDED;
	if (!p->stopping)
		loop_timer_stop(p->deadline);
	if (!p->over)
		p->calls->exited(p->owner, exited->signalled, exited->code);
	protobuf_c_message_free_unpacked(base, NULL);
	return 0;
}

static int on_PROC_FAILED(void *owner, const struct channel_msg *m, int *fds, struct err *e)
{
	struct orch_process *p = owner;
	Openshell__Ipc__Failure *failure;
	struct err why = { 0 };
	ProtobufCMessage *base;

	(void) fds;
	if (channel_unpack(m, &openshell__ipc__failure__descriptor, &base, e) < 0)
		return -e->code;
	failure = (Openshell__Ipc__Failure *) base;
	(void) err_set(&why, failure->code && failure->code < 4096 ? (int) failure->code : EIO,
		"%s", failure->text);
	protobuf_c_message_free_unpacked(base, NULL);
	fail(p, &why);
	return 0;
}

static int on_PROC_EVENT(void *owner, const struct channel_msg *m, int *fds, struct err *e)
{
	struct orch_process *p = owner;
	ProtobufCMessage *base;

	(void) fds;
	if (channel_unpack(m, &openshell__event__event__descriptor, &base, e) < 0)
		return -e->code;
	p->calls->event(p->owner, (Openshell__Event__Event *) base);
	protobuf_c_message_free_unpacked(base, NULL);
	return 0;
}

static int on_PROC_STOPPED(void *owner, const struct channel_msg *m, int *fds, struct err *e)
{
	struct orch_process *p = owner;

	(void) m;
	(void) fds;
	if (!p->stopping)
		return err_set(e, EPROTO, "nobody asked it to stop");
	p->over = true;
	loop_timer_stop(p->deadline);
	p->calls->stopped(p->owner);
	return 0;
}

static int on_PROC_ATTACH_MAIN(void *owner, const struct channel_msg *m, int *fds, struct err *e)
{
	struct orch_process *p = owner;

	(void) m;
	(void) e;
	if (!p->over)
		p->calls->attach_main(p->owner, &fds[0]);
	return 0;
}

static int on_PROC_SSH_PEER(void *owner, const struct channel_msg *m, int *fds, struct err *e)
{
	Openshell__Ipc__ProcSshVerdict v = OPENSHELL__IPC__PROC_SSH_VERDICT__INIT;
	struct orch_process *p = owner;
	struct err why = { 0 };

	(void) m;
	if (p->over)
		return 0;
	if (p->calls->ssh_peer(p->owner, fds[0], &why) < 0)
		v.refused = why.text;
	return channel_send(p->down, PROC_SSH_VERDICT, 0, &v.base, e);
}

#define X(n, num, lo, hi, fds, st) { #n, (num), (lo), (hi), (fds), (st), on_##n },
static const struct channel_rule process_rules[] = { PROC_ANSWERS(X){ 0 } };
#undef X

static void on_end(void *owner, const struct err *why)
{
	struct orch_process *p = owner;
	struct err e = { 0 };

	if (why->code)
		(void) err_set(&e, why->code, "process leaf: ended channel: %s", why->text);
	else
		(void) err_set(&e, EPIPE,
			"process leaf: it is gone; the workload is killed, look above or in the "
			"kernel log for the reason");
	if (p->stopping && !p->over) {
		p->over = true;
		loop_timer_stop(p->deadline);
		p->calls->stopped(p->owner);
		return;
	}
	fail(p, &e);
}

/* ---- life ---- */

static int greet(struct orch_process *p, struct err *e)
{
	if (hello_send(p->down, PROC_HELLO, "openshell-supervisor", e) < 0)
		return err_wrap(e, "process leaf: hello");
	return ask(p,
		&(struct request){
			PROC_ATTACH, "attach", ORCH_ATTACH_MS, &p->plan->attach->base, NULL, 0 },
		e);
}

int orch_process_new(struct loop *l, int take_fd, const struct orch_process_plan *plan,
	const struct orch_process_calls *calls, void *owner, struct orch_process **ret,
	struct err *e)
{
	AUTO_CLOSE int fd = take_fd;
	AUTO(orch_process_free) struct orch_process *p = calloc(1, sizeof *p);
	struct channel_user user = { process_rules, NULL, on_end, p };
	int r;

	if (!p)
		return err_set(e, ENOMEM, "process leaf: out of memory");
	user.state = &p->state;
	p->state = PROC_NEW;
	p->plan = plan;
	p->calls = calls;
	p->owner = owner;
	if ((r = loop_timer_new(l, on_late, p, &p->deadline, e)) < 0 ||
		(r = channel_open(l, TAKE_FD(fd), &user, &p->down, e)) < 0 || (r = greet(p, e)) < 0)
		return r;
	*ret = TAKE_PTR(p);
	return 0;
}

int orch_process_go(struct orch_process *p, struct err *e)
{
	p->may_claim = true;
	return ask_claim(p, e);
}

int orch_process_release(struct orch_process *p, struct err *e)
{
	if (p->state != PROC_HELD)
		return err_set(e, EPROTO, "process leaf: nothing is held that could be released");
	return ask(
		p, &(struct request){ PROC_RELEASE, "release", ORCH_RELEASE_MS, NULL, NULL, 0 }, e);
}

int orch_process_signal(struct orch_process *p, int signo, struct err *e)
{
	Openshell__Ipc__ProcSignal m = OPENSHELL__IPC__PROC_SIGNAL__INIT;

	if (!(p->state & (PROC_HELD | PROC_RUNNING_S)))
		return 0; /* nobody is there to get it */
	m.signo = (uint32_t) signo;
	return channel_send(p->down, PROC_SIGNAL, 0, &m.base, e);
}

bool orch_process_takes_identity(const struct orch_process *p)
{
	return p->state & (PROC_BOUND_S | PROC_READY_S | PROC_HELD | PROC_RUNNING_S | PROC_ENDED);
}

int orch_process_identity(struct orch_process *p, int fd, struct err *e)
{
	return channel_send_fds(p->down, PROC_IDENTITY, 0, NULL, &fd, 1, e);
}

int orch_process_lend(struct orch_process *p, uint16_t number, int fd, struct err *e)
{
	return channel_send_fds(p->down, number, 0, NULL, &fd, 1, e);
}

int orch_process_stop(struct orch_process *p, struct err *e)
{
	p->stopping = true;
	p->over = false; /* a failed leaf still tears down and says so */
	loop_timer_stop(p->deadline);
	return channel_send(p->down, PROC_STOP, 0, NULL, e);
}

void orch_process_free(struct orch_process *p)
{
	if (!p)
		return;
	channel_free(p->down);
	loop_timer_free(p->deadline);
	free(p);
}
