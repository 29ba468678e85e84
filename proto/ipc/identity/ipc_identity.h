/* ipc_identity.h - every message of the identity channel.
 *
 * Row: X(NAME, number, min bytes, max bytes, fds, states it is legal in).
 * The request id of the header pairs question and answer.  The channel has one
 * state; it needs no hello, as both ends come from one orchestrator.
 */
#pragma once
#include <stdint.h>

#define ID_RESOLVE_PATHS_MAX 64 /* paths of one ID_RESOLVE, at most 4096 bytes each in sum 48 KiB */
#define ID_DEADLINE_MS 2000	/* the asker denies when there is no answer by then */

enum id_state { ID_OPEN = 1 << 0 };

#define ID_QUESTIONS(X) \
	X(ID_ASK, 1, 36, 64, 0, ID_OPEN) \
	X(ID_RESOLVE, 2, 0, 50000, 0, ID_OPEN)

#define ID_ANSWERS(X) \
	X(ID_ANSWER, 65, 0, 20000, 0, ID_OPEN) \
	X(ID_RESOLVED, 66, 0, 60000, 0, ID_OPEN)

#define X(name, number, min, max, fds, states) name = (number),
enum id_msg { ID_QUESTIONS(X) ID_ANSWERS(X) };
#undef X
