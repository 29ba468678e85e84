/* fuzz_glob.c - dialect byte, pattern, NUL, value: compiling and matching end in bounded steps. */
#include <stdint.h>
#include <string.h>
#include "core_policy_snapshot.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	const char *p = (const char *) data + 1, *nul;
	struct policy_glob *g = NULL;
	struct err e = { 0 };

	if (len < 2)
		return 0;
	nul = memchr(p, '\0', len - 1);
	if (!nul)
		return 0;
	if (policy_glob_new((enum policy_dialect)(data[0] % 4), p, (size_t) (nul - p), &g, &e) == 0)
		(void) policy_glob_match(g, nul + 1, len - 2 - (size_t) (nul - p));
	policy_glob_free(g);
	return 0;
}
