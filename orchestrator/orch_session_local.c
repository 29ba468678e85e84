/* orch_session_local.c - our own stdin, stdout and stderr as a client of the session. */
#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>
#include "orch_relay.h"
#include "orch_session_state.h"

#define END_OF_TRANSMISSION "\004" /* what a terminal reads as end of input */
#define NULL_DEVICE makedev(1, 3)

static bool is_null(int fd)
{
	struct stat st;

	return fstat(fd, &st) == 0 && S_ISCHR(st.st_mode) && st.st_rdev == NULL_DEVICE;
}

static void on_writable(void *owner, int fd, unsigned ready)
{
	struct session_writer *w = owner;

	(void) fd;
	(void) ready;
	session_pump(w->session);
}

static void end_input(struct orch_session *s)
{
	orch_side_done(&s->local.in);
	session_release(s, &s->local);
	if (!s->terminal) {
		session_close_input(s);
	} else if (s->local.is_terminal) {
		/* Raw mode has no end-of-input key, so this is a hang-up. */
		s->calls->hung_up(s->owner);
	} else {
		session_input(s, END_OF_TRANSMISSION, 1);
	}
}

static void read_input(struct orch_session *s)
{
	char bytes[ORCH_CHUNK_MAX];
	ssize_t n;

	if (session_room(s) < sizeof bytes) {
		session_local_watch(s);
		return;
	}
	n = orch_side_read(&s->local.in, bytes, sizeof bytes);
	if (n > 0)
		session_input(s, bytes, (size_t) n);
	else if (n == 0 || !orch_side_is_later(errno)) {
		end_input(s);
		return;
	}
	session_local_watch(s);
}

static void on_readable(void *owner, int fd, unsigned ready)
{
	(void) fd;
	(void) ready;
	read_input(owner);
}

static void on_soon(void *owner)
{
	struct orch_session *s = owner;

	if (s->local.in.fd >= 0)
		read_input(s);
}

static int open_output(struct orch_session *s, int i, struct err *e)
{
	struct session_writer *w = &s->local.out[i];
	int fd = -1;

	w->session = s;
	w->stream = (unsigned) i + 1;
	w->cursor = orch_replay_oldest(s->replay);
	if (orch_relay_reopen(i + 1, true, &fd, e) < 0)
		return -e->code;
	return orch_side_init(&w->side, s->loop, fd, on_writable, w, e);
}

int session_local_open(struct orch_session *s, struct err *e)
{
	int fd = -1;

	if (loop_timer_new(s->loop, on_soon, s, &s->local.soon, e) < 0 ||
		open_output(s, 0, e) < 0 || (!s->terminal && open_output(s, 1, e) < 0))
		return -e->code;
	if (is_null(STDIN_FILENO))
		return 0;
	if (orch_relay_reopen(STDIN_FILENO, false, &fd, e) < 0)
		return -e->code;
	s->holder = &s->local;
	s->local.is_terminal = isatty(STDIN_FILENO);
	return orch_side_init(&s->local.in, s->loop, fd, on_readable, s, e);
}

void session_local_watch(struct orch_session *s)
{
	struct orch_side *in = &s->local.in;

	if (in->fd < 0 || !s->started)
		return;
	if (!orch_side_is_open(
		    &s->in)) { /* nobody reads it: leave it to whoever has the terminal next */
		orch_side_watch(in, 0);
		return;
	}
	orch_side_watch(in, session_room(s) >= ORCH_CHUNK_MAX ? LOOP_READ : 0);
	if (!in->waits && session_room(s) >= ORCH_CHUNK_MAX)
		(void) loop_timer_start(s->local.soon, 0);
}

/* false: it takes no more at the moment. */
static bool write_chunk(struct session_writer *w)
{
	while (w->written < w->chunk.len) {
		ssize_t n = orch_side_write(
			&w->side, w->chunk.bytes + w->written, w->chunk.len - w->written);

		if (n < 0 && orch_side_is_later(errno)) {
			orch_side_watch(&w->side, LOOP_WRITE);
			return false;
		}
		if (n < 0) {
			orch_side_done(&w->side);
			return false;
		}
		w->written += (size_t) n;
	}
	w->chunk.len = w->written = 0;
	return true;
}

static void pump(struct session_writer *w)
{
	uint64_t missed; /* none: output is not read before this writer has taken it */

	while (w->side.fd >= 0 && write_chunk(w)) {
		if (!orch_replay_next(w->session->replay, &w->cursor, &w->chunk, &missed) &&
			!missed) {
			orch_side_watch(&w->side, 0);
			return;
		}
		if (w->chunk.stream != w->stream)
			w->chunk.len = 0;
	}
}

void session_local_pump(struct orch_session *s)
{
	for (int i = 0; i < 2; i++)
		pump(&s->local.out[i]);
}

uint64_t session_local_behind(const struct orch_session *s)
{
	uint64_t end = orch_replay_end(s->replay).at, worst = 0;

	for (int i = 0; i < 2; i++) {
		const struct session_writer *w = &s->local.out[i];
		uint64_t behind = end - w->cursor.at + (w->chunk.len - w->written);

		if (w->side.fd >= 0 && behind > worst)
			worst = behind;
	}
	return worst;
}

void session_local_done(struct orch_session *s)
{
	orch_side_done(&s->local.in);
	loop_timer_free(s->local.soon);
	orch_side_done(&s->local.out[0].side);
	orch_side_done(&s->local.out[1].side);
}
