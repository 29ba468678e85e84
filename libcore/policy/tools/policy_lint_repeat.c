/* policy_lint_repeat.c - what is said twice: endpoints, programs, request rules. */
#include <stdlib.h>
#include <string.h>
#include "core_policy_tools.h"
#include "policy_atoms.h"
#include "policy_lint.h"

#define BINARIES_COMPARED_MAX 256 /* of one rule, in pairs */

struct seen { /* an endpoint by its bytes */
	const endpoint_msg *ep;
	const rule_msg *rule;
	const char *key;
	size_t index, len;
	uint8_t *bytes;
};

static int by_bytes(const void *a, const void *b)
{
	const struct seen *x = a, *y = b;
	int r;

	if (x->len != y->len)
		return x->len < y->len ? -1 : 1;
	r = x->len ? memcmp(x->bytes, y->bytes, x->len) : 0;
	if (r)
		return r;
	r = strcmp(x->key, y->key);
	return r ? r : x->index < y->index ? -1 : x->index > y->index;
}

static bool binary_covered(const rule_msg *r, const char *path)
{
	for (size_t i = 0; i < r->n_binaries; i++) {
		const char *p = r->binaries[i]->path;

		if (strcmp(p, path) == 0 ||
			(strchr(p, '*') && !strchr(path, '*') &&
				lint_glob(POLICY_GLOB_PATH, p, path)))
			return true;
	}
	return false;
}

static bool binaries_covered(const rule_msg *by, const rule_msg *r)
{
	if (r->n_binaries == 0 || r->n_binaries > BINARIES_COMPARED_MAX ||
		by->n_binaries > BINARIES_COMPARED_MAX)
		return false;
	for (size_t i = 0; i < r->n_binaries; i++)
		if (!binary_covered(by, r->binaries[i]->path))
			return false;
	return true;
}

static void complain_repeat(struct lint *l, const struct seen *x, const struct seen *y)
{
	size_t back = trail_field(&l->c.trail, "network_policies");

	(void) trail_field(&l->c.trail, y->key);
	(void) trail_field(&l->c.trail, "endpoints");
	(void) trail_index(&l->c.trail, y->index);
	check_warn(&l->c, "W07", y->ep, NULL, "remove one of them",
		"the same as endpoint %zu of rule `%.80s` (line %u), for the same programs",
		x->index, x->key, spot_of(l->c.doc, x->ep).line);
	trail_back(&l->c.trail, back);
}

static size_t fill(struct lint *l, struct seen *list)
{
	size_t n = 0;

	for (size_t i = 0; i < l->m->n_network_policies; i++) {
		const rule_msg *r = l->m->network_policies[i]->value;

		for (size_t k = 0; r && k < r->n_endpoints; k++) {
			struct seen *s = &list[n++];

			*s = (struct seen){ r->endpoints[k], r, l->m->network_policies[i]->key, k,
				protobuf_c_message_get_packed_size(&r->endpoints[k]->base), NULL };
			s->bytes = malloc(s->len + 1);
			if (s->bytes)
				(void) protobuf_c_message_pack(&r->endpoints[k]->base, s->bytes);
			else
				s->len = 0;
		}
	}
	return n;
}

static void lint_endpoints(struct lint *l)
{
	AUTO_FREE struct seen *list = calloc(l->n_endpoints + 1, sizeof *list);
	size_t n = list && l->n_endpoints ? fill(l, list) : 0;

	if (n)
		qsort(list, n, sizeof *list, by_bytes);
	for (size_t i = 1; i < n; i++) {
		const struct seen *x = &list[i - 1], *y = &list[i];

		if (!x->len || x->len != y->len || memcmp(x->bytes, y->bytes, x->len) != 0)
			continue;
		if (binaries_covered(x->rule, y->rule))
			complain_repeat(l, x, y);
		else if (binaries_covered(y->rule, x->rule))
			complain_repeat(l, y, x);
	}
	for (size_t i = 0; i < n; i++)
		free(list[i].bytes);
}

static void lint_binaries(struct lint *l, const char *key, const rule_msg *r)
{
	for (size_t i = 0; i < r->n_binaries && r->n_binaries <= BINARIES_COMPARED_MAX; i++)
		for (size_t k = 0; k < r->n_binaries; k++) {
			const char *x = r->binaries[k]->path, *y = r->binaries[i]->path;
			size_t back;

			if (k == i || (strcmp(x, y) == 0 && k > i) ||
				(strcmp(x, y) != 0 &&
					(!strchr(x, '*') || strchr(y, '*') ||
						!lint_glob(POLICY_GLOB_PATH, x, y))))
				continue;
			back = trail_field(&l->c.trail, "network_policies");
			(void) trail_field(&l->c.trail, key);
			(void) trail_field(&l->c.trail, "binaries");
			(void) trail_index(&l->c.trail, i);
			check_warn(&l->c, "W07", r->binaries[i], NULL, "remove it",
				"`%.200s` of the same rule covers it", x);
			trail_back(&l->c.trail, back);
			break;
		}
}

void lint_repeats(struct lint *l)
{
	lint_endpoints(l);
	for (size_t i = 0; i < l->m->n_network_policies; i++)
		if (l->m->network_policies[i]->value)
			lint_binaries(l, l->m->network_policies[i]->key,
				l->m->network_policies[i]->value);
}

void lint_repeated_rules(struct lint *l, const endpoint_msg *ep)
{
	for (size_t i = 0; i < ep->n_rules && ep->n_rules <= POLICY_LINT_RULES_MAX; i++)
		for (size_t k = 0; k < ep->n_rules; k++) {
			const PB(L7Allow) *x = ep->rules[k]->allow, *y = ep->rules[i]->allow;
			bool same = x && y && pb_same(x, y);
			size_t back;

			if (k == i || !x || !y || (same && k > i) ||
				(!same && !policy_allow_covers(x, y, ep->protocol)))
				continue;
			back = trail_field(&l->c.trail, "rules");
			(void) trail_index(&l->c.trail, i);
			check_warn(&l->c, "W07", y, NULL, "remove it",
				"rule %zu of the same endpoint allows all of this", k);
			trail_back(&l->c.trail, back);
			break;
		}
}
