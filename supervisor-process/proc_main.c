/* proc_main.c - the process leaf: builds and operates the boundary around the workload.
 *
 * Starts as root with one descriptor, the control channel; parses nothing that
 * the workload writes.  Reduces itself to the capabilities of
 * docs/privilege-separation.md, and installs the supervisor's filter, before the
 * first untrusted process exists (proc_leaf_confirm).
 */
#include <errno.h>
#include <malloc.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>
#include "core_confine.h"
#include "core_fd.h"
#include "core_log.h"
#include "core_loop.h"
#include "core_text.h"
#include "ipc_common.h"
#include "proc_files.h"
#include "proc_leaf.h"

#define MMAP_THRESHOLD (128 * 1024) /* bytes */

static int run(struct err *e)
{
	AUTO(loop_free) struct loop *loop = NULL;
	AUTO(proc_leaf_free) struct proc_leaf *leaf = NULL;
	int r;

	/* A session of its own: the operator's Ctrl-C is the orchestrator's business. */
	(void) setsid();
	(void) signal(SIGPIPE, SIG_IGN);
	/* A fixed one: when nftables frees its large buffers, the C library would move it up, and the
	 * identity worker's tables would be zeroed, page by page, instead of mapped. */
	(void) mallopt(M_MMAP_THRESHOLD, MMAP_THRESHOLD);
	if (prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) < 0)
		return err_set(e, errno, "become the reaper of the workload's orphans");
	if ((r = fd_close_all_but(IPC_FD, e)) < 0 || (r = confine_harden(e)) < 0 ||
		(r = loop_new(&loop, e)) < 0 || (r = proc_leaf_new(loop, &leaf, e)) < 0 ||
		(r = proc_leaf_open(leaf, IPC_FD, e)) < 0)
		return r;
	return loop_run(loop, e);
}

/* validate-workspace --workdir P --expected-uid U --expected-gid G (spec/process 13.4): are we these, and
 * can we enter and write P?  For drivers that prepare a workspace. */
static int validate(int argc, char **argv, struct err *e)
{
	static const char *const names[] = { "--workdir", "--expected-uid", "--expected-gid" };
	const char *value[3] = { NULL };
	uint64_t uid, gid;

	for (int i = 0; i + 1 < argc; i += 2)
		for (int k = 0; k < 3; k++)
			if (strcmp(argv[i], names[k]) == 0)
				value[k] = argv[i + 1];
	if (argc != 6 || !value[0] || !value[1] || !value[2] ||
		text_to_u64(value[1], strlen(value[1]), 0, UINT32_MAX - 1, &uid) < 0 ||
		text_to_u64(value[2], strlen(value[2]), 0, UINT32_MAX - 1, &gid) < 0)
		return err_set(e, EINVAL,
			"usage: validate-workspace --workdir DIR --expected-uid UID --expected-gid "
			"GID");
	if (geteuid() != uid || getegid() != gid)
		return err_set(e, EPERM, "runs as uid %u, gid %u and not as expected", geteuid(),
			getegid());
	if (proc_files_check_workdir(value[0], e) < 0)
		return -e->code;
	return proc_files_use(value[0], e);
}

int main(int argc, char **argv)
{
	struct err e = { 0 };

	log_open("openshell-supervisor-process");
	if (argc > 1 && strcmp(argv[1], "validate-workspace") == 0)
		return validate(argc - 2, argv + 2, &e) < 0 ? log_fatal(&e) : EXIT_SUCCESS;
	if (argc != 1)
		(void) err_set(
			&e, EINVAL, "takes no arguments; start it through openshell-supervisor");
	return e.code || run(&e) < 0 ? log_fatal(&e) : EXIT_SUCCESS;
}
