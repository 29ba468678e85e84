#include <errno.h>
#include "core_credential_file.h"
#include "test.h"

static void bad(const char *text, const char *code, unsigned line, const char *words)
{
	struct policy_report report = { 0 };
	struct credential_file f = { 0 };
	struct err e = { 0 };
	bool found = false;

	ASSERT_ERR(credential_file_parse(text, strlen(text), &report, &f, &e), EINVAL);
	for (size_t i = 0; i < report.n; i++) {
		const struct policy_problem *p = &report.at[i];

		found |= strcmp(p->code, code) == 0 && p->line == line && strstr(p->problem, words);
		if (strstr(p->problem, "s3cret") || strstr(p->hint, "s3cret") ||
			strstr(p->path, "s3cret"))
			FAIL_("a message repeats a value: %s", p->problem);
	}
	if (!found)
		FAIL_("%s\nno %s in line %u with \"%s\"; first: %s %u %s", text, code, line, words,
			report.n ? report.at[0].code : "-", report.n ? report.at[0].line : 0,
			report.n ? report.at[0].problem : "-");
	policy_report_done(&report);
}

static void good(const char *text, struct credential_file *ret)
{
	struct policy_report report = { 0 };
	struct err e = { 0 };

	*ret = (struct credential_file){ 0 };
	if (credential_file_parse(text, strlen(text), &report, ret, &e) < 0)
		FAIL_("%s: %s", text, report.n ? report.at[0].problem : e.text);
	policy_report_done(&report);
}

#define EP "  endpoints: [{host: A.Test, port: 443, path: /v1/**}]\n"

TEST(every_field_is_read)
{
	struct credential_file f;

	good("- name: A\n  value: s3cret\n  prefix: sk-\n  expires_at: 2030-01-02T03:04:05Z\n" EP
	     "- name: B\n  from_env: V\n" EP "- name: C\n  from_file: /x\n" EP
	     "- name: D\n  from_command: [/bin/echo, a b]\n" EP,
		&f);
	ASSERT_EQ(f.n, 4);
	ASSERT_STR(f.at[0].text, "s3cret");
	ASSERT_STR(f.at[0].prefix, "sk-");
	ASSERT_EQ(f.at[0].expires_at_ms, 1893553445000);
	ASSERT_STR(f.at[0].endpoints[0].host, "a.test");
	ASSERT_STR(f.at[0].endpoints[0].path, "/v1/**");
	ASSERT_EQ(f.at[0].endpoints[0].port, 443);
	ASSERT_EQ(f.at[1].origin, CREDENTIAL_ENV);
	ASSERT_EQ(f.at[2].origin, CREDENTIAL_FROM_FILE);
	ASSERT_STR(f.at[3].argv[1], "a b");
	ASSERT(!f.at[3].argv[2]);
	ASSERT_EQ(f.at[3].line, 13);
	credential_file_done(&f);
}

TEST(list_may_stand_under_a_key_and_be_empty)
{
	struct credential_file f;

	good("credentials:\n- name: A\n  value: x\n" EP, &f);
	ASSERT_EQ(f.n, 1);
	credential_file_done(&f);
	good("[]", &f);
	ASSERT_EQ(f.n, 0);
	credential_file_done(&f);
}

