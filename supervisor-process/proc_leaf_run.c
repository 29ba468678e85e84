/* proc_leaf_run.c - confirm, start, signals and the one dispatcher of ended children. */
#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>
#include "core_log.h"
#include "proc_leaf_state.h"
#include "proc_pty.h"

#define CAP(x) (1ull << CAP_##x)
/* Spec/process 1.6.  What the preparation needed on top is gone by now. */
#define LEAF_CAPS \
	(CAP(SYS_ADMIN) | CAP(NET_ADMIN) | CAP(SYS_PTRACE) | CAP(SETUID) | CAP(SETGID) | \
		CAP(SETPCAP) | CAP(CHOWN) | CAP(FOWNER) | CAP(DAC_READ_SEARCH) | CAP(KILL))

/* The last step before the first untrusted process. */
static int confine_leaf(struct proc_leaf *p, struct err *e)
{
	/* A runtime may have taken some of them away (Podman: KILL, GAP-2). */
	struct confine_identity id = { .keep_caps = LEAF_CAPS & confine_caps_permitted(),
		.keep_uid = true };
	int r;

	if (confine_drop(&id, e) < 0)
		return err_wrap(e, "confine the process leaf");
	r = confine_filter_install(p->prelude);
	if (r < 0 && failure_is_tolerated(FAILURE_SUPERVISOR_SECCOMP, -r)) {
		proc_leaf_tolerate(p, FAILURE_SUPERVISOR_SECCOMP, -r);
		return 0;
	}
	return r < 0 ? err_set(e, -r,
			       "install the supervisor's system call filter: %s; --delegate "
			       "supervisor-seccomp goes on without, where the host filters",
			       strerror(-r))
		     : 0;
}

static void on_probe(void *owner, int fd, unsigned ready);
static void on_probe_late(void *owner);

static int start_probe(struct proc_leaf *p, struct err *e)
{
	const Openshell__Sandbox__V1__FilesystemPolicy *f = policy_message(p->policy)->filesystem;
	struct proc_probe_input in = { &p->restrictions, p->proxy_port, false };

	for (size_t i = 0; f && i < f->n_read_only; i++)
		in.everything_readable |= strcmp(f->read_only[i], "/") == 0;
	if (proc_probe_start(&in, &p->probe, &p->probe_fd, e) < 0 ||
		(!p->probe_timer &&
			loop_timer_new(p->loop, on_probe_late, p, &p->probe_timer, e) < 0) ||
		loop_timer_start(p->probe_timer, PROC_PROBE_MS) < 0 ||
		loop_io_new(p->loop, p->probe_fd, on_probe, p, &p->probe_io, e) < 0 ||
		loop_io_watch(p->probe_io, LOOP_READ) < 0)
		return e->code ? -e->code : err_set(e, EIO, "watch the probe");
	return 0;
}

static void end_probe(struct proc_leaf *p)
{
	loop_io_free(TAKE_PTR(p->probe_io));
	loop_timer_stop(p->probe_timer);
	core_closep(&p->probe_fd);
	p->probe_fd = -1;
}

static void answer_confirm(struct proc_leaf *p)
{
	Openshell__Ipc__ProcConfirmed answer = OPENSHELL__IPC__PROC_CONFIRMED__INIT;
	Openshell__Ipc__ProcEvidence rows[PROC_CHECK_MAX], *list[PROC_CHECK_MAX];
	char details[PROC_CHECK_MAX][64];
	struct err e = { 0 };

	for (unsigned i = 0; i < PROC_CHECK_MAX; i++) {
		openshell__ipc__proc_evidence__init(&rows[i]);
		proc_check_detail(&p->evidence[i], details[i], sizeof details[i]);
		rows[i].check = (char *) (uintptr_t) proc_check_name((enum proc_check) i);
		rows[i].held = p->evidence[i].held != 0;
		rows[i].detail = details[i];
		list[i] = &rows[i];
	}
	answer.evidence = list;
	answer.n_evidence = PROC_CHECK_MAX;
	answer.tolerated = p->tolerated;
	p->state = PROC_READY_S;
	if (proc_leaf_answer(p, NULL, PROC_CONFIRMED, &answer.base, &e) < 0)
		proc_leaf_fail(p, "confirm", &e);
}

