/* fuzz_orch_hosts.c - resolv.conf, and the gateway's name in a hosts file. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include "orch_hosts.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	struct orch_nameservers n;
	char gateway[64];

	orch_hosts_nameservers((const char *) data, len, &n);
	if (n.n > ORCH_NAMESERVERS_MAX)
		abort();
	for (size_t i = 0; i < n.n; i++)
		if (!memchr(n.at[i], 0, sizeof n.at[i]) || !n.at[i][0])
			abort();
	orch_hosts_gateway((const char *) data, len, gateway, sizeof gateway);
	if (strncmp(gateway, "169.254.169.254", 16) == 0)
		abort();
	return 0;
}
