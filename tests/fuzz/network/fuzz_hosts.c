/* fuzz_hosts.c - the text of a hosts file. */
#include <stdint.h>
#include "net_resolve.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	struct net_addresses a;

	net_resolve_in_hosts((const char *) data, len, "origin.test", &a);
	return 0;
}
