/* fuzz_unix_list.c - the text of /proc/net/unix. */
#include <stdint.h>
#include <stdlib.h>
#include "proc_mounts.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	const char *at = (const char *) data, *end = at + len, *path;
	size_t n;

	while ((path = proc_mounts_next_socket(&at, end, &n)))
		if (path < (const char *) data || path + n > end || n == 0 || *path != '/')
			abort();
	return 0;
}
