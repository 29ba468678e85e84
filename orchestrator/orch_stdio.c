#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>
#include "core_fd.h"
#include "orch_relay.h"
#include "orch_stdio.h"

#define NULL_DEVICE makedev(1, 3)

struct stream { /* one relayed direction */
	struct orch_stdio *all;
	struct orch_relay *relay;
	bool out; /* towards the operator */
};

struct orch_stdio {
	struct loop *loop;
	struct stream streams[3];
	int own[3];    /* ours, reopened; -1: not relayed */
	int theirs[3]; /* ends that are ours only until they are passed; -1: none */
	orch_stdio_fn on_drained;
	void *drained_owner;
};

enum orch_stdio_way orch_stdio_choose(int fd)
{
	struct stat st;

	if (fstat(fd, &st) < 0)
		return ORCH_STDIO_RELAY;
	if (S_ISFIFO(st.st_mode) || S_ISREG(st.st_mode))
		return ORCH_STDIO_PASS;
	return S_ISCHR(st.st_mode) && st.st_rdev == NULL_DEVICE ? ORCH_STDIO_PASS
								: ORCH_STDIO_RELAY;
}

int orch_stdio_reserve(struct err *e)
{
	int fd;

	do
		fd = open("/dev/null", O_RDWR | O_CLOEXEC);
	while (fd >= 0 && fd <= STDERR_FILENO);
	if (fd < 0)
		return err_set(e, errno, "/dev/null: %s", strerror(errno));
	(void) close(fd);
	return 0;
}

static int open_own(struct orch_stdio *s, struct err *e)
{
	for (int i = 0; i < 3; i++) {
		int r;

		if (orch_stdio_choose(i) == ORCH_STDIO_PASS)
			continue;
		if ((r = orch_relay_reopen(i, i > 0, &s->own[i], e)) < 0)
			return r;
	}
	return 0;
}

int orch_stdio_new(struct loop *l, struct orch_stdio **ret, struct err *e)
{
	AUTO(orch_stdio_free) struct orch_stdio *s = calloc(1, sizeof *s);
	int r;

	if (!s)
		return err_set(e, ENOMEM, "streams: out of memory");
	s->loop = l;
	for (int i = 0; i < 3; i++) {
		s->theirs[i] = s->own[i] = -1;
		s->streams[i] = (struct stream){ .all = s, .out = i > 0 };
	}
	if ((r = open_own(s, e)) < 0)
		return r;
	*ret = TAKE_PTR(s);
	return 0;
}

static void look_drained(struct orch_stdio *s)
{
	if (s->on_drained && orch_stdio_is_drained(s))
		s->on_drained(s->drained_owner);
}

static void on_relay_end(void *owner, enum orch_relay_end why)
{
	struct stream *st = owner;
	struct orch_stdio *s = st->all;

	(void) why;
	orch_relay_free(TAKE_PTR(st->relay)); /* closes the workload's pipe */
	if (st->out)
		look_drained(s);
}

static int relay(struct orch_stdio *s, int i, int take_from, int take_to, struct err *e)
{
	return orch_relay_new(
		s->loop, take_from, take_to, on_relay_end, &s->streams[i], &s->streams[i].relay, e);
}

/* A pipe whose far end the workload gets; ours is non-blocking, theirs is not. */
static int relayed(struct orch_stdio *s, int i, int *ret, struct err *e)
{
	AUTO_CLOSE int ours = -1;
	int fds[2], r;

	if (pipe2(fds, O_CLOEXEC) < 0)
		return err_set(e, errno, "make a pipe: %s", strerror(errno));
	ours = fds[i == 0 ? 1 : 0];
	s->theirs[i] = *ret = fds[i == 0 ? 0 : 1];
	if ((r = fd_set_nonblock(ours, e)) < 0)
		return r;
	if (i == 0)
		return relay(s, i, TAKE_FD(s->own[0]), TAKE_FD(ours), e);
	return relay(s, i, TAKE_FD(ours), TAKE_FD(s->own[i]), e);
}

static bool is_same_terminal(int a, int b)
{
	struct stat x, y;

	return isatty(a) && isatty(b) && fstat(a, &x) == 0 && fstat(b, &y) == 0 &&
		x.st_rdev == y.st_rdev;
}

int orch_stdio_pipes(struct orch_stdio *s, int ret_fds[3], struct err *e)
{
	for (int i = 0; i < 3; i++) {
		int r = 0;

		if (orch_stdio_choose(i) == ORCH_STDIO_PASS)
			ret_fds[i] = i;
		else if (i == 2 && is_same_terminal(1, 2))
			ret_fds[2] = ret_fds[1];
		else
			r = relayed(s, i, &ret_fds[i], e);
		if (r < 0)
			return err_wrap(e, "stream %d of the command", i);
	}
	return 0;
}

void orch_stdio_passed(struct orch_stdio *s)
{
	for (int i = 0; i < 3; i++) {
		core_closep(&s->theirs[i]);
		s->theirs[i] = -1;
	}
}

void orch_stdio_give(struct orch_stdio *s, uid_t uid, gid_t gid)
{
	for (int i = 0; i < 3; i++)
		if (s->theirs[i] >= 0)
			(void) !fchown(s->theirs[i], uid, gid); /* it works without, too */
}

bool orch_stdio_is_drained(const struct orch_stdio *s)
{
	return !s->streams[1].relay && !s->streams[2].relay;
}

void orch_stdio_on_drained(struct orch_stdio *s, orch_stdio_fn fn, void *owner)
{
	s->on_drained = fn;
	s->drained_owner = owner;
}

void orch_stdio_free(struct orch_stdio *s)
{
	if (!s)
		return;
	for (int i = 0; i < 3; i++) {
		orch_relay_free(s->streams[i].relay);
		core_closep(&s->own[i]);
	}
	orch_stdio_passed(s);
	free(s);
}
