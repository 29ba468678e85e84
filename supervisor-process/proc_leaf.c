#include "core_hello.h"
#include "proc_leaf.h"
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>
#include "core_event.h"
#include "core_log.h"
#include "ipc_common.pb-c.h"
#include "proc_fence.h"
#include "proc_leaf_state.h"

static void log_err(const struct err *e)
{
	log_line(LOG_LEVEL_ERROR, "%s", e->text);
}

void proc_leaf_fail(struct proc_leaf *p, const char *stage, const struct err *why)
{
	Openshell__Ipc__Failure f = OPENSHELL__IPC__FAILURE__INIT;
	struct err e = { 0 };

	f.stage = (char *) (uintptr_t) stage;
	f.code = (uint32_t) why->code;
	f.text = (char *) (uintptr_t) why->text;
	if (channel_send(p->up, PROC_FAILED, 0, &f.base, &e) < 0)
		log_err(why);
}

int proc_leaf_answer(struct proc_leaf *p, const struct channel_msg *m, uint16_t number,
	const ProtobufCMessage *answer, struct err *e)
{
	return channel_send(p->up, number, m ? m->request : 0, answer, e);
}

void proc_leaf_notice(struct proc_leaf *p, const char *stage, const char *text,
	Openshell__Event__Severity severity)
{
	struct event ev;
	struct err e = { 0 };

	event_init(&ev, OPENSHELL__EVENT__KIND__NOTICE, severity);
	ev.msg.stage = event_text(&ev, stage);
	ev.msg.message = event_text(&ev, text);
	if (channel_send(p->up, PROC_EVENT, 0, &ev.msg.base, &e) < 0)
		log_err(&e);
}

void proc_leaf_tolerate(struct proc_leaf *p, enum failure_kind kind, int code)
{
	static const char *const meaning[] = {
		"egress is cooperative only: programs that ignore the proxy variables are not held",
		"the supervisor's own system calls are not filtered",
		"the workload's system calls are not filtered",
	};
	char text[256];

	p->tolerated |= FAILURE_BIT(kind);
	(void) snprintf(text, sizeof text,
		"the host refuses %s (%s, errno %d), which is delegated to it; %s",
		failure_kind_name(kind), strerror(code), code, meaning[kind]);
	proc_leaf_notice(p, "delegated", text, OPENSHELL__EVENT__SEVERITY__HIGH);
}

/* A request that fails is answered with PROC_FAILED; the channel goes on, so that the reason
 * arrives. */
static int finish(struct proc_leaf *p, const char *stage, int r, struct err *e)
{
	if (r < 0)
		proc_leaf_fail(p, stage, e);
	return 0;
}

static int on_PROC_HELLO(void *owner, const struct channel_msg *m, int *fds, struct err *e)
{
	struct proc_leaf *p = owner;

	(void) fds;
	if (hello_check(m, "orchestrator", e) < 0)
		return -e->code;
	p->state = PROC_GREETED;
	return 0;
}

static int on_PROC_ATTACH(void *owner, const struct channel_msg *m, int *fds, struct err *e)
{
	Openshell__Ipc__ProcAttached answer = OPENSHELL__IPC__PROC_ATTACHED__INIT;
	AUTO_CLOSE int listener = -1;
	struct proc_leaf *p = owner;
	ProtobufCMessage *base;
	int r;

	(void) fds;
	if (channel_unpack(m, &openshell__ipc__proc_attach__descriptor, &base, e) < 0)
		return -e->code;
	r = proc_leaf_attach(p, (Openshell__Ipc__ProcAttach *) base, &listener, e);
	protobuf_c_message_free_unpacked(base, NULL);
	if (r < 0)
		return finish(p, "attach", r, e);
	answer.proxy_address = (char *) (uintptr_t) p->netns.proxy_address;
	answer.rootless = p->rootless;
	answer.proxy_port = p->proxy_port;
	answer.host_interface = p->netns.host_link;
	answer.workload_address = p->netns.workload_address;
	p->state = PROC_ATTACHED_S;
	return channel_send_fds(p->up, PROC_ATTACHED, m->request, &answer.base,
		(int[]){ p->netns.fd, listener }, 2, e);
}

static int send_claimed(struct proc_leaf *p, const struct channel_msg *m, struct err *e)
{
	Openshell__Ipc__ProcClaimed answer = OPENSHELL__IPC__PROC_CLAIMED__INIT;
	char *warnings[PROC_WARNINGS_MAX];

	for (size_t i = 0; i < p->warnings.n; i++)
		warnings[i] = p->warnings.text[i];
	answer.uid = p->user.identity.uid;
	answer.gid = p->user.identity.gid;
	answer.user = p->user.name;
	answer.home = p->user.home;
	answer.landlock_abi = p->paths.landlock ? (uint32_t) p->paths.abi : 0;
	answer.landlock = (char *) (uintptr_t) (p->paths.landlock
			? confine_landlock_summary(p->paths.landlock)
			: "");
	answer.n_paths = (uint32_t) p->paths.n_rules;
	answer.warnings = warnings;
	answer.n_warnings = p->warnings.n;
	return channel_send(p->up, PROC_CLAIMED, m->request, &answer.base, e);
}

