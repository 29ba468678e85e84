/* ipc_shell.h - every message of a shell channel.
 *
 * Row: X(NAME, number, min bytes, max bytes, fds, states it is legal in).
 * The end of the channel hangs up every job that was started on it.  No hello:
 * both ends come from one orchestrator.
 */
#pragma once
#include <stdint.h>

#define SHELL_COMMAND_BYTES_MAX 49152 /* bytes of argv; it travels in one packet */

enum shell_state { SHELL_OPEN = 1 << 0 };

/* to the spawner */
#define SHELL_REQUESTS(X) \
	X(SHELL_START, 1, 0, 60000, 0, SHELL_OPEN) \
	X(SHELL_SIGNAL, 2, 0, 8, 0, SHELL_OPEN) \
	X(SHELL_RESIZE, 3, 0, 16, 0, SHELL_OPEN) \
	X(SHELL_HANGUP, 4, 0, 0, 0, SHELL_OPEN) \
	X(SHELL_DIAL, 5, 0, 32, 0, SHELL_OPEN) \
	X(SHELL_MAIN, 6, 0, 0, 0, SHELL_OPEN) \
	X(SHELL_REPORT, 7, 0, 512, 0, SHELL_OPEN)

/* from the spawner */
#define SHELL_ANSWERS(X) \
	X(SHELL_STARTED, 65, 0, 0, 3, SHELL_OPEN)     /* stdin to write; stdout, stderr to read */ \
	X(SHELL_STARTED_TTY, 66, 0, 0, 1, SHELL_OPEN) /* the terminal's master */ \
	X(SHELL_DIALLED, 67, 0, 0, 1, SHELL_OPEN)     /* connected, or about to be */ \
	X(SHELL_ATTACHED, 68, 0, 0, 1, SHELL_OPEN)    /* a session channel */ \
	X(SHELL_REFUSED, 69, 0, 1024, 0, SHELL_OPEN) \
	X(SHELL_ENDED, 70, 0, 1024, 0, SHELL_OPEN)

#define X(name, number, min, max, fds, states) name = (number),
enum shell_msg { SHELL_REQUESTS(X) SHELL_ANSWERS(X) };
#undef X
