#include <errno.h>
#include "core_attach.h"
#include "ipc_session.h"
#include "ipc_session.pb-c.h"

static int tell(struct attach_server *s, uint16_t number, const ProtobufCMessage *m)
{
	struct err ignored = { 0 };

	return channel_send(s->channel, number, 0, m, &ignored);
}

static int on_SESSION_OPEN(void *owner, const struct channel_msg *m, int *fds, struct err *e)
{
	struct attach_server *s = owner;
	Openshell__Ipc__SessionOpen *o;
	struct attach_open open;
	ProtobufCMessage *base;

	(void) fds;
	if (channel_unpack(m, &openshell__ipc__session_open__descriptor, &base, e) < 0)
		return -e->code;
	o = (Openshell__Ipc__SessionOpen *) base;
	open = (struct attach_open){ o->read_only, o->rows, o->columns };
	protobuf_c_message_free_unpacked(base, NULL);
	s->state = SESSION_OPEN_S;
	s->calls->open(s->owner, &open);
	return 0;
}

static int on_SESSION_INPUT(void *owner, const struct channel_msg *m, int *fds, struct err *e)
{
	struct attach_server *s = owner;
	Openshell__Ipc__SessionBytes *b;
	ProtobufCMessage *base;
	bool fits;

	(void) fds;
	if (channel_unpack(m, &openshell__ipc__session_bytes__descriptor, &base, e) < 0)
		return -e->code;
	b = (Openshell__Ipc__SessionBytes *) base;
	fits = b->data.len <= SESSION_CHUNK_MAX;
	if (fits)
		s->calls->input(s->owner, b->data.data, b->data.len);
	protobuf_c_message_free_unpacked(base, NULL);
	return fits ? 0 : err_set(e, EMSGSIZE, "input of more than %d bytes", SESSION_CHUNK_MAX);
}

static int on_SESSION_TAKEN(void *owner, const struct channel_msg *m, int *fds, struct err *e)
{
	struct attach_server *s = owner;
	ProtobufCMessage *base;
	uint32_t n;

	(void) fds;
	if (channel_unpack(m, &openshell__ipc__session_taken__descriptor, &base, e) < 0)
		return -e->code;
	n = ((Openshell__Ipc__SessionTaken *) base)->bytes;
	protobuf_c_message_free_unpacked(base, NULL);
	if (n > s->untaken)
		return err_set(e, EBADMSG, "more was taken than was sent");
	s->untaken -= n;
	s->calls->taken(s->owner);
	return 0;
}

static int on_SESSION_RESIZE(void *owner, const struct channel_msg *m, int *fds, struct err *e)
{
	struct attach_server *s = owner;
	uint32_t rows, columns;
	ProtobufCMessage *base;

	(void) fds;
	if (channel_unpack(m, &openshell__ipc__session_resize__descriptor, &base, e) < 0)
		return -e->code;
	rows = ((Openshell__Ipc__SessionResize *) base)->rows;
	columns = ((Openshell__Ipc__SessionResize *) base)->columns;
	protobuf_c_message_free_unpacked(base, NULL);
	s->calls->resize(s->owner, rows, columns);
	return 0;
}

static int on_SESSION_SIGNAL(void *owner, const struct channel_msg *m, int *fds, struct err *e)
{
	struct attach_server *s = owner;
	ProtobufCMessage *base;
	uint32_t signo;

	(void) fds;
	if (channel_unpack(m, &openshell__ipc__session_signal__descriptor, &base, e) < 0)
		return -e->code;
	signo = ((Openshell__Ipc__SessionSignal *) base)->signo;
	protobuf_c_message_free_unpacked(base, NULL);
	s->calls->signal(s->owner, signo);
	return 0;
}

static int on_SESSION_EOF(void *owner, const struct channel_msg *m, int *fds, struct err *e)
{
	struct attach_server *s = owner;

	(void) m;
	(void) fds;
	(void) e;
	s->calls->eof(s->owner);
	return 0;
}

#define X(n, num, lo, hi, fds, st) { #n, (num), (lo), (hi), (fds), (st), on_##n },
static const struct channel_rule rules[] = { SESSION_REQUESTS(X){ 0 } };
#undef X

static void on_end(void *owner, const struct err *why)
{
	struct attach_server *s = owner;

	(void) why; /* a client that goes away is nothing to report */
	s->calls->ended(s->owner);
}

int attach_server_init(struct attach_server *s, struct loop *l, int take_fd, struct err *e)
{
	const struct channel_user user = { rules, &s->state, on_end, s };

	s->state = SESSION_NEW;
	return channel_open(l, take_fd, &user, &s->channel, e);
}

void attach_server_done(struct attach_server *s)
{
	channel_free(s->channel);
	s->channel = NULL;
}

bool attach_server_is_open(const struct attach_server *s)
{
	return s->state == SESSION_OPEN_S;
}

bool attach_server_may_send(const struct attach_server *s)
{
	return attach_server_is_open(s) && s->untaken + SESSION_CHUNK_MAX <= SESSION_WINDOW_BYTES;
}

size_t attach_server_queued(const struct attach_server *s)
{
	return channel_queued(s->channel);
}

int attach_server_opened(struct attach_server *s, bool terminal, bool writable)
{
	Openshell__Ipc__SessionOpened m = OPENSHELL__IPC__SESSION_OPENED__INIT;

	m.terminal = terminal;
	m.writable = writable;
	return tell(s, SESSION_OPENED, &m.base);
}

int attach_server_output(struct attach_server *s, bool is_stderr, const void *bytes, size_t len)
{
	Openshell__Ipc__SessionBytes m = OPENSHELL__IPC__SESSION_BYTES__INIT;

	m.stream = is_stderr ? 2 : 1;
	m.data.data = (uint8_t *) (uintptr_t) bytes;
	m.data.len = len;
	s->untaken += len;
	return tell(s, SESSION_OUTPUT, &m.base);
}

int attach_server_notice(struct attach_server *s, const char *text)
{
	Openshell__Ipc__SessionNotice m = OPENSHELL__IPC__SESSION_NOTICE__INIT;

	m.text = (char *) (uintptr_t) text;
	return tell(s, SESSION_NOTICE, &m.base);
}

int attach_server_room(struct attach_server *s, size_t len)
{
	Openshell__Ipc__SessionTaken m = OPENSHELL__IPC__SESSION_TAKEN__INIT;

	m.bytes = (uint32_t) len;
	return tell(s, SESSION_ROOM, &m.base);
}

int attach_server_exit(struct attach_server *s, bool detached, uint32_t code)
{
	Openshell__Ipc__SessionExit m = OPENSHELL__IPC__SESSION_EXIT__INIT;

	m.detached = detached;
	m.code = code;
	return tell(s, SESSION_EXIT, &m.base);
}
