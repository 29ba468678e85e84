/* fuzz_orch_json.c - one JSON text: reading ends, and what is accepted can be walked. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include "orch_json.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	static struct orch_json j;
	char *text = malloc(len + 1);
	struct err e = { 0 };
	size_t bytes = 0;

	if (!text)
		abort();
	memcpy(text, data, len);
	if (orch_json_read(&j, text, len, &e) == 0)
		for (size_t i = 0; i < j.n; i++)
			bytes += j.nodes[i].len + (orch_json_first(&j, &j.nodes[i]) != NULL);
	if (bytes > 2 * len + j.n)
		abort();
	free(text);
	return 0;
}
