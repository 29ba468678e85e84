#include "core_credential_scan.h"
#include "core_credential_scrub.h"
#include "credential_lab.h"

/* ---- scanner ---- */

/* The whole text at once, decoded first: no state, nothing held. */
static bool naive(const char *text, size_t len)
{
	char plain[512];
	size_t n = 0;

	for (size_t i = 0; i < len; n++) {
		unsigned c;

		if (text[i] == '%' && i + 2 < len &&
			strspn(text + i + 1, "0123456789abcdefABCDEF") >= 2 &&
			sscanf(text + i + 1, "%2x", &c) == 1) {
			plain[n] = (char) c;
			i += 3;
		} else {
			plain[n] = text[i++];
		}
	}
	return memmem(plain, n, CREDENTIAL_MARKER, 22) || memmem(plain, n, CREDENTIAL_ALIAS, 22);
}

/* Feed in two pieces cut at a and b; what comes out must be what went in, or nothing of a marker. */
static bool scan(const char *text, size_t len, size_t a, size_t b)
{
	const size_t cuts[4] = { 0, a, b, len };
	struct credential_scan s = { 0 };
	char out[1024];
	size_t n = 0, got;

	for (int i = 0; i < 3; i++) {
		bool fine = credential_scan_feed(
			&s, text + cuts[i], cuts[i + 1] - cuts[i], out + n, &got);

		n += got;
		ASSERT(memcmp(out, text, n) == 0);
		if (!fine)
			return true;
		ASSERT(s.n_held < CREDENTIAL_SCAN_HELD_MAX);
	}
	n += credential_scan_finish(&s, out + n);
	ASSERT_EQ(n, len);
	ASSERT(memcmp(out, text, n) == 0);
	return false;
}

static void every_split(const char *text, bool want)
{
	size_t len = strlen(text);

	ASSERT_EQ(naive(text, len), want);
	for (size_t a = 0; a <= len; a++)
		for (size_t b = a; b <= len; b++)
			if (scan(text, len, a, b) != want)
				FAIL_("\"%s\" cut at %zu and %zu", text, a, b);
}

/* Bits of mask: which bytes are written as %HH; out has room for three times in. */
static void encode(const char *in, char *out, unsigned mask)
{
	size_t n = 0;

	for (unsigned i = 0; in[i]; i++)
		if (mask >> (i % 32) & 1)
			n += (size_t) snprintf(
				out + n, 4, i % 2 ? "%%%02x" : "%%%02X", (unsigned) in[i]);
		else
			out[n++] = in[i];
	out[n] = '\0';
}

TEST(marker_is_found_at_every_split)
{
	every_split("x" CREDENTIAL_MARKER "KEY", true);
	every_split("sk-" CREDENTIAL_ALIAS, true);
	every_split("oopenshell:reopenshell:resolve:env:", true);
	every_split("OPENSHELL-OPENSHELL-RESOLVE-ENV-", true);
	every_split("%openshell:resolve:env:", true);
	every_split("%4openshell:resolve:env:", true);
	every_split("%%6fpenshell:resolve:env:", true);
}

TEST(encoded_marker_is_found_at_every_split)
{
	char text[128];

	encode(CREDENTIAL_MARKER, text, ~0u);
	ASSERT_EQ(strlen(text), 66);
	every_split(text, true);
	encode(CREDENTIAL_ALIAS, text, ~0u);
	every_split(text, true);
	encode(CREDENTIAL_MARKER, text, 0x5a5a5);
	every_split(text, true);
}

TEST(what_is_no_marker_passes_unchanged)
{
	every_split("openshell:resolve:env", false);
	every_split("openshell:resolve;env:", false);
	every_split("%6fpenshell:resolve:env", false);
	every_split("%256fpenshell:resolve:env:", false); /* twice encoded */
	every_split("openshell%3aresolve%3", false);
	every_split("100% %4 %zz openshell:open", false);
	every_split("OPENSHELL_RESOLVE_ENV_", false);
	every_split("", false);
}

TEST(one_byte_at_a_time_holds_back_no_more_than_the_marker)
{
	struct credential_scan s = { 0 };
	char text[128], out[128];
	size_t got, n = 0;

	encode(CREDENTIAL_MARKER, text, ~0u);
	for (size_t i = 0; i < 65; i++) {
		ASSERT(credential_scan_feed(&s, text + i, 1, out, &got));
		n += got;
	}
	ASSERT_EQ(n, 0); /* nothing of it was let through */
	ASSERT(!credential_scan_feed(&s, text + 65, 1, out, &got));
	ASSERT_EQ(got, 0);
	ASSERT(!credential_scan_feed(&s, "more", 4, out, &got)); /* and it stays shut */
	ASSERT_EQ(credential_scan_finish(&s, out), 0);
}

