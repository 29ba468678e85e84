/* credential_store.c - snapshots, identities, and what a placeholder stands for. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include "core_policy_snapshot.h"
#include "core_secret.h"
#include "credential_inner.h"

struct chunk { /* the values of one snapshot, together in locked memory */
	struct secret *bytes;
	size_t refs;
};

struct past {
	uint64_t revision, expires_at_ms;
	struct chunk *chunk;
	struct credential_value value;
	bool present; /* false: it had no value then */
};

struct bound {
	char *host;
	uint16_t port;
	char *path;
	struct policy_glob *glob;
};

struct track { /* one name, as long as it means the same credential */
	char *name, *identity;
	char handle[CREDENTIAL_HANDLE_LEN + 1];
	struct bound *bound;
	size_t n_bound;
	bool require;
	uint64_t revisions[CREDENTIAL_REVISIONS_MAX]; /* newest first */
	size_t n_revisions;
	struct past past[CREDENTIAL_GENERATIONS_MAX]; /* newest first */
	size_t n_past;
};

struct credential_store {
	struct track **tracks;
	size_t n;
	uint64_t revision;
};

/* ---- storage ---- */

static void chunk_unref(struct chunk *c)
{
	if (!c || --c->refs > 0)
		return;
	secret_free(c->bytes);
	free(c);
}

static void forget_past(struct track *t, size_t keep)
{
	while (t->n_past > keep)
		chunk_unref(t->past[--t->n_past].chunk);
}

static void track_free(struct track *t)
{
	if (!t)
		return;
	forget_past(t, 0);
	for (size_t i = 0; i < t->n_bound; i++) {
		free(t->bound[i].host);
		free(t->bound[i].path);
		policy_glob_free(t->bound[i].glob);
	}
	free(t->bound);
	free(t->name);
	free(t->identity);
	free(t);
}

static void tracks_free(struct track **t, size_t n)
{
	for (size_t i = 0; t && i < n; i++)
		track_free(t[i]);
	free(t);
}

int credential_store_new(struct credential_store **ret, struct err *e)
{
	*ret = calloc(1, sizeof **ret);
	return *ret ? 0 : err_set(e, ENOMEM, "credentials");
}

void credential_store_free(struct credential_store *s)
{
	if (!s)
		return;
	tracks_free(s->tracks, s->n);
	free(s);
}

uint64_t credential_store_revision(const struct credential_store *s)
{
	return s ? s->revision : 0;
}

size_t credential_store_count(const struct credential_store *s)
{
	return s ? s->n : 0;
}

/* ---- a new snapshot ---- */

static int check_spec(const struct credential_spec *c, struct err *e)
{
	const char *why;

	if (!credential_name_is_valid(c->name, strlen(c->name)))
		return err_set(e, EINVAL, "credential with a name that can't be a placeholder's");
	if (!c->identity[0] || strlen(c->identity) > CREDENTIAL_IDENTITY_MAX)
		return err_set(e, EINVAL, "credential %s without a proper identity", c->name);
	if (c->handle[0] && strlen(c->handle) != CREDENTIAL_HANDLE_LEN)
		return err_set(e, EINVAL, "credential %s with a malformed handle", c->name);
	if (c->value && (c->len == 0 || c->len > CREDENTIAL_VALUE_MAX))
		return err_set(e, EINVAL,
			"credential %s has a value that is not 1 to %d bytes long", c->name,
			CREDENTIAL_VALUE_MAX);
	if (c->n_endpoints > CREDENTIAL_ENDPOINTS_MAX)
		return err_set(e, EINVAL, "credential %s has more than %d endpoints", c->name,
			CREDENTIAL_ENDPOINTS_MAX);
	for (size_t i = 0; i < c->n_endpoints; i++)
		if (!credential_endpoint_is_valid(&c->endpoints[i], &why))
			return err_set(
				e, EINVAL, "credential %s: endpoint %zu: %s", c->name, i, why);
	return 0;
}

