/* ssh_attach.c - the subsystem openshell-main: a client of the main session. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include "ipc_session.h"
#include "ipc_session.pb-c.h"
#include "ssh_state.h"

static void tell(struct ssh_chan *c, uint16_t number, const ProtobufCMessage *m)
{
	struct err ignored = { 0 };

	if (c->session)
		(void) channel_send(c->session, number, 0, m, &ignored); /* its end is seen */
}

void ssh_attach_input(struct ssh_chan *c)
{
	Openshell__Ipc__SessionBytes m = OPENSHELL__IPC__SESSION_BYTES__INIT;

	while (c->session_state == SESSION_OPEN_S && c->in_buf.len > 0 &&
		(!c->writable || c->untaken + SESSION_CHUNK_MAX <= SESSION_INPUT_BYTES)) {
		size_t len = c->in_buf.len;

		if (len > SESSION_CHUNK_MAX)
			len = SESSION_CHUNK_MAX;
		m.data.data = (uint8_t *) c->in_buf.at + c->in_buf.start;
		m.data.len = len;
		if (c->writable) {
			c->untaken += len;
			tell(c, SESSION_INPUT, &m.base);
		}
		ssh_buf_drop(&c->in_buf, len);
	}
}

void ssh_attach_taken(struct ssh_chan *c, size_t n)
{
	Openshell__Ipc__SessionTaken m = OPENSHELL__IPC__SESSION_TAKEN__INIT;

	m.bytes = (uint32_t) n;
	tell(c, SESSION_TAKEN, &m.base);
}

void ssh_attach_resize(struct ssh_chan *c)
{
	Openshell__Ipc__SessionResize m = OPENSHELL__IPC__SESSION_RESIZE__INIT;

	m.rows = c->rows;
	m.columns = c->columns;
	if (c->session_state == SESSION_OPEN_S)
		tell(c, SESSION_RESIZE, &m.base);
}

void ssh_attach_signal(struct ssh_chan *c, int signo)
{
	Openshell__Ipc__SessionSignal m = OPENSHELL__IPC__SESSION_SIGNAL__INIT;

	m.signo = (uint32_t) signo;
	if (c->session_state == SESSION_OPEN_S)
		tell(c, SESSION_SIGNAL, &m.base);
}

void ssh_attach_eof(struct ssh_chan *c)
{
	if (c->session_state == SESSION_OPEN_S)
		tell(c, SESSION_EOF, NULL);
}

static int on_SESSION_OPENED(void *owner, const struct channel_msg *m, int *fds, struct err *e)
{
	struct ssh_chan *c = owner;
	ProtobufCMessage *base;

	(void) fds;
	if (channel_unpack(m, &openshell__ipc__session_opened__descriptor, &base, e) < 0)
		return -e->code;
	c->writable = ((Openshell__Ipc__SessionOpened *) base)->writable;
	protobuf_c_message_free_unpacked(base, NULL);
	c->session_state = SESSION_OPEN_S;
	ssh_conn_kick(c->conn);
	return 0;
}

static int on_SESSION_OUTPUT(void *owner, const struct channel_msg *m, int *fds, struct err *e)
{
	struct ssh_chan *c = owner;
	Openshell__Ipc__SessionBytes *b;
	ProtobufCMessage *base;
	size_t taken;

	(void) fds;
	if (channel_unpack(m, &openshell__ipc__session_bytes__descriptor, &base, e) < 0)
		return -e->code;
	b = (Openshell__Ipc__SessionBytes *) base;
	taken = ssh_buf_add(&c->out[b->stream == 2 ? 1 : 0].buf, b->data.data, b->data.len);
	if (taken != b->data.len)
		(void) err_set(e, EMSGSIZE, "more output than the window");
	protobuf_c_message_free_unpacked(base, NULL);
	ssh_conn_kick(c->conn);
	return e->code ? -e->code : 0;
}

static int on_SESSION_NOTICE(void *owner, const struct channel_msg *m, int *fds, struct err *e)
{
	struct ssh_chan *c = owner;
	ProtobufCMessage *base;
	char text[256];

	(void) fds;
	if (channel_unpack(m, &openshell__ipc__session_notice__descriptor, &base, e) < 0)
		return -e->code;
	(void) snprintf(text, sizeof text, "openshell: %.200s\r\n",
		((Openshell__Ipc__SessionNotice *) base)->text);
	protobuf_c_message_free_unpacked(base, NULL);
	/* Not through the buffer, whose bytes are counted; lost when the window is shut. */
	if (ssh_channel_window_size(c->ch) > strlen(text))
		(void) ssh_channel_write_stderr(c->ch, text, (uint32_t) strlen(text));
	return 0;
}

static int on_SESSION_ROOM(void *owner, const struct channel_msg *m, int *fds, struct err *e)
{
	struct ssh_chan *c = owner;
	ProtobufCMessage *base;
	uint32_t n;

	(void) fds;
	if (channel_unpack(m, &openshell__ipc__session_taken__descriptor, &base, e) < 0)
		return -e->code;
	n = ((Openshell__Ipc__SessionTaken *) base)->bytes;
	protobuf_c_message_free_unpacked(base, NULL);
	c->untaken -= n < c->untaken ? n : c->untaken;
	ssh_conn_kick(c->conn);
	return 0;
}

static int on_SESSION_EXIT(void *owner, const struct channel_msg *m, int *fds, struct err *e)
{
	struct ssh_chan *c = owner;
	Openshell__Ipc__SessionExit *x;
	ProtobufCMessage *base;

	(void) fds;
	if (channel_unpack(m, &openshell__ipc__session_exit__descriptor, &base, e) < 0)
		return -e->code;
	x = (Openshell__Ipc__SessionExit *) base;
	ssh_chan_end(c, false, x->detached ? 0 : x->code, "");
	protobuf_c_message_free_unpacked(base, NULL);
	return 0;
}

#define X(n, num, lo, hi, fds, st) { #n, (num), (lo), (hi), (fds), (st), on_##n },
static const struct channel_rule attach_rules[] = { SESSION_ANSWERS(X){ 0 } };
#undef X

static void on_end(void *owner, const struct err *why)
{
	struct ssh_chan *c = owner;

	(void) why;
	if (!c->ended)
		ssh_chan_end(c, false, 126,
			"openshell: there is nothing to attach to; start the command with -i or "
			"--attachable");
}

int ssh_attach_open(struct ssh_chan *c, int take_fd, struct err *e)
{
	Openshell__Ipc__SessionOpen m = OPENSHELL__IPC__SESSION_OPEN__INIT;
	const struct channel_user user = { attach_rules, &c->session_state, on_end, c };
	struct err ignored = { 0 };

	c->session_state = SESSION_NEW;
	c->started = true;
	if (channel_open(c->conn->loop, take_fd, &user, &c->session, e) < 0)
		return -e->code;
	if (ssh_buf_reserve(&c->out[0].buf, SESSION_WINDOW_BYTES) < 0 ||
		ssh_buf_reserve(&c->out[1].buf, SESSION_WINDOW_BYTES) < 0)
		return err_set(e, ENOMEM, "out of memory");
	m.read_only = c->read_only;
	m.rows = c->tty ? c->rows : 0;
	m.columns = c->tty ? c->columns : 0;
	/* A peer that is gone already is noticed when the channel is read. */
	(void) channel_send(c->session, SESSION_OPEN, 0, &m.base, &ignored);
	return 0;
}
