/* policy_live.c - what a running sandbox can take over (spec/policy 6).
 *
 * Sections are compared by meaning: left out, empty and written out as the default are the same.
 * The reference tells them apart and so refuses documents that change nothing.
 */
#include <stdlib.h>
#include <string.h>
#include "core_policy_edit.h"
#include "policy_pb.h"

static struct text *next_sentence(struct text *why)
{
	if (why->len)
		text_add(why, "; ");
	return why;
}

static const char *compatibility(const policy_msg *m)
{
	return m->landlock && m->landlock->compatibility[0] ? m->landlock->compatibility
							    : "best_effort";
}

static const char *user(const policy_msg *m)
{
	return m->process ? m->process->run_as_user : "";
}

static const char *group(const policy_msg *m)
{
	return m->process ? m->process->run_as_group : "";
}

struct paths {
	char *const *at;
	size_t n;
};

static struct paths writable(const policy_msg *m)
{
	return m->filesystem
		? (struct paths){ m->filesystem->read_write, m->filesystem->n_read_write }
		: (struct paths){ NULL, 0 };
}

static struct paths readable(const policy_msg *m)
{
	return m->filesystem
		? (struct paths){ m->filesystem->read_only, m->filesystem->n_read_only }
		: (struct paths){ NULL, 0 };
}

static bool has(struct paths p, const char *path)
{
	return pb_has_text(p.at, p.n, path);
}

/* A path of a that b does not give: moving one from read_only to read_write gives more. */
static const char *missing(const policy_msg *a, const policy_msg *b)
{
	struct paths w = writable(a), r = readable(a);

	for (size_t i = 0; i < w.n; i++)
		if (!has(writable(b), w.at[i]))
			return w.at[i];
	for (size_t i = 0; i < r.n; i++)
		if (!has(readable(b), r.at[i]) && !has(writable(b), r.at[i]))
			return r.at[i];
	return NULL;
}

/* Without the section the working directory is writable (1.1). */
static bool workdir(const struct policy_doc *d)
{
	const policy_msg *m = policy_message(d);

	return !policy_has_filesystem(d) || !m->filesystem || m->filesystem->include_workdir;
}

static enum policy_live compare_files(
	const struct policy_doc *started, const struct policy_doc *next, struct text *why)
{
	const policy_msg *a = policy_message(started), *b = policy_message(next);
	const char *gone = missing(a, b), *added = missing(b, a);

	if (policy_has_filesystem(started) && !policy_has_filesystem(next)) {
		text_addf(next_sentence(why),
			"%s can't be removed from a running sandbox; write the section as it was",
			"filesystem_policy");
		return POLICY_LIVE_REFUSED;
	}
	if (gone)
		text_addf(next_sentence(why),
			"filesystem_policy: %.200s can't be taken from a running sandbox; restart "
			"it, or list the path again",
			gone);
	if (workdir(started) != workdir(next))
		text_addf(next_sentence(why),
			"filesystem_policy.include_workdir can't change in a running sandbox; "
			"restart it, or write `%s`",
			workdir(started) ? "true" : "false");
	if (gone || workdir(started) != workdir(next))
		return POLICY_LIVE_REFUSED;
	if (!added)
		return POLICY_LIVE_SAME;
	text_addf(next_sentence(why),
		"filesystem_policy: %.200s is added, effective at the next start only", added);
	return POLICY_LIVE_NEXT_START;
}

static enum policy_live compare_fixed(
	const policy_msg *started, const policy_msg *next, struct text *why)
{
	bool landlock = strcmp(compatibility(started), compatibility(next)) == 0;
	bool process =
		strcmp(user(started), user(next)) == 0 && strcmp(group(started), group(next)) == 0;

	if (!landlock)
		text_addf(next_sentence(why),
			"%s can't change in a running sandbox; restart it, or write it as it was",
			"landlock.compatibility");
	if (!process)
		text_addf(next_sentence(why),
			"%s can't change in a running sandbox; restart it, or write it as it was",
			"process");
	return landlock && process ? POLICY_LIVE_SAME : POLICY_LIVE_REFUSED;
}

static bool has_tcp(const policy_msg *m)
{
	for (size_t i = 0; i < m->n_network_policies; i++) {
		const rule_msg *r = m->network_policies[i]->value;

		for (size_t k = 0; r && k < r->n_endpoints; k++)
			if (strcmp(r->endpoints[k]->protocol, "tcp") == 0)
				return true;
	}
	return false;
}

static bool same_network(const policy_msg *a, const policy_msg *b)
{
	if (a->n_network_policies != b->n_network_policies ||
		a->n_network_middlewares != b->n_network_middlewares)
		return false;
	for (size_t i = 0; i < a->n_network_policies; i++)
		if (!pb_same(a->network_policies[i], b->network_policies[i]))
			return false;
	for (size_t i = 0; i < a->n_network_middlewares; i++)
		if (!pb_same(a->network_middlewares[i], b->network_middlewares[i]))
			return false;
	return true;
}

enum policy_live policy_live_compare(const struct policy_doc *started, const struct policy_doc *now,
	const struct policy_doc *next, struct text *why)
{
	const policy_msg *first = policy_message(started), *to = policy_message(next);
	enum policy_live files = compare_files(started, next, why);
	enum policy_live fixed = compare_fixed(first, to, why);

	/* Capture of native TCP is set up at the start or not at all. */
	if (has_tcp(to) && !has_tcp(first)) {
		text_addf(next_sentence(why),
			"%s can't be added to a sandbox that started without; restart it",
			"the first `protocol: tcp` endpoint");
		return POLICY_LIVE_REFUSED;
	}
	if (files == POLICY_LIVE_REFUSED || fixed == POLICY_LIVE_REFUSED)
		return POLICY_LIVE_REFUSED;
	if (files == POLICY_LIVE_NEXT_START)
		return POLICY_LIVE_NEXT_START;
	return same_network(policy_message(now), to) ? POLICY_LIVE_SAME : POLICY_LIVE_HOT;
}
