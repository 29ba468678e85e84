/* ipc_ctl.h - every message between "ctl" and the orchestrator, on its control socket.
 *
 * Row: X(NAME, number, min bytes, max bytes, fds, states it is legal in).
 * One connection asks for one thing.  What it asked for comes as a descriptor,
 * on which it goes on: a shell channel (ipc_shell.h) to the process leaf, a
 * session channel (ipc_session.h) to the orchestrator, or an SSH stream.  The
 * other end of a shell or an SSH stream is in the process leaf: no byte of a
 * shell passes through the orchestrator.
 */
#pragma once
#include <stdint.h>
#include "ipc_common.h"

enum ctl_state {
	CTL_NEW = 1 << 0,
	CTL_GREETED = 1 << 1,
	CTL_ASKED = 1 << 2, /* one request; its answer ends the exchange */
};

/* ctl to orchestrator */
#define CTL_REQUESTS(X) \
	X(CTL_HELLO, 1, 0, 256, 0, CTL_NEW) \
	X(CTL_SHELL, 2, 0, 0, 0, CTL_GREETED) \
	X(CTL_ATTACH, 3, 0, 0, 0, CTL_GREETED) \
	X(CTL_SSH, 4, 0, 0, 0, CTL_GREETED)

/* orchestrator to ctl */
#define CTL_ANSWERS(X) \
	X(CTL_GREETING, 65, 0, 256, 0, CTL_NEW) \
	X(CTL_CHANNEL, 66, 0, 0, 1, CTL_ASKED) \
	X(CTL_REFUSED, 67, 0, 1024, 0, CTL_NEW | CTL_GREETED | CTL_ASKED)

#define X(name, number, min, max, fds, states) name = (number),
enum ctl_msg { CTL_REQUESTS(X) CTL_ANSWERS(X) };
#undef X
