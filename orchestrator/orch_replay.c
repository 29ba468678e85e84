#include "orch_replay.h"
#include <errno.h>
#include <string.h>

#define HEADER 3 /* bytes before a chunk: stream, length low, length high */
#define RING (ORCH_REPLAY_BYTES + ORCH_CHUNK_MAX + HEADER)

struct orch_replay {
	struct orch_replay_cursor oldest, end;
	uint64_t kept; /* output bytes, without headers */
	unsigned char ring[RING];
};

int orch_replay_new(struct orch_replay **ret, struct err *e)
{
	/* The kernel gives pages when they are written: a quiet session costs little. */
	*ret = calloc(1, sizeof **ret);
	return *ret ? 0 : err_set(e, ENOMEM, "replay log: out of memory");
}

void orch_replay_free(struct orch_replay *r)
{
	free(r);
}

static void put(struct orch_replay *r, uint64_t at, const void *bytes, size_t len)
{
	size_t start = (size_t) (at % RING), first = len < RING - start ? len : RING - start;

	(void) memcpy(r->ring + start, bytes, first);
	(void) memcpy(r->ring, (const char *) bytes + first, len - first);
}

static void get(const struct orch_replay *r, uint64_t at, void *bytes, size_t len)
{
	size_t start = (size_t) (at % RING), first = len < RING - start ? len : RING - start;

	(void) memcpy(bytes, r->ring + start, first);
	(void) memcpy((char *) bytes + first, r->ring, len - first);
}

static size_t length_at(const struct orch_replay *r, uint64_t at, unsigned *ret_stream)
{
	unsigned char header[HEADER];

	get(r, at, header, HEADER);
	*ret_stream = header[0];
	return header[1] | (size_t) header[2] << 8;
}

static void evict(struct orch_replay *r)
{
	unsigned ignored;
	size_t len = length_at(r, r->oldest.at, &ignored);

	r->oldest.at += HEADER + len;
	r->oldest.number++;
	r->kept -= len;
}

void orch_replay_add(struct orch_replay *r, unsigned stream, const void *bytes, size_t len)
{
	unsigned char header[HEADER] = { (unsigned char) stream, (unsigned char) len,
		(unsigned char) (len >> 8) };

	if (len == 0 || len > ORCH_CHUNK_MAX)
		return;
	while (r->oldest.number < r->end.number &&
		(r->kept + len > ORCH_REPLAY_BYTES ||
			r->end.at + HEADER + len - r->oldest.at > RING))
		evict(r);
	put(r, r->end.at, header, HEADER);
	put(r, r->end.at + HEADER, bytes, len);
	r->end.at += HEADER + len;
	r->end.number++;
	r->kept += len;
}

struct orch_replay_cursor orch_replay_oldest(const struct orch_replay *r)
{
	return r->oldest;
}

struct orch_replay_cursor orch_replay_end(const struct orch_replay *r)
{
	return r->end;
}

int orch_replay_next(const struct orch_replay *r, struct orch_replay_cursor *c,
	struct orch_chunk *ret, uint64_t *ret_missed)
{
	*ret_missed = 0;
	if (c->number < r->oldest.number) {
		*ret_missed = r->oldest.number - c->number;
		*c = r->oldest;
		return 0;
	}
	if (c->number >= r->end.number)
		return 0;
	ret->len = length_at(r, c->at, &ret->stream);
	get(r, c->at + HEADER, ret->bytes, ret->len);
	c->at += HEADER + ret->len;
	c->number++;
	return 1;
}
