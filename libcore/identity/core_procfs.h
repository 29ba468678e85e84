/* core_procfs.h - bounded readers of proc(5).
 *
 * Every reader is told which directory is /proc (proc_fd, opened O_PATH by the
 * caller) so that it works under Landlock and in tests.  Peer-controlled names
 * never allocate more than the stated maxima.
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include "core_err.h"

#define PROCFS_PATH_MAX 4096	/* bytes of one path, NUL included */
#define PROCFS_CMDLINE_MAX 4096 /* bytes of /proc/PID/cmdline that are looked at */

struct procfs_stat {
	pid_t parent;
	uint64_t start; /* clock ticks since boot: with the pid, the name of one process for good */
	char state;	/* R, S, D, T, Z ... */
};

/* Fields of /proc/PID/stat (proc_pid_stat(5)); comm may hold anything. */
int procfs_stat(int proc_fd, pid_t pid, struct procfs_stat *ret, struct err *e);
/* Target of /proc/PID/exe.  One trailing " (deleted)" is removed only when no file has the literal
 * name. */
int procfs_exe(int proc_fd, pid_t pid, char ret[PROCFS_PATH_MAX], struct err *e);
/* Direct children of every thread of pid, at most max; returns the count. */
int procfs_children(int proc_fd, pid_t pid, pid_t *ret, size_t max, struct err *e);
int procfs_uid(int proc_fd, pid_t pid, uint32_t *ret, struct err *e);
/* Absolute paths among argv, for logging only; "\0"-separated into ret, at most max bytes. */
int procfs_cmdline_paths(
	int proc_fd, pid_t pid, char *ret, size_t max, size_t *ret_len, struct err *e);
/* Pure: parse the text of /proc/PID/stat (fuzzed). */
int procfs_stat_parse(const char *text, size_t len, struct procfs_stat *ret);
