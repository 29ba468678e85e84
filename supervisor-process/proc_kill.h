/* proc_kill.h - signals to the workload, and the end of every descendant, however it has forked.
 *
 * The caller is a sub-reaper, so orphans become its children.  Each pass stops
 * what it finds before it kills, so that a fork bomb can't outrun it.
 *
 * Without CAP_KILL (Podman drops it: GAP-2) root may not signal another uid.
 * Then a child becomes the workload's identity and sends the signals.
 */
#pragma once
#include <sys/types.h>
#include "core_confine.h"
#include "core_err.h"

#define PROC_KILL_KEEP_MAX 96 /* worker, monitor, SSH sessions */

struct proc_killer {
	pid_t keep
		[PROC_KILL_KEEP_MAX]; /* descendants that are ours, without children of the workload */
	size_t n_keep;
	const struct confine_identity *workload; /* NULL: nothing of it exists yet */
};

/* kill(2), also of a group (negative).  0 or a negative errno. */
int proc_kill(const struct proc_killer *k, pid_t target, int signo);
/* Kills and reaps all descendants of this process but keep until none is left.
 * -ETIME when some are still there after PROC_KILL_PASSES_MAX passes. */
int proc_kill_all(const struct proc_killer *k, struct err *e);
