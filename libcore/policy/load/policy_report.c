#include "policy_report.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "core_cleanup.h"
#include "core_json.h"
#include "core_text.h"

#define LINE_MAX_BYTES 4096

const char *quote(const char *s, char buf[QUOTE_SIZE])
{
	struct text t;

	text_init(&t, buf, QUOTE_SIZE);
	text_add(&t, "`");
	text_add_quoted(&t, s, strlen(s), POLICY_QUOTE_MAX);
	text_add(&t, "`");
	return buf;
}

void report_add(struct policy_report *r, enum policy_level level, const char *code, struct place at,
	const char *path, const char *problem, const char *hint)
{
	struct policy_problem *p;

	if (level == POLICY_ERROR)
		r->n_errors++;
	else
		r->n_warnings++;
	if (r->n == POLICY_PROBLEMS_MAX)
		return;
	if (!r->at)
		r->at = calloc(POLICY_PROBLEMS_MAX, sizeof *r->at);
	if (!r->at)
		return; /* counted, so the load still fails */
	p = &r->at[r->n];
	*p = (struct policy_problem){ .level = level, .line = at.line, .column = at.column };
	(void) snprintf(p->code, sizeof p->code, "%s", code);
	p->path = strdup(path);
	p->problem = strdup(problem);
	p->hint = strdup(hint ? hint : "");
	if (p->path && p->problem && p->hint) {
		text_neutralise(p->path);
		text_neutralise(p->problem);
		text_neutralise(p->hint);
		r->n++;
		return;
	}
	free(p->path);
	free(p->problem);
	free(p->hint);
}

void policy_report_done(struct policy_report *r)
{
	for (size_t i = 0; i < r->n; i++) {
		free(r->at[i].path);
		free(r->at[i].problem);
		free(r->at[i].hint);
	}
	free(r->at);
	*r = (struct policy_report){ 0 };
}

static int by_place(const void *a, const void *b)
{
	const struct policy_problem *x = a, *y = b;

	if (x->line != y->line)
		return x->line < y->line ? -1 : 1;
	if (x->column != y->column)
		return x->column < y->column ? -1 : 1;
	if (strcmp(x->path, y->path) != 0)
		return strcmp(x->path, y->path);
	return strcmp(x->code, y->code);
}

static void sort(struct policy_report *r)
{
	if (r->n)
		qsort(r->at, r->n, sizeof *r->at, by_place);
}

static void add_place(struct text *t, const char *file, const struct policy_problem *p)
{
	text_add(t, file);
	if (p->line)
		text_addf(t, ":%u:%u", p->line, p->column);
	text_add(t, ": ");
}

void policy_report_text(struct policy_report *r, const char *file, char **ret)
{
	size_t size = (r->n + 2) * LINE_MAX_BYTES;
	char *buf = malloc(size);
	struct text t;

	*ret = buf;
	if (!buf)
		return;
	sort(r);
	text_init(&t, buf, size);
	for (size_t i = 0; i < r->n; i++) {
		const struct policy_problem *p = &r->at[i];

		add_place(&t, file, p);
		if (p->path[0])
			text_addf(&t, "%.1500s: ", p->path);
		text_addf(
			&t, "%s%.1000s", p->level == POLICY_WARNING ? "warning: " : "", p->problem);
		if (p->hint[0])
			text_addf(&t, "; %.1000s", p->hint);
		text_addf(&t, " [%s]\n", p->code);
	}
	if (r->n_errors + r->n_warnings > r->n)
		text_addf(&t, "%s: and %zu further problems\n", file,
			r->n_errors + r->n_warnings - r->n);
}

static void add_field(struct json *j, const char *name, const char *value)
{
	json_add_bytes(j, name, value, strlen(value), 1500);
}

static void add_problem(struct json *j, const struct policy_problem *p)
{
	json_open(j, NULL, '{');
	add_field(j, "code", p->code);
	add_field(j, "level", p->level == POLICY_ERROR ? "error" : "warning");
	json_add_number(j, "line", p->line);
	json_add_number(j, "column", p->column);
	add_field(j, "path", p->path);
	add_field(j, "problem", p->problem);
	add_field(j, "hint", p->hint);
	json_close(j, '}');
}

void policy_report_json(struct policy_report *r, const char *file, char **ret)
{
	struct json j = { 0 };
	size_t len;

	sort(r);
	json_open(&j, NULL, '{');
	add_field(&j, "file", file);
	json_add_flag(&j, "ok", r->n_errors == 0);
	json_add_number(&j, "errors", r->n_errors);
	json_add_number(&j, "warnings", r->n_warnings);
	json_open(&j, "problems", '[');
	for (size_t i = 0; i < r->n; i++)
		add_problem(&j, &r->at[i]);
	json_close(&j, ']');
	json_close(&j, '}');
	*ret = json_result(&j, &len) ? TAKE_PTR(j.own.at) : NULL;
	json_done(&j);
}
