/* fuzz_ssh_modes.c - any bytes as the modes of a terminal: bounded, in pairs, and applied within c_cc. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include "core_modes.h"
#include "ssh_modes.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	struct {
		struct termios t;
		uint8_t guard[16];
	} seen = { 0 };
	struct ssh_modes m;
	uint32_t raw[64];

	(void) memset(seen.guard, 0x5a, sizeof seen.guard);
	ssh_modes_parse(data, len, &m);
	if (m.n > 2 * SSH_MODES_MAX || m.n % 2 || m.n / 2 > len / 5)
		abort();
	modes_apply(m.at, m.n, &seen.t);
	/* A session program that was taken over sends what it likes. */
	if (len > sizeof raw)
		len = sizeof raw;
	if (len)
		(void) memcpy(raw, data, len);
	modes_apply(raw, len / sizeof *raw, &seen.t);
	for (size_t i = 0; i < sizeof seen.guard; i++)
		if (seen.guard[i] != 0x5a)
			abort();
	return 0;
}
