#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include "core_fd.h"
#include "orch_limits.h"
#include "orch_relay.h"
#include "orch_side.h"

struct orch_relay {
	struct orch_side from, to;
	struct loop_timer *soon; /* for a source that is always ready */
	orch_relay_fn fn;
	void *owner;
	bool eof;
	size_t start, end; /* bytes waiting in buf */
	char buf[ORCH_PIPE_BYTES];
};

/* true while the destination takes bytes. */
static bool drain(struct orch_relay *r, bool *ret_failed)
{
	while (r->start < r->end) {
		ssize_t n = orch_side_write(&r->to, r->buf + r->start, r->end - r->start);

		if (n < 0) {
			*ret_failed = !orch_side_is_later(errno);
			return false;
		}
		r->start += (size_t) n;
	}
	r->start = r->end = 0;
	return true;
}

static void fill(struct orch_relay *r)
{
	ssize_t n = orch_side_read(&r->from, r->buf, sizeof r->buf);

	if (n > 0)
		r->end = (size_t) n;
	else if (n == 0 || !orch_side_is_later(errno))
		r->eof = true; /* a terminal's master reports its end as EIO */
}

static void watch(struct orch_relay *r)
{
	bool full = r->end > r->start;

	orch_side_watch(&r->to, full ? LOOP_WRITE : 0);
	orch_side_watch(&r->from, full || r->eof ? 0 : LOOP_READ);
	if (!r->from.waits && !full && !r->eof)
		(void) loop_timer_start(r->soon, 0);
}

static void step(struct orch_relay *r, bool readable)
{
	bool failed = false;

	if (readable && r->end == r->start && !r->eof)
		fill(r);
	if (!drain(r, &failed) && failed) {
		r->fn(r->owner, ORCH_RELAY_CLOSED);
		return;
	}
	watch(r);
	if (r->eof && r->start == r->end)
		r->fn(r->owner, ORCH_RELAY_EOF);
}

static void on_from(void *owner, int fd, unsigned ready)
{
	(void) fd;
	(void) ready;
	step(owner, true);
}

static void on_to(void *owner, int fd, unsigned ready)
{
	(void) fd;
	(void) ready;
	step(owner, false);
}

static void on_soon(void *owner)
{
	step(owner, true);
}

int orch_relay_new(struct loop *l, int take_from, int take_to, orch_relay_fn fn, void *owner,
	struct orch_relay **ret, struct err *e)
{
	AUTO_CLOSE int from = take_from, to = take_to;
	AUTO(orch_relay_free) struct orch_relay *r = calloc(1, sizeof *r);
	int rc;

	if (!r)
		return err_set(e, ENOMEM, "relay a stream: out of memory");
	r->from.fd = r->to.fd = -1;
	r->fn = fn;
	r->owner = owner;
	if ((rc = orch_side_init(&r->from, l, TAKE_FD(from), on_from, r, e)) < 0 ||
		(rc = orch_side_init(&r->to, l, TAKE_FD(to), on_to, r, e)) < 0 ||
		(rc = loop_timer_new(l, on_soon, r, &r->soon, e)) < 0)
		return rc;
	watch(r);
	*ret = TAKE_PTR(r);
	return 0;
}

void orch_relay_retire(struct orch_relay *r)
{
	orch_side_retire(&r->from);
	orch_side_retire(&r->to);
	loop_timer_stop(r->soon);
}

void orch_relay_free(struct orch_relay *r)
{
	if (!r)
		return;
	orch_side_done(&r->from);
	orch_side_done(&r->to);
	loop_timer_free(r->soon);
	free(r);
}

int orch_relay_reopen(int fd, bool writing, int *ret, struct err *e)
{
	char path[64];
	struct stat st;
	int again = -1;

	if (fstat(fd, &st) < 0)
		return err_set(e, errno, "descriptor %d: %s", fd, strerror(errno));
	(void) snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
	/* A regular file keeps its offset and O_APPEND only in the description it has. */
	if (S_ISCHR(st.st_mode) || S_ISFIFO(st.st_mode))
		again = open(
			path, (writing ? O_WRONLY : O_RDONLY) | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
	if (again < 0)
		again = fcntl(fd, F_DUPFD_CLOEXEC, 3);
	if (again < 0)
		return err_set(e, errno, "descriptor %d: %s", fd, strerror(errno));
	*ret = again;
	return 0;
}
