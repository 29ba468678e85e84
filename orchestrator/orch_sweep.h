/* orch_sweep.h - kill whatever is left of the workload, for good.
 *
 * The caller is a sub-reaper (PR_SET_CHILD_SUBREAPER, prctl(2)): when the process
 * leaf dies, its descendants become the caller's children, however they
 * daemonised.  Each pass stops every descendant before it kills, so that nothing
 * forks in between; passes go on until the kernel says that we have no child
 * (ECHILD), and thereby no descendant, or the time is up.
 *
 * Descendants are found by the lists of children (/proc/PID/task/TID/children),
 * which cost as much as there are descendants; a kernel without these lists
 * (CONFIG_PROC_CHILDREN) has all of /proc read.  Each is signalled through a
 * pidfd whose parent was looked at, so that a pid that has meanwhile been given
 * to somebody else is never hit.  Without CAP_KILL a child becomes the other
 * user and sends the signals.
 */
#pragma once
#include <stdint.h>
#include <sys/types.h>
#include "core_err.h"

/* Descendants of this process, at most max; how many.  By lists of children (zombies too), and by
 * reading the parents of all processes. */
size_t orch_sweep_list(int proc_fd, pid_t *ret, size_t max);
size_t orch_sweep_scan(pid_t *ret, size_t max);
/* Kills and reaps every descendant; blocks for limit_ms and a pass at the most.  0 when nothing is
 * left, -ETIMEDOUT otherwise.  Needs a mounted /proc. */
int orch_sweep_kill(uint64_t limit_ms, struct err *e);
