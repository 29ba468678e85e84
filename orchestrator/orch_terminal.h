/* orch_terminal.h - the operator's own terminal: raw while the workload has one, restored after.
 *
 * There is one per process, as there is one set of signal handlers: a fatal
 * signal restores it too, and after SIGKILL a small process does that waits for our
 * end.
 */
#pragma once
#include <stdbool.h>
#include <stdint.h>
#include "core_err.h"
#include "core_modes.h"

struct orch_terminal_size {
	uint16_t rows, columns; /* 0: unknown */
};

/* Does nothing when fd is no terminal. */
int orch_terminal_raw(int fd, struct err *e);
void orch_terminal_restore(void);
bool orch_terminal_is_raw(void);
/* Before a stop: as it was, to be made raw again by orch_terminal_again(). */
void orch_terminal_pause(void);
/* After a stop and SIGCONT: somebody else may have changed it. */
void orch_terminal_again(void);
struct orch_terminal_size orch_terminal_size(int fd);
/* How it is set, before it is made raw; see core_modes.h.  0: fd is no terminal. */
size_t orch_terminal_modes(int fd, uint32_t ret[MODES_LEN]);
void orch_terminal_resize(int fd, struct orch_terminal_size s);
