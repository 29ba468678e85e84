/* orch_session.c - the session as a whole: its clients, its lease, its end. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "core_fd.h"
#include "orch_session_state.h"
#include "orch_terminal.h"

static void on_patience_over(void *owner)
{
	struct orch_session *s = owner;

	s->impatient = true;
	session_look_drained(s);
}

int orch_session_new(struct loop *l, bool terminal, const struct orch_session_calls *calls,
	void *owner, struct orch_session **ret, struct err *e)
{
	AUTO(orch_session_free) struct orch_session *s = calloc(1, sizeof *s);
	int r;

	if (!s)
		return err_set(e, ENOMEM, "main session: out of memory");
	s->loop = l;
	s->terminal = terminal;
	s->calls = calls;
	s->owner = owner;
	s->in.fd = s->out[0].fd = s->out[1].fd = s->local.in.fd = -1;
	s->local.out[0].side.fd = s->local.out[1].side.fd = -1;
	for (int i = 0; i < 3; i++)
		s->theirs[i] = -1;
	if ((r = orch_replay_new(&s->replay, e)) < 0 ||
		(r = loop_timer_new(l, on_patience_over, s, &s->patience, e)) < 0 ||
		(r = session_local_open(s, e)) < 0)
		return r;
	*ret = TAKE_PTR(s);
	return 0;
}

static int make_pipe(
	struct orch_session *s, int i, struct orch_side *side, loop_io_fn fn, struct err *e)
{
	int fds[2], ours = i == 0 ? 1 : 0;

	if (pipe2(fds, O_CLOEXEC) < 0)
		return err_set(e, errno, "make a pipe: %s", strerror(errno));
	s->theirs[i] = fds[!ours];
	if (orch_side_init(side, s->loop, fds[ours], fn, s, e) < 0)
		return -e->code;
	return fd_set_nonblock(side->fd, e);
}

int orch_session_pipes(struct orch_session *s, int ret_fds[3], struct err *e)
{
	if (make_pipe(s, 0, &s->in, session_on_in, e) < 0 ||
		make_pipe(s, 1, &s->out[0], session_on_out, e) < 0 ||
		make_pipe(s, 2, &s->out[1], session_on_out, e) < 0)
		return -e->code;
	(void) memcpy(ret_fds, s->theirs, sizeof s->theirs);
	return 0;
}

void orch_session_give(struct orch_session *s, uid_t uid, gid_t gid)
{
	for (int i = 0; i < 3; i++)
		if (s->theirs[i] >= 0)
			(void) !fchown(s->theirs[i], uid, gid); /* it works without, too */
}

void orch_session_passed(struct orch_session *s)
{
	for (int i = 0; i < 3; i++) {
		core_closep(&s->theirs[i]);
		s->theirs[i] = -1;
	}
	if (s->terminal)
		return;
	s->started = true;
	session_watch_output(s);
	session_local_watch(s);
}

int orch_session_terminal(struct orch_session *s, int take_master, struct err *e)
{
	AUTO_CLOSE int master = take_master, in = -1;
	int r;

	if ((r = fd_set_nonblock(master, e)) < 0)
		return r;
	in = fcntl(master, F_DUPFD_CLOEXEC, 3);
	if (in < 0)
		return err_set(e, errno, "the command's terminal: %s", strerror(errno));
	if ((r = orch_side_init(&s->in, s->loop, TAKE_FD(in), session_on_in, s, e)) < 0 ||
		(r = orch_side_init(&s->out[0], s->loop, TAKE_FD(master), session_on_out, s, e)) <
			0)
		return r;
	s->started = true;
	session_watch_output(s);
	session_local_watch(s);
	return s->local.in.fd >= 0 ? orch_terminal_raw(STDIN_FILENO, e) : 0;
}

void orch_session_resized(struct orch_session *s)
{
	if (s->terminal && s->in.fd >= 0 && s->holder == &s->local)
		orch_terminal_resize(s->in.fd, orch_terminal_size(STDIN_FILENO));
}

void orch_session_continued(struct orch_session *s)
{
	orch_terminal_again();
	orch_session_resized(s);
}

void session_release(struct orch_session *s, const void *who)
{
	if (s->holder != who)
		return;
	s->holder = NULL;
	s->foreign = s->input_len; /* what is still queued is nobody's credit any more */
}

void session_pump(struct orch_session *s)
{
	session_local_pump(s);
	for (size_t i = 0; i < ORCH_SESSION_CLIENTS_MAX; i++)
		if (s->clients[i])
			session_client_pump(s->clients[i]);
	session_watch_output(s);
	session_look_drained(s);
}

void orch_session_ended(struct orch_session *s, int status)
{
	s->ended = true;
	s->status = status;
	(void) loop_timer_start(s->patience, ORCH_READERS_MS);
	session_pump(s);
}

static bool is_local_drained(const struct orch_session *s)
{
	return session_local_behind(s) == 0;
}

bool orch_session_is_drained(const struct orch_session *s)
{
	if (!s->started || s->impatient)
		return true;
	if (!session_output_is_over(s) || !is_local_drained(s))
		return false;
	for (size_t i = 0; i < ORCH_SESSION_CLIENTS_MAX; i++)
		if (s->clients[i] && !session_client_is_drained(s->clients[i]))
			return false;
	return true;
}

void session_look_drained(struct orch_session *s)
{
	if (!s->ended || s->reported || !orch_session_is_drained(s))
		return;
	s->reported = true;
	s->calls->drained(s->owner);
}

void orch_session_free(struct orch_session *s)
{
	if (!s)
		return;
	orch_terminal_restore();
	for (size_t i = 0; i < ORCH_SESSION_CLIENTS_MAX; i++)
		session_client_free(s->clients[i]);
	session_local_done(s);
	orch_side_done(&s->in);
	orch_side_done(&s->out[0]);
	orch_side_done(&s->out[1]);
	for (int i = 0; i < 3; i++)
		core_closep(&s->theirs[i]);
	loop_timer_free(s->patience);
	orch_replay_free(s->replay);
	free(s);
}
