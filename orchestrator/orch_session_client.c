/* orch_session_client.c - a client at the other end of a session channel. */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "ipc_session.h"
#include "orch_session_state.h"
#include "orch_terminal.h"

static const int allowed_signals[] = { SIGHUP, SIGINT, SIGKILL, SIGQUIT, SIGTERM };

static bool is_holder(const struct session_client *c)
{
	return c->session->holder == c;
}

/* What does not fit ends the client: its channel is watched, and it takes nothing. */
static void sent(struct session_client *c, int r)
{
	if (r < 0)
		c->closing = true;
}

static void notice(struct session_client *c, const char *text)
{
	sent(c, attach_server_notice(&c->end, text));
}

static void say_goodbye(struct session_client *c, bool detached, int status)
{
	(void) attach_server_exit(&c->end, detached, status > 0 ? (uint32_t) status : 0);
	c->closing = true;
	session_release(c->session, c);
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

	while (!c->closing && attach_server_may_send(&c->end)) {
		if (!orch_replay_next(s->replay, &c->cursor, &chunk, &missed)) {
			if (missed)
				cut_off(c, missed);
			else if (s->ended && session_output_is_over(s))
				say_goodbye(c, false, s->status);
			return;
		}
		sent(c, attach_server_output(&c->end, chunk.stream == 2, chunk.bytes, chunk.len));
	}
}

void session_client_taken(struct session_client *c, size_t len)
{
	sent(c, attach_server_room(&c->end, len));
}

bool session_client_is_drained(const struct session_client *c)
{
	return c->closing && attach_server_queued(&c->end) == 0;
}

static void take_lease(struct session_client *c, const struct attach_open *o)
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

static void on_open(void *owner, const struct attach_open *o)
{
	struct session_client *c = owner;

	take_lease(c, o);
	sent(c, attach_server_opened(&c->end, c->session->terminal, is_holder(c)));
	session_client_pump(c);
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

static void on_input(void *owner, const uint8_t *bytes, size_t len)
{
	struct session_client *c = owner;

	if (!is_holder(c) || c->closing) {
		session_client_taken(c, len); /* dropped */
	} else if (session_room(c->session) < len + 1) {
		notice(c,
			!orch_side_is_open(&c->session->in)
				? "the main process' input is closed; detached"
				: "the main process does not read; detached");
		say_goodbye(c, true, 0);
	} else {
		type(c, (const char *) bytes, len);
	}
}

static void on_taken(void *owner)
{
	struct session_client *c = owner;

	session_client_pump(c);
	session_look_drained(c->session);
}

/* GAP-32: a looker-on does not change the terminal. */
static void on_resize(void *owner, uint32_t rows, uint32_t columns)
{
	struct session_client *c = owner;

	if (is_holder(c) && c->session->terminal && c->session->in.fd >= 0 && rows <= UINT16_MAX &&
		columns <= UINT16_MAX)
		orch_terminal_resize(c->session->in.fd,
			(struct orch_terminal_size){ (uint16_t) rows, (uint16_t) columns });
}

static void on_signal(void *owner, uint32_t signo)
{
	const size_t n = sizeof allowed_signals / sizeof *allowed_signals;
	struct session_client *c = owner;

	for (size_t i = 0; is_holder(c) && i < n; i++)
		if (signo == (uint32_t) allowed_signals[i])
			c->session->calls->signal(c->session->owner, (int) signo);
}

/* The client's end of input is the end of its lease, not of the main process' input. */
static void on_eof(void *owner)
{
	struct session_client *c = owner;

	session_release(c->session, c);
}

static void on_ended(void *owner)
{
	struct session_client *c = owner;
	struct orch_session *s = c->session;

	session_client_free(c);
	session_look_drained(s);
}

static const struct attach_server_calls calls = { .open = on_open,
	.input = on_input,
	.taken = on_taken,
	.resize = on_resize,
	.signal = on_signal,
	.eof = on_eof,
	.ended = on_ended };

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
	attach_server_done(&c->end);
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
	c->end.calls = &calls;
	c->end.owner = c;
	c->cursor = orch_replay_oldest(s->replay);
	if (attach_server_init(&c->end, s->loop, TAKE_FD(fd), e) < 0)
		return -e->code;
	*place = TAKE_PTR(c);
	return 0;
}
