#include "core_json.h"
#include "test.h"

static void expect(struct json *j, const char *want)
{
	size_t len;
	const char *at = json_result(j, &len);

	ASSERT(at);
	ASSERT_STR(at, want);
	ASSERT_EQ((long long) len, (long long) strlen(want));
	json_done(j);
}

TEST(members_are_parted_by_commas_at_every_depth)
{
	struct json j = { 0 };

	json_open(&j, NULL, '{');
	json_add_text(&j, "a", "x");
	json_open(&j, "b", '[');
	json_add_number(&j, NULL, 0);
	json_add_number(&j, NULL, UINT64_MAX);
	json_open(&j, NULL, '{');
	json_close(&j, '}');
	json_close(&j, ']');
	json_add_flag(&j, "c", true);
	json_add_flag(&j, "d", false);
	json_add_null(&j, "e");
	json_add_raw(&j, "f", "1e3", 3);
	json_close(&j, '}');
	expect(&j,
		"{\"a\":\"x\",\"b\":[0,18446744073709551615,{}],\"c\":true,\"d\":false,\"e\":null,"
		"\"f\":1e3}");
}

TEST(strings_are_escaped_and_cut)
{
	struct json j = { 0 };

	json_open(&j, NULL, '[');
	json_add_text(&j, NULL, "a\"b\\c\nd\x7f\xff\xc3\xa4");
	json_add_bytes(&j, NULL, "abcdef", 6, 3);
	json_add_bytes(&j, NULL, "ab\xc3\xa4", 4, 3); /* not within a character */
	json_add_bytes(&j, NULL, "", 0, 10);
	json_close(&j, ']');
	expect(&j,
		"[\"a\\\"b\\\\c\\u000ad\\u007f\xef\xbf\xbd\xc3\xa4\",\"abc...\",\"ab...\",\"\"]");
}

TEST(a_text_of_the_callers_that_is_too_small_is_told)
{
	static const char want[] = "{\"name\":\"value\",\"n\":12}";
	char buf[sizeof want];
	struct json j;
	struct text t;
	size_t len;

	for (size_t size = 1; size <= sizeof want; size++) {
		text_init(&t, buf, size);
		json_init(&j, &t);
		json_open(&j, NULL, '{');
		json_add_text(&j, "name", "value");
		json_add_number(&j, "n", 12);
		json_close(&j, '}');
		ASSERT_EQ(json_result(&j, &len) != NULL, size == sizeof want);
		json_done(&j); /* leaves the caller's text alone */
	}
	ASSERT_STR(buf, want);
}

TEST(memory_of_its_own_grows_to_the_limit_and_no_further)
{
	static char mega[1024 * 1024];
	struct json j = { 0 };
	size_t len;

	(void) memset(mega, 'x', sizeof mega);
	json_open(&j, NULL, '[');
	for (int i = 0; i < 3; i++)
		json_add_bytes(&j, NULL, mega, sizeof mega, sizeof mega);
	json_close(&j, ']');
	ASSERT(json_result(&j, &len));
	ASSERT_EQ((long long) len, 3 * ((long long) sizeof mega + 3) + 1);
	for (int i = 0; i < 64; i++)
		json_add_bytes(&j, NULL, mega, sizeof mega, sizeof mega);
	ASSERT(!json_result(&j, &len));
	ASSERT(j.own.size <= JSON_BYTES_MAX);
	json_done(&j);
}
