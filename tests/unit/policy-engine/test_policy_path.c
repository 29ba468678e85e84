/* test_policy_path.c - canonical paths and queries: spec/network 12.3, and every limit. */
#include <errno.h>
#include "core_policy_path.h"
#include "test.h"

static struct policy_path p;
static struct policy_query q;

static enum policy_path_fault path(const char *target, bool lenient)
{
	return policy_path_canonical(target, strlen(target), lenient, &p);
}

TEST(paths_resolve_once_for_policy_and_upstream)
{
	static const char *const pairs[][2] = { { "/a/./b", "/a/b" }, { "/a/%2e%2e/b", "/b" },
		{ "//a//b", "/a/b" }, { "/a;v=1/b", "/a/b" }, { "/a/..;x/b", "/b" },
		{ "/a/..%3bx/b", "/b" }, { "/public/../secret", "/secret" },
		{ "//public/../secret", "/secret" }, { "/public/./../secret", "/secret" },
		{ "", "/" }, { "http://h", "/" }, { "http://h?x", "/" },
		{ "/p/http://evil/", "/p/http:/evil/" }, { "/a/b/..", "/a/" },
		{ "/%252e%252e/x", "/%252e%252e/x" }, { "/a%25b", "/a%25b" }, { "/a/;x", "/a/" },
		{ "/%e2%82%ac", "/%E2%82%AC" } };

	for (size_t i = 0; i < sizeof pairs / sizeof *pairs; i++) {
		ASSERT_EQ(path(pairs[i][0], false), POLICY_PATH_FINE);
		ASSERT_STR(p.at, pairs[i][1]);
		ASSERT_EQ(p.len, strlen(p.at));
	}
}

TEST(canonical_paths_are_their_own_canonical_form)
{
	static struct policy_path again;
	static const char *const targets[] = { "/a/./b", "/a|b/%2f", "/caf%c3%a9/", "/a%20b;c/d",
		"/%41" };

	for (size_t i = 0; i < sizeof targets / sizeof *targets; i++) {
		ASSERT_EQ(path(targets[i], true), POLICY_PATH_FINE);
		ASSERT_EQ(policy_path_canonical(p.at, p.len, true, &again), POLICY_PATH_FINE);
		ASSERT_STR(again.at, p.at);
		ASSERT(!again.changed);
		ASSERT(p.changed);
	}
}

TEST(each_fault_has_its_name)
{
	ASSERT_EQ(path("/../x", false), POLICY_PATH_ABOVE_ROOT);
	ASSERT_EQ(path("/a/..;x/..;x/b", false), POLICY_PATH_ABOVE_ROOT);
	ASSERT_EQ(path("/a%2Fb", false), POLICY_PATH_ENCODED_SLASH);
	ASSERT_EQ(path("/a/..%2fb", true), POLICY_PATH_DOTS);
	ASSERT_EQ(path("/a%2f.%2Fb", true), POLICY_PATH_DOTS);
	ASSERT_EQ(path("/%00", false), POLICY_PATH_BYTE);
	ASSERT_EQ(path("/%0d", false), POLICY_PATH_BYTE);
	ASSERT_EQ(path("/%7f", false), POLICY_PATH_BYTE);
	ASSERT_EQ(path("/\x80", false), POLICY_PATH_BYTE);
	ASSERT_EQ(path("/a#b", false), POLICY_PATH_BYTE);
	ASSERT_EQ(path("/%", false), POLICY_PATH_ESCAPE);
	ASSERT_EQ(path("/%2", false), POLICY_PATH_ESCAPE);
	ASSERT_EQ(path("/%g0", false), POLICY_PATH_ESCAPE);
	ASSERT_EQ(path("*", false), POLICY_PATH_FORM);
	ASSERT_EQ(path("host:80", false), POLICY_PATH_FORM);
	ASSERT_EQ(policy_path_canonical("/a\0b", 4, false, &p), POLICY_PATH_BYTE);
	for (int f = POLICY_PATH_BYTE; f <= POLICY_PATH_LONG; f++)
		ASSERT(strlen(policy_path_fault_text((enum policy_path_fault) f)) > 10);
}

