/* proc_mounts.h - a mount namespace in which the host's Unix sockets are out of reach.
 *
 * Landlock up to ABI 7 does not mediate connect(2) on a path socket, and a
 * workload may run with the uid of the person who started it: the session bus,
 * a tmux or agent socket would be a way out of the sandbox.  So the leaf moves
 * itself (and with it every child) into a private mount namespace, covers the
 * run-time directories with an empty read-only tmpfs, and covers every other
 * socket that is bound on the host at that moment (/proc/net/unix) with
 * /dev/null.  A socket that a host program binds later outside the run-time
 * directories is not covered: docs/security.md.
 *
 * Must run before the supervisor's prelude, which forbids mount(2), and before
 * Landlock paths are opened.
 */
#pragma once
#include <stddef.h>
#include "core_err.h"

#define PROC_MOUNTS_SOCKETS_MAX 4096	/* host sockets that are covered; more is an error */
#define PROC_MOUNTS_LIST_MAX (4u << 20) /* bytes of /proc/net/unix */
#define PROC_MOUNTS_KEEP_MAX 256	/* paths that policy names */

struct proc_mounts_result {
	unsigned n_directories, n_sockets; /* covered */
	int refused;			   /* errno when the host forbids mounts, else 0 */
};

/* sockets_fd: /proc/net/unix of the host, opened before the network namespace was left (it is what it
 * was at open).  keep: absolute paths that policy names explicitly; one inside a run-time directory stays
 * reachable, and a socket named exactly is not covered.  Where the host refuses mounts (EPERM or
 * EACCES), 0 is returned with ret->refused set and nothing hidden: the caller reports it. */
int proc_mounts_hide(int sockets_fd, const char *const *keep, size_t n_keep,
	struct proc_mounts_result *ret, struct err *e);

#define PROC_MOUNTS_PATH_MAX 4096 /* bytes, NUL included */

/* Pure: the directory that holds a SPIFFE socket (spec/process 7.8): 1, or 0 when value is blank.  An
 * address that is no path, or a directory that holds much else, is refused. */
int proc_mounts_spiffe_parent(const char *value, char ret[PROC_MOUNTS_PATH_MAX], struct err *e);
/* After proc_mounts_hide(): an empty read-only directory over this one.  One that is hidden already
 * is no error. */
int proc_mounts_hide_directory(const char *path, struct err *e);

/* Pure: the next path in the text of /proc/net/unix (proc_net(5)); NULL at the end. *len excludes
 * the newline. */
const char *proc_mounts_next_socket(const char **at, const char *end, size_t *ret_len);
