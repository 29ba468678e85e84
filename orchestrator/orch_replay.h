/* orch_replay.h - the last output of the main process, for clients that come later or read slowly.
 *
 * Chunks of at most ORCH_CHUNK_MAX bytes, numbered from 0; the oldest are
 * evicted when ORCH_REPLAY_BYTES are kept.  A cursor belongs to one reader and
 * costs the log nothing; a reader that falls behind the oldest chunk is told
 * how many it missed.  Pure: no I/O.
 */
#pragma once
#include <stddef.h>
#include <stdint.h>
#include "core_cleanup.h"
#include "core_err.h"
#include "orch_limits.h"

struct orch_replay;

struct orch_replay_cursor {
	uint64_t number; /* of the next chunk */
	uint64_t at;	 /* its place in the log, bytes since the beginning */
};

struct orch_chunk {
	unsigned stream; /* 1 stdout, 2 stderr */
	size_t len;
	char bytes[ORCH_CHUNK_MAX];
};

int orch_replay_new(struct orch_replay **ret, struct err *e);
void orch_replay_free(struct orch_replay *r);
/* len is 1 to ORCH_CHUNK_MAX, stream 0 to 255. */
void orch_replay_add(struct orch_replay *r, unsigned stream, const void *bytes, size_t len);
struct orch_replay_cursor orch_replay_oldest(const struct orch_replay *r);
struct orch_replay_cursor orch_replay_end(const struct orch_replay *r);
/* 1: a chunk was copied and the cursor moved on; 0: nothing new.  *ret_missed is the number of
 * chunks that were evicted before this reader came to them; the cursor stands at the oldest then,
 * and nothing is copied. */
int orch_replay_next(const struct orch_replay *r, struct orch_replay_cursor *c,
	struct orch_chunk *ret, uint64_t *ret_missed);
DEFINE_AUTO(struct orch_replay, orch_replay_free)
