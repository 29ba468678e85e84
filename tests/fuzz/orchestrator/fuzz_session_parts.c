/* fuzz_session_parts.c - replay log and detach keys: each byte of the input is an order. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include "orch_detach.h"
#include "orch_replay.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static void read_some(struct orch_replay *r, struct orch_replay_cursor *c, unsigned n)
{
	struct orch_chunk chunk;
	uint64_t missed;

	while (n-- && (orch_replay_next(r, c, &chunk, &missed) || missed))
		if (chunk.len > ORCH_CHUNK_MAX)
			abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	static char bytes[ORCH_CHUNK_MAX], out[4097];
	struct orch_detach d = { false };
	struct orch_replay *r;
	struct orch_replay_cursor c;
	struct err e = { 0 };
	bool detached;

	if (orch_replay_new(&r, &e) < 0)
		return 0;
	c = orch_replay_oldest(r);
	for (size_t i = 0; i + 1 < len; i += 2) {
		if (data[i] & 1)
			read_some(r, &c, data[i + 1]);
		else
			orch_replay_add(r, data[i], bytes, (size_t) data[i + 1] << (data[i] >> 4));
	}
	for (size_t at = 0; at < len; at += 7) {
		size_t n = len - at < 4096 ? len - at : 4096;
		size_t passed = orch_detach_filter(&d, (const char *) data + at, n, out, &detached);

		if (passed > n + 1)
			abort();
	}
	orch_replay_free(r);
	return 0;
}
