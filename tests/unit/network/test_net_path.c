/* test_net_path.c - one spelling of a path. */
#include <errno.h>
#include "net_path.h"
#include "test.h"

static char out[NET_PATH_MAX + 1];

static int canonical(const char *path)
{
	struct err e = { 0 };
	size_t len = 0;
	int r = net_path_canonical((struct net_slice){ path, strlen(path) }, out, &len, &e);

	ASSERT(r == 0 || e.text[0]);
	ASSERT(r < 0 || strlen(out) == len);
	return r;
}

TEST(what_is_canonical_stays_as_it_is)
{
	static const char *const good[] = { "/", "/a", "/a/", "/a.b/c..d/...", "/-._~!$&'()*+,=:@",
		"/%C3%A9", "/p/http:" };

	for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
		ASSERT_OK(canonical(good[i]));
		ASSERT_STR(out, good[i]);
	}
}

TEST(dots_empty_segments_parameters_and_escapes_are_resolved)
{
	static const char *const pairs[][2] = { { "/a/./b", "/a/b" }, { "/a/../b", "/b" },
		{ "/a/%2e%2e/b", "/b" }, { "/a/%2E/b", "/a/b" }, { "//a//b", "/a/b" },
		{ "/a;v=1/b", "/a/b" }, { "/a/..;x/b", "/b" }, { "/a/..%3bx/b", "/b" },
		{ "/public/../secret", "/secret" }, { "//public/../secret", "/secret" },
		{ "/public/./../secret", "/secret" }, { "/a/..", "/" }, { "/a/.", "/a/" },
		{ "/a/b/..", "/a/" }, { "/a//", "/a/" }, { "/%41", "/A" }, { "/%c3%a9", "/%C3%A9" },
		{ "/%20", "/%20" }, { "/\"<>", "/%22%3C%3E" }, { "/a%25b", "/a%25b" },
		{ "/p/http://evil/", "/p/http:/evil/" } };

	for (size_t i = 0; i < sizeof pairs / sizeof *pairs; i++) {
		ASSERT_OK(canonical(pairs[i][0]));
		ASSERT_STR(out, pairs[i][1]);
	}
}

TEST(what_has_no_safe_reading_is_refused)
{
	static const char *const bad[] = { "", "a", "*", "/..", "/../x", "/a/../../x",
		"/..;x/..;x/", "/a%2Fb", "/a%2fb", "/a/..%2fb", "/%", "/%4", "/%zz", "/%00", "/%0d",
		"/%7f", "/\xc3\xa9", "/\xc0\xaf", "/a b", "/a\tb", "/a#b", "/\x7f" };

	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
		if (canonical(bad[i]) != -EINVAL)
			FAIL_("accepted: %s", bad[i]);
}

TEST(length_is_bounded_behind_the_escapes)
{
	char path[NET_PATH_MAX + 2];

	(void) memset(path, 'a', sizeof path);
	path[0] = '/';
	path[NET_PATH_MAX] = '\0';
	ASSERT_OK(canonical(path));
	path[NET_PATH_MAX] = 'a';
	path[NET_PATH_MAX + 1] = '\0';
	ASSERT_ERR(canonical(path), EINVAL);
	path[NET_PATH_MAX - 1] = '\0';
	path[9] = '"'; /* three bytes: one too many */
	ASSERT_ERR(canonical(path), EINVAL);
	path[NET_PATH_MAX - 2] = '\0';
	ASSERT_OK(canonical(path));
}
