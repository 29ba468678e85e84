/* fuzz_spec.c - OPENSHELL_MAIN_PROCESS_SPEC. */
#include <stdint.h>
#include <stdlib.h>
#include "orch_spec.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	struct orch_spec spec = { 0 };
	struct err e = { 0 };

	if (orch_spec_parse((const char *) data, len, &spec, &e) < 0)
		return e.text[0] ? 0 : (abort(), 0);
	if (!spec.command || !spec.command[0] || !spec.command[0][0])
		abort();
	orch_spec_free_words(spec.command);
	return 0;
}
