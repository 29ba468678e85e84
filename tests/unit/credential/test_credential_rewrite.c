#include <errno.h>
#include "credential_lab.h"

#define ALIAS "sk-OPENSHELL-RESOLVE-ENV-s" HANDLE "_TOKEN"

enum part { HEADER, AUTH, COOKIE, PATH, QUERY, JSON, FORM, PLAIN, BINARY, FRAME };

static const char *const types[] = { [JSON] = "application/json; charset=utf-8",
	[FORM] = "application/x-www-form-urlencoded",
	[PLAIN] = "text/plain",
	[BINARY] = "application/octet-stream" };

static int run(struct credential_use *u, enum part part, const char *in, struct text *out)
{
	size_t len = strlen(in);

	switch (part) {
	case HEADER:
		return credential_rewrite_header(u, "X-Key", 5, in, len, out);
	case AUTH:
		return credential_rewrite_header(u, "authorization", 13, in, len, out);
	case COOKIE:
		return credential_rewrite_header(u, "Cookie", 6, in, len, out);
	case PATH:
		return credential_rewrite_path(u, in, len, out);
	case QUERY:
		return credential_rewrite_query(u, in, len, out);
	case JSON:
	case FORM:
	case PLAIN:
	case BINARY:
		return credential_rewrite_body(u, types[part], strlen(types[part]), in, len, out);
	case FRAME:
		return credential_rewrite_text(u, in, len, false, out);
	}
	return 0;
}

/* want NULL: refused with that verdict. */
static void check(const char *value, enum part part, const char *in, const char *want,
	enum credential_verdict verdict)
{
	struct credential_store *s = lab_store(value);
	struct credential_use u = lab_use(s);
	char buf[4096];
	struct text t;
	int r;

	text_init(&t, buf, sizeof buf);
	r = run(&u, part, in, &t);
	if (want && (r < 0 || strcmp(buf, want) != 0))
		FAIL_("%s: got %d \"%s\" (%s), want \"%s\"", in, r, buf, u.why, want);
	if (!want && r >= 0)
		FAIL_("%s: got \"%s\", want a refusal", in, buf);
	if (!want) {
		ASSERT_EQ(u.verdict, verdict);
		ASSERT(u.why[0] && !strstr(u.why, "TOKEN") &&
			(strlen(value) < 3 || !strstr(u.why, value)));
	}
	credential_store_free(s);
}
#define TAKES(value, part, in, want) check(value, part, in, want, CREDENTIAL_FINE)
#define REFUSES(value, part, in, verdict) check(value, part, in, NULL, CREDENTIAL_##verdict)

TEST(header_value_that_is_a_placeholder_is_replaced)
{
	TAKES("sec/ret=", HEADER, PH_TOKEN, "sec/ret=");
	TAKES("secret", HEADER, ALIAS, "secret");
	TAKES("secret", HEADER, "Bearer " PH_TOKEN, "Bearer secret");
	TAKES("secret", AUTH, "token " ALIAS, "token secret");
	TAKES("secret", HEADER, "nothing to see", "nothing to see");
	TAKES("secret", HEADER, "", "");
}

TEST(marker_elsewhere_in_a_header_value_refuses)
{
	REFUSES("secret", HEADER, "a b " PH_TOKEN, MISPLACED);
	REFUSES("secret", HEADER, "x" PH_TOKEN, MISPLACED);
	REFUSES("secret", HEADER, PH_TOKEN " ", MISPLACED);
	REFUSES("secret", HEADER, PH_TOKEN "," PH_TOKEN, MISPLACED);
	REFUSES("secret", HEADER, "Bearer " PH_TOKEN ";", MISPLACED);
	REFUSES("secret", HEADER, "Bearer\t" PH_TOKEN, MISPLACED);
	REFUSES("secret", HEADER, "openshell%3Aresolve:env:TOKEN", MISPLACED);
	REFUSES("secret", HEADER, "OPENSHELL-RESOLVE-ENV-TOKEN", UNAVAILABLE); /* no prefix */
}

TEST(unresolved_placeholder_refuses)
{
	REFUSES("secret", HEADER, CREDENTIAL_MARKER "OTHER", UNAVAILABLE);
	REFUSES("secret", HEADER, CREDENTIAL_MARKER "TOKEN", UNAVAILABLE);
	REFUSES("secret", HEADER, CREDENTIAL_MARKER, UNAVAILABLE);
	REFUSES("secret", PATH, "/v1/" CREDENTIAL_MARKER "/x", UNAVAILABLE);
	REFUSES("secret", QUERY, "a=" CREDENTIAL_MARKER "NO", UNAVAILABLE);
	REFUSES("secret", JSON, "{\"a\":\"" CREDENTIAL_MARKER "NO\"}", UNAVAILABLE);
}