static int check_specs(const struct credential_spec *at, size_t n, struct err *e)
{
	size_t bytes = 0;

	if (n > CREDENTIAL_MAX)
		return err_set(e, EINVAL, "more than %d credentials", CREDENTIAL_MAX);
	for (size_t i = 0; i < n; i++) {
		if (check_spec(&at[i], e) < 0)
			return -e->code;
		for (size_t j = 0; j < i; j++)
			if (strcmp(at[i].name, at[j].name) == 0)
				return err_set(e, EINVAL, "credential %s twice", at[i].name);
		bytes += at[i].value ? at[i].len : 0;
	}
	return bytes > CREDENTIAL_VALUES_MAX
		? err_set(e, EFBIG, "credentials of more than %d bytes together",
			  CREDENTIAL_VALUES_MAX)
		: 0;
}

static int bind_endpoint(struct bound *b, const struct credential_endpoint *ep, struct err *e)
{
	b->host = strdup(ep->host);
	b->path = strdup(ep->path);
	b->port = ep->port;
	if (!b->host || !b->path)
		return err_set(e, ENOMEM, "credentials");
	return policy_glob_new(POLICY_GLOB_SELECT, ep->path, strlen(ep->path), &b->glob, e);
}

static int track_new(const struct credential_spec *c, struct track **ret, struct err *e)
{
	struct track *t = calloc(1, sizeof *t);

	*ret = t;
	if (!t)
		return err_set(e, ENOMEM, "credentials");
	t->name = strdup(c->name);
	t->identity = strdup(c->identity);
	t->bound = calloc(c->n_endpoints + 1, sizeof *t->bound);
	if (!t->name || !t->identity || !t->bound)
		return err_set(e, ENOMEM, "credentials");
	(void) memcpy(t->handle, c->handle, strlen(c->handle));
	t->require = c->require && c->n_endpoints;
	for (size_t i = 0; i < c->n_endpoints; i++) {
		t->n_bound = i + 1;
		if (bind_endpoint(&t->bound[i], &c->endpoints[i], e) < 0)
			return -e->code;
	}
	return 0;
}

static struct track *track_find(const struct credential_store *s, const char *name, size_t len)
{
	for (size_t i = 0; s && i < s->n; i++)
		if (strlen(s->tracks[i]->name) == len && memcmp(s->tracks[i]->name, name, len) == 0)
			return s->tracks[i];
	return NULL;
}

static bool is_same(const struct track *a, const struct track *b)
{
	if (strcmp(a->identity, b->identity) != 0 || strcmp(a->handle, b->handle) != 0 ||
		a->n_bound != b->n_bound)
		return false;
	for (size_t i = 0; i < a->n_bound; i++)
		if (strcmp(a->bound[i].host, b->bound[i].host) != 0 ||
			a->bound[i].port != b->bound[i].port ||
			strcmp(a->bound[i].path, b->bound[i].path) != 0)
			return false;
	return true;
}

static int chunk_new(const struct credential_spec *at, size_t n, struct chunk **ret, struct err *e)
{
	struct chunk *c = calloc(1, sizeof *c);
	size_t bytes = 0;
	char *to;

	if (!c)
		return err_set(e, ENOMEM, "credentials");
	for (size_t i = 0; i < n; i++)
		bytes += at[i].value ? at[i].len : 0;
	if (secret_new_empty(bytes, &c->bytes, e) < 0) {
		free(c);
		return -e->code;
	}
	to = secret_edit(c->bytes);
	for (size_t i = 0; i < n; i++) {
		if (!at[i].value)
			continue;
		(void) memcpy(to, at[i].value, at[i].len);
		to += at[i].len;
	}
	c->refs = 1;
	*ret = c;
	return 0;
}

static void remember(struct track *t, uint64_t revision)
{
	size_t keep = t->n_revisions < CREDENTIAL_REVISIONS_MAX ? t->n_revisions
								: CREDENTIAL_REVISIONS_MAX - 1;

	if (t->n_revisions && t->revisions[0] == revision)
		return;
	(void) memmove(t->revisions + 1, t->revisions, keep * sizeof *t->revisions);
	t->revisions[0] = revision;
	t->n_revisions = keep + 1;
}

/* *at advances over the chunk in the order in which chunk_new() filled it. */
static void push(struct track *t, const struct credential_spec *c, uint64_t revision,
	struct chunk *chunk, const char **at)
{
	struct past p = { revision, c->expires_at_ms, chunk, { *at, c->len }, c->value != NULL };

