/* policy_rule_set.c - which request rules of an endpoint can match at all.
 *
 * A rule stands under the literal beginning of its path (up to the last '/'
 * before anything special), under its whole path when nothing in it is special,
 * under its tool or its JSON-RPC method; the rest are always looked at.
 * Different keys may share a slot: a rule that is found is still compared in full.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include "policy_snapshot.h"

#define FEW_RULES 8
#define FNV_START 1469598103934665603u
#define FNV_PRIME 1099511628211u

enum stage { STAGE_ANYWHERE, STAGE_PREFIX, STAGE_EXACT, STAGE_METHOD, STAGE_TOOL, STAGE_END };

static uint64_t add_byte(uint64_t h, char c)
{
	return (h ^ (unsigned char) c) * FNV_PRIME;
}

static uint64_t hash_of(const char *at, size_t len)
{
	uint64_t h = FNV_START;

	for (size_t i = 0; i < len; i++)
		h = add_byte(h, at[i]);
	return h;
}

/* The same text means something else at another stage. */
static size_t slot(const struct policy_rule_set *set, uint64_t h, enum stage stage)
{
	h = (h ^ (uint64_t) stage) * FNV_PRIME;
	return (size_t) (h ^ h >> 31) & (set->n_slots - 1);
}

/* Bytes up to the last '/' before the first special character; 0 if there is none. */
static size_t literal_prefix(const struct policy_pattern *p)
{
	size_t special = strcspn(p->text, "*?[]{}\\");

	while (special > 0 && p->text[special - 1] != '/')
		special--;
	return special;
}

static void put(struct policy_rule_set *set, size_t *head, size_t rule)
{
	set->at[rule].next = *head;
	*head = rule;
}

static void put_key(
	struct policy_rule_set *set, const char *key, size_t len, enum stage stage, size_t rule)
{
	put(set, &set->slots[slot(set, hash_of(key, len), stage)], rule);
}

static void place_http(struct policy_rule_set *set, size_t rule)
{
	const struct policy_pattern *p = &set->at[rule].path;
	size_t prefix = p->kind == PATTERN_GLOB ? literal_prefix(p) : 0;

	if (p->kind == PATTERN_TEXT) {
		put_key(set, p->text, p->len, STAGE_EXACT, rule);
	} else if (prefix) {
		put_key(set, p->text, prefix, STAGE_PREFIX, rule);
		if (prefix > set->longest)
			set->longest = prefix;
	} else {
		put(set, &set->anywhere, rule);
	}
}

static void place_rpc(struct policy_rule_set *set, size_t rule)
{
	const struct policy_request_rule *r = &set->at[rule];

	/* A deny rule for one tool also meets calls whose tool is not known. */
	if (!r->deny && r->tool.n == 1 && r->tool.at[0].kind == PATTERN_TEXT)
		put_key(set, r->tool.at[0].text, r->tool.at[0].len, STAGE_TOOL, rule);
	else if (r->rpc_method.kind == PATTERN_TEXT)
		put_key(set, r->rpc_method.text, r->rpc_method.len, STAGE_METHOD, rule);
	else
		put(set, &set->anywhere, rule);
}

int policy_rule_set_index(struct policy_rule_set *set, struct err *e)
{
	set->anywhere = POLICY_RULE_NONE;
	if (set->n <= FEW_RULES)
		return 0;
	for (set->n_slots = 32; set->n_slots < 2 * set->n; set->n_slots *= 2)
		;
	set->slots = malloc(set->n_slots * sizeof *set->slots);
	if (!set->slots)
		return err_set(e, ENOMEM, "policy rules");
	for (size_t i = 0; i < set->n_slots; i++)
		set->slots[i] = POLICY_RULE_NONE;
	/* From the end, so that lists come out in the document's order. */
	for (size_t i = set->n; i-- > 0;) {
		if (set->at[i].kind == RULE_HTTP)
			place_http(set, i);
		else if (set->at[i].kind == RULE_RPC)
			place_rpc(set, i);
		else
			put(set, &set->anywhere, i);
	}
	return 0;
}

void policy_rule_scan_init(struct policy_rule_scan *scan, const struct policy_rule_set *set)
{
	*scan = (struct policy_rule_scan){ .set = set, .hash = FNV_START };
	scan->rule = set->slots ? set->anywhere : set->n ? 0 : POLICY_RULE_NONE;
}

/* The next directory of the path whose list is not empty. */
static size_t next_prefix(struct policy_rule_scan *scan)
{
	const struct policy_rule_set *set = scan->set;

	while (scan->depth < scan->path.len && scan->depth < set->longest) {
		char c = scan->path.at[scan->depth++];
		size_t first;

		scan->hash = add_byte(scan->hash, c);
		if (c != '/')
			continue;
		first = set->slots[slot(set, scan->hash, STAGE_PREFIX)];
		if (first != POLICY_RULE_NONE)
			return first;
	}
	return POLICY_RULE_NONE;
}

static size_t key_list(const struct policy_rule_set *set, struct policy_bytes key, enum stage stage)
{
	if (!key.at)
		return POLICY_RULE_NONE;
	return set->slots[slot(set, hash_of(key.at, key.len), stage)];
}

/* The next list to walk; POLICY_RULE_NONE with stage STAGE_END when there is none. */
static size_t next_list(struct policy_rule_scan *scan)
{
	size_t first = POLICY_RULE_NONE;

	while (first == POLICY_RULE_NONE && scan->stage != STAGE_END) {
		if (scan->stage == STAGE_PREFIX) {
			first = next_prefix(scan);
			if (first != POLICY_RULE_NONE)
				return first; /* there may be more of them */
		}
		scan->stage++;
		if (scan->stage == STAGE_EXACT)
			first = key_list(scan->set, scan->path, STAGE_EXACT);
		else if (scan->stage == STAGE_METHOD)
			first = key_list(scan->set, scan->method, STAGE_METHOD);
		else if (scan->stage == STAGE_TOOL)
			first = key_list(scan->set, scan->tool, STAGE_TOOL);
	}
	return first;
}

const struct policy_request_rule *policy_rule_scan_next(struct policy_rule_scan *scan)
{
	const struct policy_rule_set *set = scan->set;
	const struct policy_request_rule *r;

	if (scan->rule == POLICY_RULE_NONE && set->slots)
		scan->rule = next_list(scan);
	if (scan->rule == POLICY_RULE_NONE)
		return NULL;
	r = &set->at[scan->rule];
	if (set->slots)
		scan->rule = r->next;
	else
		scan->rule = scan->rule + 1 < set->n ? scan->rule + 1 : POLICY_RULE_NONE;
	return r;
}
