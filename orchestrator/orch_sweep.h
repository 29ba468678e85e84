/* orch_sweep.h - kill whatever is left of the workload, for good.
 *
 * The orchestrator is a sub-reaper (PR_SET_CHILD_SUBREAPER): when the process
 * leaf dies, its descendants become our children, however they daemonised.
 * Each pass stops every descendant before it kills, so that nothing forks in
 * between; passes go on until the kernel says that we have no child (ECHILD),
 * and thereby no descendant, or the time is up.
 *
 * Descendants are found by the lists of children (/proc/PID/task/TID/children),
 * which cost as much as there are descendants; a kernel without these lists
 * (CONFIG_PROC_CHILDREN) has all of /proc read.
 */
#pragma once
#include <stdint.h>
#include <sys/types.h>
#include "core_err.h"

/* Descendants of this process, at most max; how many.  By lists of children (zombies too), and by
 * reading the parents of all processes. */
size_t orch_sweep_list(int proc_fd, pid_t *ret, size_t max);
size_t orch_sweep_scan(pid_t *ret, size_t max);
/* Reaps what it kills.  0 when nothing is left, -ETIMEDOUT otherwise. */
int orch_sweep_kill(uint64_t limit_ms, struct err *e);