static int on_PROC_CLAIM(void *owner, const struct channel_msg *m, int *fds, struct err *e)
{
	struct proc_leaf *p = owner;
	ProtobufCMessage *base;
	int r;

	if (channel_unpack(m, &openshell__ipc__proc_claim__descriptor, &base, e) < 0)
		return -e->code;
	r = proc_leaf_claim(p, (Openshell__Ipc__ProcClaim *) base, fds[0], e);
	if (r < 0)
		return finish(p, "claim", r, e);
	p->state = PROC_CLAIMED_S;
	return send_claimed(p, m, e);
}

static int on_PROC_BIND(void *owner, const struct channel_msg *m, int *fds, struct err *e)
{
	struct proc_leaf *p = owner;
	ProtobufCMessage *base;
	int r;

	if (channel_unpack(m, &openshell__ipc__proc_bind__descriptor, &base, e) < 0)
		return -e->code;
	r = proc_leaf_bind(p, (Openshell__Ipc__ProcBind *) base, fds[0], e);
	protobuf_c_message_free_unpacked(base, NULL);
	if (r < 0)
		return finish(p, "bind", r, e);
	p->state = PROC_BOUND_S;
	return proc_leaf_answer(p, m, PROC_BOUND, NULL, e);
}

/* Answered when the probe has ended. */
static int on_PROC_CONFIRM(void *owner, const struct channel_msg *m, int *fds, struct err *e)
{
	struct proc_leaf *p = owner;

	(void) m;
	(void) fds;
	return finish(p, "confirm", proc_leaf_confirm(p, e), e);
}

static int send_started(struct proc_leaf *p, const struct channel_msg *m, int master, struct err *e)
{
	Openshell__Ipc__ProcStarted answer = OPENSHELL__IPC__PROC_STARTED__INIT;

	answer.pid = (uint32_t) p->main.pid;
	p->state = PROC_HELD;
	if (master < 0)
		return channel_send(p->up, PROC_STARTED, m->request, &answer.base, e);
	return channel_send_fds(p->up, PROC_STARTED_TTY, m->request, &answer.base, &master, 1, e);
}

static int on_PROC_START_PIPES(void *owner, const struct channel_msg *m, int *fds, struct err *e)
{
	struct proc_leaf *p = owner;
	int r = proc_leaf_start(p, fds, false, e);

	return r < 0 ? finish(p, "start", r, e) : send_started(p, m, -1, e);
}

static int on_PROC_START_TTY(void *owner, const struct channel_msg *m, int *fds, struct err *e)
{
	struct proc_leaf *p = owner;
	AUTO_CLOSE int master = -1;
	ProtobufCMessage *base;
	int r;

	(void) fds;
	if (channel_unpack(m, &openshell__ipc__proc_start__descriptor, &base, e) < 0)
		return -e->code;
	r = proc_leaf_start_tty(p, (Openshell__Ipc__ProcStart *) base, &master, e);
	protobuf_c_message_free_unpacked(base, NULL);
	return r < 0 ? finish(p, "start", r, e) : send_started(p, m, master, e);
}

static int on_PROC_RELEASE(void *owner, const struct channel_msg *m, int *fds, struct err *e)
{
	struct proc_leaf *p = owner;

	(void) m;
	(void) fds;
	return finish(p, "release", proc_leaf_release(p, e), e);
}

static int on_PROC_SIGNAL(void *owner, const struct channel_msg *m, int *fds, struct err *e)
{
	struct proc_leaf *p = owner;
	ProtobufCMessage *base;
	uint32_t signo;

	(void) fds;
	if (channel_unpack(m, &openshell__ipc__proc_signal__descriptor, &base, e) < 0)
		return -e->code;
	signo = ((Openshell__Ipc__ProcSignal *) base)->signo;
	protobuf_c_message_free_unpacked(base, NULL);
	if (signo == 0 || signo >= NSIG)
		return err_set(e, EBADMSG, "signal %u", signo);
	proc_leaf_signal(p, (int) signo);
	return 0;
}

static int on_PROC_IDENTITY(void *owner, const struct channel_msg *m, int *fds, struct err *e)
{
	struct proc_leaf *p = owner;
	struct err why = { 0 };

	(void) m;
	(void) e;
	if (!p->worker || proc_worker_add(p->worker, fds[0], &why) < 0)
		proc_leaf_notice(p, "identity", "the identity worker is gone; egress stays closed",
			OPENSHELL__EVENT__SEVERITY__HIGH);
	return 0;
}

