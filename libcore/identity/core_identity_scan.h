/* core_identity_scan.h - one pass over /proc: who holds any of these sockets?
 *
 * Only processes of the workload's network namespace are looked into
 * (core_identity_members.h).
 */
#pragma once
#include <stdint.h>
#include <sys/types.h>
#include "core_cleanup.h"
#include "core_err.h"
#include "core_identity.h"

#define SCAN_OWNERS_MAX 64 /* processes that hold one socket; more: deny */

struct scan;

struct scan_wanted {
	uint64_t inode; /* 0: not wanted */
	pid_t owners[SCAN_OWNERS_MAX];
	size_t n_owners; /* SCAN_OWNERS_MAX + 1: too many */
};

int scan_new(int proc_fd, uint64_t netns_inode, struct scan **ret, struct err *e);
void scan_free(struct scan *s);
/* -ETIME, -E2BIG when a bound was reached: nobody may be believed then. */
int scan_run(struct scan *s, struct scan_wanted *wanted, size_t n, struct err *e);
/* Is this process in the workload's namespace?  Used where the ancestor walk must end. */
bool scan_is_inside(const struct scan *s, pid_t pid);
DEFINE_AUTO(struct scan, scan_free)
