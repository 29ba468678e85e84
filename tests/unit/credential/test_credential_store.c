#include <errno.h>
#include <sys/wait.h>
#include <unistd.h>
#include "core_secret.h"
#include "credential_lab.h"

/* The address sanitiser makes mlock(2) do nothing. */
#ifdef __SANITIZE_ADDRESS__
#define SANITISED true
#else
#define SANITISED false
#endif

static enum credential_verdict resolve(
	const struct credential_store *s, const char *tail, const char **ret_value)
{
	struct credential_where at = { "api.test", 80, "/v1/x", 5, NOW };
	const struct credential_value *v = NULL;
	static char value[256];
	enum credential_verdict r;
	const char *why;

	r = credential_resolve(s, &at, tail, strlen(tail), &v, &why);
	ASSERT(r == CREDENTIAL_FINE || why[0]);
	*ret_value = "";
	if (r == CREDENTIAL_FINE) {
		(void) snprintf(value, sizeof value, "%.*s", (int) credential_value_len(v),
			credential_value_bytes(v));
		*ret_value = value;
	}
	return r;
}

static void expect(const struct credential_store *s, const char *tail, const char *want)
{
	const char *got;

	ASSERT_EQ(resolve(s, tail, &got), want ? CREDENTIAL_FINE : CREDENTIAL_UNAVAILABLE);
	ASSERT_STR(got, want ? want : "");
}

/* A credential with this value and revision, and no handle, so that v<revision>_ is its form. */
static void rotate(struct credential_store *s, uint64_t revision, const char *value,
	const char *identity, const char *handle)
{
	struct credential_spec c = lab_spec("TOKEN", value);
	struct err e = { 0 };

	c.identity = identity;
	c.handle = handle;
	ASSERT_OK(credential_store_update(s, revision, &c, 1, &e));
}

TEST(stable_handle_follows_twelve_rotations)
{
	struct credential_store *s = lab_store("first");
	char value[32];

	expect(s, "s" HANDLE "_TOKEN", "first");
	for (int i = 0; i < 12; i++) {
		(void) snprintf(value, sizeof value, "value-%d", i);
		rotate(s, 10 + (uint64_t) i, value, "file", HANDLE);
		expect(s, "s" HANDLE "_TOKEN", value);
	}
	credential_store_free(s);
}

TEST(bound_key_is_not_resolved_by_its_bare_name_or_by_a_guess)
{
	struct credential_store *s = lab_store("first");

	expect(s, "TOKEN", NULL);
	expect(s, "v7_TOKEN", NULL); /* given out by handle, so never by revision */
	expect(s, "s" OTHER_HANDLE "_TOKEN", NULL);
	expect(s, "s" HANDLE "_OTHER", NULL);
	expect(s, "s" HANDLE "_", NULL);
	expect(s, "v99999999999999999999_FREE", NULL);
	expect(s, "FREE", "free-value");
	expect(s, "v7_FREE", "free-value");
	expect(s, "v8_FREE", NULL);
	credential_store_free(s);
}

TEST(revision_keeps_its_value_for_eight_generations_then_follows)
{
	struct credential_store *s = lab_store("x");
	char value[32];

	for (uint64_t i = 1; i <= 8; i++) {
		(void) snprintf(value, sizeof value, "value-%d", (int) i);
		rotate(s, i, value, "a", "");
	}
	expect(s, "v1_TOKEN", "value-1");
	rotate(s, 9, "value-9", "a", "");
	expect(s, "v1_TOKEN", "value-9"); /* aged out: the current one of the same identity */
	expect(s, "v2_TOKEN", "value-2");
	expect(s, "v77_TOKEN", NULL); /* was never a revision of it */
	credential_store_free(s);
}

TEST(other_identity_kills_old_placeholders)
{
	struct credential_store *s = lab_store("x");

	rotate(s, 1, "mine", "a", "");
	rotate(s, 2, "theirs", "b", "");
	expect(s, "v1_TOKEN", NULL);
	expect(s, "v2_TOKEN", "theirs");
	rotate(s, 3, "back", "a", "");
	expect(s, "v1_TOKEN", NULL);
	credential_store_free(s);
}

