/* orch_policy_diff.c - "policy diff A B": 0 the same, 1 different, 2 not to be told. */
#include <stdio.h>
#include <string.h>
#include "core_policy_diff.h"
#include "orch_policy_args.h"
#include "orch_policy_cmd.h"
#include "orch_policy_tools.h"

static const char *kind_name(enum policy_change_kind k)
{
	return k == POLICY_CHANGE_ADDED	     ? "added"
		: k == POLICY_CHANGE_REMOVED ? "removed"
					     : "changed";
}

static void print_json(const char *const *files, const struct policy_diff *d)
{
	struct json j = { 0 };

	json_open(&j, NULL, '{');
	json_add_text(&j, "a", files[0]);
	json_add_text(&j, "b", files[1]);
	json_add_flag(&j, "same", d->n == 0);
	json_add_number(&j, "added", d->n_added);
	json_add_number(&j, "removed", d->n_removed);
	json_add_flag(&j, "restart", d->n_restart > 0);
	json_open(&j, "changes", '[');
	for (size_t i = 0; i < d->n; i++) {
		const struct policy_change *c = &d->at[i];

		json_open(&j, NULL, '{');
		json_add_text(&j, "kind", kind_name(c->kind));
		json_add_text(&j, "section", c->section);
		json_add_text(&j, "rule", c->rule);
		json_add_number(&j, "line", c->line);
		json_add_flag(&j, "restart", c->restart);
		json_add_text(&j, "text", c->text);
		json_close(&j, '}');
	}
	json_close(&j, ']');
	json_close(&j, '}');
	(void) orch_policy_json(&j);
}

static void print_text(const struct policy_diff *d)
{
	static const char signs[] = { '+', '-', '~' };

	for (size_t i = 0; i < d->n; i++) {
		const struct policy_change *c = &d->at[i];

		orch_policy_line("%c %s%s%s: %s%s", signs[c->kind], c->section, *c->rule ? "." : "",
			c->rule, c->text, c->restart ? " (needs a restart)" : "");
	}
}

int orch_policy_diff(int argc, char **argv)
{
	bool json = false;
	const struct orch_policy_option options[] = { { "--json", &json, NULL } };
	AUTO(policy_free) struct policy_doc *a = NULL;
	AUTO(policy_free) struct policy_doc *b = NULL;
	struct policy_diff d = { 0 };
	const char *files[2];
	struct err e = { 0 };
	size_t n;
	int status = 2;

	if (!orch_policy_options(argc, argv, options, 1, files, 2, &n) || n != 2)
		return orch_policy_usage();
	if (orch_policy_document("diff", files[0], NULL, &a) < 0 ||
		orch_policy_document("diff", files[1], NULL, &b) < 0)
		return 2;
	if (policy_diff(a, b, &d, &e) < 0) {
		status = orch_policy_complain("diff", &e);
	} else {
		json ? print_json(files, &d) : print_text(&d);
		status = d.n ? 1 : 0;
	}
	policy_diff_done(&d);
	return status;
}
