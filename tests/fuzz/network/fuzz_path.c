/* fuzz_path.c - a canonical path is its own canonical form, and holds no dot segment. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include "net_path.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	static char one[NET_PATH_MAX + 1], two[NET_PATH_MAX + 1];
	struct err e = { 0 };
	size_t n = 0, m = 0;

	if (len > NET_PATH_MAX ||
		net_path_canonical((struct net_slice){ (const char *) data, len }, one, &n, &e) < 0)
		return 0;
	if (one[0] != '/' || strstr(one, "//") || strstr(one, "/./") || strstr(one, "/../"))
		abort();
	if (net_path_canonical((struct net_slice){ one, n }, two, &m, &e) < 0 || n != m ||
		memcmp(one, two, n) != 0)
		abort();
	return 0;
}
