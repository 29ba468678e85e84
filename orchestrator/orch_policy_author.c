/* orch_policy_author.c - "policy lint", "policy fmt" and "policy schema". */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include "core_fd.h"
#include "core_policy_tools.h"
#include "orch_limits.h"
#include "orch_policy_args.h"
#include "orch_policy_cmd.h"
#include "orch_policy_tools.h"

/* 0 clean, 1 warnings, 2 errors or unreadable. */
static int lint_file(const char *path, bool json, bool first)
{
	struct policy_report report = { 0 };
	struct policy_doc *d = NULL;
	AUTO_FREE char *text = NULL;
	int r = orch_policy_document("lint", path, &report, &d), status;

	if (r == 0)
		policy_lint(d, &report);
	status = r < 0 ? 2 : report.n_warnings ? 1 : 0;
	if (json) {
		policy_report_json(&report, path, &text);
		orch_policy_out(STDOUT_FILENO, first ? "[" : ",\n");
		orch_policy_out(STDOUT_FILENO, text ? text : "{}");
	} else {
		policy_report_text(&report, path, &text);
		orch_policy_out(STDOUT_FILENO, text ? text : "");
	}
	policy_free(d);
	policy_report_done(&report);
	return status;
}

int orch_policy_lint(int argc, char **argv)
{
	static const char *files[ORCH_CHECK_FILES_MAX];
	bool json = false;
	const struct orch_policy_option options[] = { { "--json", &json, NULL } };
	size_t n;
	int worst = 0;

	if (!orch_policy_options(argc, argv, options, 1, files, ORCH_CHECK_FILES_MAX, &n) || n == 0)
		return orch_policy_usage();
	for (size_t i = 0; i < n; i++) {
		int status = lint_file(files[i], json, i == 0);

		worst = status > worst ? status : worst;
	}
	if (json)
		orch_policy_out(STDOUT_FILENO, "]\n");
	return worst;
}

/* Comments are lost in formatting.  Quoted text with " #" in it counts too: rather refuse than
 * lose a line that somebody wrote. */
static bool has_comment(const char *text)
{
	for (const char *p = text; (p = strchr(p, '#')); p++)
		if (p == text || strchr(" \t\n", p[-1]))
			return true;
	return false;
}

/* Beside the file and renamed, so that no reader meets half of it; owner and mode stay. */
static int replace(const char *path, const char *text, size_t len, struct err *e)
{
	char temporary[4096];
	AUTO_CLOSE int fd = -1;
	struct stat st;

	if (lstat(path, &st) < 0)
		return err_set(e, errno, "%s: %s", path, strerror(errno));
	if (!S_ISREG(st.st_mode))
		return err_set(e, EINVAL, "%s: not a regular file; give the file itself", path);
	if (snprintf(temporary, sizeof temporary, "%s.XXXXXX", path) >= (int) sizeof temporary)
		return err_set(e, ENAMETOOLONG, "%s", path);
	fd = mkostemp(temporary, O_CLOEXEC);
	if (fd < 0)
		return err_set(e, errno, "%s: %s", temporary, strerror(errno));
	if (fchown(fd, st.st_uid, st.st_gid) < 0 || fchmod(fd, st.st_mode & 07777) < 0 ||
		fd_write_all(fd, text, len, e) < 0 || fsync(fd) < 0 ||
		rename(temporary, path) < 0) {
		int code = errno;

		(void) unlink(temporary);
		return err_set(e, code ? code : EIO, "%s: %s", path, strerror(code));
	}
	return 0;
}

struct fmt {
	bool check, write, drop_comments, json;
};

static void say_fmt(const struct fmt *f, const char *path, const char *text, bool same)
{
	struct json j = { 0 };

	if (!f->json) {
		if (f->check && !same)
			orch_policy_line("%s: not in canonical form", path);
		if (!f->check && !f->write)
			orch_policy_out(STDOUT_FILENO, text);
		return;
	}
	json_open(&j, NULL, '{');
	json_add_text(&j, "file", path);
	json_add_flag(&j, "canonical", same);
	json_add_flag(&j, "written", f->write && !same);
	if (!f->check && !f->write)
		json_add_text(&j, "text", text);
	json_close(&j, '}');
	(void) orch_policy_json(&j);
}

static int fmt_file(const struct fmt *f, const char *path)
{
	AUTO(policy_free) struct policy_doc *d = NULL;
	AUTO_FREE char *old = NULL;
	AUTO_FREE char *text = NULL;
	struct err e = { 0 };
	size_t old_len, len;
	bool same;
	int r = orch_policy_document("fmt", path, NULL, &d);

	if (r < 0)
		return r == -EINVAL ? 1 : 2;
	if (policy_format(d, &text, &len, &e) < 0)
		return orch_policy_complain("fmt", &e);
	if (!f->check && !f->write) {
		say_fmt(f, path, text, false);
		return 0;
	}
	if (orch_policy_read(path, POLICY_YAML_BYTES_MAX, &old, &old_len, &e) < 0)
		return orch_policy_complain("fmt", &e);
	same = old_len == len && memcmp(old, text, len) == 0;
	if (f->write && !same && has_comment(old) && !f->drop_comments) {
		(void) err_set(&e, EPERM,
			"%s: has comments, which would be lost; give --drop-comments too", path);
		return orch_policy_complain("fmt", &e);
	}
	if (f->write && !same && replace(path, text, len, &e) < 0)
		return orch_policy_complain("fmt", &e);
	say_fmt(f, path, text, same);
	return f->check && !same ? 1 : 0;
}

int orch_policy_fmt(int argc, char **argv)
{
	struct fmt f = { 0 };
	const struct orch_policy_option options[] = { { "--check", &f.check, NULL },
		{ "--write", &f.write, NULL }, { "--drop-comments", &f.drop_comments, NULL },
		{ "--json", &f.json, NULL } };
	const char *file = NULL;
	size_t n;

	if (!orch_policy_options(argc, argv, options, 4, &file, 1, &n) || n != 1 ||
		(f.check && f.write) || (f.drop_comments && !f.write) ||
		((f.write || f.check) && strcmp(file, "-") == 0))
		return orch_policy_usage();
	return fmt_file(&f, file);
}

int orch_policy_schema(int argc, char **argv)
{
	bool json = false; /* it is JSON in any case */
	const struct orch_policy_option options[] = { { "--json", &json, NULL } };
	AUTO_FREE char *text = NULL;
	const char *none = NULL;
	struct err e = { 0 };
	size_t n;

	if (!orch_policy_options(argc, argv, options, 1, &none, 0, &n))
		return orch_policy_usage();
	if (policy_schema_json(&text, &e) < 0)
		return orch_policy_complain("schema", &e);
	orch_policy_out(STDOUT_FILENO, text);
	orch_policy_out(STDOUT_FILENO, "\n");
	return 0;
}
