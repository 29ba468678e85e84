/* proc_identity_worker.h - a confined child of the process leaf that tells who is calling.
 *
 * It keeps CAP_SYS_PTRACE and CAP_DAC_READ_SEARCH, may open files for reading
 * and nothing else (system call allow-list), and answers on identity channels:
 * one per network leaf, handed over on an internal socket pair.
 */
#pragma once
#include <sys/types.h>
#include "core_cleanup.h"
#include "core_err.h"
#include "core_loop.h"

#define PROC_WORKER_CHANNELS_MAX 16 /* network leaves at a time */

struct proc_worker;

int proc_worker_start(int netns_fd, struct proc_worker **ret, struct err *e);
/* Its end of an identity channel; the caller keeps fd. */
int proc_worker_add(struct proc_worker *w, int fd, struct err *e);
/* Where the walk over ancestors ends: the entrypoint. */
int proc_worker_set_anchor(struct proc_worker *w, pid_t anchor, struct err *e);
pid_t proc_worker_pid(const struct proc_worker *w);
/* Closes its socket, upon which it ends; whoever reaps children reaps it. */
void proc_worker_free(struct proc_worker *w);
DEFINE_AUTO(struct proc_worker, proc_worker_free)
