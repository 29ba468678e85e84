#include "orch_policy_check.h"
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>
#include "core_cleanup.h"
#include "orch_limits.h"
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
	bool json = false, good = true;
	int files = 0;

	for (int i = 1; i < argc; i++) {
		json |= strcmp(argv[i], "--json") == 0;
		if (argv[i][0] == '-' && strcmp(argv[i], "--json") != 0)
			return orch_policy_usage();
	}
	for (int i = 1; i < argc; i++) {
		if (argv[i][0] == '-')
			continue;
		if (files == ORCH_CHECK_FILES_MAX)
			return orch_policy_usage();
		good &= check(argv[i], json, files++ == 0);
	}
	if (!files)
		return orch_policy_usage();
	if (json)
		orch_policy_out(STDOUT_FILENO, "]\n");
	return good ? 0 : 1;
}
