/* orch_ctl_attach.c - ctl attach: a client of the main session, with our streams. */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "core_attach.h"
#include "core_log.h"
#include "ipc_ctl.h"
#include "ipc_session.h"
#include "orch_ctl.h"
#include "orch_relay.h"
#include "orch_side.h"
#include "orch_terminal.h"

static const int watched[] = { SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGWINCH, SIGCONT, SIGTSTP };
#define N_WATCHED (sizeof watched / sizeof *watched)

struct client;

struct output { /* what has come and is not written yet: at most the window */
	struct client *client;
	struct orch_side side;
	size_t start, len;
	char bytes[SESSION_WINDOW_BYTES];
};

struct client {
	struct loop *loop;
	struct attach_client main;
	struct orch_side in;
	struct loop_timer *soon; /* an input that is always ready */
	struct output out[2];
	struct loop_signal *signals[N_WATCHED];
	bool stdin_is_terminal; /* asked at the start: one that is gone says no */
	bool over;
	int status;
	struct err why;
};

/* ---- output ---- */

static void stop_if_done(struct client *c)
{
	if (c->over && c->out[0].len == 0 && c->out[1].len == 0)
		loop_stop(c->loop);
}

static void flush(struct output *o)
{
	size_t taken = 0;

	while (o->len > 0) {
		ssize_t n = orch_side_write(&o->side, o->bytes + o->start, o->len);

		if (n < 0 && orch_side_is_later(errno))
			break;
		if (n < 0) { /* nobody reads us any more */
			loop_stop(o->client->loop);
			return;
		}
		o->start += (size_t) n;
		o->len -= (size_t) n;
		taken += (size_t) n;
	}
	orch_side_watch(&o->side, o->len ? LOOP_WRITE : 0);
	if (o->len == 0)
		o->start = 0;
	if (taken)
		attach_client_taken(&o->client->main, taken);
	stop_if_done(o->client);
}

static void on_writable(void *owner, int fd, unsigned ready)
{
	(void) fd;
	(void) ready;
	flush(owner);
}

static int take(struct output *o, const uint8_t *bytes, size_t len, struct err *e)
{
	if (o->len + len > sizeof o->bytes)
		return err_set(e, EMSGSIZE, "more output than the window");
	if (o->start + o->len + len > sizeof o->bytes) {
		(void) memmove(o->bytes, o->bytes + o->start, o->len);
		o->start = 0;
	}
	(void) memcpy(o->bytes + o->start + o->len, bytes, len);
	o->len += len;
	flush(o);
	return 0;
}

/* ---- input ---- */

static void watch_input(struct client *c)
{
	bool may = attach_client_may_send(&c->main);

	if (c->in.fd < 0)
		return;
	orch_side_watch(&c->in, may ? LOOP_READ : 0);
	if (may && !c->in.waits)
		(void) loop_timer_start(c->soon, 0);
}

static void read_input(struct client *c)
{
	char bytes[SESSION_CHUNK_MAX];
	ssize_t n = orch_side_read(&c->in, bytes, sizeof bytes);

	if (n > 0) {
		attach_client_input(&c->main, bytes, (size_t) n);
	} else if (n == 0 || !orch_side_is_later(errno)) {
		orch_side_done(&c->in);
		attach_client_eof(&c->main);
		if (c->stdin_is_terminal) /* the terminal has gone away */
			loop_stop(c->loop);
	}
	watch_input(c);
}

static void on_readable(void *owner, int fd, unsigned ready)
{
	(void) fd;
	(void) ready;
	read_input(owner);
}

static void on_soon(void *owner)
{
	struct client *c = owner;

	if (c->in.fd >= 0)
		read_input(c);
}

/* ---- what the session says ---- */

static int on_opened(void *owner, bool terminal, bool writable, struct err *e)
{
	watch_input(owner);
	return terminal && writable ? orch_terminal_raw(STDIN_FILENO, e) : 0;
}

static int on_output(void *owner, bool is_stderr, const uint8_t *bytes, size_t len, struct err *e)
{
	struct client *c = owner;

	return take(&c->out[is_stderr], bytes, len, e);
}

static void say(const char *text)
{
	if (orch_terminal_is_raw()) /* a line needs its carriage return then */
		(void) !write(STDERR_FILENO, "\r", 1);
	log_line(LOG_LEVEL_ERROR, "%s", text);
	if (orch_terminal_is_raw())
		(void) !write(STDERR_FILENO, "\r", 1);
}

