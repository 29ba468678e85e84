/* core_identity_members.h - which processes and threads live in the workload's namespace?
 *
 * A listing of /proc costs more than all the rest of a question, so it is used
 * again for MEMBERS_FRESH_MS while the kernel has made no process or thread
 * since (/proc/sys/kernel/ns_last_pid).  The time limit is far below what going
 * once around all pids takes, so the number can't have come back to where it
 * was.  Without that file every question lists anew.
 *
 * Processes outside are remembered by pid and by the inode of their /proc
 * directory, which changes when the pid is used again.
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include "core_cleanup.h"
#include "core_err.h"

#define MEMBERS_MAX 65536    /* processes and threads of the namespace; more: deny */
#define MEMBERS_FRESH_MS 100 /* how long a listing serves */

struct member {
	pid_t pid, tid; /* the process itself where they are equal */
};

struct members;

int members_new(int proc_fd, uint64_t netns_inode, struct members **ret, struct err *e);
void members_free(struct members *m);
/* List unless the last listing still holds; *ret_listed tells.  -ETIME behind deadline_ms
 * (CLOCK_MONOTONIC), -E2BIG beyond a bound. */
int members_update(struct members *m, uint64_t deadline_ms, bool *ret_listed, struct err *e);
/* The next update lists. */
void members_forget(struct members *m);
/* Borrowed until the next update; a process comes before its threads. */
const struct member *members_all(const struct members *m, size_t *ret_n);
bool members_is_inside(const struct members *m, pid_t pid);
uint64_t members_now_ms(void);
DEFINE_AUTO(struct members, members_free)
