/* policy_index.c - from host, port and caller to endpoints, without looking at the others. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include "policy_snapshot.h"

#define PORTS_LISTED_MAX 64 /* endpoints with more stand under port 0 and are compared */
#define CROWD 32     /* endpoints in a bucket from which on the caller's rules are looked for */
#define CROWD_GAIN 8 /* a search there costs as much as so many endpoints */
#define FNV_START 1469598103934665603u
#define FNV_PRIME 1099511628211u

/* Over the bytes from the end, so that one pass gives the hash of every suffix. */
static uint64_t add_byte(uint64_t h, char c)
{
	return (h ^ (unsigned char) c) * FNV_PRIME;
}

static uint64_t with_port(uint64_t h, uint16_t port)
{
	h = (h ^ port) * FNV_PRIME;
	return h ^ h >> 29;
}

static uint64_t hash_of(const char *key, size_t len)
{
	uint64_t h = FNV_START;

	while (len > 0)
		h = add_byte(h, key[--len]);
	return h;
}

static struct policy_bucket *slot_of(
	const struct policy_table *t, const char *key, size_t len, uint16_t port, uint64_t hash)
{
	size_t i = (size_t) hash & (t->n_slots - 1);

	for (;; i = (i + 1) & (t->n_slots - 1)) {
		struct policy_bucket *b = &t->slots[i];

		if (!b->key ||
			(b->hash == hash && b->port == port && b->key_len == len &&
				memcmp(b->key, key, len) == 0))
			return b;
	}
}

static int bucket_add(struct policy_bucket *b, struct policy_endpoint *ep, struct err *e)
{
	/* Room doubles: at powers of two the list is full. */
	if ((b->n & (b->n - 1)) == 0) {
		struct policy_endpoint **more =
			realloc(b->at, (b->n ? 2 * b->n : 1) * sizeof *more);

		if (!more)
			return err_set(e, ENOMEM, "policy table");
		b->at = more;
	}
	b->at[b->n++] = ep;
	return 0;
}

static int table_add(struct policy_table *t, const char *key, uint16_t port,
	struct policy_endpoint *ep, struct err *e)
{
	size_t len = strlen(key);
	uint64_t hash = with_port(hash_of(key, len), port);
	struct policy_bucket *b = slot_of(t, key, len, port, hash);

	if (!b->key) {
		*b = (struct policy_bucket){ .key = key, .key_len = len, .port = port };
		b->hash = hash;
		t->n_used++;
	}
	return bucket_add(b, ep, e);
}

const struct policy_endpoint *policy_index_host(const struct policy_snapshot *s, const char *host)
{
	size_t len = strlen(host);
	const struct policy_bucket *b;

	if (!s->hosts.n_slots)
		return NULL;
	b = slot_of(&s->hosts, host, len, 0, with_port(hash_of(host, len), 0));
	return b->n ? b->at[0] : NULL;
}

static bool lists_ports(const struct policy_endpoint *ep)
{
	return ep->n_ports <= PORTS_LISTED_MAX;
}

static int index_endpoint(struct policy_snapshot *s, struct policy_endpoint *ep, struct err *e)
{
	struct policy_table *t = ep->glob ? &s->wild : &s->exact;
	const char *key = ep->glob ? ep->suffix : ep->host;

	if (ep->dead || (!ep->host[0] && !ep->has_ips))
		return 0;
	if (!ep->glob && ep->host[0] && !policy_index_host(s, ep->host) &&
		table_add(&s->hosts, ep->host, 0, ep, e) < 0)
		return -e->code;
	if (!lists_ports(ep)) {
		s->many_ports = true;
		return table_add(t, key, 0, ep, e);
	}
	for (size_t i = 0; i < ep->n_ports; i++)
		if (table_add(t, key, ep->ports[i], ep, e) < 0)
			return -e->code;
	return 0;
}

static size_t pairs(const struct policy_snapshot *s, bool wild)
{
	size_t n = 0;

	for (size_t i = 0; i < s->n_rules; i++)
		for (size_t k = 0; k < s->rules[i].n_endpoints; k++) {
			const struct policy_endpoint *ep = &s->rules[i].endpoints[k];

			if ((ep->glob != NULL) == wild)
				n += lists_ports(ep) ? ep->n_ports : 1;
		}
	return n;
}

static int table_new(struct policy_table *t, size_t entries, struct err *e)
{
	if (entries == 0)
		return 0;
	for (t->n_slots = 16; t->n_slots < 2 * entries; t->n_slots *= 2)
		;
	t->slots = calloc(t->n_slots, sizeof *t->slots);
	if (!t->slots)
		t->n_slots = 0;
	return t->slots ? 0 : err_set(e, ENOMEM, "policy table");
}

int policy_index_build(struct policy_snapshot *s, struct err *e)
{
	if (table_new(&s->exact, pairs(s, false), e) < 0 ||
		table_new(&s->hosts, pairs(s, false), e) < 0 ||
		table_new(&s->wild, pairs(s, true), e) < 0)
		return -e->code;
	for (size_t i = 0; i < s->n_rules; i++)
		for (size_t k = 0; k < s->rules[i].n_endpoints; k++)
			if (index_endpoint(s, &s->rules[i].endpoints[k], e) < 0)
				return -e->code;
	return 0;
}

void policy_table_done(struct policy_table *t)
{
	for (size_t i = 0; i < t->n_slots; i++)
		free(t->slots[i].at);
	free(t->slots);
}

