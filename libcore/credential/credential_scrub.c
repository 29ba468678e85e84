#include "core_credential_scrub.h"
#include <errno.h>
#include <string.h>
#include "core_secret.h"
#include "credential_inner.h"
#include "credential_write.h"

#define PIECE 4096 /* bytes of a body looked at together */

struct form {
	const char *at; /* in the secret */
	size_t len;
};

struct credential_scrub {
	struct secret *memory; /* the forms, then the window */
	struct form forms[CREDENTIAL_SCRUB_FORMS_MAX];
	size_t n_forms, longest;
	char *window; /* CREDENTIAL_SCRUB_PIECE_MAX + PIECE bytes; text that came back may be the secret */
	size_t n_window;
};

/* JSON takes six bytes for one at most, percent-encoding three. */
static size_t memory_for(const struct credential_use *u, size_t basic_len)
{
	size_t n = basic_len + 1;

	for (size_t i = 0; i < u->n_used; i++)
		n += (1 + 6 + 3) * u->used[i]->len + 3;
	return n + CREDENTIAL_SCRUB_PIECE_MAX + PIECE;
}

static int add_piece(struct credential_scrub *s, struct form f)
{
	size_t i = s->n_forms;

	for (size_t j = 0; j < s->n_forms; j++)
		if (s->forms[j].len == f.len && memcmp(s->forms[j].at, f.at, f.len) == 0)
			return 0;
	if (i == CREDENTIAL_SCRUB_FORMS_MAX)
		return -E2BIG;
	/* Longest first: a form may be the beginning of another. */
	for (; i > 0 && s->forms[i - 1].len < f.len; i--)
		s->forms[i] = s->forms[i - 1];
	s->forms[i] = f;
	s->n_forms++;
	s->longest = s->forms[0].len;
	return 0;
}

/* What a relay must be able to hold back is bounded by the pieces, which are of about one size, so
 * that none is too short to be looked for. */
static int add_form(struct credential_scrub *s, const char *at, size_t len)
{
	size_t n = (len + CREDENTIAL_SCRUB_PIECE_MAX - 1) / CREDENTIAL_SCRUB_PIECE_MAX;

	if (len < CREDENTIAL_SCRUB_MIN)
		return 0;
	for (size_t i = 0; i < n; i++) {
		size_t from = len * i / n, to = len * (i + 1) / n;

		if (add_piece(s, (struct form){ at + from, to - from }) < 0)
			return -E2BIG;
	}
	return 0;
}

static int add_forms(struct credential_scrub *s, const struct credential_value *v, struct text *t)
{
	static const enum credential_code codes[] = { CREDENTIAL_AS_IS, CREDENTIAL_QUERY,
		CREDENTIAL_JSON };

	for (size_t i = 0; i < sizeof codes / sizeof *codes; i++) {
		size_t from = t->len;

		if (v->len < CREDENTIAL_SCRUB_MIN)
			return 0;
		credential_write(codes[i], v->at, v->len, t);
		if (add_form(s, t->at + from, t->len - from) < 0)
			return -E2BIG;
	}
	return 0;
}

static int add_all(struct credential_scrub *s, const struct credential_use *u, struct form basic,
	struct text *t)
{
	size_t from;

	for (size_t i = 0; i < u->n_used; i++)
		if (add_forms(s, u->used[i], t) < 0)
			return -E2BIG;
	from = t->len;
	text_add_n(t, basic.len ? basic.at : "", basic.len);
	return add_form(s, t->at + from, basic.len);
}

int credential_scrub_new(const struct credential_use *u, const char *basic, size_t basic_len,
	struct credential_scrub **ret, struct err *e)
{
	AUTO(credential_scrub_free) struct credential_scrub *s = NULL;
	size_t size = memory_for(u, basic_len);
	struct text t;

	*ret = NULL;
	if (u->n_used == 0)
		return 0;
	s = calloc(1, sizeof *s);
	if (!s)
		return err_set(e, ENOMEM, "response scrubber");
	if (secret_new_empty(size, &s->memory, e) < 0)
		return -e->code;
	text_init(&t, secret_edit(s->memory), size);
	if (add_all(s, u, (struct form){ basic, basic_len }, &t) < 0)
		return err_set(e, E2BIG,
			"scrub_responses: the credentials of one request are too long together to "
			"be "
			"looked for; send fewer");
	s->window = t.at + t.len;
	if (s->n_forms)
		*ret = TAKE_PTR(s);
	return 0;
}

void credential_scrub_free(struct credential_scrub *s)
{
	if (!s)
		return;
	secret_free(s->memory);
	free(s);
}

static void blank(char *at, size_t len)
{
	size_t n = strlen(CREDENTIAL_REDACTED);

	(void) memset(at, '*', len);
	(void) memcpy(at, CREDENTIAL_REDACTED, n < len ? n : len);
}

/* Occurrences that begin before limit. */
static size_t blank_all(const struct credential_scrub *s, char *text, size_t len, size_t limit)
{
	size_t n = 0;

	for (size_t i = 0; i < s->n_forms; i++) {
		const struct form *f = &s->forms[i];
		char *from = text, *hit;

		while ((hit = memmem(from, len - (size_t) (from - text), f->at, f->len)) &&
			(size_t) (hit - text) < limit) {
			blank(hit, f->len);
			from = hit + f->len;
			n++;
		}
	}
	return n;
}

size_t credential_scrub_text(const struct credential_scrub *s, char *text, size_t len)
{
	return blank_all(s, text, len, len);
}

size_t credential_scrub_held_max(const struct credential_scrub *s)
{
	return s->longest;
}

/* The longest end of the window that some form begins with. */
static size_t begun(const struct credential_scrub *s)
{
	size_t k = s->n_window < s->longest ? s->n_window : s->longest - 1;

	for (; k > 0; k--) {
		const char *end = s->window + s->n_window - k;

		for (size_t i = 0; i < s->n_forms && s->forms[i].len > k; i++)
			if (memcmp(end, s->forms[i].at, k) == 0)
				return k;
	}
	return 0;
}

static size_t release(struct credential_scrub *s, size_t keep, char *out)
{
	size_t n = s->n_window - keep;

	(void) blank_all(s, s->window, s->n_window, n);
	(void) memcpy(out, s->window, n);
	(void) memmove(s->window, s->window + n, keep);
	s->n_window = keep;
	return n;
}

void credential_scrub_feed(
	struct credential_scrub *s, const char *in, size_t len, char *out, size_t *ret_len)
{
	*ret_len = 0;
	while (len) {
		size_t n = len < PIECE ? len : PIECE;

		(void) memcpy(s->window + s->n_window, in, n);
		s->n_window += n;
		in += n;
		len -= n;
		*ret_len += release(s, begun(s), out + *ret_len);
	}
}

size_t credential_scrub_finish(struct credential_scrub *s, char *out)
{
	return release(s, 0, out);
}
