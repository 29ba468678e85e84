/* proc_spawn.h - a child under the workload's restrictions, held before it does anything.
 *
 * Everything is resolved, opened and compiled before the fork; the child makes
 * raw system calls in this order: session and terminal, network namespace,
 * groups, gid, bounding set, uid and verification, hardening, Landlock, seccomp.
 * The probe of "confirm" takes the same way.
 */
#pragma once
#include <stdbool.h>
#include <sys/types.h>
#include "core_confine.h"
#include "core_err.h"
#include "proc_netns.h"

enum proc_stage { /* where a child failed; append only */
	PROC_STAGE_SESSION = 1,
	PROC_STAGE_STREAMS,
	PROC_STAGE_NAMESPACE,
	PROC_STAGE_IDENTITY,
	PROC_STAGE_HARDEN,
	PROC_STAGE_LANDLOCK,
	PROC_STAGE_SECCOMP,
	PROC_STAGE_WORKDIR,
	PROC_STAGE_EXEC,
};

const char *proc_stage_name(enum proc_stage s);

struct proc_failure { /* what the child sends when it can't go on */
	int stage, code;
};

struct proc_restrictions { /* borrowed; the same for probe, workload and every later child */
	const struct proc_netns *netns;
	const struct confine_identity *identity;
	const struct confine_landlock *landlock; /* NULL: best_effort without Landlock */
	const struct confine_filter *filter;	 /* NULL: the host refuses, and that is tolerated */
};

struct proc_spawn {
	const struct proc_restrictions *restrictions;
	const char *workdir; /* "" = stay */
	char *const *argv, *const *env;
	int fds[3]; /* stdin, stdout, stderr; or the terminal's slave three times */
	bool terminal;
	mode_t umask;
};

struct proc_child {
	pid_t pid;
	int hold;    /* write one byte to let it go; closing it without ends it */
	int failure; /* readable: struct proc_failure, or the end when execve succeeded */
};

int proc_spawn(const struct proc_spawn *s, struct proc_child *ret, struct err *e);
void proc_child_done(struct proc_child *c); /* closes; does not kill */
/* In a child just forked: take every restriction.  0, or fills ret. */
int proc_spawn_restrict(const struct proc_restrictions *r, pid_t parent, struct proc_failure *ret);