TEST(credential_of_another_endpoint_is_told_apart)
{
	struct credential_store *s = lab_store("secret");
	struct credential_use u = lab_use(s);
	char buf[256];
	struct text t;

	u.at.port = 81;
	text_init(&t, buf, sizeof buf);
	ASSERT_ERR(credential_rewrite_header(&u, "X", 1, PH_TOKEN, strlen(PH_TOKEN), &t), EACCES);
	ASSERT_EQ(u.verdict, CREDENTIAL_ELSEWHERE);
	ASSERT_EQ(u.n_used, 0);
	credential_store_free(s);
}

TEST(without_a_store_every_marker_refuses)
{
	struct credential_use u = lab_use(NULL);
	char buf[256];
	struct text t;

	text_init(&t, buf, sizeof buf);
	ASSERT_ERR(credential_rewrite_header(&u, "X", 1, PH_TOKEN, strlen(PH_TOKEN), &t), EACCES);
	ASSERT_EQ(u.verdict, CREDENTIAL_UNAVAILABLE);
	ASSERT_ERR(credential_rewrite_path(&u, "/" ALIAS, strlen(ALIAS) + 1, &t), EACCES);
	ASSERT_OK(credential_rewrite_path(&u, "/x", 2, &t));
}

TEST(control_characters_never_get_into_a_head)
{
	REFUSES("a\tb", HEADER, PH_TOKEN, UNAVAILABLE);
	REFUSES("a\x7f"
		"b",
		HEADER, PH_TOKEN, UNAVAILABLE);
	REFUSES("a\r\nX: y", HEADER, PH_TOKEN, UNAVAILABLE);
	REFUSES("a\x01", PATH, "/" PH_TOKEN, UNAVAILABLE);
	REFUSES("a\x01", QUERY, "a=" PH_TOKEN, UNAVAILABLE);
	REFUSES("a\x01", COOKIE, "a=" PH_TOKEN, UNAVAILABLE);
}

/* printf 'user:openshell...' | base64 is made here, so that the test shows what is inside. */
static const char *basic(const char *plain, char *buf, size_t size)
{
	static const char set[] =
		"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
	size_t len = strlen(plain), n = 0;
	unsigned bits = 0, have = 0;

	n += (size_t) snprintf(buf, size, "Basic ");
	for (size_t i = 0; i < len; i++) {
		bits = bits << 8 | (unsigned char) plain[i];
		for (have += 8; have >= 6; have -= 6)
			buf[n++] = set[bits >> (have - 6) & 63];
	}
	if (have)
		buf[n++] = set[bits << (6 - have) & 63];
	while ((n - 6) % 4)
		buf[n++] = '=';
	buf[n] = '\0';
	return buf;
}

TEST(basic_credentials_are_replaced_inside)
{
	char in[512], want[512];

	TAKES("s3:cret", AUTH, basic("user:" PH_TOKEN, in, sizeof in),
		basic("user:s3:cret", want, sizeof want));
	TAKES("x", AUTH, basic(PH_TOKEN ":", in, sizeof in), basic("x:", want, sizeof want));
	TAKES("xy", AUTH, basic(ALIAS ":" PH_TOKEN, in, sizeof in),
		basic("xy:xy", want, sizeof want));
	TAKES("x", AUTH, "Basic dXNlcjpwYXNz", "Basic dXNlcjpwYXNz");
	TAKES("x", AUTH, "Basic not base64!", "Basic not base64!");
	REFUSES("x", AUTH, basic("user:" CREDENTIAL_MARKER "NO", in, sizeof in), UNAVAILABLE);
}

TEST(cookie_values_are_replaced)
{
	TAKES("sec", COOKIE, "a=1; key=" PH_TOKEN "; b=\"" PH_TOKEN "\"",
		"a=1; key=sec; b=\"sec\"");
	TAKES("sec", COOKIE, "a=1;;b", "a=1;;b");
	REFUSES("sec", COOKIE, "a=x" PH_TOKEN, MISPLACED);
	REFUSES("sec", COOKIE, PH_TOKEN "=1", MISPLACED);
	REFUSES("sec", COOKIE, PH_TOKEN, MISPLACED);
	REFUSES("s;c", COOKIE, "a=" PH_TOKEN, UNAVAILABLE);
	REFUSES("s c", COOKIE, "a=" PH_TOKEN, UNAVAILABLE);
}