static void judge_probe(struct proc_leaf *p)
{
	struct err e = { 0 };
	char detail[64];

	end_probe(p);
	for (unsigned i = 0; i < PROC_CHECK_MAX; i++) {
		const struct proc_evidence *v = &p->evidence[i];

		if (i < p->n_evidence && v->held)
			continue;
		proc_check_detail(v, detail, sizeof detail);
		(void) err_set(&e, EPERM,
			"the boundary does not hold: check %s failed (%s); nothing is started",
			proc_check_name((enum proc_check) i),
			i < p->n_evidence ? detail : "no answer");
		proc_leaf_fail(p, "confirm", &e);
		return;
	}
	answer_confirm(p);
}

/* The filter is the last thing that a child installs: what the probe met, the workload would meet.
 * So here is decided, once, whether children go without (no callback after a fork). */
static void probe_failed(struct proc_leaf *p, enum proc_stage stage, int code)
{
	struct err e = { 0 };

	if (stage == PROC_STAGE_SECCOMP && p->restrictions.filter &&
		failure_is_tolerated(FAILURE_WORKLOAD_SECCOMP, code)) {
		p->restrictions.filter = NULL;
		proc_leaf_tolerate(p, FAILURE_WORKLOAD_SECCOMP, code);
		if (start_probe(p, &e) < 0)
			proc_leaf_fail(p, "confirm", &e);
		return;
	}
	(void) err_set(&e, code ? code : EPERM, "the boundary can't be entered: %s: %s%s",
		proc_stage_name(stage), strerror(code),
		stage == PROC_STAGE_SECCOMP ? "; --delegate workload-seccomp goes on without, "
					      "where the host filters"
					    : "");
	proc_leaf_fail(p, "confirm", &e);
}

static void on_probe(void *owner, int fd, unsigned ready)
{
	struct proc_leaf *p = owner;
	struct proc_evidence v;
	ssize_t n = read(fd, &v, sizeof v);

	(void) ready;
	if (n == sizeof v && v.check == (int) p->n_evidence && v.check < PROC_CHECK_MAX) {
		p->evidence[p->n_evidence++] = v;
		return;
	}
	if (n == sizeof v && v.check < 0) {
		end_probe(p);
		probe_failed(p, (enum proc_stage) - v.check, v.code);
		return;
	}
	judge_probe(p);
}

static void on_probe_late(void *owner)
{
	struct proc_leaf *p = owner;

	(void) kill(p->probe, SIGKILL);
	judge_probe(p);
}

int proc_leaf_confirm(struct proc_leaf *p, struct err *e)
{
	if (p->probe_fd >= 0 || p->n_evidence)
		return err_set(e, EALREADY, "confirm was asked for twice");
	if (confine_leaf(p, e) < 0)
		return -e->code;
	return start_probe(p, e);
}

static const char *remedy(const struct proc_failure *f)
{
	if (f->stage == PROC_STAGE_EXEC && f->code == ENOENT)
		return "; check the command and PATH";
	if (f->stage == PROC_STAGE_EXEC && f->code == EACCES)
		return "; it must be executable, and in a path that the policy's filesystem_policy "
		       "lists";
	if (f->stage == PROC_STAGE_WORKDIR)
		return "; the workdir must be readable for the workload's user and listed in the "
		       "policy";
	return "";
}

static void fail_start(struct proc_leaf *p, const struct proc_failure *f)
{
	struct err e = { 0 };

	(void) err_set(&e, f->code, "%.200s can't be started: %s: %s%s", p->claim->command[0],
		proc_stage_name((enum proc_stage) f->stage), strerror(f->code), remedy(f));
	proc_leaf_fail(p, proc_stage_name((enum proc_stage) f->stage), &e);
}

/* The pipe says either where the child failed, or, by its end, that execve succeeded. */
static void look_at_failure(struct proc_leaf *p)
{
	struct proc_failure f;
	struct err e = { 0 };
	ssize_t n;

	if (p->main.failure < 0)
		return;
	n = read(p->main.failure, &f, sizeof f);
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	loop_io_free(TAKE_PTR(p->failure_io));
	core_closep(&p->main.failure);
	p->main.failure = -1;
	if (n == sizeof f) {
		fail_start(p, &f);
		return;
	}
	if (!p->released)
		return; /* it died while held: the dispatcher reports that */
	if (proc_leaf_answer(p, NULL, PROC_RUNNING, NULL, &e) < 0)
		log_line(LOG_LEVEL_ERROR, "%s", e.text);
	p->state = PROC_RUNNING_S;
	proc_ssh_open(p->ssh);
}

static void on_failure(void *owner, int fd, unsigned ready)
{
	(void) fd;
	(void) ready;
	look_at_failure(owner);
}

