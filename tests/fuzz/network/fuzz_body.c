/* fuzz_body.c - a chunked body framed anew: however it arrives, the output is the same, decodes to
 * the same data, and takes the same bytes of the input. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include "net_http_body.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

#define OUT_MAX (256 * 1024)
#define IN_MAX (32 * 1024)

struct result {
	int code; /* 1 whole, 0 wants more, -1 malformed */
	size_t used, len;
	char out[OUT_MAX];
};

static void carry(const char *at, size_t len, size_t step, bool to_chunks, struct result *r)
{
	static char keep[NET_TRAILERS_MAX];
	struct net_body body = { NET_BODY_CHUNKED, 0 };
	struct net_bytes b = { .at = r->out, .size = sizeof r->out };
	struct net_carry c;
	struct err e = { 0 };
	size_t used;

	net_carry_init(&c, &body, true, to_chunks, keep);
	r->used = 0;
	r->code = 0;
	while (r->used < len && !c.done && r->code == 0) {
		size_t n = len - r->used < step ? len - r->used : step;

		if (net_carry(&c, at + r->used, n, &used, &b, &e) < 0)
			r->code = -1;
		else if (used > n || (!c.done && used == 0))
			abort();
		r->used += used;
	}
	if (r->code == 0)
		r->code = c.done;
	r->len = b.len;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	static struct result whole, bytes, plain, again;
	size_t n = len < IN_MAX ? len : IN_MAX;
	char *at = malloc(n + 1);

	if (!at)
		return 0;
	(void) memcpy(at, data, n);
	carry(at, n, n + 1, true, &whole);
	carry(at, n, 1, true, &bytes);
	carry(at, n, 7, false, &plain);
	if (whole.code != bytes.code || (whole.code == 1 && whole.used != bytes.used))
		abort();
	if (whole.code == 1) {
		/* What we write is itself a body, of the same data. */
		carry(whole.out, whole.len, 11, false, &again);
		if (again.code != 1 || again.used != whole.len || again.len != plain.len ||
			memcmp(again.out, plain.out, plain.len) != 0)
			abort();
	}
	free(at);
	return 0;
}
