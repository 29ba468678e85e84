/* fuzz_chunked.c - the end of a chunked body must not depend on how its bytes arrive. */
#include <stdint.h>
#include <stdlib.h>
#include "net_http_framing.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static int whole(const char *at, size_t len, size_t step, size_t *ret_end)
{
	struct net_chunked c = { 0 };
	bool done = false;
	struct err e = { 0 };

	*ret_end = 0;
	while (*ret_end < len && !done) {
		size_t n = len - *ret_end < step ? len - *ret_end : step, used = 0;

		if (net_chunked_feed(&c, at + *ret_end, n, &used, &done, &e) < 0)
			return -1;
		if (used > n || (!done && used != n))
			abort();
		*ret_end += used;
	}
	return done;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	size_t a = 0, b = 0;
	int x = whole((const char *) data, len, len ? len : 1, &a);
	int y = whole((const char *) data, len, 1, &b);

	if (x != y || (x == 1 && a != b))
		abort();
	return 0;
}
