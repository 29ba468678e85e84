#include "orch_policy_check.h"
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>
#include "core_cleanup.h"
#include "core_fd.h"
#include "core_policy.h"
#include "orch_limits.h"

/* A little more than the limit, so that the loader is the one to refuse. */
#define READ_MAX (POLICY_YAML_BYTES_MAX + 4096)

static void out(int fd, const char *text)
{
	struct err e = { 0 };

	(void) fd_write_all(fd, text, strlen(text), &e); /* nobody to tell */
}

static int read_file(const char *path, char **ret, size_t *ret_len, struct err *e)
{
	AUTO_CLOSE int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);

	if (fd < 0)
		return err_set(e, errno, "%s: %s", path, strerror(errno));
	return fd_read_all(fd, READ_MAX, ret, ret_len, e) < 0 ? err_wrap(e, "%s", path) : 0;
}

static void print(struct policy_report *report, const char *path, bool json, bool first)
{
	AUTO_FREE char *text = NULL;

	if (!json) {
		policy_report_text(report, path, &text);
		if (text)
			out(STDERR_FILENO, text);
		return;
	}
	policy_report_json(report, path, &text);
	out(STDOUT_FILENO, first ? "[" : ",\n");
	out(STDOUT_FILENO, text ? text : "{}");
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

	if (read_file(path, &text, &len, &e) < 0) {
		out(STDERR_FILENO, "openshell-supervisor: ");
		out(STDERR_FILENO, e.text);
		out(STDERR_FILENO, "\n");
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

static int usage(void)
{
	out(STDERR_FILENO,
		"usage: openshell-supervisor policy check [--json] FILE...\n"
		"       openshell-supervisor policy default\n");
	return 2;
}

int orch_policy_command(int argc, char **argv)
{
	bool json = false, good = true;
	int files = 0;

	if (argc == 1 && strcmp(argv[0], "default") == 0) {
		out(STDOUT_FILENO, policy_default_yaml());
		return 0;
	}
	if (argc < 2 || strcmp(argv[0], "check") != 0)
		return usage();
	for (int i = 1; i < argc; i++) {
		json |= strcmp(argv[i], "--json") == 0;
		if (argv[i][0] == '-' && strcmp(argv[i], "--json") != 0)
			return usage();
	}
	for (int i = 1; i < argc; i++) {
		if (argv[i][0] == '-')
			continue;
		if (files == ORCH_CHECK_FILES_MAX)
			return usage();
		good &= check(argv[i], json, files++ == 0);
	}
	if (!files)
		return usage();
	if (json)
		out(STDOUT_FILENO, "]\n");
	return good ? 0 : 1;
}
