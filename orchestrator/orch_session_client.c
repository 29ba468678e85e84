/* orch_session_client.c - a client at the other end of a session channel. */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "ipc_session.h"
#include "ipc_session.pb-c.h"
#include "orch_session_state.h"
#include "orch_terminal.h"

static const int allowed_signals[] = { SIGHUP, SIGINT, SIGKILL, SIGQUIT, SIGTERM };

static bool is_holder(const struct session_client *c)
{
	return c->session->holder == c;
}

static void tell(struct session_client *c, uint16_t number, const ProtobufCMessage *m)
{
	struct err ignored = { 0 };

	/* What does not fit ends the client: its channel is watched, and it takes nothing. */
	if (channel_send(c->channel, number, 0, m, &ignored) < 0)
		c->closing = true;
}

static void notice(struct session_client *c, const char *text)
{
	Openshell__Ipc__SessionNotice m = OPENSHELL__IPC__SESSION_NOTICE__INIT;

	m.text = (char *) (uintptr_t) text;
	tell(c, SESSION_NOTICE, &m.base);
}

static void say_goodbye(struct session_client *c, bool detached, int status)
{
	Openshell__Ipc__SessionExit m = OPENSHELL__IPC__SESSION_EXIT__INIT;

	m.detached = detached;
	m.code = status > 0 ? (uint32_t) status : 0;
	tell(c, SESSION_EXIT, &m.base);
	c->closing = true;
	session_release(c->session, c);
}

/* false: cut off. */
static bool send_chunk(struct session_client *c, const struct orch_chunk *chunk)
{
	Openshell__Ipc__SessionBytes m = OPENSHELL__IPC__SESSION_BYTES__INIT;

	m.stream = chunk->stream;
	m.data.data = (uint8_t *) (uintptr_t) chunk->bytes;
	m.data.len = chunk->len;
	c->untaken += chunk->len;
	tell(c, SESSION_OUTPUT, &m.base);
	return !c->closing;
}

static void cut_off(struct session_client *c, uint64_t missed)
{
	char text[128];

	(void) snprintf(text, sizeof text,
		"this client read too slowly and missed %llu chunks of output; attach again",
		(unsigned long long) missed);
	notice(c, text);
	say_goodbye(c, true, 0);
}

void session_client_pump(struct session_client *c)
{
	struct orch_session *s = c->session;
	struct orch_chunk chunk;
	uint64_t missed;

	if (!c->open || c->closing)
		return;
	while (c->untaken + ORCH_CHUNK_MAX <= SESSION_WINDOW_BYTES) {
		if (!orch_replay_next(s->replay, &c->cursor, &chunk, &missed)) {
			if (missed)
				cut_off(c, missed);
			else if (s->ended && session_output_is_over(s))
				say_goodbye(c, false, s->status);
			return;
		}
		if (!send_chunk(c, &chunk))
			return;
	}
}

void session_client_taken(struct session_client *c, size_t len)
{
	Openshell__Ipc__SessionTaken m = OPENSHELL__IPC__SESSION_TAKEN__INIT;

	m.bytes = (uint32_t) len;
	tell(c, SESSION_ROOM, &m.base);
}

bool session_client_is_drained(const struct session_client *c)
{
	return c->closing && channel_queued(c->channel) == 0;
}

static void take_lease(struct session_client *c, const Openshell__Ipc__SessionOpen *o)
{
	struct orch_session *s = c->session;

	if (o->read_only)
		return;
	if (!orch_side_is_open(&s->in)) {
		notice(c, "read-only: the main process' input is closed");
	} else if (s->holder) {
		notice(c, "read-only: another client has the keyboard");
	} else {
		s->holder = c;
		if (s->terminal && o->rows <= UINT16_MAX && o->columns <= UINT16_MAX)
			orch_terminal_resize(s->in.fd,
				(struct orch_terminal_size){
					(uint16_t) o->rows, (uint16_t) o->columns });
	}
}

static int on_SESSION_OPEN(void *owner, const struct channel_msg *m, int *fds, struct err *e)
{
	Openshell__Ipc__SessionOpened answer = OPENSHELL__IPC__SESSION_OPENED__INIT;
	struct session_client *c = owner;
	ProtobufCMessage *base;

	(void) fds;
	if (channel_unpack(m, &openshell__ipc__session_open__descriptor, &base, e) < 0)
		return -e->code;
	take_lease(c, (Openshell__Ipc__SessionOpen *) base);
	protobuf_c_message_free_unpacked(base, NULL);
	answer.terminal = c->session->terminal;
	answer.writable = is_holder(c);
	tell(c, SESSION_OPENED, &answer.base);
	c->state = SESSION_OPEN_S;
	c->open = true;
	session_client_pump(c);
	return 0;
}

static void type(struct session_client *c, const char *bytes, size_t len)
{
	char out[SESSION_CHUNK_MAX + 1];
	bool detached = false;
	size_t n = len;

	if (c->session->terminal) {
		n = orch_detach_filter(&c->detach, bytes, len, out, &detached);
		bytes = out;
	}
	/* Credit is given for what was typed, the detach keys included. */
	if (n < len && !detached)
		session_client_taken(c, len - n);
	session_input(c->session, bytes, n);
	if (detached)
		say_goodbye(c, true, 0);
}

