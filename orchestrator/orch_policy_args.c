#include "orch_policy_args.h"
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>
#include "core_cleanup.h"
#include "core_fd.h"
#include "core_text.h"
#include "orch_policy_cmd.h"

#define LINE_BYTES 4096

static const struct orch_policy_option *find(
	const char *arg, const struct orch_policy_option *options, size_t n)
{
	size_t len = strcspn(arg, "=");

	for (size_t i = 0; i < n; i++)
		if (strlen(options[i].name) == len && strncmp(arg, options[i].name, len) == 0)
			return &options[i];
	return NULL;
}

static bool take(const struct orch_policy_option *o, int argc, char **argv, int *i)
{
	const char *equals = strchr(argv[*i], '=');

	if (o->flag && !equals) {
		*o->flag = true;
		return true;
	}
	if (o->flag || (!equals && *i + 1 == argc))
		return false;
	*o->value = equals ? equals + 1 : argv[++*i];
	return true;
}

bool orch_policy_options(int argc, char **argv, const struct orch_policy_option *options,
	size_t n_options, const char **files, size_t max, size_t *ret_n)
{
	const char *named = NULL;
	const struct orch_policy_option policy = { "--policy", NULL, &named };
	bool only_files = false;

	*ret_n = 0;
	for (int i = 1; i < argc; i++) {
		bool option = !only_files && argv[i][0] == '-' && argv[i][1];
		const struct orch_policy_option *o =
			option ? find(argv[i], options, n_options) : NULL;

		if (option && strcmp(argv[i], "--") == 0) {
			only_files = true;
			continue;
		}
		if (option && !o)
			o = find(argv[i], &policy, 1);
		if (option && (!o || !take(o, argc, argv, &i)))
			return false;
		if (option && o != &policy)
			continue;
		if (*ret_n == max)
			return false;
		files[(*ret_n)++] = option ? named : argv[i];
	}
	return true;
}

int orch_policy_document(
	const char *word, const char *path, struct policy_report *report, struct policy_doc **ret)
{
	struct policy_report own = { 0 }, *r = report ? report : &own;
	AUTO_FREE char *text = NULL;
	AUTO_FREE char *problems = NULL;
	struct err e = { 0 };
	size_t len = 0;
	int result;

	/* A little more than the limit, so that the loader is the one to refuse. */
	if (orch_policy_read(path, POLICY_YAML_BYTES_MAX + 4096, &text, &len, &e) < 0) {
		(void) orch_policy_complain(word, &e);
		return e.code == EINVAL ? -EIO : -e.code;
	}
	result = policy_load_yaml(path, text, len, POLICY_AUTHOR, r, ret, &e);
	if (result < 0 && !report) {
		policy_report_text(r, path, &problems);
		orch_policy_out(STDERR_FILENO, problems ? problems : "");
	}
	if (result < 0 && r->n_errors == 0)
		(void) orch_policy_complain(word, &e);
	policy_report_done(&own);
	return result < 0 && r->n_errors ? -EINVAL : result;
}

bool orch_policy_json(struct json *j)
{
	struct err e = { 0 };
	const char *at;
	size_t len;
	bool good;

	j->comma = false;
	json_add_raw(j, NULL, "\n", 1);
	at = json_result(j, &len);
	good = at && fd_write_all(STDOUT_FILENO, at, len, &e) == 0;
	json_done(j);
	return good;
}

void orch_policy_line(const char *fmt, ...)
{
	char line[LINE_BYTES];
	struct text t;
	va_list ap;

	va_start(ap, fmt);
	(void) vsnprintf(line, sizeof line - 1, fmt, ap);
	va_end(ap);
	text_neutralise(
		line); /* what a document says must not steer the terminal it is reviewed on */
	t = (struct text){ line, sizeof line, strlen(line), false };
	text_add(&t, "\n");
	orch_policy_out(STDOUT_FILENO, line);
}
