/* policy_lint_path.c - patterns: where they stop, and what they never meet (spec/policy 2.2, 10). */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "core_policy_path.h"
#include "core_text.h"
#include "policy_lint.h"

#define HINT_BYTES 512

static bool is_pattern(const char *s)
{
	return strpbrk(s, "*?[{\\") != NULL;
}

static void lint_literal(struct lint *l, const void *at, const char *path, bool encoded_slash)
{
	struct policy_path *p = malloc(sizeof *p);
	enum policy_path_fault f;
	char hint[HINT_BYTES];

	if (!p)
		return;
	f = policy_path_canonical(path, strlen(path), encoded_slash, p);
	(void) snprintf(hint, sizeof hint, "write `%.400s`", f == POLICY_PATH_FINE ? p->at : "");
	if (f != POLICY_PATH_FINE)
		check_warn(&l->c, "W06", at, "path",
			f == POLICY_PATH_ENCODED_SLASH ? "set allow_encoded_slash on the endpoint"
						       : "write the path as it is when canonical",
			"requests with such a path are refused before any rule: %s",
			policy_path_fault_text(f));
	else if (strcmp(p->at, path) != 0)
		check_warn(&l->c, "W06", at, "path", hint,
			"paths are compared in canonical form, which this is not");
	free(p);
}

static void lint_pattern(struct lint *l, const void *at, const char *path)
{
	static const char *const never[] = { "//", "/./", "/../", ";", "#", NULL };

	for (size_t i = 0; never[i]; i++)
		if (strstr(path, never[i]))
			check_warn(&l->c, "W06", at, "path", "leave it out",
				"`%s` is never part of a canonical path", never[i]);
	for (const unsigned char *p = (const unsigned char *) path; *p; p++)
		if (*p >= 0x80 || *p == ' ') {
			check_warn(&l->c, "W06", at, "path", "write it as %HH",
				"canonical paths hold no such character");
			break;
		}
}

/* `**` is special as a whole component only. */
static bool has_glued_stars(const char *path)
{
	for (const char *p = path; (p = strstr(p, "**")); p += 2)
		if ((p > path && p[-1] != '/') || (p[2] && p[2] != '/'))
			return true;
	return false;
}

static bool has_slash_class(const char *path)
{
	const char *open = strchr(path, '['), *close = open ? strchr(open, ']') : NULL;

	return close &&
		(open[1] == '!' || open[1] == '^' || memchr(open, '/', (size_t) (close - open)) ||
			memchr(open, '.', (size_t) (close - open)));
}

void lint_path(struct lint *l, const void *at, const char *path, bool encoded_slash)
{
	const char *mark = strchr(path, '?');
	char hint[HINT_BYTES];

	if (path[0] != '/')
		return; /* E20, E21, or `**` */
	if (mark && strchr(mark, '=')) {
		(void) snprintf(hint, sizeof hint, "write `path: %.*s` and the rest in `query:`",
			(int) (mark - path), path);
		check_warn(&l->c, "W06", at, "path", hint,
			"a query is not part of the path; `?` is any one character");
		return;
	}
	if (!is_pattern(path))
		lint_literal(l, at, path, encoded_slash);
	else
		lint_pattern(l, at, path);
	if (has_glued_stars(path))
		check_warn(&l->c, "W03", at, "path", "write `/**` behind a slash, or one `*`",
			"`**` next to other characters is one `*`: it stays inside the segment");
	if (has_slash_class(path))
		check_warn(&l->c, "W03", at, "path", "list the alternatives as {a,b}",
			"a negated class, or one with `/` or `.`, also matches `/`");
}

/* Two dialects read an endpoint's path: one selects, one decides. */
void lint_endpoint_path(struct lint *l, const endpoint_msg *ep)
{
	const char *path = ep->path;
	size_t n = strlen(path);
	bool deep = n > 3 && strcmp(path + n - 3, "/**") == 0;
	char hint[HINT_BYTES], head[POLICY_PATH_LEN_MAX + 1];

	if (!path[0] || strcmp(path, "**") == 0 || strcmp(path, "/**") == 0)
		return;
	(void) snprintf(head, sizeof head, "%.*s", deep ? (int) n - 3 : (int) n, path);
	(void) snprintf(
		hint, sizeof hint, "add an endpoint for `%.300s`, or accept its refusal", head);
	if (deep && !is_pattern(head))
		check_warn(&l->c, "W03", &ep->path, "path", hint,
			"`%.200s` itself is sent to this endpoint, but no rule of it applies there",
			head);
	if (deep && is_pattern(head))
		check_warn(&l->c, "W09", &ep->path, "path", "write one endpoint per path",
			"the reference takes everything before a final `/**` literally when it "
			"selects an endpoint, so there only this very text selects it");
	else if (strpbrk(path, "{}"))
		check_warn(&l->c, "W09", &ep->path, "path", "write one endpoint per path",
			"the reference takes braces literally when it selects an endpoint");
	else if (strpbrk(head, "*?"))
		check_warn(&l->c, "W03", &ep->path, "path",
			"write `/**` at the end, or one endpoint per path",
			"`*` and `?` cross `/` when an endpoint is selected, but not when its "
			"rules "
			"decide: deeper paths are sent here and refused");
}

/* Values: the separator is the dot, whatever the value is. */
void lint_value(struct lint *l, const void *at, const char *field, const char *pattern)
{
	const char *star = strchr(pattern, '*'), *dot = strchr(pattern, '.');
	char hint[HINT_BYTES];
	size_t n = strlen(pattern);

	if (strstr(pattern, "[.]"))
		check_warn(&l->c, "W06", at, field, "write the dot itself",
			"a class never matches a dot");
	if (!star || strstr(pattern, "**"))
		return;
	(void) snprintf(hint, sizeof hint,
		"list one pattern per number of dots: {any: [\"%.150s\", \"%.150s.*\"]}", pattern,
		pattern);
	if (n > 2 && strcmp(pattern + n - 2, ".*") == 0)
		(void) snprintf(hint, sizeof hint, "write `%.*s**` to take what has more dots too",
			(int) (n - 1 < 300 ? n - 1 : 300), pattern);
	if (dot || strstr(pattern, "://"))
		check_warn(&l->c, "W03", at, field, hint, "`*` in `%.80s` does not cross a dot",
			pattern);
}
