/* Extensions of an authority: whatever is in them, no byte behind them is read. */
#include <stdlib.h>
#include <string.h>
#include "core_tls_constraints.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len);
int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
	uint8_t *copy = malloc(len + !len); /* of its very size, for the sanitizer */

	if (!copy)
		return 0;
	(void) memcpy(copy, bytes, len);
	(void) tls_constraints_allow(copy, len, "host.example.test");
	(void) tls_constraints_allow(copy, len, "10.1.2.3");
	(void) tls_constraints_allow(copy, len, "2001:db8::1");
	free(copy);
	return 0;
}
