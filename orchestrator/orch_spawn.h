/* orch_spawn.h - find a leaf's program and start it.
 *
 * A leaf gets one end of a SEQPACKET pair as descriptor 3 (IPC_FD), /dev/null
 * as stdin and stdout (stdout belongs to the workload), our stderr, a session
 * of its own (so that no key of the operator's terminal reaches it) and an
 * environment with nothing of ours but the log level.
 */
#pragma once
#include <sys/types.h>
#include "core_err.h"
#include "core_log.h"

#ifndef OPENSHELL_LIBEXEC
#define OPENSHELL_LIBEXEC "/usr/local/libexec/openshell"
#endif
#define ORCH_LEAF_PROCESS "openshell-supervisor-process"
#define ORCH_LEAF_NETWORK "openshell-supervisor-network"
#define ORCH_SSH_PROGRAM \
	"openshell-supervisor-ssh" /* one per SSH connection, of the process leaf */

struct orch_places {	      /* where leaves are looked for */
	const char *leaf_dir; /* NULL: the places below */
	const char *self;     /* our own executable, absolute */
	const char *libexec;  /* installed leaves */
};

/* Path of our executable (/proc/self/exe), malloc'd. */
int orch_spawn_self(char **ret, struct err *e);
/* The first place that has a file of this name; with leaf_dir only that one.  The file must be
 * regular, executable, owned by root, by us or by the owner of our own executable, and writable by
 * its owner only: whoever could write it could become root.  *ret is malloc'd. */
int orch_spawn_find(const struct orch_places *p, const char *name, char **ret, struct err *e);

#define ORCH_LEAF_ARGS_MAX 3

struct orch_program {
	const char *path;		      /* with a folder */
	const char *args[ORCH_LEAF_ARGS_MAX]; /* NULL: no more */
};

/* end (3 or above, borrowed) is the leaf's end of the pair.  0 or a negative errno; waits for execve. */
int orch_spawn_leaf_at(const struct orch_program *p, enum log_level level, int end, pid_t *ret_pid);
/* The same with a pair of its own.  *ret_fd is our end, non-blocking; the caller reaps *ret_pid. */
int orch_spawn_leaf(const struct orch_program *p, enum log_level level, pid_t *ret_pid, int *ret_fd,
	struct err *e);
