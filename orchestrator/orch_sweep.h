/* orch_sweep.h - kill whatever is left of the workload, for good.
 *
 * The orchestrator is a sub-reaper (PR_SET_CHILD_SUBREAPER): when the process
 * leaf dies, its descendants become our children, however they daemonised.
 * Each pass stops every descendant before it kills, so that nothing forks in
 * between; passes go on until no descendant is left or the time is up.
 */
#pragma once
#include <stdint.h>
#include <sys/types.h>
#include "core_err.h"

/* Descendants of this process but for spare and its descendants (0: none spared).  Writes at most
 * max pids; returns how many. */
size_t orch_sweep_find(pid_t spare, pid_t *ret, size_t max);
/* Reaps what it kills.  0 when nothing is left, -ETIMEDOUT otherwise. */
int orch_sweep_kill(pid_t spare, uint64_t limit_ms, struct err *e);