TEST(other_handle_or_endpoint_kills_the_handle)
{
	struct credential_store *s = lab_store("x");
	struct credential_spec c = lab_spec("TOKEN", "y");
	struct err e = { 0 };

	rotate(s, 8, "y", "file", OTHER_HANDLE);
	expect(s, "s" HANDLE "_TOKEN", NULL);
	expect(s, "s" OTHER_HANDLE "_TOKEN", "y");
	c.handle = OTHER_HANDLE;
	c.n_endpoints = 1;
	ASSERT_OK(credential_store_update(s, 9, &c, 1, &e));
	expect(s, "s" OTHER_HANDLE "_TOKEN", "y");
	credential_store_free(s);
}

TEST(revoked_store_revives_with_the_same_identity_only)
{
	struct credential_store *s = lab_store("x");

	rotate(s, 1, "one", "a", "");
	credential_store_revoke(s);
	expect(s, "v1_TOKEN", NULL);
	rotate(s, 2, "two", "a", "");
	expect(s, "v1_TOKEN", "two");
	credential_store_revoke(s);
	rotate(s, 3, "three", "b", "");
	expect(s, "v1_TOKEN", NULL);
	credential_store_free(s);
}

TEST(empty_update_clears_everything)
{
	struct credential_store *s = lab_store("x");
	struct err e = { 0 };

	rotate(s, 1, "one", "a", "");
	ASSERT_OK(credential_store_update(s, 2, NULL, 0, &e));
	ASSERT_EQ(credential_store_count(s), 0);
	expect(s, "v1_TOKEN", NULL);
	rotate(s, 3, "three", "a", "");
	expect(s, "v1_TOKEN", NULL);
	credential_store_free(s);
}

TEST(expired_value_falls_back_to_the_current_one_of_its_identity)
{
	struct credential_store *s = lab_store("x");
	struct credential_spec c = lab_spec("TOKEN", "old");
	struct err e = { 0 };

	c.handle = "";
	c.expires_at_ms = NOW; /* at the time itself it is over */
	ASSERT_OK(credential_store_update(s, 20, &c, 1, &e));
	expect(s, "v20_TOKEN", NULL);
	c.value = "new";
	c.expires_at_ms = NOW + 1;
	ASSERT_OK(credential_store_update(s, 21, &c, 1, &e));
	expect(s, "v20_TOKEN", "new");
	credential_store_free(s);
}

TEST(values_that_no_request_can_carry_are_unavailable)
{
	static const char *const bad[] = { "a\rb", "a\nb", "a" CREDENTIAL_MARKER "X",
		"x%4fPENSHELL-RESOLVE-ENV-Y" };

	for (size_t i = 0; i < 4; i++) {
		struct credential_store *s = lab_store(bad[i]);

		expect(s, "s" HANDLE "_TOKEN", NULL);
		credential_store_free(s);
	}
}

TEST(nul_byte_or_missing_value_is_unavailable)
{
	struct credential_store *s = lab_store("x");
	struct credential_spec c = lab_spec("TOKEN", "a\0b");
	struct err e = { 0 };

	c.len = 3;
	ASSERT_OK(credential_store_update(s, 8, &c, 1, &e));
	expect(s, "s" HANDLE "_TOKEN", NULL);
	c.value = NULL;
	ASSERT_OK(credential_store_update(s, 9, &c, 1, &e));
	expect(s, "s" HANDLE "_TOKEN", NULL);
	credential_store_free(s);
}

static enum credential_verdict at(
	const struct credential_store *s, const char *host, uint16_t port, const char *path)
{
	struct credential_where w = { host, port, path, strlen(path), NOW };
	const struct credential_value *v;
	const char *why;

	return credential_resolve(s, &w, "s" HANDLE "_TOKEN", 71, &v, &why);
}

