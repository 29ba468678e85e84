/* policy_lint.c - what the sections and rules as a whole do otherwise than it seems. */
#include "policy_lint.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "core_policy_tools.h"

bool lint_is_written(const struct lint *l, const void *at)
{
	return spot_of(l->c.doc, at).line != 0;
}

bool lint_glob(enum policy_dialect d, const char *pattern, const char *value)
{
	struct policy_glob *g = NULL;
	struct err why = { 0 };
	bool hit = policy_glob_new(d, pattern, strlen(pattern), &g, &why) == 0 &&
		policy_glob_match(g, value, strlen(value)) == 1;

	policy_glob_free(g);
	return hit;
}

static bool is_beneath(const char *path, const char *dir)
{
	size_t n = strlen(dir);

	return strncmp(path, dir, n) == 0 && (path[n] == '/' || !path[n]);
}

/* Landlock adds rights up: what is writable from above stays writable. */
static void lint_files(struct lint *l)
{
	const PB(FilesystemPolicy) *f = l->m->filesystem;
	size_t back = trail_field(&l->c.trail, "filesystem_policy");

	for (size_t i = 0; f && i < f->n_read_only; i++)
		for (size_t k = 0; k < f->n_read_write; k++)
			if (is_beneath(f->read_only[i], f->read_write[k]))
				check_warn(&l->c, "W10", &f->read_only[i], "read_only",
					"narrow the read_write path, or remove this one",
					"`%.200s` can be written all the same: it lies below "
					"`%.200s` of read_write",
					f->read_only[i], f->read_write[k]);
	if (f && !lint_is_written(l, &f->include_workdir))
		check_warn(&l->c, "W10", f, "include_workdir",
			"write `include_workdir: true` or `false`",
			"not set: false, because the section is there; without the section it "
			"would "
			"be true");
	trail_back(&l->c.trail, back);
}

static void lint_middlewares(struct lint *l)
{
	for (size_t i = 0; i < l->m->n_network_middlewares; i++) {
		const PB(NetworkMiddlewareConfig) *mw = l->m->network_middlewares[i]->value;
		bool used = false;
		size_t back = trail_field(&l->c.trail, "network_middlewares");

		for (size_t k = 0; mw && mw->endpoints && k < mw->endpoints->n_include; k++)
			for (size_t e = 0; e < l->n_endpoints; e++)
				used |= policy_hosts_overlap(
					mw->endpoints->include[k], l->endpoints[e]->host);
		(void) trail_field(&l->c.trail, l->m->network_middlewares[i]->key);
		if (mw && !used && l->n_endpoints)
			check_warn(&l->c, "W06", mw, "endpoints", "name a host of a rule",
				"no rule has a host that this middleware is for");
		trail_back(&l->c.trail, back);
	}
}

static void lint_binary(struct lint *l, const PB(NetworkBinary) * b)
{
	const char *p = b->path;
	char clean[POLICY_PATH_LEN_MAX + 1], hint[POLICY_PATH_LEN_MAX + 32];

	if (!strchr(p, '*') && strpbrk(p, "?[{"))
		check_warn(&l->c, "W06", &b->path, "path", "write `*`, or the path itself",
			"without a `*` this is no pattern: `?`, `[` and `{` stand for themselves");
	if (p[0] != '/' || strlen(p) > POLICY_PATH_LEN_MAX)
		return;
	(void) memcpy(clean, p, strlen(p) + 1);
	policy_path_normalise(clean);
	(void) snprintf(hint, sizeof hint, "write `%s`", clean);
	if (strcmp(clean, p) != 0)
		check_warn(&l->c, "W06", &b->path, "path", hint,
			"the kernel never writes a path like this");
	else if (strstr(p, "/../") || (strlen(p) > 2 && strcmp(p + strlen(p) - 3, "/..") == 0))
		check_warn(&l->c, "W06", &b->path, "path", "write the path that it leads to",
			"the kernel never writes `..`");
}

static void lint_rule(struct lint *l, const rule_msg *r)
{
	for (size_t i = 0; i < r->n_endpoints; i++) {
		size_t back = trail_field(&l->c.trail, "endpoints");

		(void) trail_index(&l->c.trail, i);
		lint_endpoint(l, r->endpoints[i]);
		trail_back(&l->c.trail, back);
	}
	for (size_t i = 0; i < r->n_binaries; i++) {
		size_t back = trail_field(&l->c.trail, "binaries");

		(void) trail_index(&l->c.trail, i);
		lint_binary(l, r->binaries[i]);
		trail_back(&l->c.trail, back);
	}
}

/* Too many to compare in pairs: those lints are left out. */
static void collect(struct lint *l)
{
	size_t n = 0;

	for (size_t i = 0; i < l->m->n_network_policies; i++)
		n += l->m->network_policies[i]->value
			? l->m->network_policies[i]->value->n_endpoints
			: 0;
	if (n == 0 || n > POLICY_LINT_PAIRS_MAX)
		return;
	l->endpoints = calloc(n, sizeof *l->endpoints);
	for (size_t i = 0; l->endpoints && i < l->m->n_network_policies; i++) {
		const rule_msg *r = l->m->network_policies[i]->value;

		for (size_t k = 0; r && k < r->n_endpoints; k++)
			l->endpoints[l->n_endpoints++] = r->endpoints[k];
	}
}

void policy_lint(const struct policy_doc *d, struct policy_report *report)
{
	/* Only read; the checks' own functions take it as they build it. */
	struct lint l = { .c = { .doc = (struct policy_doc *) (uintptr_t) d, .report = report },
		.m = policy_message(d) };

	collect(&l);
	lint_files(&l);
	lint_middlewares(&l);
	for (size_t i = 0; i < l.m->n_network_policies; i++) {
		const PB(SandboxPolicy__NetworkPoliciesEntry) *entry = l.m->network_policies[i];
		size_t back = trail_field(&l.c.trail, "network_policies");

		(void) trail_field(&l.c.trail, entry->key);
		if (pb_is_provider_key(entry->key))
			check_warn(&l.c, "W10", entry, NULL, "choose another name",
				"names that begin with `_provider_` are made from attached "
				"providers; "
				"a gateway refuses them");
		if (entry->value)
			lint_rule(&l, entry->value);
		trail_back(&l.c.trail, back);
	}
	lint_repeats(&l);
	free(l.endpoints);
}
