/* net_credential.c - placeholders of a head, or of a whole body, become credentials.
 *
 * Runs in the network leaf (openshell-supervisor-network), without privilege; the store comes from the
 * orchestrator (net_credential_take.c).  What is injected is written into locked memory of a
 * net_injected, and the head's slices are made to point there: the caller's buffers never hold it.
 * Whatever can't be done is a refusal that leaves the head as it was, and nothing is sent.
 */
#include "net_credential.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include "core_secret.h"
#include "net_credential_keys.h"
#include "net_credential_refusal.h"
#include "net_credentials.h"
#include "net_leaf.h"

struct net_injected {
	struct secret *memory;
	struct text text; /* in memory */
	struct credential_use use;
	struct net_slice basic;	     /* base64 text of Authorization as it is sent */
	char path[NET_PATH_MAX + 1]; /* masked, for the bindings */
	struct net_field before[NET_FIELDS_MAX];
};

static const struct credential_store *store_of(const struct net_leaf *n)
{
	return n->credentials ? n->credentials->store : NULL;
}

static uint64_t wall_ms(void)
{
	struct timespec t;

	(void) clock_gettime(CLOCK_REALTIME, &t);
	return (uint64_t) t.tv_sec * 1000 + (uint64_t) t.tv_nsec / 1000000;
}

/* ---- where ---- */

/* A path that a server might read as another one is bound nowhere.  Canonical ones have none of
 * this; the check is for a caller that forgot. */
static bool is_canonical(struct net_slice path)
{
	for (size_t at = 0; at < path.len;) {
		const char *s = path.at + at + 1;
		size_t left = path.len - at - 1;
		const char *end = left ? memchr(s, '/', left) : NULL;
		size_t len = end ? (size_t) (end - s) : left, dots = 0;

		if (path.at[at] != '/' || (len == 0 && end))
			return false;
		while (dots < len && s[dots] == '.')
			dots++;
		if (dots && dots <= 2 && (dots == len || s[dots] == ';'))
			return false;
		if (memmem(s, len, "%2e", 3) || memmem(s, len, "%2E", 3))
			return false;
		at += 1 + len;
	}
	return path.len > 0;
}

static int place(struct net_leaf *n, const struct net_credential_where *at, char *path, size_t size,
	struct credential_use *ret, struct net_credential_refusal *why)
{
	struct text masked;

	*ret = (struct credential_use){ .store = store_of(n), .verdict = CREDENTIAL_ELSEWHERE };
	if (!is_canonical(at->path))
		return net_credential_refuse(ret,
			"the path is not in its canonical form, so it can't be compared with the "
			"credential's endpoints; write it without dot segments and double slashes",
			why);
	text_init(&masked, path, size);
	credential_redact(at->path.at, at->path.len, &masked);
	ret->verdict = CREDENTIAL_FINE;
	ret->at = (struct credential_where){ at->host, at->port, path, masked.len, wall_ms() };
	return masked.cut
		? net_credential_refuse_text("the path is too long; use a shorter one", why)
		: 0;
}

/* ---- heads ---- */

static bool slice_has(struct net_slice s)
{
	return s.len && credential_has_marker(s.at, s.len);
}

/* The colon behind a field's name can be the marker's own. */
static bool spells_marker(const struct net_field *f)
{
	static const char name[] = "openshell", rest[] = "resolve:env:";

	return text_ieq(f->name.at, f->name.len, name, sizeof name - 1) &&
		f->value.len >= sizeof rest - 1 && memcmp(f->value.at, rest, sizeof rest - 1) == 0;
}

static bool has_work(
	const struct net_head *h, const struct net_slice *path, const struct net_slice *query)
{
	if (slice_has(*path) || (query && slice_has(*query)))
		return true;
	for (size_t i = 0; i < h->n_fields; i++) {
		const struct net_field *f = &h->fields[i];

		/* Basic hides its text. */
		if (slice_has(f->value) || slice_has(f->name) || spells_marker(f) ||
			(f->value.len > 6 && text_ieq(f->value.at, 6, "basic ", 6)))
			return true;
	}
	return false;
}

