/* proc_shell.h - the spawner: shell channels (ipc_shell.h) and the jobs that are started on them.
 *
 * At the other end of a channel is a local user's ctl, or a confined SSH session
 * program: neither is trusted with more than what a message of the table says.
 * A job gets the main process' restrictions and environment, a terminal or
 * pipes, and is hung up when its channel ends.  A connection is dialled to the
 * loopback of the workload's namespace, never elsewhere.
 */
#pragma once
#include <stdbool.h>
#include <stdint.h>
#include "core_cleanup.h"
#include "core_err.h"
#include "core_loop.h"
#include "proc_env.h"
#include "proc_spawn.h"

struct proc_shells;

struct proc_shells_config { /* borrowed for as long as the shells live */
	const struct proc_restrictions *restrictions;
	const struct proc_env *env;
	const char *account_shell;
	const char *workdir;
	/* One end of a session channel, borrowed, for whoever has the main session. */
	int (*attach_main)(void *owner, int fd, struct err *e);
	/* A peer asked for what is never given. */
	void (*report)(void *owner, const char *what);
	void *owner;
};

int proc_shells_new(struct loop *l, const struct proc_shells_config *c, struct proc_shells **ret,
	struct err *e);
/* Serve one channel; take_fd is owned even on failure. */
int proc_shells_serve(struct proc_shells *s, int take_fd, struct err *e);
/* true: pid was a job of ours. */
bool proc_shells_reaped(struct proc_shells *s, pid_t pid, int status);
/* Every process of the workload was killed and reaped: the jobs' ends are told. */
void proc_shells_all_killed(struct proc_shells *s);
void proc_shells_free(struct proc_shells *s);
DEFINE_AUTO(struct proc_shells, proc_shells_free)

/* The first of the account's shell, /bin/bash and /bin/sh that can be executed and lets people in. */
const char *proc_shell_choose(const char *account_shell);
/* A variable that somebody at the door may set. */
bool proc_shell_is_allowed_var(const char *name, const char *value);