static int on_SESSION_INPUT(void *owner, const struct channel_msg *m, int *fds, struct err *e)
{
	struct session_client *c = owner;
	Openshell__Ipc__SessionBytes *b;
	ProtobufCMessage *base;

	(void) fds;
	if (channel_unpack(m, &openshell__ipc__session_bytes__descriptor, &base, e) < 0)
		return -e->code;
	b = (Openshell__Ipc__SessionBytes *) base;
	if (b->data.len > SESSION_CHUNK_MAX) {
		protobuf_c_message_free_unpacked(base, NULL);
		return err_set(e, EMSGSIZE, "input of more than %d bytes", SESSION_CHUNK_MAX);
	}
	if (!is_holder(c) || c->closing) {
		session_client_taken(c, b->data.len); /* dropped */
	} else if (session_room(c->session) < b->data.len + 1) {
		notice(c,
			!orch_side_is_open(&c->session->in)
				? "the main process' input is closed; detached"
				: "the main process does not read; detached");
		say_goodbye(c, true, 0);
	} else {
		type(c, (const char *) b->data.data, b->data.len);
	}
	protobuf_c_message_free_unpacked(base, NULL);
	return 0;
}

static int on_SESSION_TAKEN(void *owner, const struct channel_msg *m, int *fds, struct err *e)
{
	struct session_client *c = owner;
	ProtobufCMessage *base;
	uint32_t n;

	(void) fds;
	if (channel_unpack(m, &openshell__ipc__session_taken__descriptor, &base, e) < 0)
		return -e->code;
	n = ((Openshell__Ipc__SessionTaken *) base)->bytes;
	protobuf_c_message_free_unpacked(base, NULL);
	if (n > c->untaken)
		return err_set(e, EBADMSG, "more was taken than was sent");
	c->untaken -= n;
	session_client_pump(c);
	session_look_drained(c->session);
	return 0;
}

static int on_SESSION_RESIZE(void *owner, const struct channel_msg *m, int *fds, struct err *e)
{
	struct session_client *c = owner;
	Openshell__Ipc__SessionResize *size;
	ProtobufCMessage *base;

	(void) fds;
	if (channel_unpack(m, &openshell__ipc__session_resize__descriptor, &base, e) < 0)
		return -e->code;
	size = (Openshell__Ipc__SessionResize *) base;
	/* GAP-32: a looker-on does not change the terminal. */
	if (is_holder(c) && c->session->terminal && c->session->in.fd >= 0 &&
		size->rows <= UINT16_MAX && size->columns <= UINT16_MAX)
		orch_terminal_resize(c->session->in.fd,
			(struct orch_terminal_size){
				(uint16_t) size->rows, (uint16_t) size->columns });
	protobuf_c_message_free_unpacked(base, NULL);
	return 0;
}

static int on_SESSION_SIGNAL(void *owner, const struct channel_msg *m, int *fds, struct err *e)
{
	struct session_client *c = owner;
	ProtobufCMessage *base;
	uint32_t signo;

	(void) fds;
	if (channel_unpack(m, &openshell__ipc__session_signal__descriptor, &base, e) < 0)
		return -e->code;
	signo = ((Openshell__Ipc__SessionSignal *) base)->signo;
	protobuf_c_message_free_unpacked(base, NULL);
	for (size_t i = 0; is_holder(c) && i < sizeof allowed_signals / sizeof *allowed_signals;
		i++)
		if (signo == (uint32_t) allowed_signals[i])
			c->session->calls->signal(c->session->owner, (int) signo);
	return 0;
}

/* The client's end of input is the end of its lease, not of the main process' input. */
static int on_SESSION_EOF(void *owner, const struct channel_msg *m, int *fds, struct err *e)
{
	struct session_client *c = owner;

	(void) m;
	(void) fds;
	(void) e;
	session_release(c->session, c);
	return 0;
}

#define X(n, num, lo, hi, fds, st) { #n, (num), (lo), (hi), (fds), (st), on_##n },
static const struct channel_rule client_rules[] = { SESSION_REQUESTS(X){ 0 } };
#undef X

static void on_end(void *owner, const struct err *why)
{
	struct session_client *c = owner;
	struct orch_session *s = c->session;

	(void) why; /* a client that goes away is nothing to report */
	session_client_free(c);
	session_look_drained(s);
}

void session_client_free(struct session_client *c)
{
	struct orch_session *s;

	if (!c)
		return;
	s = c->session;
	session_release(s, c);
	for (size_t i = 0; i < ORCH_SESSION_CLIENTS_MAX; i++)
		if (s->clients[i] == c)
			s->clients[i] = NULL;
	channel_free(c->channel);
	free(c);
}

/* A free place; one of a client that was cut off and does not leave will do. */
static struct session_client **find_place(struct orch_session *s)
{
	for (size_t i = 0; i < ORCH_SESSION_CLIENTS_MAX; i++)
		if (!s->clients[i])
			return &s->clients[i];
	for (size_t i = 0; i < ORCH_SESSION_CLIENTS_MAX; i++) {
		if (!s->clients[i]->closing)
			continue;
		session_client_free(s->clients[i]);
		return &s->clients[i];
	}
	return NULL;
}

int orch_session_client(struct orch_session *s, int take_fd, struct err *e)
{
	AUTO_CLOSE int fd = take_fd;
	struct session_client **place = find_place(s);
	AUTO_FREE struct session_client *c = calloc(1, sizeof *c);

	if (!place)
		return err_set(e, EUSERS, "%d clients are attached already; detach one",
			ORCH_SESSION_CLIENTS_MAX);
	if (!c)
		return err_set(e, ENOMEM, "session client: out of memory");
	c->session = s;
	c->state = SESSION_NEW;
	c->cursor = orch_replay_oldest(s->replay);
	if (channel_open(s->loop, TAKE_FD(fd),
		    &(struct channel_user){ client_rules, &c->state, on_end, c }, &c->channel,
		    e) < 0)
		return -e->code;
	*place = TAKE_PTR(c);
	return 0;
}
