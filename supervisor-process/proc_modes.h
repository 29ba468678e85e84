/* proc_modes.h - modes that a client's terminal has, for one that is made for it.
 *
 * Numbers are those of RFC 4254, section 8.  They come from outside: an unknown
 * one, one that Linux has no equivalent of, and an argument that is out of range
 * change nothing.
 */
#pragma once
#include <stddef.h>
#include <stdint.h>
#include <termios.h>

/* n numbers: opcode, argument, opcode, argument, ...  A last one without argument is ignored. */
void proc_modes_apply(const uint32_t *modes, size_t n, struct termios *t);
