/* orch_run_end.c - signals, escalation, and the end of a sandbox. */
#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>
#include "orch_run_state.h"

static const int watched[] = { SIGTERM, SIGINT, SIGQUIT, SIGHUP, SIGUSR1, SIGUSR2, SIGWINCH,
	SIGCONT, SIGTSTP, SIGCHLD };

void orch_run_forward(struct orch_run *r, int signo)
{
	struct err e = { 0 };

	if (r->process && !r->process_gone)
		(void) orch_process_signal(r->process, signo, &e); /* its end is told otherwise */
}

/* The workload gets the signal and the grace period; a second one kills it. */
static void end_by_signal(struct orch_run *r, int signo)
{
	struct err e = { 0 };

	if (!r->released) {
		orch_run_finish(r, 128 + signo);
		return;
	}
	if (r->ending_signal) {
		orch_run_on_kill(r);
		return;
	}
	r->ending_signal = signo;
	orch_run_forward(r, signo);
	if (!r->kill && loop_timer_new(r->loop, orch_run_on_kill, r, &r->kill, &e) < 0)
		return;
	(void) loop_timer_start(r->kill, ORCH_GRACE_MS);
}

static void reap(struct orch_run *r)
{
	pid_t pid;
	int status;

	while ((pid = waitpid(-1, &status, WNOHANG)) > 0) {
		/* The process leaf is the janitor's child; its end is told by process_fd. */
		if (!orch_credentials_reaped(r->credentials, pid) && r->network)
			(void) orch_network_reaped(r->network, pid, status);
	}
}

static void on_signal(void *owner, int signo)
{
	struct orch_run *r = owner;

	switch (signo) {
	case SIGCHLD:
		reap(r);
		break;
	case SIGHUP:
		orch_run_reload(r);
		if (r->credentials && r->phase != ORCH_ENDING)
			orch_credentials_reload(r->credentials);
		break;
	case SIGWINCH:
		if (r->session)
			orch_session_resized(r->session);
		break;
	case SIGTSTP:
		orch_run_suspend(r);
		break;
	case SIGCONT:
		if (r->session)
			orch_session_continued(r->session);
		break;
	case SIGUSR1:
	case SIGUSR2:
		orch_run_forward(r, signo);
		break;
	default:
		end_by_signal(r, signo);
		break;
	}
}

int orch_run_signals(struct orch_run *r, struct err *e)
{
	for (size_t i = 0; i < sizeof watched / sizeof *watched; i++)
		if (loop_signal_new(r->loop, watched[i], on_signal, r, &r->signals[i], e) < 0)
			return -e->code;
	return loop_timer_new(r->loop, orch_run_on_stop, r, &r->stop, e);
}

static void on_process_ended(void *owner, int fd, unsigned ready)
{
	struct orch_run *r = owner;

	(void) fd;
	(void) ready;
	loop_io_free(TAKE_PTR(r->process_end));
	(void) close(TAKE_FD(r->process_fd));
	r->process_gone = true;
	orch_run_stopped(r);
}

int orch_run_watch_process(struct orch_run *r, struct err *e)
{
	if (loop_io_new(r->loop, r->process_fd, on_process_ended, r, &r->process_end, e) < 0)
		return -e->code;
	return loop_io_watch(r->process_end, LOOP_READ) < 0
		? err_set(e, EIO, "watch the process leaf")
		: 0;
}

static bool is_drained(const struct orch_run *r)
{
	return (!r->stdio || orch_stdio_is_drained(r->stdio)) &&
		(!r->session || orch_session_is_drained(r->session));
}

/* Everything has ended, or has had its time. */
void orch_run_leave_if_done(struct orch_run *r)
{
	if (r->status >= 0 && r->process_gone && is_drained(r))
		loop_stop(r->loop);
}

static void on_drained(void *owner)
{
	orch_run_leave_if_done(owner);
}

void orch_run_finish(struct orch_run *r, int status)
{
	struct err e = { 0 };

	if (r->status < 0)
		r->status = status;
	if (r->phase == ORCH_ENDING)
		return;
	r->phase = ORCH_ENDING;
	if (r->network)
		orch_network_stop(r->network);
	if (!r->process || orch_process_stop(r->process, &e) < 0)
		r->process_gone = r->process_gone || r->process_fd < 0;
	if (r->stdio)
		orch_stdio_on_drained(r->stdio, on_drained, r);
	if (r->stop)
		(void) loop_timer_start(r->stop, ORCH_STOP_MS);
	if (r->session)
		orch_session_ended(r->session, r->status);
	if (r->stdio || r->session)
		orch_run_leave_if_done(r);
}

void orch_run_fail(struct orch_run *r, const struct err *why)
{
	if (r->status < 0)
		orch_console_say(&r->console, why->text);
	orch_run_finish(r, 1);
}

/* The channel or the program of the process leaf has ended. */
void orch_run_stopped(struct orch_run *r)
{
	if (r->phase != ORCH_ENDING) {
		orch_console_say(&r->console,
			"the process leaf ended unexpectedly; the workload is ended with it");
		r->process_gone = r->process_gone || r->process_fd < 0;
		orch_run_finish(r, 1);
	}
	orch_run_leave_if_done(r);
}

void orch_run_exited(struct orch_run *r, bool signalled, uint32_t code)
{
	int status = signalled ? 128 + (int) code : (int) code;

	orch_run_finish(r, r->timed_out ? 124 : status);
}

void orch_run_hung_up(void *owner)
{
	struct orch_run *r = owner;

	orch_run_forward(r, SIGHUP);
}

void orch_run_on_timeout(void *owner)
{
	struct orch_run *r = owner;
	struct err e = { 0 };

	r->timed_out = true;
	orch_events_notice(r->events, OPENSHELL__EVENT__SEVERITY__CRITICAL, "timeout",
		"the time of --timeout is over; the workload is ended");
	orch_run_forward(r, SIGTERM);
	if (!r->kill && loop_timer_new(r->loop, orch_run_on_kill, r, &r->kill, &e) < 0)
		return;
	(void) loop_timer_start(r->kill, ORCH_TIMEOUT_GRACE_MS);
}

void orch_run_on_kill(void *owner)
{
	struct orch_run *r = owner;

	orch_run_forward(r, SIGKILL);
	if (r->killed)
		return;
	r->killed = true;
	(void) loop_timer_start(r->stop, ORCH_KILL_WAIT_MS);
}

/* A leaf that does not end in time is ended; what is left of the workload is swept in orch_run(). */
void orch_run_on_stop(void *owner)
{
	struct orch_run *r = owner;

	if (r->status < 0)
		r->status = r->timed_out ? 124 : 137;
	if (r->process_fd >= 0)
		(void) syscall(SYS_pidfd_send_signal, r->process_fd, SIGKILL, NULL, 0);
	r->phase = ORCH_ENDING;
	loop_stop(r->loop);
}
