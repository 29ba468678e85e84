/* orch_policy_primitives.c - "policy glob" and "policy path": the engine's primitives, one by one. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "core_cleanup.h"
#include "core_policy_path.h"
#include "core_policy_snapshot.h"
#include "orch_policy_cmd.h"
#include "orch_policy_eval.h"
#include "orch_policy_lines.h"

static int dialect(const char *name, size_t len, enum policy_dialect *ret)
{
	static const struct {
		const char *letter, *name;
	} all[] = { { "P", "path" }, { "H", "host" }, { "V", "value" }, { "S", "select" },
		{ "D", "deny" } };

	for (unsigned i = 0; i < sizeof all / sizeof *all; i++) {
		*ret = (enum policy_dialect) i;
		if (text_ieq(name, len, all[i].letter, 1) ||
			text_ieq(name, len, all[i].name, strlen(all[i].name)))
			return 0;
	}
	return -EINVAL;
}

/* 1, 0, or -errno with a reason. */
static int match(enum policy_dialect d, struct policy_bytes pattern, struct policy_bytes value,
	struct err *e)
{
	struct policy_glob *g = NULL;
	int r = policy_glob_new(d, pattern.at, pattern.len, &g, e);

	if (r == 0) {
		r = policy_glob_match(g, value.at, value.len);
		if (r < 0)
			(void) err_set(e, -r, "more than %d steps", POLICY_GLOB_STEPS_MAX);
	}
	policy_glob_free(g);
	return r;
}

static bool answer_glob(
	void *owner, const struct orch_json *j, const struct orch_json_node *q, struct json *out)
{
	const struct orch_json_node *name, *pattern, *value;
	enum policy_dialect d;
	struct err e = { 0 };
	int r;

	(void) owner;
	orch_line_open(out, j, q);
	if (!orch_line_string(j, q, "dialect", &name) || !name ||
		dialect(name->at, name->len, &d) < 0)
		r = err_set(&e, EINVAL, "dialect is not P, H, V, S or D");
	else if (!orch_line_string(j, q, "pattern", &pattern) || !pattern ||
		!orch_line_string(j, q, "value", &value) || !value)
		r = err_set(&e, EINVAL, "pattern or value is missing");
	else
		r = match(d, (struct policy_bytes){ pattern->at, pattern->len },
			(struct policy_bytes){ value->at, value->len }, &e);
	json_add_flag(out, "match", r == 1);
	if (r < 0)
		json_add_text(out, "error", e.text);
	json_close(out, '}');
	return r >= 0;
}

int orch_policy_glob(int argc, char **argv)
{
	enum policy_dialect d;
	struct err e = { 0 };
	int r;

	if (argc == 2 && strcmp(argv[1], "--batch") == 0)
		return orch_policy_lines(STDIN_FILENO, STDOUT_FILENO, "glob", answer_glob, NULL);
	if (argc != 4)
		return orch_policy_usage();
	if (dialect(argv[1], strlen(argv[1]), &d) < 0) {
		(void) err_set(&e, EINVAL,
			"the dialect is P (paths, programs), H (hosts), V (values), S (selection "
			"of endpoints) or D (values in deny rules), not '%.40s'",
			argv[1]);
		return orch_policy_complain("glob", &e);
	}
	r = match(d, (struct policy_bytes){ argv[2], strlen(argv[2]) },
		(struct policy_bytes){ argv[3], strlen(argv[3]) }, &e);
	if (r < 0)
		return orch_policy_complain("glob", &e);
	orch_policy_out(STDOUT_FILENO, r ? "match\n" : "no match\n");
	return r ? 0 : 1;
}

static bool answer_path(
	void *owner, const struct orch_json *j, const struct orch_json_node *q, struct json *out)
{
	bool lenient = orch_line_flag(j, q, "allow_encoded_slash", false);
	const struct orch_json_node *target;
	struct policy_path *p = owner;
	enum policy_path_fault f;

	orch_line_open(out, j, q);
	if (!orch_line_string(j, q, "target", &target) || !target) {
		json_add_text(out, "result", "refused");
		json_add_text(out, "reason", "target is missing");
		json_close(out, '}');
		return false;
	}
	f = policy_path_canonical(target->at, target->len, lenient, p);
	json_add_text(out, "result", f == POLICY_PATH_FINE ? p->at : "refused");
	if (f == POLICY_PATH_FINE && p->query.at)
		orch_line_text(out, "query", p->query.at, p->query.len);
	if (f != POLICY_PATH_FINE)
		json_add_text(out, "reason", policy_path_fault_text(f));
	json_close(out, '}');
	return true;
}

int orch_policy_path(int argc, char **argv)
{
	AUTO_FREE struct policy_path *p = calloc(1, sizeof *p);
	bool lenient = argc == 3 && strcmp(argv[1], "--allow-encoded-slash") == 0;
	enum policy_path_fault f;
	struct err e = { 0 };

	if (!p) {
		(void) err_set(&e, ENOMEM, "out of memory");
		return orch_policy_complain("path", &e);
	}
	if (argc == 2 && strcmp(argv[1], "--batch") == 0)
		return orch_policy_lines(STDIN_FILENO, STDOUT_FILENO, "path", answer_path, p);
	if (argc != 2 && !lenient)
		return orch_policy_usage();
	f = policy_path_canonical(argv[argc - 1], strlen(argv[argc - 1]), lenient, p);
	if (f != POLICY_PATH_FINE) {
		(void) err_set(&e, EINVAL, "refused: %s", policy_path_fault_text(f));
		(void) orch_policy_complain("path", &e);
		return 1;
	}
	orch_policy_out(STDOUT_FILENO, p->at);
	orch_policy_out(STDOUT_FILENO, "\n");
	return 0;
}