static int injected_new(struct net_leaf *n, struct net_injected **ret, struct err *e)
{
	struct net_injected *i;

	if (n->credentials && n->credentials->idle) {
		*ret = TAKE_PTR(n->credentials->idle);
		return 0;
	}
	i = calloc(1, sizeof *i);
	if (!i)
		return err_set(e, ENOMEM, "credential injection");
	if (secret_new_empty(NET_INJECTED_BYTES, &i->memory, e) < 0) {
		free(i);
		return -e->code;
	}
	*ret = i;
	return 0;
}

void net_injected_free(struct net_injected *i)
{
	if (!i)
		return;
	secret_free(i->memory);
	free(i);
}

void net_injected_done(struct net_leaf *n, struct net_injected *i)
{
	if (!i || !n->credentials || n->credentials->idle) {
		net_injected_free(i);
		return;
	}
	secret_wipe(i->text.at, i->text.len);
	n->credentials->idle = i;
}

typedef int (*rewrite_fn)(struct credential_use *u, const char *s, size_t len, struct text *out);

/* Point *s at its new form; what was put together may not spell a placeholder either. */
static int adopt(struct net_injected *i, size_t from, struct net_slice *s)
{
	struct net_slice now = { i->text.at + from, i->text.len - from };

	if (now.len == s->len && memcmp(now.at, s->at, s->len) == 0)
		return 0;
	*s = now;
	return credential_refuse_marker(&i->use, now.at, now.len);
}

static int target_part(struct net_injected *i, rewrite_fn fn, struct net_slice *s)
{
	size_t from = i->text.len;

	if (s->len == 0)
		return 0;
	if (fn(&i->use, s->at, s->len, &i->text) < 0)
		return -EACCES;
	return adopt(i, from, s);
}

static bool is_injected(const struct net_injected *i, struct net_slice value)
{
	return i && value.at >= i->text.at && value.at < i->text.at + i->text.len;
}

static void note_basic(struct net_injected *i, const struct net_field *f)
{
	size_t at = 6;

	if (!is_injected(i, f->value) || f->value.len < 7 || !text_ieq(f->value.at, 6, "basic ", 6))
		return;
	while (at < f->value.len && f->value.at[at] == ' ')
		at++;
	i->basic = (struct net_slice){ f->value.at + at, f->value.len - at };
}

static int field(struct net_injected *i, struct net_field *f)
{
	size_t from = i->text.len;

	if (spells_marker(f))
		return credential_refuse_marker(&i->use, CREDENTIAL_MARKER, CREDENTIAL_MARKER_LEN);
	if (credential_refuse_marker(&i->use, f->name.at, f->name.len) < 0 ||
		credential_rewrite_header(&i->use, f->name.at, f->name.len, f->value.at,
			f->value.len, &i->text) < 0 ||
		adopt(i, from, &f->value) < 0)
		return -EACCES;
	note_basic(i, f);
	return 0;
}

static int rewrite(
	struct net_injected *i, struct net_head *h, struct net_slice *path, struct net_slice *query)
{
	if (target_part(i, credential_rewrite_path, path) < 0 ||
		(query && target_part(i, credential_rewrite_query, query) < 0))
		return -EACCES;
	for (size_t k = 0; k < h->n_fields; k++)
		if (h->fields[k].value.len && field(i, &h->fields[k]) < 0)
			return -EACCES;
	return 0;
}

/* Where a credential is required, one must be there, and nothing that could take its place.  query: as
 * the workload sent it. */
static bool is_satisfied(const struct net_leaf *n, const struct net_head *h,
	const struct net_injected *i, struct net_slice query)
{
	bool there = false;

	if (net_key_in_query(query))
		return false;

	for (size_t k = 0; i && k < i->use.n_used; k++)
		there |= credential_value_is_required(store_of(n), i->use.used[k]);
	for (size_t k = 0; k < h->n_fields; k++)
		if (net_key_is_field(h->fields[k].name) && !is_injected(i, h->fields[k].value))
			return false;
	return there;
}

static bool is_required_there(struct net_leaf *n, const struct net_credential_where *at)
{
	char path[NET_PATH_MAX + 1];
	struct net_credential_refusal why;
	struct credential_use u;

	/* A path that can't be compared is refused where a credential belongs to the host at all. */
	return place(n, at, path, sizeof path, &u, &why) < 0 ||
		credential_store_requires(store_of(n), &u.at);
}

