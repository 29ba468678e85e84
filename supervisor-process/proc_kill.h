/* proc_kill.h - end every descendant, however it has forked and reparented.
 *
 * The caller is a sub-reaper, so orphans become its children.  Each pass stops
 * what it finds before it kills, so that a fork bomb can't outrun it.
 */
#pragma once
#include <sys/types.h>
#include "core_err.h"

/* Kills and reaps all descendants of this process but keep (0: none) until none is left.
 * -ETIME when some are still there after PROC_KILL_PASSES_MAX passes. */
int proc_kill_all(pid_t keep, struct err *e);
/* The same, sparing several; the ones that are spared have no children of the workload. */
int proc_kill_but(const pid_t *keep, size_t n_keep, struct err *e);