/* A generator of our own: the same texts on every machine. */
static uint32_t next(uint32_t *seed)
{
	return *seed = *seed * 1664525u + 1013904223u;
}

TEST(scanner_agrees_with_the_naive_one_on_made_up_texts)
{
	static const char *const words[] = { "openshell", ":", "resolve", ":env:", "%", "%3A",
		"%6f", "o", "OPENSHELL-", "RESOLVE-ENV-", "x", "%4F", "penshell:resolve:env:", "%2",
		"PENSHELL-RESOLVE-ENV-", "openshell:resolve:", "env", "env:" };
	uint32_t seed = 42;
	unsigned hits = 0;

	for (int round = 0; round < 200000; round++) {
		char text[256] = "";
		size_t len = 0, a, b;
		bool want;

		for (unsigned i = next(&seed) >> 16, n = i % 8 + 1; n > 0; n--)
			len += (size_t) snprintf(text + len, sizeof text - len, "%s",
				words[(next(&seed) >> 16) % 18]);
		a = (next(&seed) >> 8) % (len + 1);
		b = a + (next(&seed) >> 8) % (len + 1 - a);
		want = naive(text, len);
		hits += want;
		if (scan(text, len, a, b) != want || credential_has_marker(text, len) != want)
			FAIL_("\"%s\" cut at %zu and %zu", text, a, b);
	}
	ASSERT(hits > 1000 && hits < 199000);
}

/* ---- scrubber ---- */

static struct credential_scrub *scrubber(struct credential_store *s, const char *basic)
{
	struct credential_use u = lab_use(s);
	struct credential_scrub *scrub;
	struct err e = { 0 };
	char buf[256];
	struct text t;

	text_init(&t, buf, sizeof buf);
	ASSERT_OK(credential_rewrite_header(&u, "X", 1, PH_TOKEN, strlen(PH_TOKEN), &t));
	ASSERT_OK(credential_scrub_new(&u, basic, basic ? strlen(basic) : 0, &scrub, &e));
	return scrub;
}

static void scrubs(const char *value, const char *in, const char *want)
{
	struct credential_store *s = lab_store(value);
	struct credential_scrub *c = scrubber(s, "dXNlcjpzM2NyM3Q=");
	size_t len = strlen(in), n, got;
	char out[1024];

	for (size_t a = 0; a <= len; a++) {
		n = 0;
		credential_scrub_feed(c, in, a, out, &got);
		n += got;
		credential_scrub_feed(c, in + a, len - a, out + n, &got);
		n += got;
		n += credential_scrub_finish(c, out + n);
		out[n] = '\0';
		if (strcmp(out, want) != 0)
			FAIL_("cut at %zu: \"%s\", want \"%s\"", a, out, want);
	}
	credential_scrub_free(c);
	credential_store_free(s);
}

TEST(secret_that_comes_back_is_blanked_at_every_split)
{
	scrubs("s3cr3t-value-1", "a s3cr3t-value-1 b", "a [CREDENTIAL]** b");
	scrubs("s3cr3t-value-1", "s3cr3t-value-1s3cr3t-value-1", "[CREDENTIAL]**[CREDENTIAL]**");
	scrubs("s3cr3t-value-1", "s3cr3t-value-", "s3cr3t-value-");
	scrubs("aabaab", "aabaabaab", "[CREDEaab");
	scrubs("secret/1", "u=secret%2F1", "u=[CREDENTIA");
	scrubs("sec\"ret", "{\"a\":\"sec\\\"ret\"}", "{\"a\":\"[CREDENT\"}");
	scrubs("longer-secret", "Basic dXNlcjpzM2NyM3Q=.", "Basic [CREDENTIAL]****.");
}

