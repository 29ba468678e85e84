/* The pure parts of the main session: replay log, detach keys, names of sandboxes. */
#include "orch_ctl_socket.h"
#include "orch_detach.h"
#include "orch_limits.h"
#include "orch_replay.h"
#include "test.h"

static struct orch_replay *make(void)
{
	struct orch_replay *r = NULL;
	struct err e = { 0 };

	ASSERT_OK(orch_replay_new(&r, &e));
	return r;
}

TEST(replay_gives_back_what_was_added_in_order)
{
	AUTO(orch_replay_free) struct orch_replay *r = make();
	struct orch_replay_cursor c = orch_replay_oldest(r);
	struct orch_chunk chunk;
	uint64_t missed;

	ASSERT_EQ(orch_replay_next(r, &c, &chunk, &missed), 0);
	orch_replay_add(r, 1, "one", 3);
	orch_replay_add(r, 2, "three", 5);
	ASSERT_EQ(orch_replay_next(r, &c, &chunk, &missed), 1);
	ASSERT(chunk.stream == 1 && chunk.len == 3 && memcmp(chunk.bytes, "one", 3) == 0);
	ASSERT_EQ(orch_replay_next(r, &c, &chunk, &missed), 1);
	ASSERT(chunk.stream == 2 && chunk.len == 5 && memcmp(chunk.bytes, "three", 5) == 0);
	ASSERT_EQ(orch_replay_next(r, &c, &chunk, &missed), 0);
	ASSERT_EQ(missed, 0);
	ASSERT_EQ(c.at, orch_replay_end(r).at);
}

TEST(replay_keeps_a_mebibyte_and_evicts_the_oldest)
{
	AUTO(orch_replay_free) struct orch_replay *r = make();
	static char bytes[ORCH_CHUNK_MAX];
	struct orch_replay_cursor c;
	struct orch_chunk chunk;
	uint64_t missed, n = 0;

	for (int i = 0; i < 1000; i++) {
		(void) memset(bytes, 'a' + i % 26, sizeof bytes);
		orch_replay_add(r, 1, bytes, sizeof bytes);
	}
	c = orch_replay_oldest(r);
	ASSERT_EQ(c.number, 1000 - ORCH_REPLAY_BYTES / ORCH_CHUNK_MAX);
	for (uint64_t i = c.number; orch_replay_next(r, &c, &chunk, &missed); i++, n++) {
		ASSERT_EQ(chunk.len, sizeof bytes);
		ASSERT(chunk.bytes[0] == (char) ('a' + i % 26) &&
			chunk.bytes[sizeof bytes - 1] == chunk.bytes[0]);
	}
	ASSERT_EQ(n * ORCH_CHUNK_MAX, ORCH_REPLAY_BYTES);
}

TEST(replay_tells_a_reader_one_chunk_behind_that_it_missed_one)
{
	AUTO(orch_replay_free) struct orch_replay *r = make();
	static char bytes[ORCH_CHUNK_MAX];
	struct orch_replay_cursor c = orch_replay_oldest(r);
	struct orch_chunk chunk;
	uint64_t missed;

	for (int i = 0; i <= ORCH_REPLAY_BYTES / ORCH_CHUNK_MAX; i++)
		orch_replay_add(r, 1, bytes, sizeof bytes);
	ASSERT_EQ(orch_replay_next(r, &c, &chunk, &missed), 0);
	ASSERT_EQ(missed, 1);
	ASSERT_EQ(c.number, orch_replay_oldest(r).number);
	ASSERT_EQ(orch_replay_next(r, &c, &chunk, &missed), 1);
	ASSERT_EQ(missed, 0);
}

TEST(replay_with_single_bytes_stays_within_its_memory)
{
	AUTO(orch_replay_free) struct orch_replay *r = make();
	struct orch_replay_cursor c;
	struct orch_chunk chunk;
	uint64_t missed, n = 0;

	for (int i = 0; i < 3 * ORCH_REPLAY_BYTES; i++) {
		char byte = (char) i;

		orch_replay_add(r, (unsigned) i & 1, &byte, 1);
	}
	c = orch_replay_oldest(r);
	for (uint64_t i = c.number; orch_replay_next(r, &c, &chunk, &missed); i++, n++)
		ASSERT(chunk.len == 1 && chunk.bytes[0] == (char) i && chunk.stream == (i & 1));
	ASSERT(n > ORCH_REPLAY_BYTES / 5);
}

TEST(replay_ignores_chunks_that_are_empty_or_too_long)
{
	AUTO(orch_replay_free) struct orch_replay *r = make();
	static char bytes[ORCH_CHUNK_MAX + 1];

	orch_replay_add(r, 1, bytes, 0);
	orch_replay_add(r, 1, bytes, sizeof bytes);
	ASSERT_EQ(orch_replay_end(r).number, 0);
}

static void filter(struct orch_detach *d, const char *in, size_t len, const char *want, bool keys)
{
	char out[64];
	bool detached;
	size_t n = orch_detach_filter(d, in, len, out, &detached);

	ASSERT_EQ(n, strlen(want));
	ASSERT(memcmp(out, want, n) == 0);
	ASSERT_EQ(detached, keys);
}

TEST(detach_keys_in_one_frame)
{
	struct orch_detach d = { false };

	filter(&d, "ab\x10\x11xy", 6, "ab", true);
}

TEST(detach_keys_across_frames)
{
	struct orch_detach d = { false };

	filter(&d, "a\x10", 2, "a", false);
	filter(&d, "\x11z", 2, "", true);
}

TEST(detach_prefix_that_detaches_nothing_is_passed_on)
{
	struct orch_detach d = { false };

	filter(&d, "\x10", 1, "", false);
	filter(&d, "x", 1, "\x10x", false);
	filter(&d, "\x10\x10", 2, "\x10", false);
	filter(&d, "\x11", 1, "", true);
	filter(&d, "\x11", 1, "\x11", false);
}

TEST(name_of_a_sandbox_is_a_file_name)
{
	static const char *const good[] = { "a", "agent-1", "A.b_c", "0123abcd" };
	static const char *const bad[] = { "", ".", "..", ".x", "a/b", "a b", "a\n", "\xc3\xa9" };
	char longest[ORCH_CTL_NAME_MAX + 2];

	for (size_t i = 0; i < sizeof good / sizeof *good; i++)
		ASSERT(orch_ctl_is_name(good[i]));
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
		ASSERT(!orch_ctl_is_name(bad[i]));
	(void) memset(longest, 'n', sizeof longest);
	longest[ORCH_CTL_NAME_MAX] = '\0';
	ASSERT(orch_ctl_is_name(longest));
	longest[ORCH_CTL_NAME_MAX] = 'n';
	longest[ORCH_CTL_NAME_MAX + 1] = '\0';
	ASSERT(!orch_ctl_is_name(longest));
}