TEST(path_is_replaced_also_inside_a_segment)
{
	TAKES("tok:en", PATH, "/bot" PH_TOKEN "/send", "/bottok:en/send");
	TAKES("t%n;", PATH, "/a%2Fb/" PH_TOKEN "/" PH_TOKEN, "/a%2Fb/t%25n%3B/t%25n%3B");
	TAKES("tok", PATH, "/%6fpenshell:resolve%3Aenv:s" HANDLE "_TOKEN/%41", "/tok/%41");
	TAKES("tok", PATH, "/" ALIAS, "/tok");
	TAKES("a.b", PATH, "/" PH_TOKEN, "/a.b");
}

TEST(path_keeps_its_structure)
{
	static const char *const bad[] = { "a/b", "a\\b", "..", ".", "a..b", "a?b", "a#b", "../x" };

	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
		REFUSES(bad[i], PATH, "/x/" PH_TOKEN, UNAVAILABLE);
}

TEST(query_values_are_replaced_and_encoded)
{
	TAKES("a+b &=#/%", QUERY, "k=" PH_TOKEN, "k=a%2Bb%20%26%3D%23%2F%25");
	TAKES("t", QUERY, "a=1+2&k=x" PH_TOKEN "-y%20&&z", "a=1+2&k=xt-y%20&&z");
	TAKES("t", QUERY, "k=%6F%70enshell:resolve:env:s" HANDLE "_TOKEN&b=%20+", "k=t&b=%20+");
	TAKES("t", QUERY, "", "");
	TAKES("t", QUERY, "a=b=" PH_TOKEN "=c", "a=b=t=c");
}

TEST(query_names_are_never_replaced)
{
	REFUSES("t", QUERY, PH_TOKEN "=1", MISPLACED);
	REFUSES("t", QUERY, "a=1&" PH_TOKEN, MISPLACED);
	REFUSES("t", QUERY, "a=1&%6fpenshell:resolve:env:X", MISPLACED);
}

TEST(message_is_replaced_everywhere)
{
	TAKES("q\"", FRAME, "a" PH_TOKEN " " PH_TOKEN, "aq\" q\"");
	REFUSES("q", FRAME, PH_TOKEN " " CREDENTIAL_MARKER "NO", UNAVAILABLE);
}

TEST(body_of_json_is_escaped)
{
	TAKES("q\"\\x\ty", JSON, "{\"a\":\"" PH_TOKEN "\"}", "{\"a\":\"q\\\"\\\\x\\u0009y\"}");
	TAKES("q", JSON, "{\"a\":1}", "{\"a\":1}");
	REFUSES("\xff\xfe", JSON, "{\"a\":\"" PH_TOKEN "\"}", UNAVAILABLE);
	REFUSES("q", JSON, "{\"a\":\"openshell%3Aresolve:env:X\"}", MISPLACED);
}

TEST(body_of_text_and_form)
{
	TAKES("q&\"", PLAIN, "a " PH_TOKEN " b " ALIAS "!", "a q&\" b q&\"!");
	TAKES("q&\"", FORM, "a=1&b=" PH_TOKEN "&c=x+y", "a=1&b=q%26%22&c=x+y");
	REFUSES("q", FORM, PH_TOKEN "=1", MISPLACED);
	REFUSES("q", BINARY, "x" PH_TOKEN, MISPLACED);
	REFUSES("q", PLAIN, "\xff" PH_TOKEN, MISPLACED);
	TAKES("q", BINARY, "x\xff", "x\xff");
}

TEST(body_at_its_limit_is_rewritten_and_one_more_is_not)
{
	struct credential_store *s = lab_store("q");
	struct credential_use u = lab_use(s);
	size_t size = CREDENTIAL_BODY_MAX + 2;
	char *body = malloc(size), *out = malloc(size);
	struct text t;

	ASSERT(body && out);
	(void) memset(body, 'a', size);
	(void) memcpy(body, PH_TOKEN " ", strlen(PH_TOKEN) + 1);
	text_init(&t, out, size);
	ASSERT_OK(credential_rewrite_body(&u, "text/plain", 10, body, CREDENTIAL_BODY_MAX, &t));
	ASSERT(!t.cut && memcmp(out, "q aaa", 5) == 0);
	text_init(&t, out, size);
	ASSERT_ERR(credential_rewrite_body(&u, "text/plain", 10, body, CREDENTIAL_BODY_MAX + 1, &t),
		EACCES);
	free(body);
	free(out);
	credential_store_free(s);
}

