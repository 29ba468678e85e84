/* orch_run_session.c - the main session, the control socket and SSH, as parts of a run. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include "orch_run_state.h"
#include "orch_terminal.h"

#define DISABLED "none"

/* ---- what the main session asks for ---- */

static void on_signal(void *owner, int signo)
{
	orch_run_forward(owner, signo);
}

static void on_hung_up(void *owner)
{
	orch_run_hung_up(owner);
}

static void on_drained(void *owner)
{
	orch_run_leave_if_done(owner);
}

static const struct orch_session_calls session_calls = {
	.signal = on_signal, .hung_up = on_hung_up, .drained = on_drained
};

int orch_run_streams(struct orch_run *r, struct err *e)
{
	bool session = r->o->tty || r->o->attachable || r->o->ssh_socket;

	if (!session) {
		if (orch_stdio_new(r->loop, &r->stdio, e) < 0)
			return -e->code;
		return orch_stdio_pipes(r->stdio, r->streams, e);
	}
	if (orch_session_new(r->loop, r->o->tty, &session_calls, r, &r->session, e) < 0)
		return -e->code;
	return r->o->tty ? 0 : orch_session_pipes(r->session, r->streams, e);
}

int orch_run_started(struct orch_run *r, int *master, struct err *e)
{
	if (r->stdio)
		orch_stdio_passed(r->stdio);
	if (r->session)
		orch_session_passed(r->session);
	if (*master < 0)
		return 0;
	if (!r->session)
		return err_set(e, EPROTO, "a terminal that nobody asked for");
	if (orch_session_terminal(r->session, TAKE_FD(*master), e) < 0)
		return -e->code;
	r->console.raw = orch_terminal_is_raw() && isatty(STDERR_FILENO);
	return 0;
}

/* ---- what a client of the control socket asks for ---- */

static int need_running(const struct orch_run *r, struct err *e)
{
	return r->phase == ORCH_RUNNING
		? 0
		: err_set(e, EAGAIN, "the sandbox is %s; its command is not running",
			  r->phase == ORCH_STARTING ? "still starting" : "ending");
}

static int give_shell(void *owner, int fd, struct err *e)
{
	struct orch_run *r = owner;

	if (need_running(r, e) < 0)
		return -e->code;
	return orch_process_lend(r->process, PROC_SHELL, fd, e);
}

static int attach(void *owner, int fd, struct err *e)
{
	struct orch_run *r = owner;
	int own;

	if (!r->session)
		return err_set(e, ENOTTY,
			"the command has the pipes and files that it was started with, so there is "
			"nothing to attach to; start it with -i or --attachable");
	own = fcntl(fd, F_DUPFD_CLOEXEC, 3);
	return own < 0 ? err_set(e, errno, "attach: %s", strerror(errno))
		       : orch_session_client(r->session, own, e);
}

static int send_ssh_program(struct orch_run *r, struct err *e)
{
	AUTO_CLOSE int fd = -1;
	AUTO_FREE char *path = NULL;

	if (r->ssh_program_sent)
		return 0;
	if (orch_run_find(r, ORCH_SSH_PROGRAM, &path, e) < 0)
		return -e->code;
	fd = open(path, O_PATH | O_CLOEXEC);
	if (fd < 0)
		return err_set(e, errno, "%s: %s", path, strerror(errno));
	if (orch_process_lend(r->process, PROC_SSH_PROGRAM, fd, e) < 0)
		return -e->code;
	r->ssh_program_sent = true;
	return 0;
}

static int give_ssh(void *owner, int fd, struct err *e)
{
	struct orch_run *r = owner;

	if (need_running(r, e) < 0 || send_ssh_program(r, e) < 0)
		return -e->code;
	return orch_process_lend(r->process, PROC_SSH_CONNECTION, fd, e);
}

static int netns(void *owner)
{
	struct orch_run *r = owner;

	return r->netns;
}

static const struct orch_ctl_calls ctl_calls = {
	.shell = give_shell, .ssh = give_ssh, .attach = attach, .netns = netns
};

/* An SSH client of the process leaf wants the main session. */
void orch_run_attach_main(struct orch_run *r, int *fd)
{
	struct err e = { 0 };

	if (r->session && orch_session_client(r->session, TAKE_FD(*fd), &e) < 0)
		orch_events_notice(
			r->events, OPENSHELL__EVENT__SEVERITY__MEDIUM, "session", e.text);
}

static int open_ctl(struct orch_run *r, struct err *e)
{
	const char *path = r->o->ctl_socket;
	struct err why = { 0 };

	if (path && strcmp(path, DISABLED) == 0)
		return 0;
	if (path)
		return orch_ctl_listen_at(path, SOCK_SEQPACKET, &r->ctl_socket, e);
	if (orch_ctl_listen(r->o->name ? r->o->name : r->tag, &r->ctl_socket, &why) == 0)
		return 0;
	if (r->o->name)
		return err_set(e, why.code, "%s", why.text);
	/* Nobody asked for it by name: the sandbox is as good without. */
	if (r->o->log_level >= LOG_LEVEL_INFO)
		orch_console_sayf(&r->console, "no control socket, so no ctl: %s", why.text);
	return 0;
}

/* Bound before the workload's namespaces are made, so that they cover it. */
int orch_run_doors(struct orch_run *r, struct err *e)
{
	if (open_ctl(r, e) < 0)
		return -e->code;
	if (r->ctl_socket.fd >= 0 &&
		orch_ctl_server_new(r->loop, &r->ctl_socket, &ctl_calls, r, &r->ctl, e) < 0)
		return -e->code;
	if (r->o->ssh_socket &&
		orch_ctl_listen_at(r->o->ssh_socket, SOCK_STREAM, &r->ssh_socket, e) < 0)
		return err_wrap(e, "--ssh-socket-path");
	return 0;
}

/* GAP-1: the process leaf has the listener before the main process exists. */
int orch_run_lend_ssh(struct orch_run *r, struct err *e)
{
	if (r->ssh_socket.fd < 0)
		return 0;
	if (send_ssh_program(r, e) < 0 ||
		orch_process_lend(r->process, PROC_SSH_LISTEN, r->ssh_socket.fd, e) < 0)
		return err_wrap(e, "--ssh-socket-path");
	return 0;
}

/* SIGTSTP: the terminal as it was, then really stop.  SIGCONT makes it raw again. */
void orch_run_suspend(struct orch_run *r)
{
	(void) r;
	orch_terminal_pause();
	(void) raise(SIGSTOP);
}
