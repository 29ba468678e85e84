/* proc_leaf_shell.c - shells and SSH beside the main process, as parts of the leaf. */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include "core_log.h"
#include "proc_kill.h"
#include "proc_leaf_state.h"
#include "proc_limits.h"

static int attach_main(void *owner, int fd, struct err *e)
{
	struct proc_leaf *p = owner;

	return channel_send_fds(p->up, PROC_ATTACH_MAIN, 0, NULL, &fd, 1, e);
}

static int ask_about(void *owner, int peer, struct err *e)
{
	struct proc_leaf *p = owner;

	return channel_send_fds(p->up, PROC_SSH_PEER, 0, NULL, &peer, 1, e);
}

static void report(void *owner, const char *what)
{
	struct proc_leaf *p = owner;

	proc_leaf_notice(p, "ssh", what, OPENSHELL__EVENT__SEVERITY__MEDIUM);
}

int proc_leaf_open_shells(struct proc_leaf *p, struct err *e)
{
	struct proc_shells_config c = { .restrictions = &p->restrictions,
		.env = &p->env,
		.account_shell = p->user.shell,
		.workdir = p->claim->workdir,
		.attach_main = attach_main,
		.report = report,
		.owner = p };
	struct proc_ssh_config s = { .ask = ask_about, .report = report, .owner = p };

	if (proc_shells_new(p->loop, &c, &p->shells, e) < 0)
		return -e->code;
	s.shells = p->shells;
	return proc_ssh_new(p->loop, &s, &p->ssh, e);
}

static int take_verdict(struct proc_leaf *p, const struct channel_msg *m, struct err *e)
{
	ProtobufCMessage *base;
	int r;

	if (channel_unpack(m, &openshell__ipc__proc_ssh_verdict__descriptor, &base, e) < 0)
		return -e->code;
	r = proc_ssh_verdict(p->ssh, ((Openshell__Ipc__ProcSshVerdict *) base)->refused, e);
	protobuf_c_message_free_unpacked(base, NULL);
	return r;
}

int proc_leaf_ssh(struct proc_leaf *p, const struct channel_msg *m, int *fd, struct err *e)
{
	switch (m->number) {
	case PROC_SSH_PROGRAM:
		proc_ssh_set_program(p->ssh, TAKE_FD(fd[0]));
		return 0;
	case PROC_SSH_VERDICT:
		return take_verdict(p, m, e);
	case PROC_SSH_LISTEN:
		return proc_ssh_listen(p->ssh, TAKE_FD(fd[0]), e);
	default:
		if (p->state != PROC_RUNNING_S)
			return 0; /* its end says enough */
		return proc_ssh_serve(p->ssh, TAKE_FD(fd[0]), e);
	}
}

int proc_leaf_kill_workload(struct proc_leaf *p, struct err *e)
{
	struct proc_killer k = proc_leaf_killer(p);
	size_t ours = k.n_keep;
	int r;

	if (p->ssh) {
		proc_ssh_close(p->ssh);
		k.n_keep += proc_ssh_pids(p->ssh, k.keep + ours);
	}
	r = proc_kill_all(&k, e);
	if (p->shells)
		proc_shells_all_killed(p->shells);
	/* It reaps whatever ends meanwhile, also what was spared. */
	for (size_t i = ours; i < k.n_keep; i++)
		if (kill(k.keep[i], 0) < 0 && errno == ESRCH)
			(void) proc_ssh_reaped(p->ssh, k.keep[i], 0);
	return r;
}

static void answer_stop(void *owner)
{
	struct proc_leaf *p = owner;
	struct err e = { 0 };

	if (proc_leaf_answer(p, NULL, PROC_STOPPED, NULL, &e) < 0)
		log_line(LOG_LEVEL_ERROR, "%s", e.text);
	loop_stop(p->loop);
}

int proc_leaf_stop(struct proc_leaf *p, struct err *e)
{
	pid_t sessions[PROC_SSH_CONNECTIONS_MAX];

	if (!p->ssh || proc_ssh_pids(p->ssh, sessions) == 0 || p->ssh_end) {
		answer_stop(p);
		return 0;
	}
	if (loop_timer_new(p->loop, answer_stop, p, &p->ssh_end, e) < 0)
		return -e->code;
	return loop_timer_start(p->ssh_end, PROC_SSH_END_MS) < 0 ? err_set(e, EIO, "no timer") : 0;
}

bool proc_leaf_reap_shells(struct proc_leaf *p, pid_t pid, int status)
{
	pid_t sessions[PROC_SSH_CONNECTIONS_MAX];

	if (p->shells && proc_shells_reaped(p->shells, pid, status))
		return true;
	if (!p->ssh || !proc_ssh_reaped(p->ssh, pid, status))
		return false;
	if (p->ssh_end && proc_ssh_pids(p->ssh, sessions) == 0)
		(void) loop_timer_start(p->ssh_end, 0);
	return true;
}

void proc_leaf_shells_done(struct proc_leaf *p)
{
	proc_shells_free(p->shells);
	proc_ssh_free(p->ssh);
	loop_timer_free(p->ssh_end);
}
