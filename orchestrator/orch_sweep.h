/* orch_sweep.h - kill whatever is left of the workload, for good.
 *
 * The caller is a sub-reaper (PR_SET_CHILD_SUBREAPER, prctl(2)): when the process
 * leaf dies, its descendants become the caller's children, however they
 * daemonised.  Each pass stops every descendant before it kills, so that nothing
 * forks in between; passes go on until no descendant is left or the time is up.
 * Each process is signalled through a pidfd whose start time was compared, so a
 * pid that has meanwhile been given to somebody else is never hit.
 */
#pragma once
#include <stdint.h>
#include "core_err.h"

/* Kills every descendant of this process and reaps its children; blocks for at most limit_ms and
 * one pass.  0 when nothing is left, -ETIMEDOUT otherwise.  Needs a mounted /proc. */
int orch_sweep_kill(uint64_t limit_ms, struct err *e);
