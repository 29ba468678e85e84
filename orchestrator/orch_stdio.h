/* orch_stdio.h - what the workload gets as stdin, stdout and stderr.
 *
 * Pipes, regular files and /dev/null are passed on as they are: no copying, and
 * the workload sees what the operator set up.  Everything else (a terminal,
 * which could be steered with ioctls; a socket, over which descriptors could
 * travel) stays here, and the workload gets a pipe that we relay.  stdout and
 * stderr on the same terminal share one pipe, so that their order survives.
 *
 * This is the way of a command that nobody can attach to; orch_session.h is the
 * other one.
 */
#pragma once
#include <stdbool.h>
#include <sys/types.h>
#include "core_cleanup.h"
#include "core_err.h"
#include "core_loop.h"

enum orch_stdio_way { ORCH_STDIO_PASS, ORCH_STDIO_RELAY };

struct orch_stdio;
typedef void (*orch_stdio_fn)(void *owner);

/* How descriptor fd would be treated. */
enum orch_stdio_way orch_stdio_choose(int fd);
/* Make sure that 0, 1 and 2 are open (on /dev/null), so that no later descriptor takes their place. */
int orch_stdio_reserve(struct err *e);

/* What is going to be relayed is opened here, while we may open a terminal that belongs to somebody
 * else. */
int orch_stdio_new(struct loop *l, struct orch_stdio **ret, struct err *e);
/* The three descriptors for the workload.  Borrowed; call orch_stdio_passed()
 * when the process leaf has its duplicates, or a pipe would never end. */
int orch_stdio_pipes(struct orch_stdio *s, int ret_fds[3], struct err *e);
void orch_stdio_passed(struct orch_stdio *s);
/* Pipes of ours belong to the workload's user, so that it may open /dev/stdout. */
void orch_stdio_give(struct orch_stdio *s, uid_t uid, gid_t gid);
/* true when everything that the workload wrote has been delivered, or can't be. */
bool orch_stdio_is_drained(const struct orch_stdio *s);
/* Called when that becomes true. */
void orch_stdio_on_drained(struct orch_stdio *s, orch_stdio_fn fn, void *owner);
void orch_stdio_free(struct orch_stdio *s);
DEFINE_AUTO(struct orch_stdio, orch_stdio_free)