static bool is_required(struct net_leaf *n, const struct net_credential_where *at)
{
	return net_credential_covers(n, at->host, at->port) && is_required_there(n, at);
}

/* Ready to write; *inj is made when it is NULL. */
static int prepare(struct net_leaf *n, const struct net_credential_where *at,
	struct net_injected **inj, struct net_credential_refusal *why)
{
	struct err e = { 0 };

	if (*inj)
		return 0;
	if (injected_new(n, inj, &e) < 0)
		return net_credential_refuse_text(e.text, why);
	(*inj)->basic = (struct net_slice){ NULL, 0 };
	text_init(&(*inj)->text, secret_edit((*inj)->memory), NET_INJECTED_BYTES);
	return place(n, at, (*inj)->path, sizeof(*inj)->path, &(*inj)->use, why);
}

/* On a refusal h, path and query may point into i already: the caller puts them back. */
static int inject(struct net_injected *i, struct net_head *h, struct net_slice *path,
	struct net_slice *query, struct net_credential_refusal *why)
{
	if (rewrite(i, h, path, query) < 0)
		return net_credential_refuse(&i->use, i->use.why, why);
	if (i->text.cut)
		return net_credential_refuse_text(
			"the head with its credentials is too long; send fewer", why);
	if (i->use.n_used && net_slice_ieq(h->method, "TRACE"))
		return net_credential_refuse_text(
			"the answer to TRACE repeats the request, and with it the credential; use "
			"another method",
			why);
	return 0;
}

int net_credential_apply(struct net_leaf *n, const struct net_credential_where *at,
	struct net_head *h, struct net_slice *path, struct net_slice *query,
	struct net_injected **ret, struct net_credential_refusal *why)
{
	struct net_slice path_before = *path;
	struct net_slice query_before = query ? *query : (struct net_slice){ NULL, 0 };
	struct net_injected *i = NULL;
	bool required = is_required(n, at);
	int r;

	*ret = NULL;
	if (!has_work(h, path, query))
		return required ? net_credential_refuse_required(why) : 0;
	r = prepare(n, at, &i, why);
	if (r < 0) {
		net_injected_done(n, i);
		return r;
	}
	(void) memcpy(i->before, h->fields, h->n_fields * sizeof *h->fields);
	r = inject(i, h, path, query, why);
	if (r == 0 && required && !is_satisfied(n, h, i, query_before))
		r = net_credential_refuse_required(why);
	if (r == 0) {
		*ret = i;
		return 0;
	}
	*path = path_before;
	if (query)
		*query = query_before;
	(void) memcpy(h->fields, i->before, h->n_fields * sizeof *h->fields);
	net_injected_done(n, i);
	return r;
}

/* ---- bodies ---- */

int net_credential_body(struct net_leaf *n, const struct net_credential_where *at,
	const struct net_credential_text *body, struct text *out, struct net_injected **inj,
	struct net_credential_refusal *why)
{
	struct net_slice type = body->type, text = body->text;

	if (!slice_has(text)) {
		text_add_n(out, text.len ? text.at : "", text.len);
		return out->cut
			? net_credential_refuse_text("the body is too long to be rewritten", why)
			: 0;
	}
	if (prepare(n, at, inj, why) < 0)
		return -EACCES;
	if (credential_rewrite_body(
		    &(*inj)->use, type.len ? type.at : "", type.len, text.at, text.len, out) < 0)
		return net_credential_refuse(&(*inj)->use, (*inj)->use.why, why);
	return out->cut
		? net_credential_refuse_text("the body with its credentials is too long", why)
		: 0;
}

bool net_credential_scans(
	const struct net_leaf *n, bool provider_credentialed, bool allow_uninspected)
{
	return (provider_credentialed || credential_store_count(store_of(n))) && !allow_uninspected;
}

bool net_credential_covers(const struct net_leaf *n, const char *host, uint16_t port)
{
	return credential_store_covers(store_of(n), host, port);
}

/* ---- responses ---- */

int net_injected_scrub(const struct net_injected *i, struct credential_scrub **ret, struct err *e)
{
	*ret = NULL;
	return i ? credential_scrub_new(&i->use, i->basic.at, i->basic.len, ret, e) : 0;
}
