/* orch_side.h - one end of a stream that the loop may or may not be able to wait for.
 *
 * Terminals, pipes and sockets wait; regular files and the memory devices are
 * always ready.  The descriptor is non-blocking or never blocks (see
 * orch_relay_reopen()).
 */
#pragma once
#include <stdbool.h>
#include <sys/types.h>
#include "core_err.h"
#include "core_loop.h"

struct orch_side {
	int fd;
	bool socket;
	bool waits; /* the loop can tell when it is ready; else it always is */
	bool over;  /* retired */
	struct loop_io *io;
};

/* take_fd is owned even on failure; orch_side_done() closes it. */
int orch_side_init(struct orch_side *s, struct loop *l, int take_fd, loop_io_fn fn, void *owner,
	struct err *e);
ssize_t orch_side_read(const struct orch_side *s, void *buf, size_t len);
ssize_t orch_side_write(const struct orch_side *s, const void *buf, size_t len);
/* Nothing where the loop can't wait. */
void orch_side_watch(struct orch_side *s, unsigned events);
void orch_side_done(struct orch_side *s);
/* It is not used any more, but stays open: epoll(7) forgets a descriptor only when the last duplicate
 * is closed, and the loop takes one out later than it is told to.  One of several duplicates that was
 * closed would be reported for ever. */
void orch_side_retire(struct orch_side *s);
bool orch_side_is_open(const struct orch_side *s);
/* EAGAIN, EINTR: try again later. */
bool orch_side_is_later(int error);
