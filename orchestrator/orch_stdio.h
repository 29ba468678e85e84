/* orch_stdio.h - what the workload gets as stdin, stdout and stderr.
 *
 * Pipes, regular files and /dev/null are passed on as they are: no copying, and
 * the workload sees what the operator set up.  Everything else (a terminal,
 * which could be steered with ioctls; a socket, over which descriptors could
 * travel) stays here, and the workload gets a pipe that we relay.  stdout and
 * stderr on the same terminal share one pipe, so that their order survives.
 *
 * With a terminal of the workload's own (-i), bytes go between its master and
 * our stdin and stdout, and our terminal is raw while it runs.
 */
#pragma once
#include <stdbool.h>
#include "core_cleanup.h"
#include "core_err.h"
#include "core_loop.h"

enum orch_stdio_way { ORCH_STDIO_PASS, ORCH_STDIO_RELAY };

struct orch_stdio;
/* The operator's terminal has gone away (hang-up). */
typedef void (*orch_stdio_fn)(void *owner);

/* How descriptor fd would be treated. */
enum orch_stdio_way orch_stdio_choose(int fd);
/* Make sure that 0, 1 and 2 are open (on /dev/null), so that no later descriptor takes their place. */
int orch_stdio_reserve(struct err *e);

/* terminal: the workload will have one.  What is going to be relayed is opened here, while we may
 * open a terminal that belongs to somebody else. */
int orch_stdio_new(struct loop *l, bool terminal, orch_stdio_fn on_hangup, void *owner,
	struct orch_stdio **ret, struct err *e);
/* Without terminal: the three descriptors for the workload.  Borrowed; call orch_stdio_passed()
 * when the process leaf has its duplicates, or a pipe would never end. */
int orch_stdio_pipes(struct orch_stdio *s, int ret_fds[3], struct err *e);
void orch_stdio_passed(struct orch_stdio *s);
/* With terminal: relay between its master and our stdin and stdout. */
int orch_stdio_terminal(struct orch_stdio *s, int take_master, struct err *e);
/* SIGWINCH, SIGCONT */
void orch_stdio_resized(struct orch_stdio *s);
void orch_stdio_continued(struct orch_stdio *s);
/* true when everything that the workload wrote has been delivered, or can't be. */
bool orch_stdio_is_drained(const struct orch_stdio *s);
/* Called when that becomes true. */
void orch_stdio_on_drained(struct orch_stdio *s, orch_stdio_fn fn, void *owner);
void orch_stdio_free(struct orch_stdio *s);
DEFINE_AUTO(struct orch_stdio, orch_stdio_free)
