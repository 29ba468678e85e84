/* orch_ctl_exec.c - ctl exec and ctl shell: a process in the sandbox whose streams are ours. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "core_channel.h"
#include "core_fd.h"
#include "core_log.h"
#include "ipc_ctl.h"
#include "ipc_shell.h"
#include "ipc_shell.pb-c.h"
#include "orch_ctl.h"
#include "orch_limits.h"
#include "orch_relay.h"
#include "orch_terminal.h"

#define JOB 1u
#define END_OF_TRANSMISSION "\004"
#define VARS_MAX 64

static const int watched[] = { SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGWINCH, SIGCONT, SIGTSTP };
#define N_WATCHED (sizeof watched / sizeof *watched)

struct exec;

struct stream {
	struct exec *exec;
	struct orch_relay *relay;
	bool out;
	bool over;
};

struct exec {
	struct loop *loop;
	struct channel *channel;
	uint32_t state;
	struct stream streams[3];
	struct loop_signal *signals[N_WATCHED];
	struct loop_timer *drain;
	int master;		/* -1: pipes */
	bool stdin_is_terminal; /* asked at the start: one that is gone says no */
	bool tty, ended;
	int stopped_by; /* a signal that we were told to end by */
	int status;	/* -1: not known */
	struct err why;
};

static void tell(struct exec *x, uint16_t number, const ProtobufCMessage *m)
{
	struct err ignored = { 0 };

	(void) channel_send(x->channel, number, JOB, m, &ignored); /* its end is seen elsewhere */
}

static bool is_over(const struct stream *st)
{
	return !st->relay || st->over;
}

static void stop_if_done(struct exec *x)
{
	if (x->ended && is_over(&x->streams[1]) && is_over(&x->streams[2]))
		loop_stop(x->loop);
}

static void on_relay_end(void *owner, enum orch_relay_end why)
{
	struct stream *st = owner;
	struct exec *x = st->exec;

	st->over = true;
	if (x->tty) /* the ends of a terminal are duplicates */
		orch_relay_retire(st->relay);
	else
		orch_relay_free(TAKE_PTR(st->relay));
	if (st->out) {
		stop_if_done(x);
		return;
	}
	if (!x->tty || why == ORCH_RELAY_CLOSED)
		return;
	if (x->stdin_is_terminal) /* raw mode has no end-of-input key: this is a hang-up */
		tell(x, SHELL_HANGUP, NULL);
	else
		(void) !write(x->master, END_OF_TRANSMISSION, 1);
}

/* i is 0 to 2; take_fd is the other end of that stream. */
static int relay(struct exec *x, int i, int take_fd, struct err *e)
{
	AUTO_CLOSE int theirs = take_fd, ours = -1;
	struct stream *st = &x->streams[i];

	st->exec = x;
	st->out = i > 0;
	if (theirs < 0)
		return err_set(e, errno, "relay a stream: %s", strerror(errno));
	if (orch_relay_reopen(i, i > 0, &ours, e) < 0)
		return -e->code;
	if (i == 0)
		return orch_relay_new(
			x->loop, TAKE_FD(ours), TAKE_FD(theirs), on_relay_end, st, &st->relay, e);
	return orch_relay_new(
		x->loop, TAKE_FD(theirs), TAKE_FD(ours), on_relay_end, st, &st->relay, e);
}

static int on_SHELL_STARTED(void *owner, const struct channel_msg *m, int *fds, struct err *e)
{
	struct exec *x = owner;

	(void) m;
	for (int i = 0; i < 3; i++)
		if (relay(x, i, TAKE_FD(fds[i]), e) < 0)
			return -e->code;
	return 0;
}

static int on_SHELL_STARTED_TTY(void *owner, const struct channel_msg *m, int *fds, struct err *e)
{
	struct exec *x = owner;

	(void) m;
	x->master = TAKE_FD(fds[0]);
	if (fd_set_nonblock(x->master, e) < 0 ||
		relay(x, 0, fcntl(x->master, F_DUPFD_CLOEXEC, 3), e) < 0 ||
		relay(x, 1, fcntl(x->master, F_DUPFD_CLOEXEC, 3), e) < 0)
		return -e->code;
	return orch_terminal_raw(STDIN_FILENO, e);
}

