/* proc_job.h - a process that somebody starts beside the main one, with the same restrictions.
 *
 * It goes through proc_spawn(), so nothing about it differs from the main
 * process but its terminal or pipes.  A job ends by itself, or is hung up:
 * SIGHUP to its group, the terminal closed, and SIGKILL after PROC_HANGUP_MS.
 * Whoever reaps children tells the job's end.
 */
#pragma once
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>
#include "core_cleanup.h"
#include "core_err.h"
#include "core_loop.h"
#include "proc_pty.h"
#include "proc_spawn.h"

struct proc_job;

struct proc_job_plan {
	const struct proc_restrictions *restrictions;
	const char *workdir;
	char *const *argv, *const *env; /* copied by fork */
	bool tty;
	struct proc_pty_look look;
};

struct proc_job_end {
	bool signalled;
	uint32_t code;	/* exit status or signal; 126, 127 when it could not be started */
	char text[256]; /* why it could not be started; "" otherwise */
};

/* ret_fds: the other ends, owned by the caller: stdin, stdout, stderr, or the master and -1, -1. */
int proc_job_start(struct loop *l, const struct proc_job_plan *plan, struct proc_job **ret,
	int ret_fds[3], struct err *e);
pid_t proc_job_pid(const struct proc_job *j);
void proc_job_signal(struct proc_job *j, int signo);
void proc_job_resize(struct proc_job *j, uint32_t rows, uint32_t columns);
void proc_job_hang_up(struct proc_job *j);
/* The process with this status was reaped: what to report.  Its pid means nothing any more. */
void proc_job_ended(struct proc_job *j, int status, struct proc_job_end *ret);
/* Does not kill. */
void proc_job_free(struct proc_job *j);
DEFINE_AUTO(struct proc_job, proc_job_free)
