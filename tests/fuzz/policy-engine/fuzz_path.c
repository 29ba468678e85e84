/* fuzz_path.c - one flag byte, then a request target: canonical paths are stable, and their query decodes. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include "core_policy_path.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

/* What goes upstream must read there as it was judged here. */
static void is_stable(const struct policy_path *p, bool lenient)
{
	static struct policy_path again;

	if (policy_path_canonical(p->at, p->len, lenient, &again) != POLICY_PATH_FINE ||
		again.changed || again.len != p->len || memcmp(again.at, p->at, p->len) != 0)
		abort();
	if (p->at[0] != '/' || strstr(p->at, "/../") || strstr(p->at, "/./") || strstr(p->at, "//"))
		abort();
	if (!lenient && strstr(p->at, "%2F"))
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	static struct policy_query q;
	static struct policy_path p;
	struct err e = { 0 };

	if (len == 0)
		return 0;
	if (policy_path_canonical((const char *) data + 1, len - 1, data[0] & 1, &p) ==
		POLICY_PATH_FINE) {
		is_stable(&p, data[0] & 1);
		if (p.query.at)
			(void) policy_query_decode(p.query, &q, &e);
	}
	(void) policy_query_decode((struct policy_bytes){ (const char *) data, len }, &q, &e);
	return 0;
}
