/* net_main.c - the network leaf: the workload's only way out.
 *
 * Starts as root with one descriptor, the control channel; ends up, before it
 * reads its first foreign byte, as a user of its own with no capability, no file
 * and the system calls of net_syscalls.c.
 *
 *     openshell-supervisor-network UID GID [DELEGATED]
 *
 * Without root it is its caller's user already.  DELEGATED: refusals of the host
 * that are tolerated (core_failure.h); of its own steps that is the filter.
 */
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>
#include "core_confine.h"
#include "core_failure.h"
#include "core_fd.h"
#include "core_log.h"
#include "core_loop.h"
#include "core_text.h"
#include "core_tls.h"
#include "ipc_common.h"
#include "net_leaf.h"
#include "net_syscalls.h"

#define UID_LAST 4294967294u

/* Two descriptors a client, and some; credentials and scrubbers in locked memory. */
static void raise_limits(void)
{
	struct rlimit l, lock = { NET_LOCKED_BYTES, NET_LOCKED_BYTES };

	if (getrlimit(RLIMIT_MEMLOCK, &l) == 0 && l.rlim_cur < lock.rlim_cur &&
		setrlimit(RLIMIT_MEMLOCK, &lock) < 0) {
		l.rlim_cur = l.rlim_max;
		(void) setrlimit(RLIMIT_MEMLOCK, &l);
	}

	if (getrlimit(RLIMIT_NOFILE, &l) == 0) {
		l.rlim_cur = l.rlim_max;
		(void) setrlimit(RLIMIT_NOFILE, &l);
	}
}

static int confine(uint32_t uid, uint32_t gid, struct err *e)
{
	struct confine_identity id = {
		.uid = uid, .gid = gid, .groups = { gid }, .n_groups = 1, .keep_ids = geteuid() != 0
	};
	struct err why = { 0 };
	int r;

	if ((r = confine_drop(&id, e)) < 0 || (r = confine_harden(e)) < 0)
		return err_wrap(e, "confine the network leaf");
	/* The end of the channel says the same, but not to a leaf that is stopped.  Behind the drop, as
	 * a change of credentials clears it. */
	if (prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0) < 0)
		return err_set(e, errno, "ask for the death signal");
	/* A kernel without Landlock has the seccomp list alone, which opens no file either. */
	if (confine_landlock_abi(&why) > 0 && (r = confine_landlock_nothing(true, e)) < 0)
		return err_wrap(e, "confine the network leaf");
	if ((r = confine_seccomp_allow(net_syscalls, false, e)) < 0)
		return err_wrap(e, "confine the network leaf");
	return 0;
}

static int setup_tls(struct err *e)
{
	int r = tls_setup(e);

	/* Without it, everything works, at a tenth of the speed. */
	if (r == 0 && !tls_setup_bulk())
		log_line(LOG_LEVEL_INFO, "AES-GCM without libipsec-mb: bulk transfers are slow");
	return r;
}

static bool is_delegated(void *owner, enum failure_kind kind, int code)
{
	(void) code;
	return *(const uint32_t *) owner & FAILURE_BIT(kind);
}

static int run(uint32_t uid, uint32_t gid, struct err *e)
{
	AUTO(loop_free) struct loop *loop = NULL;
	AUTO(net_leaf_free) struct net_leaf *leaf = NULL;
	int r;

	(void) setsid();
	(void) signal(SIGPIPE, SIG_IGN);
	raise_limits();
	if ((r = fd_close_all_but(IPC_FD, e)) < 0 ||
		(r = loop_new(&loop, e)) < 0 ||		  /* opens epoll before seccomp */
		(r = net_leaf_new(loop, &leaf, e)) < 0 || /* c-ares reads its files */
		(r = setup_tls(e)) < 0 ||		  /* reads the time zone, locks memory */
		(r = confine(uid, gid, e)) < 0 ||	  /* no privilege from here on */
		(r = net_leaf_open(leaf, IPC_FD, e)) < 0)
		return r;
	return loop_run(loop, e);
}

int main(int argc, char **argv)
{
	static uint32_t delegated;
	uint64_t uid = 0, gid = 0;
	struct err e = { 0 };

	log_open("openshell-supervisor-network");
	if (argc < 3 || argc > 4 || text_to_u64(argv[1], strlen(argv[1]), 1, UID_LAST, &uid) < 0 ||
		text_to_u64(argv[2], strlen(argv[2]), 1, UID_LAST, &gid) < 0)
		(void) err_set(
			&e, EINVAL, "takes a uid and a gid; start it through openshell-supervisor");
	else if (failure_set_handler(is_delegated, &delegated, &e) == 0 && argc == 4)
		(void) failure_parse_kinds(argv[3], &delegated, &e);
	return e.code || run((uint32_t) uid, (uint32_t) gid, &e) < 0 ? log_fatal(&e) : EXIT_SUCCESS;
}
