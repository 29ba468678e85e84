#include "orch_policy_check.h"
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>
#include "core_cleanup.h"
#include "orch_limits.h"
#include "orch_policy_args.h"
#include "orch_policy_cmd.h"

/* A little more than the limit, so that the loader is the one to refuse. */
#define READ_MAX (POLICY_YAML_BYTES_MAX + 4096)

static void print(struct policy_report *report, const char *path, bool json, bool first)
{
	AUTO_FREE char *text = NULL;

	if (!json) {
		policy_report_text(report, path, &text);
		if (text)
			orch_policy_out(STDERR_FILENO, text);
		return;
	}
	policy_report_json(report, path, &text);
	orch_policy_out(STDOUT_FILENO, first ? "[" : ",\n");
	orch_policy_out(STDOUT_FILENO, text ? text : "{}");
}

/* true: no error. */
static bool check(const char *path, bool json, bool first)
{
	struct policy_report report = { 0 };
	AUTO_FREE char *text = NULL;
	struct policy_doc *d = NULL;
	struct err e = { 0 };
	size_t len = 0;
	bool good;

	if (orch_policy_read(path, READ_MAX, &text, &len, &e) < 0) {
		orch_policy_out(STDERR_FILENO, "openshell-supervisor: ");
		orch_policy_out(STDERR_FILENO, e.text);
		orch_policy_out(STDERR_FILENO, "\n");
		if (json)
			print(&report, path, json, first);
		return false;
	}
	good = policy_load_yaml(path, text, len, POLICY_AUTHOR, &report, &d, &e) == 0;
	print(&report, path, json, first);
	policy_free(d);
	policy_report_done(&report);
	return good;
}

int orch_policy_check(int argc, char **argv)
{
	static const char *files[ORCH_CHECK_FILES_MAX];
	bool json = false, good = true;
	const struct orch_policy_option options[] = { { "--json", &json, NULL } };
	size_t n;

	if (!orch_policy_options(argc, argv, options, 1, files, ORCH_CHECK_FILES_MAX, &n) || n == 0)
		return orch_policy_usage();
	for (size_t i = 0; i < n; i++)
		good &= check(files[i], json, i == 0);
	if (json)
		orch_policy_out(STDOUT_FILENO, "]\n");
	return good ? 0 : 1;
}
