#include "ssh_modes.h"

#define END 0
#define FIRST_UNKNOWN 160 /* opcodes from here on end the list, says the standard */
#define RECORD 5	  /* bytes: an opcode, and a number that it is about */

static uint32_t number(const uint8_t *b)
{
	return (uint32_t) b[0] << 24 | (uint32_t) b[1] << 16 | (uint32_t) b[2] << 8 | b[3];
}

void ssh_modes_parse(const uint8_t *bytes, size_t len, struct ssh_modes *ret)
{
	ret->n = 0;
	while (len >= RECORD && bytes[0] != END && bytes[0] < FIRST_UNKNOWN &&
		ret->n < 2 * SSH_MODES_MAX) {
		ret->at[ret->n++] = bytes[0];
		ret->at[ret->n++] = number(bytes + 1);
		bytes += RECORD;
		len -= RECORD;
	}
}
