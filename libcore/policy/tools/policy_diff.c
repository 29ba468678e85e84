#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "core_text.h"
#include "policy_atoms.h"

struct diff {
	const struct policy_doc *a, *b;
	struct policy_diff *ret;
	struct err *e;
};

struct about {
	enum policy_change_kind kind;
	bool restart;
	const char *section, *rule;
	unsigned line;
};

static int change(struct diff *d, const struct about *about, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

static int change(struct diff *d, const struct about *about, const char *fmt, ...)
{
	struct policy_diff *r = d->ret;
	char text[POLICY_DIFF_TEXT_MAX];
	struct policy_change *c;
	va_list ap;

	/* Room for a power of two: full when n is one. */
	if ((r->n & (r->n - 1)) == 0) {
		struct policy_change *more = realloc(r->at, (r->n ? 2 * r->n : 1) * sizeof *more);

		if (!more)
			return err_set(d->e, ENOMEM, "policy comparison");
		r->at = more;
	}
	va_start(ap, fmt);
	(void) vsnprintf(text, sizeof text, fmt, ap);
	va_end(ap);
	c = &r->at[r->n];
	*c = (struct policy_change){ .kind = about->kind,
		.restart = about->restart,
		.section = strdup(about->section),
		.rule = strdup(about->rule),
		.line = about->line,
		.text = strdup(text) };
	r->n++;
	r->n_added += about->kind == POLICY_CHANGE_ADDED;
	r->n_removed += about->kind == POLICY_CHANGE_REMOVED;
	r->n_restart += about->restart;
	return c->section && c->rule && c->text ? 0 : err_set(d->e, ENOMEM, "policy comparison");
}

void policy_diff_done(struct policy_diff *d)
{
	for (size_t i = 0; i < d->n; i++) {
		free(d->at[i].section);
		free(d->at[i].rule);
		free(d->at[i].text);
	}
	free(d->at);
	*d = (struct policy_diff){ 0 };
}

/* ---- static sections ---- */

static const PB(FilesystemPolicy) * files(const struct policy_doc *d)
{
	static const PB(FilesystemPolicy) none = OPENSHELL__SANDBOX__V1__FILESYSTEM_POLICY__INIT;
	const policy_msg *m = policy_message(d);

	return m->filesystem ? m->filesystem : &none;
}

static bool may_read(const PB(FilesystemPolicy) * f, const char *path)
{
	return pb_has_text(f->read_only, f->n_read_only, path) ||
		pb_has_text(f->read_write, f->n_read_write, path);
}

static int diff_paths(struct diff *d, const PB(FilesystemPolicy) * from,
	const PB(FilesystemPolicy) * to, enum policy_change_kind kind)
{
	struct about about = { kind, true, "filesystem_policy", "", 0 };

	for (size_t i = 0; i < from->n_read_write; i++)
		if (!pb_has_text(to->read_write, to->n_read_write, from->read_write[i]) &&
			change(d, &about, "%s may be written", from->read_write[i]) < 0)
			return -d->e->code;
	for (size_t i = 0; i < from->n_read_only; i++)
		if (!may_read(to, from->read_only[i]) &&
			change(d, &about, "%s may be read", from->read_only[i]) < 0)
			return -d->e->code;
	return 0;
}

static bool workdir(const struct policy_doc *d)
{
	return !policy_has_filesystem(d) || files(d)->include_workdir;
}

static int diff_workdir(struct diff *d)
{
	struct about about = { workdir(d->b) ? POLICY_CHANGE_ADDED : POLICY_CHANGE_REMOVED, true,
		"filesystem_policy", "", 0 };

	if (workdir(d->a) == workdir(d->b))
		return 0;
	return change(d, &about, "the working directory may be written");
}

static const char * or (const char *text, const char *otherwise)
{
	return text && text[0] ? text : otherwise;
}

static int diff_value(
	struct diff *d, const char *section, const char *field, const char *a, const char *b)
{
	struct about about = { POLICY_CHANGE_OTHER, true, section, "", 0 };

	return strcmp(a, b) == 0 ? 0 : change(d, &about, "%s: %s becomes %s", field, a, b);
}

static int diff_static(struct diff *d)
{
	const policy_msg *a = policy_message(d->a), *b = policy_message(d->b);

	if (diff_paths(d, files(d->a), files(d->b), POLICY_CHANGE_REMOVED) < 0 ||
		diff_paths(d, files(d->b), files(d->a), POLICY_CHANGE_ADDED) < 0 ||
		diff_workdir(d) < 0 ||
		diff_value(d, "landlock", "compatibility",
			or (a->landlock ? a->landlock->compatibility : NULL, "best_effort"),
			or (b->landlock ? b->landlock->compatibility : NULL, "best_effort")) < 0 ||
		diff_value(d, "process", "run_as_user",
			or (a->process ? a->process->run_as_user : NULL, "the driver's choice"),
			or (b->process ? b->process->run_as_user : NULL, "the driver's choice")) <
			0)
		return -d->e->code;
	return diff_value(d, "process", "run_as_group",
		or (a->process ? a->process->run_as_group : NULL, "the driver's choice"),
		or (b->process ? b->process->run_as_group : NULL, "the driver's choice"));
}

/* ---- network ---- */

static int report_atom(struct diff *d, const struct atom *x, enum policy_change_kind kind)
{
	struct about about = { kind, false, "network_policies", x->rule, x->line };
	const char *host = x->host[0] ? x->host : "any host",
		   *clause = x->clause ? x->clause->text : "";
	const char *again = kind == POLICY_CHANGE_ADDED ? "no longer" : "now";

	switch (x->kind) {
	case ATOM_CONNECT:
		return change(d, &about, "%s may connect to %s:%u%s%.300s", x->exe, host, x->port,
			x->ips[0] ? " at " : "", x->ips);
	case ATOM_PRIVATE:
		return change(d, &about, "%s may reach %s:%u at a private address", x->exe, host,
			x->port);
	case ATOM_RAW:
		return change(d, &about, "%s may send anything to %s:%u, without inspection",
			x->exe, host, x->port);
	case ATOM_REQUEST:
		return change(d, &about, "%s may request %s of %s:%u%s%s (%s)", x->exe, clause,
			host, x->port, x->path[0] ? " below " : "", x->path, x->protocol);
	case ATOM_AUDIT:
		return change(d, &about,
			"%s may make any request to %s:%u%s%s, it is only logged (%s)", x->exe,
			host, x->port, x->path[0] ? " below " : "", x->path, x->protocol);
	case ATOM_OPTION:
		return change(d, &about, "%s may use %s with %s:%u%s%s", x->exe, clause, host,
			x->port, x->path[0] ? " below " : "", x->path);
	case ATOM_DENY:
		return change(d, &about, "%s is %s denied %s of %s:%u%s%s (%s)", x->exe, again,
			clause, host, x->port, x->path[0] ? " below " : "", x->path, x->protocol);
	case ATOM_INSPECT:
		return change(d, &about, "requests of %s to %s:%u%s%s are %s inspected (%s)",
			x->exe, host, x->port, x->path[0] ? " below " : "", x->path, again, clause);
	case ATOM_SCRUB:
		return change(d, &about,
			"answers of %s:%u%s%s to %s are %s scrubbed of credentials", host, x->port,
			x->path[0] ? " below " : "", x->path, x->exe, again);
	case ATOM_KINDS:
		break;
	}
	return 0;
}

/* What from has and to does not: a grant is kind; a restriction that something of "to" would have
 * met is the contrary. */
static int diff_atoms(
	struct diff *d, struct atoms *from, struct atoms *to, enum policy_change_kind kind)
{
	enum policy_change_kind contrary =
		kind == POLICY_CHANGE_ADDED ? POLICY_CHANGE_REMOVED : POLICY_CHANGE_ADDED;

	for (size_t i = 0, k = 0; i < from->n; i++) {
		const struct atom *x = &from->at[i];

		if (i && atom_compare(x, &from->at[i - 1]) == 0)
			continue; /* said already */
		while (k < to->n && atom_compare(&to->at[k], x) < 0)
			k++;
		if ((k < to->n && atom_compare(&to->at[k], x) == 0) || atoms_cover(to, x))
			continue;
		if (x->kind < ATOM_DENY ? report_atom(d, x, kind) < 0
					: atoms_restrain(to, x) && report_atom(d, x, contrary) < 0)
			return -d->e->code;
	}
	return 0;
}

static bool is_reported(const struct policy_diff *r, const char *rule)
{
	for (size_t i = 0; i < r->n; i++)
		if (strcmp(r->at[i].rule, rule) == 0)
			return true;
	return false;
}

static const rule_msg *rule_of(const policy_msg *m, const char *key)
{
	size_t at = pb_find_rule(m, key);

	return at == (size_t) -1 ? NULL : m->network_policies[at]->value;
}

/* Rules that are there in both and differ in what decides nothing. */
static int diff_spelling(struct diff *d)
{
	const policy_msg *a = policy_message(d->a), *b = policy_message(d->b);

	for (size_t i = 0; i < b->n_network_policies; i++) {
		const char *key = b->network_policies[i]->key;
		const rule_msg *x = rule_of(a, key), *y = b->network_policies[i]->value;
		struct about about = { POLICY_CHANGE_OTHER, false, "network_policies", key,
			policy_endpoint_line(d->b, i, 0) };

		if (x && y && strcmp(x->name, y->name) != 0 && !is_reported(d->ret, key) &&
			change(d, &about, "the rule's name: `%.100s` becomes `%.100s`", x->name,
				y->name) < 0)
			return -d->e->code;
	}
	return 0;
}

static const void *middleware(const policy_msg *m, const char *key)
{
	for (size_t i = 0; i < m->n_network_middlewares; i++)
		if (strcmp(m->network_middlewares[i]->key, key) == 0)
			return m->network_middlewares[i];
	return NULL;
}

/* What a middleware does is its own; only that it differs can be told. */
static int diff_middlewares(
	struct diff *d, const policy_msg *from, const policy_msg *to, const char *gone)
{
	for (size_t i = 0; i < from->n_network_middlewares; i++) {
		const char *key = from->network_middlewares[i]->key;
		const void *other = middleware(to, key);
		struct about about = { POLICY_CHANGE_OTHER, false, "network_middlewares", key, 0 };
		bool differs = other && !pb_same(from->network_middlewares[i], other);

		if (!other && change(d, &about, "middleware `%.100s` is %s", key, gone) < 0)
			return -d->e->code;
		if (differs && strcmp(gone, "removed") == 0 &&
			change(d, &about, "middleware `%.100s` is configured differently", key) < 0)
			return -d->e->code;
	}
	return 0;
}

static int diff_network(struct diff *d, struct atoms *a, struct atoms *b)
{
	const policy_msg *x = policy_message(d->a), *y = policy_message(d->b);

	if (atoms_init(a, d->a, d->e) < 0 || atoms_init(b, d->b, d->e) < 0 ||
		diff_atoms(d, a, b, POLICY_CHANGE_REMOVED) < 0 ||
		diff_atoms(d, b, a, POLICY_CHANGE_ADDED) < 0 || diff_spelling(d) < 0 ||
		diff_middlewares(d, x, y, "removed") < 0)
		return -d->e->code;
	return diff_middlewares(d, y, x, "added");
}

int policy_diff(const struct policy_doc *a, const struct policy_doc *b, struct policy_diff *ret,
	struct err *e)
{
	struct diff d = { a, b, ret, e };
	struct atoms x = { 0 }, y = { 0 };
	int r = diff_static(&d);

	if (r == 0)
		r = diff_network(&d, &x, &y);
	atoms_done(&x);
	atoms_done(&y);
	return r;
}
