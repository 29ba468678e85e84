/* test_orch_json.c - the JSON of questions: strict, bounded, unescaped in place. */
#include <errno.h>
#include "orch_json.h"
#include "test.h"

static struct orch_json j;
static char text[400000];

static int read_text(const char *s, size_t len)
{
	struct err e = { 0 };

	memcpy(text, s, len);
	return orch_json_read(&j, text, len, &e);
}

static int read_word(const char *s)
{
	return read_text(s, strlen(s));
}

TEST(values_are_found_by_key)
{
	const struct orch_json_node *v;

	ASSERT_OK(read_word(" {\"a\": \"x\\n\\u00e9\\ud83d\\ude00\", "
			    "\"b\":[1,-2.5e3,true,false,null], \"c\":{}} "));
	v = orch_json_get(&j, &j.nodes[0], "a");
	ASSERT(v && v->kind == ORCH_JSON_STRING && v->len == 8);
	ASSERT(memcmp(v->at, "x\n\xc3\xa9\xf0\x9f\x98\x80", 8) == 0);
	v = orch_json_first(&j, orch_json_get(&j, &j.nodes[0], "b"));
	ASSERT(v && v->kind == ORCH_JSON_NUMBER && v->len == 1);
	v = orch_json_next(&j, v);
	ASSERT(v->kind == ORCH_JSON_NUMBER && v->len == 6);
	ASSERT_EQ(orch_json_next(&j, v)->kind, ORCH_JSON_TRUE);
	ASSERT(!orch_json_first(&j, orch_json_get(&j, &j.nodes[0], "c")));
	ASSERT(!orch_json_get(&j, &j.nodes[0], "d"));
}

TEST(what_is_not_json_is_refused)
{
	static const char *const bad[] = { "", " ", "{", "[", "[1", "[1,", "[1,]", "{\"a\"}",
		"{\"a\":}", "{\"a\":1,}", "{a:1}", "{\"a\":1,\"a\":2}", "{\"a\":1,\"\\u0061\":2}",
		"\"", "\"\\x\"", "\"\\ud800\"", "\"\\udc00\"", "\"\\u12\"", "01", "-", "1.", "1e",
		"+1", "nul", "True", "1 2", "\"\x01\"", "\"\xff\"", "]", "[1}" };

	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
		if (read_word(bad[i]) != -EINVAL)
			FAIL_("accepted: %s", bad[i]);
}

TEST(every_truncation_is_refused)
{
	static const char whole[] = "{\"a\":[\"b\\u0041\",{\"c\":null}]}";

	for (size_t n = 0; n < sizeof whole - 1; n++)
		ASSERT_ERR(read_text(whole, n), EINVAL);
	ASSERT_OK(read_text(whole, sizeof whole - 1));
}

TEST(nesting_and_values_end_at_their_limits)
{
	static char s[2 * ORCH_JSON_NODES_MAX + 8];
	size_t n = 0;

	for (int depth = ORCH_JSON_DEPTH_MAX; depth <= ORCH_JSON_DEPTH_MAX + 1; depth++) {
		memset(s, '[', (size_t) depth);
		memset(s + depth, ']', (size_t) depth);
		ASSERT_EQ(read_text(s, 2 * (size_t) depth),
			depth > ORCH_JSON_DEPTH_MAX ? -EINVAL : 0);
	}
	s[n++] = '[';
	for (int i = 0; i < ORCH_JSON_NODES_MAX - 1; i++) {
		s[n++] = '1';
		s[n++] = ',';
	}
	s[n - 1] = ']';
	ASSERT_OK(read_text(s, n));
	memcpy(s + n - 1, ",1]", 3);
	ASSERT_ERR(read_text(s, n + 2), EINVAL);
}