TEST(encoded_slashes_are_kept_in_capitals_where_allowed)
{
	ASSERT_EQ(path("/a%2fb?x=%2f", true), POLICY_PATH_FINE);
	ASSERT_STR(p.at, "/a%2Fb");
	ASSERT(p.encoded_slash);
	ASSERT_EQ(p.query.len, 5);
	ASSERT(memcmp(p.query.at, "x=%2f", 5) == 0);
}

TEST(paths_end_at_their_limit)
{
	static char target[POLICY_TARGET_PATH_MAX + 2];

	memset(target, 'a', sizeof target);
	target[0] = '/';
	ASSERT_EQ(
		policy_path_canonical(target, POLICY_TARGET_PATH_MAX, false, &p), POLICY_PATH_FINE);
	ASSERT_EQ(p.len, POLICY_TARGET_PATH_MAX);
	ASSERT(!p.changed);
	ASSERT_EQ(policy_path_canonical(target, POLICY_TARGET_PATH_MAX + 1, false, &p),
		POLICY_PATH_LONG);
	/* Each '|' becomes three bytes. */
	memset(target + 1, '|', sizeof target - 1);
	ASSERT_EQ(
		policy_path_canonical(target, POLICY_TARGET_PATH_MAX, false, &p), POLICY_PATH_LONG);
}

static int query(const char *text)
{
	struct err e = { 0 };

	return policy_query_decode((struct policy_bytes){ text, strlen(text) }, &q, &e);
}

static void is_param(size_t i, const char *key, const char *value)
{
	ASSERT(i < q.n);
	ASSERT_EQ(q.at[i].key.len, strlen(key));
	ASSERT_EQ(q.at[i].value.len, strlen(value));
	ASSERT(memcmp(q.at[i].key.at, key, strlen(key)) == 0);
	ASSERT(memcmp(q.at[i].value.at, value, strlen(value)) == 0);
}

TEST(queries_keep_every_value_decoded)
{
	ASSERT_OK(query("a=1&a=%32&b&c=&d=x+y%2B=z&%61=%C3%A9"));
	ASSERT_EQ(q.n, 6);
	is_param(0, "a", "1");
	is_param(1, "a", "2");
	is_param(2, "b", "");
	is_param(3, "c", "");
	is_param(4, "d", "x y+=z");
	is_param(5, "a", "\xc3\xa9");
	ASSERT_OK(query(""));
	ASSERT_EQ(q.n, 0);
}

TEST(queries_that_cannot_be_read_are_refused)
{
	ASSERT_ERR(query("a=%zz"), EINVAL);
	ASSERT_ERR(query("a=%"), EINVAL);
	ASSERT_ERR(query("%f"), EINVAL);
	ASSERT_ERR(query("a=%ff"), EINVAL);
	ASSERT_ERR(query("a%00=1"), EINVAL);
	ASSERT_ERR(query("a=%00"), EINVAL);
}

TEST(queries_end_at_their_limits)
{
	static char text[2 * POLICY_QUERY_PARAMS_MAX + 3], big[POLICY_QUERY_BYTES_MAX + 1];
	struct err e = { 0 };

	for (size_t i = 0; i < sizeof text - 1; i++)
		text[i] = i % 2 ? '&' : 'k';
	ASSERT_OK(policy_query_decode(
		(struct policy_bytes){ text, 2 * POLICY_QUERY_PARAMS_MAX - 1 }, &q, &e));
	ASSERT_EQ(q.n, POLICY_QUERY_PARAMS_MAX);
	ASSERT_ERR(policy_query_decode(
			   (struct policy_bytes){ text, 2 * POLICY_QUERY_PARAMS_MAX + 1 }, &q, &e),
		E2BIG);
	memset(big, 'v', sizeof big);
	ASSERT_OK(
		policy_query_decode((struct policy_bytes){ big, POLICY_QUERY_BYTES_MAX }, &q, &e));
	ASSERT_ERR(policy_query_decode((struct policy_bytes){ big, sizeof big }, &q, &e), E2BIG);
}
