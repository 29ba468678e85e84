#include "orch_side.h"
#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

ssize_t orch_side_read(const struct orch_side *s, void *buf, size_t len)
{
	return s->socket ? recv(s->fd, buf, len, MSG_DONTWAIT) : read(s->fd, buf, len);
}

ssize_t orch_side_write(const struct orch_side *s, const void *buf, size_t len)
{
	return s->socket ? send(s->fd, buf, len, MSG_DONTWAIT | MSG_NOSIGNAL)
			 : write(s->fd, buf, len);
}

bool orch_side_is_later(int error)
{
	return error == EAGAIN || error == EINTR;
}

void orch_side_watch(struct orch_side *s, unsigned events)
{
	if (s->waits)
		(void) loop_io_watch(s->io, events);
}

int orch_side_init(
	struct orch_side *s, struct loop *l, int take_fd, loop_io_fn fn, void *owner, struct err *e)
{
	struct stat st;

	s->fd = take_fd;
	if (fstat(s->fd, &st) < 0)
		return err_set(e, errno, "relay a stream: %s", strerror(errno));
	s->socket = S_ISSOCK(st.st_mode);
	s->waits = s->socket || S_ISFIFO(st.st_mode) || isatty(s->fd);
	/* A terminal's master is none for isatty(3) once its slave is closed; it is character
	 * device with poll all the same, like every one but the memory devices (major 1). */
	if (S_ISCHR(st.st_mode) && major(st.st_rdev) != 1)
		s->waits = true;
	return s->waits ? loop_io_new(l, s->fd, fn, owner, &s->io, e) : 0;
}

void orch_side_retire(struct orch_side *s)
{
	orch_side_watch(s, 0);
	s->over = true;
}

bool orch_side_is_open(const struct orch_side *s)
{
	return s->fd >= 0 && !s->over;
}

void orch_side_done(struct orch_side *s)
{
	loop_io_free(s->io);
	if (s->fd >= 0)
		(void) close(s->fd);
	*s = (struct orch_side){ .fd = -1 };
}