TEST(longest_form_is_blanked_whole)
{
	struct credential_spec c[2] = { lab_spec("TOKEN", "prefix"),
		lab_spec("LONG", "prefix-and-more") };
	struct credential_store *s;
	struct credential_use u;
	struct credential_scrub *scrub;
	struct err e = { 0 };
	char buf[256], out[64];
	struct text t;
	size_t a, b;

	c[0].n_endpoints = c[1].n_endpoints = 0;
	ASSERT_OK(credential_store_new(&s, &e));
	ASSERT_OK(credential_store_update(s, 1, c, 2, &e));
	u = lab_use(s);
	text_init(&t, buf, sizeof buf);
	ASSERT_OK(credential_rewrite_header(&u, "X", 1, PH_TOKEN, strlen(PH_TOKEN), &t));
	ASSERT_OK(credential_rewrite_header(&u, "X", 1, CREDENTIAL_MARKER "s" HANDLE "_LONG",
		strlen(CREDENTIAL_MARKER "s" HANDLE "_LONG"), &t));
	ASSERT_OK(credential_scrub_new(&u, NULL, 0, &scrub, &e));
	credential_scrub_feed(scrub, "prefix-and", 10, out, &a);
	credential_scrub_feed(scrub, "-more prefix.", 13, out + a, &b);
	ASSERT_EQ(a + b, 23);
	ASSERT(memcmp(out, "[CREDENTIAL]*** [CREDE.", 23) == 0);
	credential_scrub_free(scrub);
	credential_store_free(s);
}

TEST(scrubber_keeps_every_other_byte_of_a_long_body)
{
	struct credential_store *s = lab_store("s3cr3t-value-1");
	struct credential_scrub *c = scrubber(s, NULL);
	size_t size = 50000, n = 0, got;
	char *in = malloc(size), *out = malloc(size + 100);

	ASSERT(in && out);
	for (size_t i = 0; i < size; i++)
		in[i] = (char) ('a' + i % 26);
	(void) memcpy(in + 4090, "s3cr3t-value-1", 14); /* over a piece's end */
	(void) memcpy(in + 20000, "s3cr3t-value-1", 14);
	credential_scrub_feed(c, in, size, out, &got);
	n = got + credential_scrub_finish(c, out + got);
	ASSERT_EQ(n, size);
	ASSERT(!memmem(out, n, "s3cr3t", 6));
	(void) memcpy(in + 4090, "[CREDENTIAL]**", 14);
	(void) memcpy(in + 20000, "[CREDENTIAL]**", 14);
	ASSERT(memcmp(in, out, size) == 0);
	free(in);
	free(out);
	credential_scrub_free(c);
	credential_store_free(s);
}

TEST(longest_value_is_scrubbed_in_pieces_and_holds_back_little)
{
	static char value[CREDENTIAL_VALUE_MAX + 1], out[2 * CREDENTIAL_VALUE_MAX];
	struct credential_store *s;
	struct credential_scrub *c;
	size_t n = 0, got;

	for (size_t i = 0; i < CREDENTIAL_VALUE_MAX; i++)
		value[i] = (char) (33 + (i * 7 + i / 94) % 90);
	s = lab_store(value);
	{
		struct credential_use u = lab_use(s);
		static char buf[2 * CREDENTIAL_VALUE_MAX];
		struct err e = { 0 };
		struct text t;

		text_init(&t, buf, sizeof buf);
		ASSERT_OK(credential_rewrite_header(&u, "X", 1, PH_TOKEN, strlen(PH_TOKEN), &t));
		ASSERT_OK(credential_scrub_new(&u, NULL, 0, &c, &e));
	}
	ASSERT(credential_scrub_held_max(c) <= CREDENTIAL_SCRUB_PIECE_MAX);
	for (size_t at = 0; at < CREDENTIAL_VALUE_MAX; at += 1000) {
		size_t step = CREDENTIAL_VALUE_MAX - at < 1000 ? CREDENTIAL_VALUE_MAX - at : 1000;

		credential_scrub_feed(c, value + at, step, out + n, &got);
		n += got;
	}
	n += credential_scrub_finish(c, out + n);
	ASSERT_EQ(n, CREDENTIAL_VALUE_MAX);
	for (size_t at = 0; at + 16 <= n; at++)
		ASSERT(!memmem(value, CREDENTIAL_VALUE_MAX, out + at, 16));
	credential_scrub_free(c);
	credential_store_free(s);
}

TEST(short_values_are_not_looked_for)
{
	struct credential_store *s = lab_store("abcde");

	ASSERT(!scrubber(s, NULL));
	credential_store_free(s);
}

TEST(types_that_are_looked_through)
{
	ASSERT(credential_scrub_wants("application/json", 16));
	ASSERT(credential_scrub_wants("Application/Problem+JSON; charset=x", 35));
	ASSERT(credential_scrub_wants("text/html", 9));
	ASSERT(!credential_scrub_wants("image/png", 9));
	ASSERT(!credential_scrub_wants("", 0));
}