static int on_PROC_STOP(void *owner, const struct channel_msg *m, int *fds, struct err *e)
{
	struct proc_leaf *p = owner;
	int r = proc_leaf_kill_workload(p, e);

	(void) m;
	(void) fds;
	if (r < 0)
		return finish(p, "stop", r, e);
	p->state = PROC_ENDED;
	return proc_leaf_stop(p, e);
}

static int on_PROC_SHELL(void *owner, const struct channel_msg *m, int *fds, struct err *e)
{
	struct proc_leaf *p = owner;
	struct err why = { 0 };

	(void) m;
	(void) e;
	/* When it can't be served, its end is all that the asker needs to see. */
	if (p->state == PROC_RUNNING_S && proc_shells_serve(p->shells, TAKE_FD(fds[0]), &why) < 0)
		proc_leaf_notice(p, "shell", why.text, OPENSHELL__EVENT__SEVERITY__MEDIUM);
	return 0;
}

static int on_PROC_SSH_PROGRAM(void *owner, const struct channel_msg *m, int *fds, struct err *e)
{
	return finish(owner, "ssh", proc_leaf_ssh(owner, m, fds, e), e);
}

static int on_PROC_SSH_LISTEN(void *owner, const struct channel_msg *m, int *fds, struct err *e)
{
	return finish(owner, "ssh", proc_leaf_ssh(owner, m, fds, e), e);
}

static int on_PROC_SSH_CONNECTION(void *owner, const struct channel_msg *m, int *fds, struct err *e)
{
	struct proc_leaf *p = owner;
	struct err why = { 0 };

	(void) e;
	if (proc_leaf_ssh(p, m, fds, &why) < 0)
		proc_leaf_notice(p, "ssh", why.text, OPENSHELL__EVENT__SEVERITY__MEDIUM);
	return 0;
}

static int on_PROC_SSH_VERDICT(void *owner, const struct channel_msg *m, int *fds, struct err *e)
{
	return proc_leaf_ssh(owner, m, fds, e);
}

#define X(n, num, lo, hi, fds, st) { #n, (num), (lo), (hi), (fds), (st), on_##n },
static const struct channel_rule proc_rules[] = { PROC_REQUESTS(X){ 0 } };
#undef X

static void on_end(void *owner, const struct err *why)
{
	struct proc_leaf *p = owner;

	if (why->code)
		log_line(LOG_LEVEL_ERROR, "ended channel to the orchestrator: %s", why->text);
	loop_stop(p->loop);
}

static void on_sigchld(void *owner, int signo)
{
	(void) signo;
	proc_leaf_reap(owner);
}

int proc_leaf_new(struct loop *l, struct proc_leaf **ret, struct err *e)
{
	AUTO_FREE struct proc_leaf *p = calloc(1, sizeof *p);

	if (!p)
		return err_set(e, ENOMEM, "process leaf");
	p->loop = l;
	p->state = PROC_NEW;
	p->netns.fd = p->netns.home = p->netns.lease = -1;
	p->probe_fd = p->host_sockets = -1;
	p->main = (struct proc_child){ 0, -1, -1 };
	if (loop_signal_new(l, SIGCHLD, on_sigchld, p, &p->sigchld, e) < 0)
		return -e->code;
	*ret = TAKE_PTR(p);
	return 0;
}

int proc_leaf_open(struct proc_leaf *p, int take_fd, struct err *e)
{
	const struct channel_user user = { proc_rules, &p->state, on_end, p };

	if (channel_open(p->loop, take_fd, &user, &p->up, e) < 0)
		return -e->code;
	return hello_send(p->up, PROC_GREETING, "openshell-supervisor-process", e);
}

void proc_leaf_free(struct proc_leaf *p)
{
	struct proc_killer k = { 0 };
	struct err e = { 0 };

	if (!p)
		return;
	if (p->claim)
		k.workload = &p->user.identity;
	proc_leaf_shells_done(p);
	proc_monitor_free(p->monitor);
	proc_worker_free(p->worker);
	/* These two have no more channel and end too; nobody is kept. */
	if (proc_kill_all(&k, &e) < 0)
		log_err(&e);
	proc_netns_done(&p->netns);
	proc_fence_host_free(p->host_fence);
	channel_free(p->up);
	loop_signal_free(p->sigchld);
	loop_io_free(p->probe_io);
	loop_timer_free(p->probe_timer);
	loop_io_free(p->failure_io);
	loop_timer_free(p->grace);
	loop_timer_free(p->flush);
	core_closep(&p->probe_fd);
	core_closep(&p->host_sockets);
	proc_child_done(&p->main);
	proc_paths_done(&p->paths);
	proc_env_done(&p->env);
	confine_filter_free(p->prelude);
	confine_filter_free(p->filter);
	policy_free(p->policy);
	if (p->claim)
		openshell__ipc__proc_claim__free_unpacked(p->claim, NULL);
	free(p);
}
