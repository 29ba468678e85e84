/* orch_policy_explain.c - "policy explain": who may go where, or why one request may (not). */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "orch_policy_args.h"
#include "orch_policy_ask.h"
#include "orch_policy_cmd.h"
#include "orch_policy_summary.h"
#include "orch_policy_tools.h"

struct explain {
	bool json;
	const char *host, *port, *exe, *ancestors, *method, *path, *call, *tool, *type, *name,
		*fields;
};

static char *own(const char *s)
{
	return strdup(s ? s : "");
}

static int split(const char *list, struct policy_words *ret, struct err *e)
{
	while (list && *list) {
		size_t n = strcspn(list, ",");

		if (ret->n == POLICY_CASE_WORDS_MAX)
			return err_set(
				e, EINVAL, "more than %d words in a list", POLICY_CASE_WORDS_MAX);
		ret->at[ret->n] = strndup(list, n);
		if (!ret->at[ret->n])
			return err_set(e, ENOMEM, "out of memory");
		ret->n++;
		list += n + (list[n] == ',');
	}
	return 0;
}

static int fill(const struct explain *x, struct policy_cases *cases, struct err *e)
{
	struct policy_case *c = calloc(1, sizeof *c);
	uint64_t port = 443;

	if (!c)
		return err_set(e, ENOMEM, "out of memory");
	cases->at = c;
	cases->n = 1;
	*c = (struct policy_case){ .name = own(NULL),
		.host = own(x->host),
		.exe = own(x->exe),
		.method = own(x->method),
		.path = own(x->path),
		.call = own(x->call),
		.tool = own(x->tool),
		.operation_type = own(x->type),
		.operation_name = own(x->name),
		.expect = own(NULL),
		.rule = own(NULL) };
	if (!c->name || !c->host || !c->exe || !c->method || !c->path || !c->call || !c->tool ||
		!c->operation_type || !c->operation_name || !c->expect || !c->rule)
		return err_set(e, ENOMEM, "out of memory");
	if (x->port && text_to_u64(x->port, strlen(x->port), 1, UINT16_MAX, &port) < 0)
		return err_set(
			e, EINVAL, "--port must be a number from 1 to 65535, not '%.80s'", x->port);
	c->port = (uint16_t) port;
	if (c->call[0] && c->operation_type[0])
		return err_set(e, EINVAL, "--call and --operation-type exclude each other");
	return split(x->ancestors, &c->ancestors, e) < 0 ? -e->code
							 : split(x->fields, &c->fields, e);
}

static void print_json(const struct policy_case *c, const struct orch_answer *a)
{
	struct json j = { 0 };

	json_open(&j, NULL, '{');
	json_add_text(&j, "decision", orch_verdict_name(a->verdict));
	json_add_text(&j, "host", c->host);
	json_add_number(&j, "port", c->port);
	json_add_text(&j, "exe", c->exe);
	json_add_text(&j, "decided", a->at_request ? "request" : "connection");
	json_add_flag(&j, "inspected", a->inspected);
	json_add_text(&j, "protocol", a->protocol);
	if (a->policy[0]) {
		json_add_text(&j, "rule", a->policy);
		json_add_number(&j, "endpoint", a->endpoint);
		json_add_number(&j, "line", a->line);
	} else {
		json_add_null(&j, "rule");
	}
	json_add_text(&j, "reason", a->reason);
	json_add_text(&j, "near", a->near);
	json_close(&j, '}');
	(void) orch_policy_json(&j);
}

static void print_text(const char *file, const struct policy_case *c, const struct orch_answer *a)
{
	static const char *const verdicts[] = { "denied", "allowed",
		"not allowed, but only logged (audit)" };

	orch_policy_line("%s: %s to %s:%u%s", verdicts[a->verdict], c->exe, c->host, c->port,
		a->at_request ? ", the request" : ", the connection");
	if (a->policy[0])
		orch_policy_line(
			"rule: %s, endpoints[%zu] (%s:%u)", a->policy, a->endpoint, file, a->line);
	orch_policy_line("reason: %s", a->reason);
	if (a->near[0])
		orch_policy_line("near: %s", a->near);
	if (!a->at_request && a->verdict == ORCH_ALLOWED)
		orch_policy_line(a->inspected ? "requests: each is inspected (%s) and decided; ask "
						"with --method and --path"
					      : "requests: not inspected, any bytes pass%.0s",
			a->protocol);
}

/* 0 allowed (or only logged), 1 denied. */
static int explain_one(const char *file, const struct explain *x, const struct policy_doc *d)
{
	AUTO(policy_snapshot_unref) struct policy_snapshot *s = NULL;
	struct policy_cases cases = { 0 };
	struct orch_answer a = { 0 };
	struct err e = { 0 };
	int r = fill(x, &cases, &e);

	if (r == 0)
		r = policy_compile(d, 1, NULL, 0, &s, &e);
	if (r == 0)
		r = orch_policy_ask(s, &cases.at[0], &a, &e);
	if (r == 0)
		x->json ? print_json(&cases.at[0], &a) : print_text(file, &cases.at[0], &a);
	policy_cases_done(&cases);
	if (r < 0)
		return orch_policy_complain("explain", &e);
	return a.verdict == ORCH_DENIED ? 1 : 0;
}

int orch_policy_explain(int argc, char **argv)
{
	struct explain x = { 0 };
	const struct orch_policy_option options[] = { { "--json", &x.json, NULL },
		{ "--host", NULL, &x.host }, { "--port", NULL, &x.port }, { "--exe", NULL, &x.exe },
		{ "--ancestors", NULL, &x.ancestors }, { "--method", NULL, &x.method },
		{ "--path", NULL, &x.path }, { "--call", NULL, &x.call },
		{ "--tool", NULL, &x.tool }, { "--operation-type", NULL, &x.type },
		{ "--operation-name", NULL, &x.name }, { "--fields", NULL, &x.fields } };
	AUTO(policy_free) struct policy_doc *d = NULL;
	const char *file = NULL;
	size_t n;
	bool any;

	if (!orch_policy_options(
		    argc, argv, options, sizeof options / sizeof *options, &file, 1, &n) ||
		n != 1)
		return orch_policy_usage();
	any = x.port || x.ancestors || x.method || x.path || x.call || x.tool || x.type || x.name ||
		x.fields;
	if (!x.host != !x.exe || (any && !x.host))
		return orch_policy_usage();
	if (orch_policy_document("explain", file, NULL, &d) < 0)
		return 2;
	if (x.host)
		return explain_one(file, &x, d);
	orch_policy_summary(d, x.json);
	return 0;
}
