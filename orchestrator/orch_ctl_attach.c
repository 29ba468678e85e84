/* orch_ctl_attach.c - ctl attach: a client of the main session, with our streams. */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "core_channel.h"
#include "core_log.h"
#include "ipc_ctl.h"
#include "ipc_session.h"
#include "ipc_session.pb-c.h"
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
	struct channel *channel;
	uint32_t state;
	struct orch_side in;
	struct loop_timer *soon; /* an input that is always ready */
	size_t untaken;		 /* bytes of input on their way */
	struct output out[2];
	struct loop_signal *signals[N_WATCHED];
	bool stdin_is_terminal; /* asked at the start: one that is gone says no */
	bool terminal, writable, over;
	int status;
	struct err why;
};

static void tell(struct client *c, uint16_t number, const ProtobufCMessage *m)
{
	struct err ignored = { 0 };

	(void) channel_send(c->channel, number, 0, m, &ignored); /* its end is seen elsewhere */
}

/* ---- output ---- */

static void stop_if_done(struct client *c)
{
	if (c->over && c->out[0].len == 0 && c->out[1].len == 0)
		loop_stop(c->loop);
}

static void flush(struct output *o)
{
	Openshell__Ipc__SessionTaken m = OPENSHELL__IPC__SESSION_TAKEN__INIT;

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
		m.bytes += (uint32_t) n;
	}
	orch_side_watch(&o->side, o->len ? LOOP_WRITE : 0);
	if (o->len == 0)
		o->start = 0;
	if (m.bytes)
		tell(o->client, SESSION_TAKEN, &m.base);
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
	bool may = c->in.fd >= 0 && c->writable &&
		c->untaken + SESSION_CHUNK_MAX <= SESSION_INPUT_BYTES;

	if (c->in.fd < 0)
		return;
	orch_side_watch(&c->in, may ? LOOP_READ : 0);
	if (may && !c->in.waits)
		(void) loop_timer_start(c->soon, 0);
}