TEST(key_is_used_at_its_endpoints_only)
{
	struct credential_store *s = lab_store("x");

	ASSERT_EQ(strlen("s" HANDLE "_TOKEN"), 71);
	ASSERT_EQ(at(s, "api.test", 80, "/v1/x"), CREDENTIAL_FINE);
	ASSERT_EQ(at(s, "api.test", 80, "/v1"), CREDENTIAL_FINE);
	ASSERT_EQ(at(s, "api.test", 80, "/v2"), CREDENTIAL_ELSEWHERE);
	ASSERT_EQ(at(s, "api.test", 80, "/v1x"), CREDENTIAL_ELSEWHERE);
	ASSERT_EQ(at(s, "api.test", 443, "/v1/x"), CREDENTIAL_ELSEWHERE);
	ASSERT_EQ(at(s, "xapi.test", 80, "/v1/x"), CREDENTIAL_ELSEWHERE);
	ASSERT_EQ(at(s, "a.wild.test", 443, "/any"), CREDENTIAL_FINE);
	ASSERT_EQ(at(s, "wild.test", 443, "/"), CREDENTIAL_ELSEWHERE);
	ASSERT_EQ(at(s, "a.b.wild.test", 443, "/"), CREDENTIAL_ELSEWHERE);
	ASSERT(credential_store_covers(s, "api.test", 80));
	ASSERT(!credential_store_covers(s, "api.test", 443));
	credential_store_free(s);
}

TEST(hosts_match_label_by_label)
{
	static const struct {
		const char *pattern, *host;
		bool match;
	} cases[] = { { "a.test", "A.TEST", true }, { "a.test", "b.a.test", false },
		{ "**.test", "a.test", true }, { "**.test", "a.b.test", true },
		{ "**.test", "test", false }, { "a.**.test", "a.test", false },
		{ "a.**.test", "a.x.y.test", true }, { "a-*.test", "a-1.test", true },
		{ "a-*.test", "a-.test", true }, { "a-*.test", "b-1.test", false },
		{ "*.test", ".test", false }, { "**.a.**.b", "x.a.y.a.z.b", true },
		{ "**.a.**.b", "a.y.b", false }, { "*a*b.c", "xaxbxb.c", true },
		{ "*a*b.c", "xaxbx.c", false }, { "192.0.2.1", "192.0.2.1", true },
		{ "2001:db8::1", "2001:db8::1", true } };

	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
		if (credential_host_matches(cases[i].pattern, cases[i].host) != cases[i].match)
			FAIL_("%s against %s", cases[i].pattern, cases[i].host);
}

TEST(endpoints_that_mean_everything_or_nothing_are_refused)
{
	static const struct credential_endpoint bad[] = { { "", 80, "" }, { "*", 80, "" },
		{ "**", 80, "" }, { "*.*", 80, "" }, { "a..b", 80, "" }, { "{a,b}.c", 80, "" },
		{ "a.test", 0, "" }, { "a.test", 80, "v1" }, { "a/b", 80, "" } };
	static const struct credential_endpoint good = { "a.test", 80, "/v[12]/*" };
	const char *why;

	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
		if (credential_endpoint_is_valid(&bad[i], &why))
			FAIL_("case %zu", i);
	ASSERT(credential_endpoint_is_valid(&good, &why));
}

TEST(names_that_would_read_as_another_form_are_refused)
{
	static const char *const bad[] = { "", "v1_X", "v12345_Y", "a-b", "a b", "s" HANDLE "_X" };
	static const char *const good[] = { "TOKEN", "v_X", "v1", "s_X", "v1X", "_", "sabc_X" };

	for (size_t i = 0; i < 6; i++)
		if (credential_name_is_valid(bad[i], strlen(bad[i])))
			FAIL_("%s", bad[i]);
	for (size_t i = 0; i < 7; i++)
		if (!credential_name_is_valid(good[i], strlen(good[i])))
			FAIL_("%s", good[i]);
}