static int on_SHELL_REFUSED(void *owner, const struct channel_msg *m, int *fds, struct err *e)
{
	struct exec *x = owner;
	ProtobufCMessage *base;

	(void) fds;
	if (channel_unpack(m, &openshell__ipc__shell_refused__descriptor, &base, e) < 0)
		return -e->code;
	(void) err_set(&x->why, EPERM, "%s", ((Openshell__Ipc__ShellRefused *) base)->text);
	protobuf_c_message_free_unpacked(base, NULL);
	loop_stop(x->loop);
	return 0;
}

static int on_SHELL_ENDED(void *owner, const struct channel_msg *m, int *fds, struct err *e)
{
	struct exec *x = owner;
	Openshell__Ipc__ShellEnded *end;
	ProtobufCMessage *base;

	(void) fds;
	if (channel_unpack(m, &openshell__ipc__shell_ended__descriptor, &base, e) < 0)
		return -e->code;
	end = (Openshell__Ipc__ShellEnded *) base;
	x->status = (int) (end->signalled ? 128 + (end->code & 127) : end->code & 255);
	if (end->text[0])
		(void) err_set(&x->why, EPERM, "%s", end->text);
	protobuf_c_message_free_unpacked(base, NULL);
	x->ended = true;
	/* A grandchild in the background may hold the other end for ever. */
	(void) loop_timer_start(x->drain, ORCH_CTL_DRAIN_MS);
	stop_if_done(x);
	return 0;
}

static int unexpected(void *owner, const struct channel_msg *m, int *fds, struct err *e)
{
	(void) owner;
	(void) fds;
	return err_set(e, EPROTO, "%s, which nobody asked for", m->name);
}
#define on_SHELL_DIALLED unexpected
#define on_SHELL_ATTACHED unexpected

#define X(n, num, lo, hi, fds, st) { #n, (num), (lo), (hi), (fds), (st), on_##n },
static const struct channel_rule exec_rules[] = { SHELL_ANSWERS(X){ 0 } };
#undef X

static void on_end(void *owner, const struct err *why)
{
	struct exec *x = owner;

	if (x->ended)
		return;
	(void) err_set(&x->why, why->code ? why->code : EPIPE, "%s",
		why->code ? why->text : "the sandbox has ended");
	loop_stop(x->loop);
}

static void on_drained(void *owner)
{
	struct exec *x = owner;

	loop_stop(x->loop);
}

static void resize(struct exec *x)
{
	Openshell__Ipc__ShellResize m = OPENSHELL__IPC__SHELL_RESIZE__INIT;
	struct orch_terminal_size size = orch_terminal_size(STDIN_FILENO);

	m.rows = size.rows;
	m.columns = size.columns;
	if (x->tty && size.rows && size.columns)
		tell(x, SHELL_RESIZE, &m.base);
}

/* The first one is passed on, to a terminal's owner as a hang-up; the second one ends us. */
static void end_by_signal(struct exec *x, int signo)
{
	Openshell__Ipc__ShellSignal m = OPENSHELL__IPC__SHELL_SIGNAL__INIT;

	if (x->stopped_by) {
		loop_stop(x->loop);
		return;
	}
	x->stopped_by = signo;
	m.signo = (uint32_t) signo;
	if (x->tty)
		tell(x, SHELL_HANGUP, NULL);
	else
		tell(x, SHELL_SIGNAL, &m.base);
}

static void on_signal(void *owner, int signo)
{
	struct exec *x = owner;

	switch (signo) {
	case SIGWINCH:
		resize(x);
		break;
	case SIGCONT:
		orch_terminal_again();
		resize(x);
		break;
	case SIGTSTP:
		orch_terminal_pause();
		(void) raise(SIGSTOP);
		break;
	default:
		end_by_signal(x, signo);
		break;
	}
}

