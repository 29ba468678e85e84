/* ssh_modes.h - the terminal modes of a pty-req (RFC 4254, section 8; RFC 8160 for IUTF8).
 *
 * Pure: bytes in, pairs of an opcode and its argument out.  What the opcodes mean
 * is for whoever has the terminal (core_modes.h).
 */
#pragma once
#include <stddef.h>
#include <stdint.h>
#include "ssh_limits.h"

struct ssh_modes {
	uint32_t at[2 * SSH_MODES_MAX]; /* opcode, argument, opcode, argument, ... */
	size_t n;			/* numbers in at */
};

/* Reads up to the end mark, the first opcode whose argument has no known form (160 and above), an
 * argument that is cut off, or SSH_MODES_MAX; what was read until then counts. */
void ssh_modes_parse(const uint8_t *bytes, size_t len, struct ssh_modes *ret);
