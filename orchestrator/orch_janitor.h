/* orch_janitor.h - ends what is left of the sandbox when we are killed (SIGKILL) and can't do it.
 *
 * A small process of its own, forked before there is any file or secret.  It is
 * the parent of the process leaf and a sub-reaper (PR_SET_CHILD_SUBREAPER,
 * prctl(2)), so whatever of the workload loses its parents comes to it, however
 * it has daemonised; it needs neither root nor a cgroup for that.
 *
 * It waits until we have ended, however that was.  Then it gives the process
 * leaf ORCH_JANITOR_LEAF_MS to tear down, kills every descendant
 * (orch_sweep_kill()), and removes what sandboxes left that are gone: control
 * sockets that nobody listens on, folders of the authority that nobody has
 * locked.  Both are done under locks, so that a sandbox that starts meanwhile
 * loses nothing.  An ordinary end kills it with the other descendants.
 *
 * When it alone is killed the sandbox goes on: the process leaf becomes our
 * child, as we are a sub-reaper too.
 */
#pragma once
#include "core_err.h"
#include "orch_spawn.h"

struct orch_janitor { /* both -1: none */
	int fd;	      /* it lives as long as this is open; nobody else may hold it */
	int leaf_fd;  /* our end of the process leaf's channel, until the leaf is started */
};

/* All is borrowed for the call, and copied. */
struct orch_janitor_plan {
	const struct orch_program *leaf; /* the process leaf */
	enum log_level level;
	/* Sockets at paths that the operator chose are removed too; NULL: none. */
	const char *ctl_socket, *ssh_socket;
};

/* Before the first secret; our working directory and stderr are what the leaf will have. */
int orch_janitor_start(
	const struct orch_janitor_plan *plan, struct orch_janitor *ret, struct err *e);
/* Start the process leaf, once.  *ret_channel is our end, non-blocking; *ret_pidfd becomes readable
 * when the leaf has ended (pidfd_open(2)).  Both are the caller's to close.  Waits for execve. */
int orch_janitor_spawn(struct orch_janitor *j, int *ret_channel, int *ret_pidfd, struct err *e);
/* Closes; the janitor takes that for our end. */
void orch_janitor_done(struct orch_janitor *j);
