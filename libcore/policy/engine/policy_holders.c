/* policy_holders.c - from a program to the rules that name it.
 *
 * Used where many rules name the same host and port: then the caller's few rules
 * are looked for among them.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include "policy_snapshot.h"

static uint64_t hash_of(const char *path)
{
	uint64_t h = 1469598103934665603u;

	for (; *path; path++)
		h = (h ^ (unsigned char) *path) * 1099511628211u;
	return h ^ h >> 29;
}

static struct policy_holder *slot_of(const struct policy_holders *h, const char *path)
{
	uint64_t hash = hash_of(path);
	size_t i = (size_t) hash & (h->n_slots - 1);

	for (;; i = (i + 1) & (h->n_slots - 1)) {
		struct policy_holder *slot = &h->slots[i];

		if (!slot->path || (slot->hash == hash && strcmp(slot->path, path) == 0))
			return slot;
	}
}

static size_t count_binaries(const struct policy_snapshot *s)
{
	size_t n = 0;

	for (size_t i = 0; i < s->n_rules; i++)
		n += s->rules[i].n_binaries;
	return n;
}

/* Twice over the rules: lengths first, then the lists, all in one array. */
static void count(struct policy_snapshot *s)
{
	struct policy_holders *h = &s->holders;

	for (size_t i = 0; i < s->n_rules; i++)
		for (size_t k = 0; k < s->rules[i].n_binaries; k++) {
			struct policy_holder *slot = slot_of(h, s->rules[i].binaries[k].path);

			slot->path = s->rules[i].binaries[k].path;
			slot->hash = hash_of(slot->path);
			slot->n++;
		}
}

static void fill(struct policy_snapshot *s)
{
	struct policy_holders *h = &s->holders;
	size_t used = 0;

	for (size_t i = 0; i < h->n_slots; i++) {
		h->slots[i].at = h->lists + used;
		used += h->slots[i].n;
		h->slots[i].n = 0;
	}
	for (size_t i = 0; i < s->n_rules; i++) {
		const struct policy_rule *r = &s->rules[i];

		for (size_t k = 0; k < r->n_binaries; k++) {
			struct policy_holder *slot = slot_of(h, r->binaries[k].path);

			slot->at[slot->n++] = r;
		}
		if (r->n_globs)
			h->globs[h->n_globs++] = r;
	}
}

int policy_holders_build(struct policy_snapshot *s, struct err *e)
{
	struct policy_holders *h = &s->holders;
	size_t n = count_binaries(s);

	for (h->n_slots = 16; h->n_slots < 2 * n; h->n_slots *= 2)
		;
	h->slots = calloc(h->n_slots, sizeof *h->slots);
	h->lists = calloc(n + 1, sizeof *h->lists);
	h->globs = calloc(s->n_rules + 1, sizeof *h->globs);
	if (!h->slots || !h->lists || !h->globs)
		return err_set(e, ENOMEM, "policy programs");
	count(s);
	fill(s);
	return 0;
}

void policy_holders_done(struct policy_holders *h)
{
	free(h->slots);
	free(h->lists);
	free(h->globs);
}

bool policy_holders_list(const struct policy_holders *h, const struct identity_caller *c,
	size_t list, const struct policy_rule *const **ret, size_t *ret_n)
{
	const struct policy_holder *slot;

	if (list == c->n_ancestors + 1) {
		*ret = h->globs;
		*ret_n = h->n_globs;
		return true;
	}
	if (list > c->n_ancestors)
		return false;
	slot = slot_of(h, list ? c->ancestors[list - 1] : c->exe);
	*ret = slot->path ? slot->at : NULL;
	*ret_n = slot->path ? slot->n : 0;
	return true;
}
