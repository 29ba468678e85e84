#include "orch_policy_cmd.h"
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>
#include "core_cleanup.h"
#include "core_fd.h"
#include "orch_policy_check.h"
#include "orch_policy_eval.h"
#include "orch_policy_tools.h"

static int print_default(int argc, char **argv)
{
	(void) argv;
	if (argc != 1)
		return orch_policy_usage();
	orch_policy_out(STDOUT_FILENO, policy_default_yaml());
	return 0;
}

static const struct word {
	const char *name, *arguments;
	int (*run)(int argc, char **argv); /* argv[0] is the word itself */
} words[] = {
	{ "check", "[--json] FILE...", orch_policy_check },
	{ "default", "", print_default },
	{ "diff", "[--json] FILE FILE", orch_policy_diff },
	{ "eval", "FILE", orch_policy_eval },
	{ "explain",
		"[--json] [--host H --exe E [--port P] [--ancestors A,...] [--method M] [--path P] "
		"[--call C [--tool T]] [--operation-type T [--operation-name N] [--fields F,...]]] "
		"FILE",
		orch_policy_explain },
	{ "fmt", "[--json] [--check | --write [--drop-comments]] FILE", orch_policy_fmt },
	{ "glob", "DIALECT PATTERN VALUE | --batch", orch_policy_glob },
	{ "lint", "[--json] FILE...", orch_policy_lint },
	{ "path", "[--allow-encoded-slash] TARGET | --batch", orch_policy_path },
	{ "schema", "", orch_policy_schema },
	{ "test", "[--json] [--policy FILE] FILE", orch_policy_test },
};

void orch_policy_out(int fd, const char *text)
{
	struct err e = { 0 };

	(void) fd_write_all(fd, text, strlen(text), &e);
}

int orch_policy_complain(const char *word, const struct err *e)
{
	char line[ERR_TEXT_MAX + 128];

	(void) snprintf(line, sizeof line, "openshell-supervisor: policy %s: %s\n", word, e->text);
	orch_policy_out(STDERR_FILENO, line);
	return 2;
}

int orch_policy_read(const char *path, size_t max, char **ret, size_t *ret_len, struct err *e)
{
	AUTO_CLOSE int fd = -1;

	if (strcmp(path, "-") == 0)
		return fd_read_all(STDIN_FILENO, max, ret, ret_len, e) < 0
			? err_wrap(e, "standard input")
			: 0;
	fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
	if (fd < 0)
		return err_set(e, errno, "%s: %s", path, strerror(errno));
	return fd_read_all(fd, max, ret, ret_len, e) < 0 ? err_wrap(e, "%s", path) : 0;
}

static void say_usage(int fd)
{
	char line[512];

	for (size_t i = 0; i < sizeof words / sizeof *words; i++) {
		(void) snprintf(line, sizeof line, "%s openshell-supervisor policy %s%s%s\n",
			i ? "      " : "usage:", words[i].name, words[i].arguments[0] ? " " : "",
			words[i].arguments);
		orch_policy_out(fd, line);
	}
	orch_policy_out(fd,
		"FILE is a policy and may be written --policy FILE as well; of test, it is the "
		"file of cases\n");
}

int orch_policy_usage(void)
{
	say_usage(STDERR_FILENO);
	return 2;
}

static bool asks_for_help(int argc, char **argv)
{
	for (int i = 0; i < argc && i < 2 && strcmp(argv[i], "--") != 0; i++)
		if (strcmp(argv[i], "--help") == 0 || strcmp(argv[i], "-h") == 0)
			return true;
	return false;
}

int orch_policy_command(int argc, char **argv)
{
	struct err e = { 0 };

	if (asks_for_help(argc, argv)) {
		say_usage(STDOUT_FILENO);
		return 0;
	}
	for (size_t i = 0; argc > 0 && i < sizeof words / sizeof *words; i++)
		if (strcmp(argv[0], words[i].name) == 0)
			return words[i].run(argc, argv);
	if (argc == 0)
		return orch_policy_usage();
	(void) err_set(&e, EINVAL, "there is no such word; policy --help lists what there is");
	return orch_policy_complain(argv[0], &e);
}
