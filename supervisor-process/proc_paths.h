/* proc_paths.h - from the policy's file section to Landlock rules (spec/process 6).
 *
 * Paths are opened here, as root and before the fork: a path that only root can
 * reach would be lost otherwise.  Links are followed; the target decides.
 *
 * The baseline (spec/process 6.4) is added where it exists and the user has not
 * listed the same path.  Beyond the reference's list, because no program is
 * happy without: /dev/null to write, /dev/zero, full and random to read,
 * /dev/tty, /dev/ptmx and /dev/pts as devices, and /bin, /sbin, /lib64 where
 * they are directories of their own.  /dev/shm is not: list it if needed.
 *
 * A path that fails costs this path only, with a warning (best_effort), or the
 * start (hard_requirement).  What only the baseline or the default policy names
 * may be missing without a word.  The child treats a ruleset that can't be
 * enforced as a failure at both levels (GAP-16).
 */
#pragma once
#include <stdbool.h>
#include "core_confine.h"
#include "core_policy.h"
#include "proc_warnings.h"

struct proc_paths_input {
	const Openshell__Sandbox__V1__SandboxPolicy *policy;
	bool has_filesystem;   /* the section was written */
	const char *workdir;   /* "" = none */
	const char *tls_dir;   /* of the CA files; NULL or "" = none */
	bool shared_terminals; /* /dev/pts is the host's: leave terminals out */
	int max_abi;	       /* 0: newest; tests set it lower */
	bool loopback_deny;
	uint16_t proxy_port;
};

struct proc_paths {
	struct confine_landlock
		*landlock; /* NULL: not enforced (best_effort, and a warning says so) */
	int abi;
	size_t n_rules;
};

/* Lexical list of read_write paths, the workdir included; borrowed from the policy.  At most max. */
size_t proc_paths_writable(const struct proc_paths_input *in, const char **ret, size_t max);
int proc_paths_open(const struct proc_paths_input *in, struct proc_paths *ret,
	struct proc_warnings *w, struct err *e);
void proc_paths_done(struct proc_paths *p);