	forget_past(t, CREDENTIAL_GENERATIONS_MAX - 1);
	(void) memmove(t->past + 1, t->past, t->n_past * sizeof *t->past);
	t->past[0] = p;
	t->n_past++;
	chunk->refs++;
	*at += c->value ? c->len : 0;
	remember(t, revision);
}

/* What the new track goes on with. */
static void inherit(struct track *t, struct track *old)
{
	if (!old || !is_same(t, old))
		return;
	(void) memcpy(t->revisions, old->revisions, sizeof t->revisions);
	t->n_revisions = old->n_revisions;
	(void) memcpy(t->past, old->past, sizeof t->past);
	t->n_past = old->n_past;
	old->n_past = 0;
}

int credential_store_update(struct credential_store *s, uint64_t revision,
	const struct credential_spec *at, size_t n, struct err *e)
{
	struct chunk *chunk = NULL;
	struct track **tracks;
	const char *from;
	int r = check_specs(at, n, e);

	if (r < 0)
		return r;
	tracks = calloc(n + 1, sizeof *tracks);
	r = tracks ? chunk_new(at, n, &chunk, e) : err_set(e, ENOMEM, "credentials");
	for (size_t i = 0; r == 0 && i < n; i++)
		r = track_new(&at[i], &tracks[i], e);
	if (r < 0) {
		chunk_unref(chunk);
		tracks_free(tracks, n);
		return r;
	}
	from = secret_bytes(chunk->bytes);
	for (size_t i = 0; i < n; i++) {
		inherit(tracks[i], track_find(s, at[i].name, strlen(at[i].name)));
		push(tracks[i], &at[i], revision, chunk, &from);
	}
	chunk_unref(chunk);
	tracks_free(s->tracks, s->n);
	s->tracks = tracks;
	s->n = n;
	s->revision = revision;
	return 0;
}

void credential_store_revoke(struct credential_store *s)
{
	for (size_t i = 0; i < s->n; i++)
		forget_past(s->tracks[i], 0);
}

/* ---- where ---- */

bool credential_store_covers(const struct credential_store *s, const char *host, uint16_t port)
{
	for (size_t i = 0; s && i < s->n; i++)
		for (size_t j = 0; j < s->tracks[i]->n_bound; j++)
			if (s->tracks[i]->bound[j].port == port &&
				credential_host_matches(s->tracks[i]->bound[j].host, host))
				return true;
	return false;
}

static bool is_for(const struct track *t, const struct credential_where *w)
{
	for (size_t i = 0; i < t->n_bound; i++)
		if (t->bound[i].port == w->port &&
			credential_host_matches(t->bound[i].host, w->host) &&
			policy_glob_match(t->bound[i].glob, w->path, w->path_len) == 1)
			return true;
	return t->n_bound == 0;
}

bool credential_store_requires(const struct credential_store *s, const struct credential_where *at)
{
	for (size_t i = 0; s && i < s->n; i++)
		if (s->tracks[i]->require && is_for(s->tracks[i], at))
			return true;
	return false;
}

bool credential_value_is_required(
	const struct credential_store *s, const struct credential_value *v)
{
	for (size_t i = 0; s && i < s->n; i++)
		for (size_t j = 0; s->tracks[i]->require && j < s->tracks[i]->n_past; j++)
			if (v == &s->tracks[i]->past[j].value)
				return true;
	return false;
}

/* ---- what ---- */

enum form { FORM_BARE, FORM_REVISION, FORM_HANDLE, FORM_BAD };

struct tail {
	enum form form;
	const char *name, *handle;
	size_t len;
	uint64_t revision;
};

static void parse_tail(const char *s, size_t len, struct tail *ret)
{
	const char *line = memchr(s, '_', len);
	size_t head = line ? (size_t) (line - s) : 0;

	*ret = (struct tail){ FORM_BARE, s, NULL, len, 0 };
	if (credential_name_is_valid(s, len))
		return;
	ret->form = FORM_BAD;
	if (head < 2)
		return;
	ret->name = line + 1;
	ret->len = len - head - 1;
	if (!credential_name_is_valid(ret->name, ret->len))
		return;
	if (s[0] == 's' && head == CREDENTIAL_HANDLE_LEN + 1) {
		ret->handle = s + 1;
		ret->form = FORM_HANDLE;
	} else if (s[0] == 'v' &&
		text_to_u64(s + 1, head - 1, 0, UINT64_MAX, &ret->revision) == 0) {
		ret->form = FORM_REVISION;
	}
}

