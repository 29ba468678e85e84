/* ipc_session.h - every message of a session channel (spec/process 11.5).
 *
 * Row: X(NAME, number, min bytes, max bytes, fds, states it is legal in).
 * Both directions have a window: the sender stops when so many bytes have not
 * been reported as taken.  A client that does not take its output falls behind
 * the replay log, is told how much it missed, and is cut off.
 */
#pragma once
#include <stdint.h>

#define SESSION_CHUNK_MAX 4096		  /* bytes of one SessionBytes */
#define SESSION_WINDOW_BYTES (256 * 1024) /* output not yet taken */
#define SESSION_INPUT_BYTES (64 * 1024)	  /* input not yet taken */

enum session_state { SESSION_NEW = 1 << 0, SESSION_OPEN_S = 1 << 1 };

/* client to orchestrator */
#define SESSION_REQUESTS(X) \
	X(SESSION_OPEN, 1, 0, 32, 0, SESSION_NEW) \
	X(SESSION_INPUT, 2, 0, 4200, 0, SESSION_OPEN_S) \
	X(SESSION_TAKEN, 3, 0, 8, 0, SESSION_OPEN_S) \
	X(SESSION_RESIZE, 4, 0, 16, 0, SESSION_OPEN_S) \
	X(SESSION_SIGNAL, 5, 0, 8, 0, SESSION_OPEN_S) \
	X(SESSION_EOF, 6, 0, 0, 0, SESSION_OPEN_S)

/* orchestrator to client */
#define SESSION_ANSWERS(X) \
	X(SESSION_OPENED, 65, 0, 16, 0, SESSION_NEW) \
	X(SESSION_OUTPUT, 66, 0, 4200, 0, SESSION_OPEN_S) \
	X(SESSION_NOTICE, 67, 0, 1024, 0, SESSION_NEW | SESSION_OPEN_S) \
	X(SESSION_ROOM, 68, 0, 8, 0, SESSION_OPEN_S) \
	X(SESSION_EXIT, 69, 0, 16, 0, SESSION_NEW | SESSION_OPEN_S)

#define X(name, number, min, max, fds, states) name = (number),
enum session_msg { SESSION_REQUESTS(X) SESSION_ANSWERS(X) };
#undef X