static void read_input(struct client *c)
{
	Openshell__Ipc__SessionBytes m = OPENSHELL__IPC__SESSION_BYTES__INIT;
	char bytes[SESSION_CHUNK_MAX];
	ssize_t n = orch_side_read(&c->in, bytes, sizeof bytes);

	if (n > 0) {
		m.data.data = (uint8_t *) bytes;
		m.data.len = (size_t) n;
		c->untaken += (size_t) n;
		tell(c, SESSION_INPUT, &m.base);
	} else if (n == 0 || !orch_side_is_later(errno)) {
		orch_side_done(&c->in);
		tell(c, SESSION_EOF, NULL);
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

/* ---- messages ---- */

static int on_SESSION_OPENED(void *owner, const struct channel_msg *m, int *fds, struct err *e)
{
	struct client *c = owner;
	ProtobufCMessage *base;

	(void) fds;
	if (channel_unpack(m, &openshell__ipc__session_opened__descriptor, &base, e) < 0)
		return -e->code;
	c->terminal = ((Openshell__Ipc__SessionOpened *) base)->terminal;
	c->writable = ((Openshell__Ipc__SessionOpened *) base)->writable;
	protobuf_c_message_free_unpacked(base, NULL);
	c->state = SESSION_OPEN_S;
	watch_input(c);
	return c->terminal && c->writable ? orch_terminal_raw(STDIN_FILENO, e) : 0;
}

static int on_SESSION_OUTPUT(void *owner, const struct channel_msg *m, int *fds, struct err *e)
{
	struct client *c = owner;
	Openshell__Ipc__SessionBytes *b;
	ProtobufCMessage *base;
	int r;

	(void) fds;
	if (channel_unpack(m, &openshell__ipc__session_bytes__descriptor, &base, e) < 0)
		return -e->code;
	b = (Openshell__Ipc__SessionBytes *) base;
	r = take(&c->out[b->stream == 2 ? 1 : 0], b->data.data, b->data.len, e);
	protobuf_c_message_free_unpacked(base, NULL);
	return r;
}

static void say(const char *text)
{
	if (orch_terminal_is_raw()) /* a line needs its carriage return then */
		(void) !write(STDERR_FILENO, "\r", 1);
	log_line(LOG_LEVEL_ERROR, "%s", text);
	if (orch_terminal_is_raw())
		(void) !write(STDERR_FILENO, "\r", 1);
}

static int on_SESSION_NOTICE(void *owner, const struct channel_msg *m, int *fds, struct err *e)
{
	ProtobufCMessage *base;

	(void) owner;
	(void) fds;
	if (channel_unpack(m, &openshell__ipc__session_notice__descriptor, &base, e) < 0)
		return -e->code;
	say(((Openshell__Ipc__SessionNotice *) base)->text);
	protobuf_c_message_free_unpacked(base, NULL);
	return 0;
}

static int on_SESSION_ROOM(void *owner, const struct channel_msg *m, int *fds, struct err *e)
{
	struct client *c = owner;
	ProtobufCMessage *base;
	uint32_t n;

	(void) fds;
	if (channel_unpack(m, &openshell__ipc__session_taken__descriptor, &base, e) < 0)
		return -e->code;
	n = ((Openshell__Ipc__SessionTaken *) base)->bytes;
	protobuf_c_message_free_unpacked(base, NULL);
	c->untaken -= n < c->untaken ? n : c->untaken;
	watch_input(c);
	return 0;
}

static int on_SESSION_EXIT(void *owner, const struct channel_msg *m, int *fds, struct err *e)
{
	struct client *c = owner;
	Openshell__Ipc__SessionExit *x;
	ProtobufCMessage *base;

	(void) fds;
	if (channel_unpack(m, &openshell__ipc__session_exit__descriptor, &base, e) < 0)
		return -e->code;
	x = (Openshell__Ipc__SessionExit *) base;
	c->status = x->detached ? 0 : (int) (x->code & 255);
	c->over = true;
	if (x->detached) {
		orch_terminal_restore();
		(void) !write(STDERR_FILENO, "\n", 1);
		say("detached; the command goes on");
	}
	protobuf_c_message_free_unpacked(base, NULL);
	stop_if_done(c);
	return 0;
}

#define X(n, num, lo, hi, fds, st) { #n, (num), (lo), (hi), (fds), (st), on_##n },
static const struct channel_rule client_rules[] = { SESSION_ANSWERS(X){ 0 } };
#undef X

static void on_end(void *owner, const struct err *why)
{
	struct client *c = owner;

	if (c->over)
		return;
	(void) err_set(&c->why, why->code ? why->code : EPIPE, "%s",
		why->code ? why->text : "the sandbox has ended");
	loop_stop(c->loop);
}

/* ---- signals ---- */

static void resize(struct client *c)
{
	Openshell__Ipc__SessionResize m = OPENSHELL__IPC__SESSION_RESIZE__INIT;
	struct orch_terminal_size size = orch_terminal_size(STDIN_FILENO);

	m.rows = size.rows;
	m.columns = size.columns;
	if (c->state == SESSION_OPEN_S && size.rows && size.columns)
		tell(c, SESSION_RESIZE, &m.base);
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

static int prepare(struct client *c, const struct orch_ctl *ctl, struct err *e)
{
	const struct channel_user user = { client_rules, &c->state, on_end, c };
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
	if (orch_ctl_ask(c->loop, ctl->path, CTL_ATTACH, &fd, e) < 0)
		return -e->code;
	return channel_open(c->loop, fd, &user, &c->channel, e);
}

static int open_session(struct client *c, const struct orch_ctl *ctl, struct err *e)
{
	Openshell__Ipc__SessionOpen m = OPENSHELL__IPC__SESSION_OPEN__INIT;
	struct orch_terminal_size size = orch_terminal_size(STDIN_FILENO);

	m.read_only = ctl->read_only;
	m.rows = size.rows;
	m.columns = size.columns;
	return channel_send(c->channel, SESSION_OPEN, 0, &m.base, e);
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
	channel_free(c->channel);
}

int orch_ctl_attach(struct loop *l, const struct orch_ctl *ctl, struct err *e)
{
	AUTO_FREE struct client *c = calloc(1, sizeof *c);
	int r;

	if (!c)
		return err_set(e, ENOMEM, "out of memory");
	c->loop = l;
	c->state = SESSION_NEW;
	r = prepare(c, ctl, e);
	if (r == 0)
		r = open_session(c, ctl, e);
	if (r == 0)
		r = loop_run(l, e);
	done(c);
	if (r < 0 || c->over)
		return r < 0 ? r : c->status;
	return c->why.code ? err_set(e, c->why.code, "%s", c->why.text) : 1;
}
