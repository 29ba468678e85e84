/* ipc_process.h - every message between the orchestrator and the process leaf.
 *
 * Row: X(NAME, number, min bytes, max bytes, fds, states it is legal in).
 * Numbers are wire format: append, never reuse.  Sizes are in bytes, without
 * the channel header.  The states are those of the boundary (architecture,
 * "Boundary lifecycle"); the one named is the state in which the message may
 * ARRIVE, and its handler moves it on.
 */
#pragma once
#include <stdint.h>
#include "ipc_common.h"

#define PROC_BIG 60000u /* bytes */

enum proc_state {
	PROC_NEW = 1 << 0, /* hello not yet exchanged */
	PROC_GREETED = 1 << 1,
	PROC_ATTACHED_S = 1 << 2,
	PROC_CLAIMED_S = 1 << 3,
	PROC_BOUND_S = 1 << 4,
	PROC_READY_S = 1 << 5,
	PROC_HELD = 1 << 6, /* child exists, waits before execve */
	PROC_RUNNING_S = 1 << 7,
	PROC_ENDED = 1 << 8, /* workload is gone */
};
#define PROC_ANY 0x1ffu

/* Orchestrator to process leaf; state kept by the leaf. */
#define PROC_REQUESTS(X) \
	X(PROC_HELLO, 1, 0, 256, 0, PROC_NEW) \
	X(PROC_ATTACH, 2, 0, 256, 0, PROC_GREETED) \
	X(PROC_CLAIM, 3, 0, PROC_BIG, 1, PROC_ATTACHED_S) \
	X(PROC_BIND, 4, 0, PROC_BIG, 1, PROC_CLAIMED_S) \
	X(PROC_CONFIRM, 5, 0, 0, 0, PROC_BOUND_S) \
	X(PROC_START_PIPES, 6, 0, 16, 3, PROC_READY_S) \
	X(PROC_START_TTY, 7, 0, 1024, 0, PROC_READY_S) \
	X(PROC_RELEASE, 8, 0, 0, 0, PROC_HELD) \
	X(PROC_SIGNAL, 9, 0, 8, 0, PROC_HELD | PROC_RUNNING_S | PROC_ENDED) \
	X(PROC_IDENTITY, 10, 0, 0, 1, \
		PROC_BOUND_S | PROC_READY_S | PROC_HELD | PROC_RUNNING_S | PROC_ENDED) \
	X(PROC_STOP, 11, 0, 0, 0, PROC_ANY) \
	X(PROC_SHELL, 12, 0, 0, 1, PROC_RUNNING_S | PROC_ENDED) \
	X(PROC_SSH_PROGRAM, 13, 0, 0, 1, \
		PROC_BOUND_S | PROC_READY_S | PROC_HELD | PROC_RUNNING_S | PROC_ENDED) \
	X(PROC_SSH_LISTEN, 14, 0, 0, 1, PROC_BOUND_S) \
	X(PROC_SSH_CONNECTION, 15, 0, 0, 1, PROC_RUNNING_S | PROC_ENDED) \
	X(PROC_SSH_VERDICT, 16, 0, 1024, 0, PROC_RUNNING_S | PROC_ENDED)

/* Process leaf to orchestrator; state kept by the orchestrator, which moves when the answer
 * arrives.  PROC_FAILED is an answer to any request and ends the start. */
#define PROC_ANSWERS(X) \
	X(PROC_GREETING, 65, 0, 256, 0, PROC_NEW) \
	X(PROC_ATTACHED, 66, 0, 256, 2, PROC_GREETED) \
	X(PROC_CLAIMED, 67, 0, PROC_BIG, 0, PROC_ATTACHED_S) \
	X(PROC_BOUND, 68, 0, 0, 0, PROC_CLAIMED_S) \
	X(PROC_CONFIRMED, 69, 0, PROC_BIG, 0, PROC_BOUND_S) \
	X(PROC_STARTED, 70, 0, 16, 0, PROC_READY_S) \
	X(PROC_STARTED_TTY, 71, 0, 16, 1, PROC_READY_S) \
	X(PROC_RUNNING, 72, 0, 0, 0, PROC_HELD) \
	X(PROC_EXITED, 73, 0, 16, 0, PROC_HELD | PROC_RUNNING_S) \
	X(PROC_FAILED, 74, 0, 4096, 0, PROC_ANY) \
	X(PROC_EVENT, 75, 0, 16384, 0, PROC_ANY) \
	X(PROC_STOPPED, 76, 0, 0, 0, PROC_ANY) \
	X(PROC_ATTACH_MAIN, 77, 0, 0, 1, PROC_RUNNING_S | PROC_ENDED) \
	X(PROC_SSH_PEER, 78, 0, 0, 1, PROC_RUNNING_S | PROC_ENDED)

#define X(name, number, min, max, fds, states) name = (number),
enum proc_msg { PROC_REQUESTS(X) PROC_ANSWERS(X) };
#undef X
