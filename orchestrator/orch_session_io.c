/* orch_session_io.c - bytes from and to the main process. */
#include <errno.h>
#include <string.h>
#include <unistd.h>
#include "orch_session_state.h"

#define CHUNKS_PER_TURN 16 /* then others get their turn */

size_t session_room(const struct orch_session *s)
{
	return orch_side_is_open(&s->in) ? ORCH_INPUT_BYTES - s->input_len : 0;
}

/* The holder may send that much more. */
static void credit(struct orch_session *s, size_t n)
{
	size_t foreign = n < s->foreign ? n : s->foreign;

	s->foreign -= foreign;
	n -= foreign;
	if (n && s->holder && s->holder != &s->local)
		session_client_taken((struct session_client *) (uintptr_t) s->holder, n);
}

/* The two directions of a terminal are duplicates of one descriptor. */
static void close_side(struct orch_session *s, struct orch_side *side)
{
	if (s->terminal)
		orch_side_retire(side);
	else
		orch_side_done(side);
}

static void write_input(struct orch_session *s)
{
	while (s->input_len > 0) {
		size_t until_wrap = ORCH_INPUT_BYTES - s->input_start;
		size_t len = s->input_len < until_wrap ? s->input_len : until_wrap;
		ssize_t n = orch_side_write(&s->in, s->input + s->input_start, len);

		if (n < 0 && orch_side_is_later(errno))
			break;
		if (n < 0) { /* it does not read any more */
			credit(s, s->input_len);
			s->input_len = s->input_start = 0;
			close_side(s, &s->in);
			return;
		}
		s->input_start = (s->input_start + (size_t) n) % ORCH_INPUT_BYTES;
		s->input_len -= (size_t) n;
		credit(s, (size_t) n);
	}
	orch_side_watch(&s->in, s->input_len ? LOOP_WRITE : 0);
	if (s->input_len == 0 && s->local.eof && !s->terminal)
		orch_side_done(&s->in);
}

void session_on_in(void *owner, int fd, unsigned ready)
{
	struct orch_session *s = owner;

	(void) fd;
	(void) ready;
	write_input(s);
	session_local_watch(s);
}

void session_input(struct orch_session *s, const char *bytes, size_t len)
{
	for (size_t i = 0; i < len && orch_side_is_open(&s->in); i++)
		s->input[(s->input_start + s->input_len++) % ORCH_INPUT_BYTES] = bytes[i];
	if (orch_side_is_open(&s->in))
		write_input(s);
}

void session_close_input(struct orch_session *s)
{
	s->local.eof = true;
	if (orch_side_is_open(&s->in))
		write_input(s);
}

void session_watch_output(struct orch_session *s)
{
	bool full = session_local_behind(s) > ORCH_LOCAL_BEHIND;

	for (int i = 0; i < 2; i++)
		if (orch_side_is_open(&s->out[i]) && s->started)
			orch_side_watch(&s->out[i], full ? 0 : LOOP_READ);
}

bool session_output_is_over(const struct orch_session *s)
{
	return !orch_side_is_open(&s->out[0]) && !orch_side_is_open(&s->out[1]);
}

void session_on_out(void *owner, int fd, unsigned ready)
{
	struct orch_session *s = owner;
	int which = fd == s->out[0].fd ? 0 : 1;
	char bytes[ORCH_CHUNK_MAX];

	(void) ready;
	for (int i = 0; i < CHUNKS_PER_TURN; i++) {
		ssize_t n = orch_side_read(&s->out[which], bytes, sizeof bytes);

		if (n < 0 && orch_side_is_later(errno))
			break;
		if (n <= 0) { /* a terminal's master reports its end as EIO */
			close_side(s, &s->out[which]);
			break;
		}
		orch_replay_add(s->replay, which == 0 ? 1 : 2, bytes, (size_t) n);
		session_local_pump(s);
		if (session_local_behind(s) > ORCH_LOCAL_BEHIND)
			break;
	}
	session_pump(s);
}
