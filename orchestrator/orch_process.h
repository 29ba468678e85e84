/* orch_process.h - one process leaf, driven through the states of the boundary in their order.
 *
 * Each step is one request, one answer and one deadline (architecture, "Boundary
 * lifecycle").  The owner is told after each answer, before the next request
 * goes out, so that it can hand over what the next one carries.  Any failure is
 * reported once, through failed(), and nothing is sent after it but a stop.
 */
#pragma once
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>
#include "core_cleanup.h"
#include "core_err.h"
#include "core_loop.h"
#include "event.pb-c.h"
#include "ipc_process.h"
#include "ipc_process.pb-c.h"

struct orch_process;

struct orch_process_calls {
	/* Descriptors are borrowed: TAKE_FD() keeps one. */
	void (*attached)(
		void *owner, const Openshell__Ipc__ProcAttached *a, int *netns, int *listener);
	void (*claimed)(void *owner, const Openshell__Ipc__ProcClaimed *c);
	void (*bound)(void *owner);
	/* 0, or a negative errno when the evidence does not suffice. */
	int (*confirmed)(void *owner, const Openshell__Ipc__ProcConfirmed *c, struct err *e);
	void (*started)(void *owner, pid_t pid, int *master); /* held; -1: no terminal */
	void (*running)(void *owner);
	/* An SSH client wants the main session; fd is borrowed. */
	void (*attach_main)(void *owner, int *fd);
	/* May whoever is at the other end of the SSH connection fd (borrowed) come in?  0, or why not. */
	int (*ssh_peer)(void *owner, int fd, struct err *why);
	void (*exited)(void *owner, bool signalled, uint32_t code);
	void (*event)(void *owner, const Openshell__Event__Event *ev);
	void (*stopped)(void *owner); /* everything of the workload is gone */
	void (*failed)(void *owner, const struct err *why);
};

struct orch_process_plan { /* borrowed until the end; messages may be completed between steps */
	const Openshell__Ipc__ProcAttach *attach;
	Openshell__Ipc__ProcClaim *claim;
	Openshell__Ipc__ProcBind *bind;
	const int *policy_fd;	/* sent with claim */
	const int *identity_fd; /* sent with bind */
	const int *streams;	/* three, sent with start; NULL: a terminal */
	const Openshell__Ipc__ProcStart *start;
};

/* take_fd: our end of the leaf's channel.  Sends the greeting and attach at once. */
int orch_process_new(struct loop *l, int take_fd, const struct orch_process_plan *plan,
	const struct orch_process_calls *calls, void *owner, struct orch_process **ret,
	struct err *e);
/* The plan's claim, bind and start wait for this (after new, once). */
int orch_process_go(struct orch_process *p, struct err *e);
/* The owner has its network: let the held workload execute. */
int orch_process_release(struct orch_process *p, struct err *e);
int orch_process_signal(struct orch_process *p, int signo, struct err *e);
/* A new identity channel for a new network leaf; fd is borrowed. */
int orch_process_identity(struct orch_process *p, int fd, struct err *e);
/* PROC_SHELL or one of PROC_SSH_*; fd is borrowed. */
int orch_process_lend(struct orch_process *p, uint16_t number, int fd, struct err *e);
bool orch_process_takes_identity(const struct orch_process *p);
/* Ends the workload and the leaf; -EPIPE when it is gone already. */
int orch_process_stop(struct orch_process *p, struct err *e);
void orch_process_free(struct orch_process *p);
DEFINE_AUTO(struct orch_process, orch_process_free)
