/* orch_policy_test.c - "policy test FILE": expected decisions, one line each. */
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "core_policy_cases.h"
#include "orch_policy_args.h"
#include "orch_policy_ask.h"
#include "orch_policy_cmd.h"
#include "orch_policy_tools.h"

struct run {
	bool json;
	struct json out;
	size_t passed, failed;
};

static bool is_expected(const struct policy_case *c, const struct orch_answer *a)
{
	return strcmp(c->expect, orch_verdict_name(a->verdict)) == 0 &&
		(!c->rule[0] || strcmp(c->rule, a->policy) == 0);
}

static void describe(const struct policy_case *c, char *buf, size_t size)
{
	struct text t;

	text_init(&t, buf, size);
	if (c->name[0]) {
		text_add(&t, c->name);
		return;
	}
	text_addf(&t, "%s to %s:%u", c->exe, c->host, c->port);
	if (c->method[0] || c->path[0])
		text_addf(&t, " %s %s", c->method[0] ? c->method : "GET", c->path);
	if (c->call[0])
		text_addf(&t, " %s %s", c->call, c->tool);
	if (c->operation_type[0])
		text_addf(&t, " %s %s", c->operation_type, c->operation_name);
}

static void say_json(struct run *r, const struct policy_case *c, const struct orch_answer *a,
	const char *what, bool good)
{
	struct json *j = &r->out;

	json_open(j, NULL, '{');
	json_add_text(j, "name", what);
	json_add_number(j, "line", c->line);
	json_add_flag(j, "passed", good);
	json_add_text(j, "expected", c->expect);
	json_add_text(j, "decision", orch_verdict_name(a->verdict));
	json_add_text(j, "rule", a->policy);
	json_add_number(j, "endpoint_line", a->line);
	json_add_text(j, "reason", a->reason);
	json_add_text(j, "near", a->near);
	json_close(j, '}');
}

static void say_text(
	const struct policy_case *c, const struct orch_answer *a, const char *what, bool good)
{
	if (good) {
		orch_policy_line("pass  %s: %s", what, orch_verdict_name(a->verdict));
		return;
	}
	orch_policy_line("FAIL  %s (line %u): %s%s%s expected, %s%s%s it is: %s%s%s", what, c->line,
		c->expect, c->rule[0] ? " by " : "", c->rule, orch_verdict_name(a->verdict),
		a->policy[0] ? " by " : "", a->policy, a->reason, a->near[0] ? "; " : "", a->near);
}

static int run_case(
	struct run *r, const struct policy_snapshot *s, const struct policy_case *c, struct err *e)
{
	struct orch_answer a;
	char what[512];
	bool good;

	if (orch_policy_ask(s, c, &a, e) < 0)
		return err_wrap(e, "line %u", c->line);
	good = is_expected(c, &a);
	describe(c, what, sizeof what);
	r->passed += good;
	r->failed += !good;
	r->json ? say_json(r, c, &a, what, good) : say_text(c, &a, what, good);
	return 0;
}

static int run_cases(struct run *r, const struct policy_cases *cases,
	const struct policy_snapshot *s, struct err *e)
{
	if (r->json) {
		json_open(&r->out, NULL, '{');
		json_open(&r->out, "tests", '[');
	}
	for (size_t i = 0; i < cases->n; i++)
		if (run_case(r, s, &cases->at[i], e) < 0)
			return -e->code;
	if (r->json) {
		json_close(&r->out, ']');
		json_add_number(&r->out, "passed", r->passed);
		json_add_number(&r->out, "failed", r->failed);
		json_close(&r->out, '}');
		(void) orch_policy_json(&r->out);
	} else {
		orch_policy_line("%zu passed, %zu failed", r->passed, r->failed);
	}
	return 0;
}

/* Beside the test file, unless it is absolute or given on the command line. */
static int policy_path(
	const char *file, const char *named, const char *given, char *ret, struct err *e)
{
	const char *slash = strrchr(file, '/');
	int n;

	if (given)
		n = snprintf(ret, PATH_MAX, "%s", given);
	else if (!named[0])
		return err_set(
			e, EINVAL, "%s names no policy; add `policy: FILE` or give --policy", file);
	else if (named[0] == '/' || !slash)
		n = snprintf(ret, PATH_MAX, "%s", named);
	else
		n = snprintf(ret, PATH_MAX, "%.*s/%s", (int) (slash - file), file, named);
	return n < PATH_MAX ? 0 : err_set(e, ENAMETOOLONG, "%s", named);
}

static int load_cases(const char *file, struct policy_cases *ret, struct err *e)
{
	struct policy_report report = { 0 };
	AUTO_FREE char *text = NULL;
	AUTO_FREE char *problems = NULL;
	size_t len;
	int r;

	if (orch_policy_read(file, POLICY_YAML_BYTES_MAX + 4096, &text, &len, e) < 0)
		return -e->code;
	r = policy_cases_load(text, len, &report, ret, e);
	policy_report_text(&report, file, &problems);
	orch_policy_out(STDERR_FILENO, problems ? problems : "");
	policy_report_done(&report);
	return r;
}

static int test_file(struct run *r, const char *file, const char *given)
{
	AUTO(policy_free) struct policy_doc *d = NULL;
	AUTO(policy_snapshot_unref) struct policy_snapshot *s = NULL;
	struct policy_cases cases = { 0 };
	struct err e = { 0 };
	char path[PATH_MAX];
	int result = load_cases(file, &cases, &e);

	if (result == 0)
		result = policy_path(file, cases.policy, given, path, &e);
	if (result == 0 && orch_policy_document("test", path, NULL, &d) < 0) {
		policy_cases_done(&cases);
		return 2; /* said already */
	}
	if (result == 0)
		result = policy_compile(d, 1, NULL, 0, &s, &e);
	if (result == 0)
		result = run_cases(r, &cases, s, &e);
	policy_cases_done(&cases);
	if (result < 0)
		return orch_policy_complain("test", &e);
	return r->failed ? 1 : 0;
}

int orch_policy_test(int argc, char **argv)
{
	struct run r = { 0 };
	const char *file = NULL, *policy = NULL;
	const struct orch_policy_option options[] = { { "--json", &r.json, NULL },
		{ "--policy", NULL, &policy } };
	size_t n;

	if (!orch_policy_options(argc, argv, options, 2, &file, 1, &n) || n != 1)
		return orch_policy_usage();
	return test_file(&r, file, policy);
}
