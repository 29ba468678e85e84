/* proc_main.c - the process leaf: builds and operates the boundary around the workload.
 *
 * Starts as root with one descriptor, the control channel; parses nothing that
 * the workload writes.  Reduces itself to the capabilities of
 * docs/privilege-separation.md, and installs the supervisor's filter, before the
 * first untrusted process exists (proc_leaf_confirm).
 */
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <unistd.h>
#include "core_confine.h"
#include "core_fd.h"
#include "core_log.h"
#include "core_loop.h"
#include "ipc_common.h"
#include "proc_leaf.h"

static int run(struct err *e)
{
	AUTO(loop_free) struct loop *loop = NULL;
	AUTO(proc_leaf_free) struct proc_leaf *leaf = NULL;
	int r;

	/* A session of its own: the operator's Ctrl-C is the orchestrator's business. */
	(void) setsid();
	(void) signal(SIGPIPE, SIG_IGN);
	if (prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) < 0)
		return err_set(e, errno, "become the reaper of the workload's orphans");
	if ((r = fd_close_all_but(IPC_FD, e)) < 0 || (r = confine_harden(e)) < 0 ||
		(r = loop_new(&loop, e)) < 0 || (r = proc_leaf_new(loop, &leaf, e)) < 0 ||
		(r = proc_leaf_open(leaf, IPC_FD, e)) < 0)
		return r;
	return loop_run(loop, e);
}

int main(int argc, char **argv)
{
	struct err e = { 0 };

	(void) argv;
	log_open("openshell-supervisor-process");
	if (argc != 1)
		(void) err_set(
			&e, EINVAL, "takes no arguments; start it through openshell-supervisor");
	return e.code || run(&e) < 0 ? log_fatal(&e) : EXIT_SUCCESS;
}
