/* proc_pids.h - is there a limit on the number of processes?  (spec/process 7.7)
 *
 * The container runtime's limit is the only one.  Looked for in the cgroup that
 * this process is in, and in those above it (cgroups(7), both versions).
 */
#pragma once
#include <stddef.h>
#include <stdint.h>

#define PROC_PIDS_LINE_MAX 4096 /* bytes of /proc/self/cgroup that are looked at */

enum proc_pids {
	PROC_PIDS_LIMITED,
	PROC_PIDS_UNLIMITED,   /* "max" all the way up */
	PROC_PIDS_UNAVAILABLE, /* nothing that could be read */
};

/* Pure: the text of one pids.max. */
enum proc_pids proc_pids_parse(const char *text, size_t len);
/* cgroup: "/proc/self/cgroup"; root: "/sys/fs/cgroup". */
enum proc_pids proc_pids_look(const char *cgroup, const char *root);
const char *proc_pids_text(enum proc_pids p);