TEST(more_values_than_one_request_may_use_are_refused)
{
	struct credential_spec c[CREDENTIAL_USED_MAX + 1];
	char names[CREDENTIAL_USED_MAX + 1][16], value[128], buf[64];
	struct credential_store *s = lab_store("q");
	struct credential_use u = lab_use(s);
	struct err e = { 0 };
	struct text t;

	for (int i = 0; i <= CREDENTIAL_USED_MAX; i++) {
		(void) snprintf(names[i], sizeof names[i], "N%d", i);
		c[i] = lab_spec(names[i], "v");
		c[i].n_endpoints = 0;
	}
	ASSERT_OK(credential_store_update(s, 8, c, CREDENTIAL_USED_MAX + 1, &e));
	for (int i = 0; i <= CREDENTIAL_USED_MAX; i++) {
		int len = snprintf(value, sizeof value, CREDENTIAL_MARKER "s" HANDLE "_N%d", i);

		text_init(&t, buf, sizeof buf);
		ASSERT_EQ(credential_rewrite_header(&u, "X", 1, value, (size_t) len, &t),
			i < CREDENTIAL_USED_MAX ? 0 : -EACCES);
	}
	credential_store_free(s);
}

TEST(placeholders_are_given_out_in_the_form_that_resolves)
{
	struct credential_spec c = lab_spec("TOKEN", "x");
	char buf[CREDENTIAL_PLACEHOLDER_MAX];
	struct text t;

	text_init(&t, buf, sizeof buf);
	credential_placeholder(&c, 7, NULL, &t);
	ASSERT_STR(buf, PH_TOKEN);
	text_init(&t, buf, sizeof buf);
	credential_placeholder(&c, 7, "sk-", &t);
	ASSERT_STR(buf, ALIAS);
	c.handle = "";
	text_init(&t, buf, sizeof buf);
	credential_placeholder(&c, 7, "", &t);
	ASSERT_STR(buf, CREDENTIAL_MARKER "v7_TOKEN");
	text_init(&t, buf, sizeof buf);
	credential_placeholder(&c, 0, "", &t);
	ASSERT_STR(buf, CREDENTIAL_MARKER "TOKEN");
}

static void redacts(const char *in, const char *want)
{
	char buf[512];
	struct text t;

	text_init(&t, buf, sizeof buf);
	credential_redact_target(in, strlen(in), &t);
	ASSERT_STR(buf, want);
}

TEST(marker_without_a_name_is_incomplete)
{
	static const char *const bad[] = { CREDENTIAL_MARKER, "/x/openshell:resolve:env:/y",
		"openshell:resolve:env:A/openshell:resolve:env:%20", "openshell%3Aresolve%3aenv%3A",
		CREDENTIAL_ALIAS "X", "/" CREDENTIAL_ALIAS "X", "sk-OPENSHELL-RESOLVE-ENV-" };
	static const char *const good[] = { "", "/x", "openshell:resolve:en", CREDENTIAL_MARKER "A",
		"/bot" CREDENTIAL_MARKER "A/x", "openshell%3Aresolve%3aenv%3AA",
		"sk-" CREDENTIAL_ALIAS "X" };

	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
		if (!credential_has_incomplete(bad[i], strlen(bad[i])))
			FAIL_("%s", bad[i]);
	for (size_t i = 0; i < sizeof good / sizeof *good; i++)
		if (credential_has_incomplete(good[i], strlen(good[i])))
			FAIL_("%s", good[i]);
}

TEST(redaction_leaves_neither_placeholder_nor_query)
{
	redacts("/a/b?x=1", "/a/b");
	redacts("/a#f", "/a");
	redacts("/bot" PH_TOKEN "/x?k=" PH_TOKEN, "/bot[CREDENTIAL]/x");
	redacts("/%6fpenshell:resolve:env:TOKEN/%20", "/[CREDENTIAL]/%20");
	redacts("/" ALIAS "/" PH_TOKEN, "/[CREDENTIAL]/[CREDENTIAL]");
	redacts("/openshell:resolve:env:", "/[CREDENTIAL]");
}
