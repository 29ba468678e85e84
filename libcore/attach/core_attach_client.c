#include "core_attach.h"
#include "ipc_session.h"
#include "ipc_session.pb-c.h"

#define STDERR 2 /* SessionBytes.stream */

static void tell(struct attach_client *c, uint16_t number, const ProtobufCMessage *m)
{
	struct err ignored = { 0 };

	if (c->channel)
		(void) channel_send(c->channel, number, 0, m, &ignored); /* its end is told */
}

static int on_SESSION_OPENED(void *owner, const struct channel_msg *m, int *fds, struct err *e)
{
	struct attach_client *c = owner;
	ProtobufCMessage *base;
	bool terminal;

	(void) fds;
	if (channel_unpack(m, &openshell__ipc__session_opened__descriptor, &base, e) < 0)
		return -e->code;
	terminal = ((Openshell__Ipc__SessionOpened *) base)->terminal;
	c->writable = ((Openshell__Ipc__SessionOpened *) base)->writable;
	protobuf_c_message_free_unpacked(base, NULL);
	c->state = SESSION_OPEN_S;
	return c->calls->opened(c->owner, terminal, c->writable, e);
}

static int on_SESSION_OUTPUT(void *owner, const struct channel_msg *m, int *fds, struct err *e)
{
	struct attach_client *c = owner;
	Openshell__Ipc__SessionBytes *b;
	ProtobufCMessage *base;
	int r;

	(void) fds;
	if (channel_unpack(m, &openshell__ipc__session_bytes__descriptor, &base, e) < 0)
		return -e->code;
	b = (Openshell__Ipc__SessionBytes *) base;
	r = c->calls->output(c->owner, b->stream == STDERR, b->data.data, b->data.len, e);
	protobuf_c_message_free_unpacked(base, NULL);
	return r;
}

static int on_SESSION_NOTICE(void *owner, const struct channel_msg *m, int *fds, struct err *e)
{
	struct attach_client *c = owner;
	ProtobufCMessage *base;

	(void) fds;
	if (channel_unpack(m, &openshell__ipc__session_notice__descriptor, &base, e) < 0)
		return -e->code;
	c->calls->notice(c->owner, ((Openshell__Ipc__SessionNotice *) base)->text);
	protobuf_c_message_free_unpacked(base, NULL);
	return 0;
}

static int on_SESSION_ROOM(void *owner, const struct channel_msg *m, int *fds, struct err *e)
{
	struct attach_client *c = owner;
	ProtobufCMessage *base;
	uint32_t n;

	(void) fds;
	if (channel_unpack(m, &openshell__ipc__session_taken__descriptor, &base, e) < 0)
		return -e->code;
	n = ((Openshell__Ipc__SessionTaken *) base)->bytes;
	protobuf_c_message_free_unpacked(base, NULL);
	/* Detach keys that turn out to be none count twice: what is held back is credited at once. */
	c->untaken -= n < c->untaken ? n : c->untaken;
	c->calls->room(c->owner);
	return 0;
}

static int on_SESSION_EXIT(void *owner, const struct channel_msg *m, int *fds, struct err *e)
{
	struct attach_client *c = owner;
	ProtobufCMessage *base;
	uint32_t code;
	bool detached;

	(void) fds;
	if (channel_unpack(m, &openshell__ipc__session_exit__descriptor, &base, e) < 0)
		return -e->code;
	detached = ((Openshell__Ipc__SessionExit *) base)->detached;
	code = ((Openshell__Ipc__SessionExit *) base)->code;
	protobuf_c_message_free_unpacked(base, NULL);
	c->calls->exited(c->owner, detached, code);
	return 0;
}

#define X(n, num, lo, hi, fds, st) { #n, (num), (lo), (hi), (fds), (st), on_##n },
static const struct channel_rule rules[] = { SESSION_ANSWERS(X){ 0 } };
#undef X

static void on_end(void *owner, const struct err *why)
{
	struct attach_client *c = owner;

	c->calls->ended(c->owner, why);
}

int attach_client_init(struct attach_client *c, struct loop *l, int take_fd,
	const struct attach_open *open, struct err *e)
{
	const struct channel_user user = { rules, &c->state, on_end, c };
	Openshell__Ipc__SessionOpen m = OPENSHELL__IPC__SESSION_OPEN__INIT;

	c->state = SESSION_NEW;
	if (channel_open(l, take_fd, &user, &c->channel, e) < 0)
		return -e->code;
	m.read_only = open->read_only;
	m.rows = open->rows;
	m.columns = open->columns;
	tell(c, SESSION_OPEN, &m.base);
	return 0;
}

void attach_client_done(struct attach_client *c)
{
	channel_free(c->channel);
	c->channel = NULL;
}

bool attach_client_is_open(const struct attach_client *c)
{
	return c->channel && c->state == SESSION_OPEN_S;
}

bool attach_client_may_send(const struct attach_client *c)
{
	return attach_client_is_open(c) && c->writable &&
		c->untaken + SESSION_CHUNK_MAX <= SESSION_INPUT_BYTES;
}

void attach_client_input(struct attach_client *c, const void *bytes, size_t len)
{
	Openshell__Ipc__SessionBytes m = OPENSHELL__IPC__SESSION_BYTES__INIT;

	m.data.data = (uint8_t *) (uintptr_t) bytes;
	m.data.len = len;
	c->untaken += len;
	tell(c, SESSION_INPUT, &m.base);
}

void attach_client_taken(struct attach_client *c, size_t len)
{
	Openshell__Ipc__SessionTaken m = OPENSHELL__IPC__SESSION_TAKEN__INIT;

	m.bytes = (uint32_t) len;
	tell(c, SESSION_TAKEN, &m.base);
}

void attach_client_eof(struct attach_client *c)
{
	if (attach_client_is_open(c))
		tell(c, SESSION_EOF, NULL);
}

void attach_client_resize(struct attach_client *c, uint32_t rows, uint32_t columns)
{
	Openshell__Ipc__SessionResize m = OPENSHELL__IPC__SESSION_RESIZE__INIT;

	m.rows = rows;
	m.columns = columns;
	if (attach_client_is_open(c))
		tell(c, SESSION_RESIZE, &m.base);
}

void attach_client_signal(struct attach_client *c, int signo)
{
	Openshell__Ipc__SessionSignal m = OPENSHELL__IPC__SESSION_SIGNAL__INIT;

	m.signo = (uint32_t) signo;
	if (attach_client_is_open(c))
		tell(c, SESSION_SIGNAL, &m.base);
}
