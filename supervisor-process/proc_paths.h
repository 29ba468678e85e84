/* proc_paths.h - from the policy's file section to Landlock rules (spec/process 6).
 *
 * Paths are opened here, as root and before the fork: a path that only root can
 * reach would be lost otherwise.  Links are followed; the target decides.
 */
#pragma once
#include <stdbool.h>
#include "core_confine.h"
#include "core_policy.h"
#include "proc_warnings.h"

struct proc_paths_input {
	const Openshell__Sandbox__V1__SandboxPolicy *policy;
	bool has_filesystem; /* the section was written */
	const char *workdir; /* "" = none */
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
