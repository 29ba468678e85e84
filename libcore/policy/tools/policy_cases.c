#include "core_policy_cases.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "core_text.h"
#include "policy_node.h"
#include "policy_report.h"

#define PORT_DEFAULT 443
#define KEYS_MAX 32 /* of one map; more are unknown or repeated ones anyway */

struct reader {
	struct policy_report *report;
	struct policy_cases *ret;
	char path[64];
};

static void complain(struct reader *r, const struct node *n, const char *problem, const char *hint)
{
	report_add(r->report, POLICY_ERROR, "T01", (struct place){ n->line, n->column }, r->path,
		problem, hint);
}

static bool take_text(struct reader *r, const struct node *n, char **ret)
{
	if (n->kind != NODE_SCALAR || *ret) {
		complain(r, n, *ret ? "written twice" : "expected text", NULL);
		return false;
	}
	*ret = strdup(n->text);
	return *ret != NULL;
}

static void take_words(struct reader *r, const struct node *n, struct policy_words *ret)
{
	if (n->kind != NODE_LIST || n->n > POLICY_CASE_WORDS_MAX || ret->n) {
		complain(r, n, "expected a list of at most 64 words", NULL);
		return;
	}
	for (const struct node *i = n->first; i; i = i->next)
		if (take_text(r, i, &ret->at[ret->n]))
			ret->n++;
}

static void take_port(struct reader *r, const struct node *n, uint16_t *ret)
{
	uint64_t v = 0;

	if (n->kind != NODE_SCALAR || text_to_u64(n->text, n->len, 1, UINT16_MAX, &v) < 0)
		complain(r, n, "expected a port from 1 to 65535", NULL);
	*ret = (uint16_t) v;
}

static void take_key(
	struct reader *r, struct policy_case *c, const struct node *key, const struct node *value)
{
	const struct {
		const char *name;
		char **text;
	} texts[] = { { "name", &c->name }, { "host", &c->host }, { "exe", &c->exe },
		{ "method", &c->method }, { "path", &c->path }, { "call", &c->call },
		{ "tool", &c->tool }, { "operation_type", &c->operation_type },
		{ "operation_name", &c->operation_name }, { "expect", &c->expect },
		{ "rule", &c->rule } };
	const char *name = key->kind == NODE_SCALAR ? key->text : "";

	for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
		if (strcmp(name, texts[i].name) != 0)
			continue;
		(void) take_text(r, value, texts[i].text);
		return;
	}
	if (strcmp(name, "port") == 0)
		take_port(r, value, &c->port);
	else if (strcmp(name, "ancestors") == 0)
		take_words(r, value, &c->ancestors);
	else if (strcmp(name, "fields") == 0)
		take_words(r, value, &c->fields);
	else
		complain(r, key, "no such field",
			"known are name, host, port, exe, ancestors, method, path, call, tool, "
			"operation_type, operation_name, fields, expect and rule");
}

static bool is_one_of(const char *s, const char *const *words)
{
	for (; *words; words++)
		if (strcmp(s, *words) == 0)
			return true;
	return false;
}

static void check_case(struct reader *r, const struct node *n, const struct policy_case *c)
{
	static const char *const expected[] = { "allow", "deny", "audit", NULL };

	if (!c->host || !c->host[0])
		complain(r, n, "host is missing", "name where the request goes");
	if (!c->exe || !c->exe[0])
		complain(r, n, "exe is missing", "name the calling program by its full path");
	if (!c->expect || !is_one_of(c->expect, expected))
		complain(r, n, "expect must be allow, deny or audit", NULL);
	if (c->call && c->operation_type)
		complain(r, n, "call and operation_type exclude each other", NULL);
}

static bool fill_up(struct policy_case *c)
{
	char **texts[] = { &c->name, &c->host, &c->exe, &c->method, &c->path, &c->call, &c->tool,
		&c->operation_type, &c->operation_name, &c->expect, &c->rule };

	for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
		if (!*texts[i] && !(*texts[i] = strdup("")))
			return false;
	return true;
}

static int read_case(struct reader *r, const struct node *n, size_t i)
{
	struct policy_case *c = &r->ret->at[r->ret->n++];

	*c = (struct policy_case){ .line = n->line, .port = PORT_DEFAULT };
	(void) snprintf(r->path, sizeof r->path, "tests[%zu]", i);
	if (n->kind != NODE_MAP || n->n > KEYS_MAX)
		complain(r, n, "expected a map like `{host: ..., exe: ..., expect: allow}`", NULL);
	else
		for (const struct node *k = n->first; k; k = k->next->next)
			take_key(r, c, k, k->next);
	if (n->kind == NODE_MAP)
		check_case(r, n, c);
	r->path[0] = '\0';
	return fill_up(c) ? 0 : -ENOMEM;
}

static int read_cases(struct reader *r, const struct node *list)
{
	size_t i = 0;

	if (list->kind != NODE_LIST || list->n == 0 || list->n > POLICY_CASES_MAX || r->ret->at) {
		complain(r, list, "`tests` must be a list of 1 to 10000 requests", NULL);
		return 0;
	}
	r->ret->at = calloc(list->n, sizeof *r->ret->at);
	if (!r->ret->at)
		return -ENOMEM;
	for (const struct node *n = list->first; n; n = n->next)
		if (read_case(r, n, i++) < 0)
			return -ENOMEM;
	return 0;
}

static int read_root(struct reader *r, const struct node *root)
{
	for (const struct node *k = root->first; k; k = k->next->next) {
		const char *name = k->kind == NODE_SCALAR ? k->text : "";

		if (strcmp(name, "policy") == 0)
			(void) take_text(r, k->next, &r->ret->policy);
		else if (strcmp(name, "tests") != 0)
			complain(r, k, "no such field", "known are policy and tests");
		else if (read_cases(r, k->next) < 0)
			return -ENOMEM;
	}
	if (!r->ret->at && !r->report->n_errors)
		complain(r, root, "`tests` is missing", "add a list of requests");
	if (!r->ret->policy)
		r->ret->policy = strdup("");
	return r->ret->policy ? 0 : -ENOMEM;
}

int policy_cases_load(const char *text, size_t len, struct policy_report *report,
	struct policy_cases *ret, struct err *e)
{
	struct reader r = { .report = report, .ret = ret };
	struct node *root;
	int result;

	if (len > POLICY_YAML_BYTES_MAX)
		return err_set(e, EFBIG, "test file of more than 256 KiB; split it");
	root = node_parse(text, len, report);
	result = root ? read_root(&r, root) : 0;
	node_free(root);
	if (result < 0)
		return err_set(e, ENOMEM, "test file");
	return report->n_errors ? err_set(e, EINVAL, "test file: %zu problem%s", report->n_errors,
					  report->n_errors == 1 ? "" : "s")
				: 0;
}

static void words_done(struct policy_words *w)
{
	for (size_t i = 0; i < w->n; i++)
		free(w->at[i]);
}

void policy_cases_done(struct policy_cases *c)
{
	for (size_t i = 0; i < c->n; i++) {
		struct policy_case *one = &c->at[i];
		char *texts[] = { one->name, one->host, one->exe, one->method, one->path, one->call,
			one->tool, one->operation_type, one->operation_name, one->expect,
			one->rule };

		for (size_t k = 0; k < sizeof texts / sizeof *texts; k++)
			free(texts[k]);
		words_done(&one->ancestors);
		words_done(&one->fields);
	}
	free(c->at);
	free(c->policy);
	*c = (struct policy_cases){ 0 };
}