static void on_notice(void *owner, const char *text)
{
	(void) owner;
	say(text);
}

static void on_room(void *owner)
{
	watch_input(owner);
}

static void on_exited(void *owner, bool detached, uint32_t code)
{
	struct client *c = owner;

	c->status = detached ? 0 : (int) (code & 255);
	c->over = true;
	if (detached) {
		orch_terminal_restore();
		(void) !write(STDERR_FILENO, "\n", 1);
		say("detached; the command goes on");
	}
	stop_if_done(c);
}

static void on_ended(void *owner, const struct err *why)
{
	struct client *c = owner;

	if (c->over)
		return;
	(void) err_set(&c->why, why->code ? why->code : EPIPE, "%s",
		why->code ? why->text : "the sandbox has ended");
	loop_stop(c->loop);
}

static const struct attach_client_calls calls = { .opened = on_opened,
	.output = on_output,
	.notice = on_notice,
	.room = on_room,
	.exited = on_exited,
	.ended = on_ended };

/* ---- signals ---- */

static void resize(struct client *c)
{
	struct orch_terminal_size size = orch_terminal_size(STDIN_FILENO);

	if (size.rows && size.columns)
		attach_client_resize(&c->main, size.rows, size.columns);
}

static void on_signal(void *owner, int signo)
{
	struct client *c = owner;

	switch (signo) {
	case SIGWINCH:
		resize(c);
		break;
	case SIGCONT:
		orch_terminal_again();
		resize(c);
		break;
	case SIGTSTP:
		orch_terminal_pause();
		(void) raise(SIGSTOP);
		break;
	default: /* this client ends, the main process does not */
		c->status = 128 + signo;
		c->over = true;
		loop_stop(c->loop);
		break;
	}
}

/* ---- life ---- */

static int open_output(struct client *c, int i, struct err *e)
{
	int fd;

	c->out[i].client = c;
	c->out[i].side.fd = -1;
	if (orch_relay_reopen(i + 1, true, &fd, e) < 0)
		return -e->code;
	return orch_side_init(&c->out[i].side, c->loop, fd, on_writable, &c->out[i], e);
}

static int prepare(struct client *c, struct err *e)
{
	int fd;

	c->in.fd = c->out[1].side.fd = -1;
	c->stdin_is_terminal = isatty(STDIN_FILENO);
	if (open_output(c, 0, e) < 0 || open_output(c, 1, e) < 0 ||
		orch_relay_reopen(STDIN_FILENO, false, &fd, e) < 0 ||
		orch_side_init(&c->in, c->loop, fd, on_readable, c, e) < 0 ||
		loop_timer_new(c->loop, on_soon, c, &c->soon, e) < 0)
		return -e->code;
	for (size_t i = 0; i < N_WATCHED; i++)
		if (loop_signal_new(c->loop, watched[i], on_signal, c, &c->signals[i], e) < 0)
			return -e->code;
	return 0;
}

static int open_session(struct client *c, const struct orch_ctl *ctl, struct err *e)
{
	struct orch_terminal_size size = orch_terminal_size(STDIN_FILENO);
	const struct attach_open open = { ctl->read_only, size.rows, size.columns };
	int fd;

	if (orch_ctl_ask(c->loop, ctl->path, CTL_ATTACH, &fd, e) < 0)
		return -e->code;
	c->main.calls = &calls;
	c->main.owner = c;
	return attach_client_init(&c->main, c->loop, fd, &open, e);
}

static void done(struct client *c)
{
	orch_terminal_restore();
	orch_side_done(&c->in);
	for (int i = 0; i < 2; i++)
		orch_side_done(&c->out[i].side);
	for (size_t i = 0; i < N_WATCHED; i++)
		loop_signal_free(c->signals[i]);
	loop_timer_free(c->soon);
	attach_client_done(&c->main);
}

int orch_ctl_attach(struct loop *l, const struct orch_ctl *ctl, struct err *e)
{
	AUTO_FREE struct client *c = calloc(1, sizeof *c);
	int r;

	if (!c)
		return err_set(e, ENOMEM, "out of memory");
	c->loop = l;
	r = prepare(c, e);
	if (r == 0)
		r = open_session(c, ctl, e);
	if (r == 0)
		r = loop_run(l, e);
	done(c);
	if (r < 0 || c->over)
		return r < 0 ? r : c->status;
	return c->why.code ? err_set(e, c->why.code, "%s", c->why.text) : 1;
}