static void enter(struct policy_walk *w, const struct policy_table *t, const char *key, size_t len,
	uint64_t hash)
{
	for (unsigned many = 0; t->n_slots && many <= w->s->many_ports; many++) {
		uint16_t port = many ? 0 : w->q->port;
		const struct policy_bucket *b = slot_of(t, key, len, port, with_port(hash, port));

		if (b->n && w->n_buckets < POLICY_WALK_BUCKETS_MAX)
			w->buckets[w->n_buckets++] = b;
	}
}

void policy_walk_init(
	struct policy_walk *w, const struct policy_snapshot *s, const struct policy_connect *q)
{
	const char *host = q->host;
	uint64_t h = FNV_START;

	w->s = s;
	w->q = q;
	w->host_len = strlen(host);
	w->n_buckets = 0;
	policy_walk_again(w);
	if (w->host_len > POLICY_HOST_MAX)
		return; /* no name: nothing matches */
	enter(w, &s->exact, "", 0, h);
	enter(w, &s->wild, "", 0, h);
	if (w->host_len == 0)
		return;
	for (size_t i = w->host_len; i > 0; i--) {
		if (host[i - 1] == '.' && s->wild.n_slots)
			enter(w, &s->wild, host + i, w->host_len - i, h);
		h = add_byte(h, host[i - 1]);
	}
	enter(w, &s->wild, host, w->host_len, h);
	enter(w, &s->exact, host, w->host_len, h);
}

void policy_walk_again(struct policy_walk *w)
{
	w->bucket = 0;
	w->entered = false;
	w->rule = NULL;
	w->how = 0;
}

static bool has_port(const struct policy_endpoint *ep, uint16_t port)
{
	for (size_t i = 0; i < ep->n_ports; i++)
		if (ep->ports[i] == port)
			return true;
	return false;
}

static bool names(const struct policy_walk *w, const struct policy_bucket *b,
	const struct policy_endpoint *ep)
{
	return (b->port || has_port(ep, w->q->port)) &&
		(!ep->glob || policy_glob_match(ep->glob, w->q->host, w->host_len) == 1);
}

static const struct policy_endpoint *next_in_order(
	struct policy_walk *w, const struct policy_bucket *b)
{
	while (w->i < b->n) {
		const struct policy_endpoint *ep = b->at[w->i++];

		if (names(w, b, ep))
			return ep;
	}
	return NULL;
}

/* First place in the bucket whose rule is not before r. */
static size_t place_of(const struct policy_bucket *b, const struct policy_rule *r)
{
	size_t low = 0, high = b->n;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (b->at[middle]->rule < r)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

/* The caller's next rule; NULL behind the last. */
static const struct policy_rule *next_rule(struct policy_walk *w)
{
	const struct policy_rule *const *rules;
	size_t n;

	while (policy_holders_list(&w->s->holders, w->q->caller, w->list, &rules, &n)) {
		if (w->place < n)
			return rules[w->place++];
		w->list++;
		w->place = 0;
	}
	return NULL;
}

static const struct policy_endpoint *next_of_caller(
	struct policy_walk *w, const struct policy_bucket *b)
{
	for (;;) {
		while (w->wanted && w->i < b->n && b->at[w->i]->rule == w->wanted) {
			const struct policy_endpoint *ep = b->at[w->i++];

			if (names(w, b, ep))
				return ep;
		}
		w->wanted = next_rule(w);
		if (!w->wanted)
			return NULL;
		w->i = place_of(b, w->wanted);
	}
}

static bool is_crowded(const struct policy_walk *w, const struct policy_bucket *b)
{
	const struct policy_rule *const *rules;
	size_t n, sum = 0;

	if (b->n < CROWD)
		return false;
	for (size_t i = 0; policy_holders_list(&w->s->holders, w->q->caller, i, &rules, &n); i++)
		sum += n + 1;
	return sum * CROWD_GAIN < b->n;
}

static const struct policy_endpoint *walk(struct policy_walk *w, bool caller_only)
{
	while (w->bucket < w->n_buckets) {
		const struct policy_bucket *b = w->buckets[w->bucket];
		const struct policy_endpoint *ep;

		if (!w->entered) {
			w->entered = true;
			w->by_caller = caller_only && is_crowded(w, b);
			w->i = w->list = w->place = 0;
			w->wanted = NULL;
		}
		ep = w->by_caller ? next_of_caller(w, b) : next_in_order(w, b);
		if (ep)
			return ep;
		w->bucket++;
		w->entered = false;
	}
	return NULL;
}

const struct policy_endpoint *policy_walk_any(struct policy_walk *w)
{
	return walk(w, false);
}

const struct policy_endpoint *policy_walk_next(struct policy_walk *w, int *ret_how)
{
	const struct policy_endpoint *ep;

	if (w->q->identity_required && w->q->caller->assurance == IDENTITY_NONE)
		return NULL;
	while ((ep = walk(w, w->q->identity_required))) {
		if (ep->rule != w->rule) {
			w->rule = ep->rule;
			w->how = w->q->identity_required
				? policy_rule_has_binary(ep->rule, w->q->caller)
				: 1;
		}
		*ret_how = w->how;
		if (w->how)
			return ep;
	}
	return NULL;
}

bool policy_endpoint_before(const struct policy_endpoint *x, const struct policy_endpoint *y)
{
	/* Rules are one array in key order, the endpoints of a rule another. */
	return x->rule != y->rule ? x->rule < y->rule : x->index < y->index;
}