static size_t offer_vars(Openshell__Ipc__ShellVar *vars, Openshell__Ipc__ShellVar **list)
{
	static const char *const names[] = { "LANG", "LANGUAGE", "LC_ALL", "LC_CTYPE", "LC_COLLATE",
		"LC_MESSAGES", "LC_NUMERIC", "LC_TIME", "COLORTERM", "NO_COLOR" };
	size_t n = 0;

	for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
		const char *value = getenv(names[i]);

		if (!value || !*value || strlen(value) > 256)
			continue;
		openshell__ipc__shell_var__init(&vars[n]);
		vars[n].name = (char *) (uintptr_t) names[i];
		vars[n].value = (char *) (uintptr_t) value;
		list[n] = &vars[n];
		n++;
	}
	return n;
}

static int send_start(struct exec *x, const struct orch_ctl *c, struct err *e)
{
	Openshell__Ipc__ShellStart m = OPENSHELL__IPC__SHELL_START__INIT;
	Openshell__Ipc__ShellVar vars[VARS_MAX], *list[VARS_MAX];
	struct orch_terminal_size size = orch_terminal_size(STDIN_FILENO);
	uint32_t modes[MODES_LEN];
	size_t bytes = 0;

	m.kind = c->command ? OPENSHELL__IPC__SHELL_KIND__ARGV : OPENSHELL__IPC__SHELL_KIND__SHELL;
	m.argv = c->command;
	while (c->command && c->command[m.n_argv])
		bytes += strlen(c->command[m.n_argv++]) + 1;
	if (bytes > SHELL_COMMAND_BYTES_MAX || m.n_argv > ORCH_COMMAND_WORDS_MAX)
		return err_set(e, E2BIG,
			"the command has %zu words and %zu bytes; at most %d and %d are passed on: "
			"put long input in a file",
			m.n_argv, bytes, ORCH_COMMAND_WORDS_MAX, SHELL_COMMAND_BYTES_MAX);
	m.tty = c->tty;
	m.rows = size.rows;
	m.columns = size.columns;
	m.modes = modes;
	m.n_modes = c->tty ? orch_terminal_modes(STDIN_FILENO, modes) : 0;
	m.env = list;
	m.n_env = offer_vars(vars, list);
	if (getenv("TERM") && strlen(getenv("TERM")) <= 64)
		m.term = getenv("TERM");
	return channel_send(x->channel, SHELL_START, JOB, &m.base, e);
}

static int prepare(struct exec *x, const struct orch_ctl *c, struct err *e)
{
	const struct channel_user user = { exec_rules, &x->state, on_end, x };
	int fd;

	for (size_t i = 0; i < N_WATCHED; i++)
		if (loop_signal_new(x->loop, watched[i], on_signal, x, &x->signals[i], e) < 0)
			return -e->code;
	if (orch_ctl_ask(x->loop, c->path, CTL_SHELL, &fd, e) < 0 ||
		channel_open(x->loop, fd, &user, &x->channel, e) < 0 ||
		loop_timer_new(x->loop, on_drained, x, &x->drain, e) < 0)
		return -e->code;
	return send_start(x, c, e);
}

static void done(struct exec *x)
{
	orch_terminal_restore();
	for (int i = 0; i < 3; i++)
		orch_relay_free(x->streams[i].relay);
	for (size_t i = 0; i < N_WATCHED; i++)
		loop_signal_free(x->signals[i]);
	loop_timer_free(x->drain);
	channel_free(x->channel);
	core_closep(&x->master);
}

static int outcome(const struct exec *x, struct err *e)
{
	if (x->ended) {
		if (x->why.code)
			(void) log_fatal(&x->why);
		return x->status;
	}
	if (x->stopped_by)
		return 128 + x->stopped_by;
	return err_set(e, x->why.code ? x->why.code : EIO, "%s", x->why.text);
}

int orch_ctl_exec(struct loop *l, const struct orch_ctl *c, struct err *e)
{
	struct exec x = {
		.loop = l, .state = SHELL_OPEN, .tty = c->tty, .master = -1, .status = -1
	};
	int r;

	x.stdin_is_terminal = isatty(STDIN_FILENO);
	r = prepare(&x, c, e);
	if (r == 0)
		r = loop_run(l, e);
	done(&x);
	return r < 0 ? r : outcome(&x, e);
}