static bool is_usable(const struct past *p, uint64_t now_ms, const char **ret_why)
{
	*ret_why = "the credential has no value at present: its source could not be read; the "
		   "supervisor's log says why";
	if (!p->present)
		return false;
	*ret_why = "the credential has expired; renew it at its source";
	if (p->expires_at_ms && p->expires_at_ms <= now_ms)
		return false;
	*ret_why = "the credential holds a line break or a NUL byte, which no request can carry; "
		   "correct it at its source";
	for (size_t i = 0; i < p->value.len; i++)
		if (p->value.at[i] == '\r' || p->value.at[i] == '\n' || p->value.at[i] == '\0')
			return false;
	*ret_why = "the credential's value is itself a placeholder; correct it at its source";
	return !credential_has_marker(p->value.at, p->value.len);
}

static bool had_revision(const struct track *t, uint64_t revision)
{
	for (size_t i = 0; i < t->n_revisions; i++)
		if (t->revisions[i] == revision)
			return true;
	return false;
}

/* The value of exactly that revision while it can be used; later ones of the same identity after
 * that. */
static const struct past *by_revision(const struct track *t, uint64_t revision, uint64_t now_ms)
{
	const char *why;

	for (size_t i = 0; i < t->n_past; i++)
		if (t->past[i].revision == revision && is_usable(&t->past[i], now_ms, &why))
			return &t->past[i];
	return had_revision(t, revision) ? &t->past[0] : NULL;
}

/* No early end, so that time tells nothing about where a guess went wrong. */
static bool is_handle_of(const struct track *t, const char *handle)
{
	unsigned char differ = t->handle[0] == '\0';

	for (size_t i = 0; i < CREDENTIAL_HANDLE_LEN; i++)
		differ |= (unsigned char) (t->handle[i] ^ handle[i]);
	return differ == 0;
}

static const struct past *select_past(
	const struct track *t, const struct tail *tail, uint64_t now_ms, const char **ret_why)
{
	*ret_why = "the placeholder is of an earlier credential or run; start the command again to "
		   "get the present one";
	switch (tail->form) {
	case FORM_HANDLE:
		return is_handle_of(t, tail->handle) ? &t->past[0] : NULL;
	case FORM_REVISION:
		/* Never given out as a revision where there is a handle: it could be guessed. */
		return t->handle[0] ? NULL : by_revision(t, tail->revision, now_ms);
	case FORM_BARE:
		*ret_why =
			"the credential is bound to endpoints, and this form of placeholder can't "
			"prove which credential is meant; use the environment variable's value "
			"as it was given";
		return t->n_bound ? NULL : &t->past[0];
	case FORM_BAD:
		return NULL;
	}
	return NULL;
}

enum credential_verdict credential_resolve(const struct credential_store *s,
	const struct credential_where *at, const char *tail, size_t len,
	const struct credential_value **ret, const char **ret_why)
{
	const struct past *p;
	struct tail parsed;
	const struct track *t;

	parse_tail(tail, len, &parsed);
	*ret_why =
		"no credential is known under that placeholder; if it is only text that happens to "
		"look like one, leave it out of the request";
	t = parsed.form == FORM_BAD ? NULL : track_find(s, parsed.name, parsed.len);
	if (!t)
		return CREDENTIAL_UNAVAILABLE;
	*ret_why =
		"the credential is bound to other endpoints; use it there, or add this host, port "
		"and path to its endpoints";
	if (!is_for(t, at))
		return CREDENTIAL_ELSEWHERE;
	*ret_why = "the credentials are revoked, because their source could not be read; the "
		   "supervisor's log says why";
	if (t->n_past == 0)
		return CREDENTIAL_UNAVAILABLE;
	p = select_past(t, &parsed, at->now_ms, ret_why);
	if (!p || !is_usable(p, at->now_ms, ret_why))
		return CREDENTIAL_UNAVAILABLE;
	*ret = &p->value;
	return CREDENTIAL_FINE;
}

const char *credential_value_bytes(const struct credential_value *v)
{
	return v->at;
}

size_t credential_value_len(const struct credential_value *v)
{
	return v->len;
}
