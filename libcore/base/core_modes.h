/* core_modes.h - how a terminal is set, in numbers: from the user's to the one that is made inside.
 *
 * Numbers are those of RFC 4254, section 8.  They come from outside: an unknown
 * one, one that Linux has no equivalent of, and an argument that is out of range
 * change nothing.  The orchestrator and ctl read the user's terminal, the process
 * leaf, which has the other one, applies; for SSH the client did the reading.
 */
#pragma once
#include <stddef.h>
#include <stdint.h>
#include <termios.h>

#define MODES_LEN 128 /* numbers: room for all that there are */

/* What t has, as opcode, argument, opcode, argument, ...  Returns how many numbers. */
size_t modes_read(const struct termios *t, uint32_t ret[MODES_LEN]);

/* n numbers as above.  A last one without argument is ignored. */
void modes_apply(const uint32_t *modes, size_t n, struct termios *t);