TEST(bad_update_changes_nothing)
{
	struct credential_store *s = lab_store("x");
	struct credential_spec c[2] = { lab_spec("TOKEN", "y"), lab_spec("TOKEN", "z") };
	struct err e = { 0 };

	ASSERT_ERR(credential_store_update(s, 8, c, 2, &e), EINVAL); /* twice */
	c[0].identity = "";
	ASSERT_ERR(credential_store_update(s, 8, c, 1, &e), EINVAL);
	c[0] = lab_spec("v1_X", "y");
	ASSERT_ERR(credential_store_update(s, 8, c, 1, &e), EINVAL);
	c[0] = lab_spec("TOKEN", "y");
	c[0].handle = "short";
	ASSERT_ERR(credential_store_update(s, 8, c, 1, &e), EINVAL);
	c[0] = lab_spec("TOKEN", "");
	ASSERT_ERR(credential_store_update(s, 8, c, 1, &e), EINVAL);
	expect(s, "s" HANDLE "_TOKEN", "x");
	ASSERT_EQ(credential_store_revision(s), 7);
	credential_store_free(s);
}

TEST(value_at_its_limit_is_taken_and_one_more_is_not)
{
	struct credential_store *s = lab_store("x");
	static char big[CREDENTIAL_VALUE_MAX + 1];
	struct credential_spec c = lab_spec("TOKEN", big);
	struct err e = { 0 };

	(void) memset(big, 'a', sizeof big);
	c.len = CREDENTIAL_VALUE_MAX;
	ASSERT_OK(credential_store_update(s, 8, &c, 1, &e));
	c.len = CREDENTIAL_VALUE_MAX + 1;
	ASSERT_ERR(credential_store_update(s, 9, &c, 1, &e), EINVAL);
	credential_store_free(s);
}

TEST(count_at_its_limit_is_taken_and_one_more_is_not)
{
	static struct credential_spec c[CREDENTIAL_MAX + 1];
	static char names[CREDENTIAL_MAX + 1][16];
	struct credential_store *s = lab_store("x");
	struct err e = { 0 };

	for (size_t i = 0; i <= CREDENTIAL_MAX; i++) {
		(void) snprintf(names[i], sizeof names[i], "N%zu", i);
		c[i] = lab_spec(names[i], "v");
	}
	ASSERT_OK(credential_store_update(s, 8, c, CREDENTIAL_MAX, &e));
	ASSERT_ERR(credential_store_update(s, 9, c, CREDENTIAL_MAX + 1, &e), EINVAL);
	credential_store_free(s);
}

/* The child of a fork sees none of it, and neither would a core dump (MADV_DONTDUMP is set with
 * MADV_WIPEONFORK in one place, and shows as "dd" among the flags). */
TEST(values_are_left_out_of_forks_and_dumps)
{
	struct credential_store *s = lab_store("only-in-the-parent");
	const struct credential_value *v;
	struct credential_where w = { "api.test", 80, "/v1", 3, NOW };
	const char *why, *bytes;
	char line[512];
	bool found = false, locked = false;
	int status;
	pid_t pid;
	FILE *f;

	ASSERT_EQ(credential_resolve(s, &w, "s" HANDLE "_TOKEN", 71, &v, &why), CREDENTIAL_FINE);
	bytes = credential_value_bytes(v);
	pid = fork();
	ASSERT(pid >= 0);
	if (pid == 0)
		_exit(bytes[0] == '\0' && bytes[5] == '\0' ? 0 : 1);
	ASSERT(waitpid(pid, &status, 0) == pid && WIFEXITED(status));
	ASSERT_EQ(WEXITSTATUS(status), 0);
	f = fopen("/proc/self/smaps", "re");
	ASSERT(f);
	while (fgets(line, sizeof line, f)) {
		unsigned long from, to;

		if (sscanf(line, "%lx-%lx ", &from, &to) == 2)
			found = from <= (unsigned long) bytes && (unsigned long) bytes < to;
		if (found && strncmp(line, "VmFlags:", 8) == 0)
			locked = strstr(line, " dd") && strstr(line, " wf") &&
				(SANITISED || strstr(line, " lo"));
	}
	(void) fclose(f);
	ASSERT(locked);
	credential_store_free(s);
}