TEST(problems_have_code_and_line)
{
	bad("", "C01", 1, "must be a list");
	bad("a: b\n", "C01", 1, "must be a list");
	bad("- s3cret\n", "C01", 1, "is a map");
	bad("- name: A\n  value: [\n", "E01", 3, "not valid YAML");
	bad("- name: A\n  value: &a s3cret\n" EP, "E01", 2, "anchors");
	bad("- value: s3cret\n" EP, "C03", 1, "needs a name");
	bad("- name: A-B\n  value: s3cret\n" EP, "C03", 1, "not usable as a name");
	bad("- name: 1A\n  value: s3cret\n" EP, "C03", 1, "not usable as a name");
	bad("- name: PATH\n  value: s3cret\n" EP, "C03", 1, "not usable as a name");
	bad("- name: LD_PRELOAD\n  value: s3cret\n" EP, "C03", 1, "not usable as a name");
	bad("- name: OPENSHELL_X\n  value: s3cret\n" EP, "C03", 1, "not usable as a name");
	bad("- name: HTTPS_PROXY\n  value: s3cret\n" EP, "C03", 1, "not usable as a name");
	bad("- name: v1_X\n  value: s3cret\n" EP, "C03", 1, "not usable as a name");
	bad("- name: A\n" EP, "C06", 1, "exactly one of");
	bad("- name: A\n  value: s3cret\n  from_env: B\n" EP, "C06", 1, "exactly one of");
	bad("- name: A\n  value: s3cret\n  value: s3cret\n" EP, "C01", 3, "given twice");
	bad("- name: A\n  value: s3cret\n  s3cret-key: 1\n" EP, "C01", 3, "no such field");
	bad("- name: A\n  value: s3cret\n  token: 1\n" EP, "C01", 3, "`token`");
	bad("- name: A\n  value: ''\n" EP, "C02", 2, "not empty");
	bad("- name: A\n  value: [s3cret]\n" EP, "C02", 2, "must be text");
	bad("- name: A\n  value: \"s3cret\\nx\"\n" EP, "C07", 2, "line break");
	bad("- name: A\n  value: openshell:resolve:env:s3cret\n" EP, "C07", 2, "placeholder");
	bad("- name: A\n  value: x\n  prefix: a/b\n" EP, "C04", 3, "prefix");
	bad("- name: A\n  value: x\n  require: maybe\n" EP, "C04", 3, "true or false");
	bad("- name: A\n  value: x\n  expires_at: 2030-02-30T00:00:00Z\n" EP, "C05", 3,
		"point in time");
	bad("- name: A\n  from_file: x\n" EP, "C06", 2, "from_file");
	bad("- name: A\n  from_env: a=b\n" EP, "C06", 2, "from_env");
	bad("- name: A\n  from_command: echo\n" EP, "C06", 2, "from_command");
	bad("- name: A\n  from_command: [echo]\n" EP, "C06", 2, "not usable");
	bad("- name: A\n  from_command: []\n" EP, "C06", 2, "from_command");
	bad("- name: A\n  value: x\n", "C08", 1, "needs endpoints");
	bad("- name: A\n  value: x\n  endpoints: []\n", "C08", 3, "1 to");
	bad("- name: A\n  value: x\n  endpoints: [a]\n", "C08", 3, "a map");
	bad("- name: A\n  value: x\n  endpoints: [{port: 1}]\n", "C08", 3, "needs a host");
	bad("- name: A\n  value: x\n  endpoints: [{host: a}]\n", "C08", 3, "needs a port");
	bad("- name: A\n  value: x\n  endpoints: [{host: a, port: 0}]\n", "C08", 3, "port");
	bad("- name: A\n  value: x\n  endpoints: [{host: '*', port: 1}]\n", "C08", 3, "not usable");
	bad("- name: A\n  value: x\n  endpoints: [{host: a, host: b, port: 1}]\n", "C01", 3,
		"twice");
	bad("- name: A\n  value: x\n  endpoints: [{host: a, port: 1, method: x}]\n", "C01", 3,
		"`method`");
	bad("- name: A\n  value: x\n" EP "- name: A\n  value: y\n" EP, "C03", 4, "earlier");
}

TEST(problems_are_reported_all_at_once)
{
	static const char text[] = "- name: A-B\n  value: ''\n- name: C\n  colour: red\n";
	struct policy_report report = { 0 };
	struct credential_file f = { 0 };
	struct err e = { 0 };

	ASSERT_ERR(credential_file_parse(text, sizeof text - 1, &report, &f, &e), EINVAL);
	ASSERT_EQ(report.n_errors, 6);
	policy_report_done(&report);
}

TEST(count_at_its_limit_and_one_more)
{
	size_t size = 64 * (CREDENTIAL_MAX + 1) * 2, len = 0;
	char *text = malloc(size);
	struct credential_file f;

	ASSERT(text);
	for (int i = 0; i < CREDENTIAL_MAX; i++)
		len += (size_t) snprintf(text + len, size - len,
			"- {name: N%d, value: x, endpoints: [{host: a, port: 1}]}\n", i);
	good(text, &f);
	ASSERT_EQ(f.n, CREDENTIAL_MAX);
	credential_file_done(&f);
	(void) snprintf(
		text + len, size - len, "- {name: X, value: x, endpoints: [{host: a, port: 1}]}\n");
	bad(text, "C01", 1, "at most 128");
	free(text);
}

static uint64_t at(const char *s)
{
	uint64_t ms = 1;

	return credential_time(s, strlen(s), &ms) < 0 ? 0 : ms / 1000;
}

TEST(points_in_time)
{
	/* Figures of date -d ... +%s. */
	ASSERT_EQ(at("1970-01-01T00:00:01Z"), 1);
	ASSERT_EQ(at("2000-02-29T12:00:00Z"), 951825600);
	ASSERT_EQ(at("2024-12-31T23:59:59Z"), 1735689599);
	ASSERT_EQ(at("2026-03-01T00:00:00+02:00"), 1772316000);
	ASSERT_EQ(at("2026-03-01T00:00:00-05:30"), 1772343000);
	ASSERT_EQ(at("2100-03-01T00:00:00Z"), 4107542400);
	ASSERT_EQ(at("2026-03-01T00:00:00.999Z"), 1772323200);
	ASSERT_EQ(at("1772323200"), 1772323200);
	ASSERT_EQ(at("2026-03-01"), 0);
	ASSERT_EQ(at("2026-03-01T00:00:00"), 0);
	ASSERT_EQ(at("2026-13-01T00:00:00Z"), 0);
	ASSERT_EQ(at("2025-02-29T00:00:00Z"), 0);
	ASSERT_EQ(at("2026-03-01T24:00:00Z"), 0);
	ASSERT_EQ(at("2026-03-01T00:00:00Zx"), 0);
	ASSERT_EQ(at("1969-12-31T23:59:59Z"), 0);
	ASSERT_EQ(at("1970-01-01T00:00:00Z"), 0);
	ASSERT_EQ(at("0"), 0);
	ASSERT_EQ(at("99999999999999999999"), 0);
}