int proc_leaf_start(struct proc_leaf *p, const int fds[3], bool terminal, struct err *e)
{
	struct proc_spawn s = { .restrictions = &p->restrictions,
		.workdir = p->claim->workdir,
		.env = p->env.at,
		.fds = { fds[0], fds[1], fds[2] },
		.terminal = terminal,
		.umask = 022 };
	AUTO_FREE char **argv = calloc(p->claim->n_command + 1, sizeof *argv);

	if (!argv)
		return err_set(e, ENOMEM, "command");
	(void) memcpy(argv, p->claim->command, p->claim->n_command * sizeof *argv);
	s.argv = argv;
	if (proc_spawn(&s, &p->main, e) < 0 ||
		proc_worker_set_anchor(p->worker, p->main.pid, e) < 0 ||
		loop_io_new(p->loop, p->main.failure, on_failure, p, &p->failure_io, e) < 0)
		return -e->code;
	return loop_io_watch(p->failure_io, LOOP_READ) < 0 ? err_set(e, EIO, "watch the workload")
							   : 0;
}

int proc_leaf_start_tty(
	struct proc_leaf *p, const Openshell__Ipc__ProcStart *s, int *ret_master, struct err *e)
{
	const struct proc_pty_look look = { s->rows, s->columns, s->modes, s->n_modes };
	AUTO_CLOSE int slave = -1;

	if (proc_pty_open(&p->user.identity, &look, ret_master, &slave, e) < 0)
		return -e->code;
	return proc_leaf_start(p, (int[]){ slave, slave, slave }, true, e);
}

int proc_leaf_release(struct proc_leaf *p, struct err *e)
{
	if (p->released)
		return err_set(e, EALREADY, "the workload was released before");
	p->released = true;
	if (p->main.pid > 0 && write(p->main.hold, "", 1) != 1)
		return err_set(e, errno, "release the workload");
	core_closep(&p->main.hold);
	p->main.hold = -1;
	return 0;
}

static void on_grace_over(void *owner)
{
	struct proc_leaf *p = owner;

	struct proc_killer k = proc_leaf_killer(p);

	if (p->main.pid > 0)
		(void) proc_kill(&k, -p->main.pid, SIGKILL);
}

void proc_leaf_signal(struct proc_leaf *p, int signo)
{
	struct proc_killer k = proc_leaf_killer(p);
	struct err e = { 0 };
	int r;

	if (p->main.pid <= 0)
		return;
	/* Its session and group are its own since before the hold (setsid). */
	r = proc_kill(&k, -p->main.pid, signo);
	if (r < 0)
		r = proc_kill(&k, p->main.pid, signo);
	if (r < 0 && r != -ESRCH)
		proc_leaf_notice(p, "signal", "a signal could not be sent to the workload",
			OPENSHELL__EVENT__SEVERITY__MEDIUM);
	if (signo != SIGTERM && signo != SIGINT && signo != SIGQUIT && signo != SIGHUP)
		return;
	if (!p->grace && loop_timer_new(p->loop, on_grace_over, p, &p->grace, &e) < 0)
		return;
	if (signo == SIGTERM)
		(void) loop_timer_start(p->grace, PROC_GRACE_MS);
}

static void main_ended(struct proc_leaf *p, int status)
{
	struct err e = { 0 };

	look_at_failure(p);
	p->main.pid = 0;
	if (p->grace)
		loop_timer_stop(p->grace);
	/* The end of the main process is the end of the sandbox. */
	if (proc_leaf_kill_workload(p, &e) < 0)
		proc_leaf_notice(p, "end", e.text, OPENSHELL__EVENT__SEVERITY__HIGH);
	if (p->state == PROC_RUNNING_S || p->state == PROC_HELD)
		proc_leaf_tell_exit(p, status);
	p->state = PROC_ENDED;
}

void proc_leaf_reap(struct proc_leaf *p)
{
	pid_t pid;
	int status;

	while ((pid = waitpid(-1, &status, WNOHANG)) > 0) {
		if (pid == p->main.pid) {
			main_ended(p, status);
		} else if (proc_leaf_reap_shells(p, pid, status)) {
			continue;
		} else if (p->worker && pid == proc_worker_pid(p->worker)) {
			proc_leaf_worker_died(p);
			proc_leaf_notice(p, "identity",
				"the identity worker died; callers can't be identified, so egress "
				"is closed until the sandbox is started again",
				OPENSHELL__EVENT__SEVERITY__HIGH);
		} else if (p->monitor && pid == proc_monitor_pid(p->monitor)) {
			proc_leaf_monitor_died(p);
		}
	}
}
