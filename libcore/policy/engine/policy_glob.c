/* policy_glob.c - the four glob dialects, compiled to a position automaton.
 *
 * Braces are expanded at compile time (bounded); each alternative is a row of
 * tokens.  Matching walks the value once and keeps the set of token positions
 * that can be reached, so its cost is length times tokens, never exponential.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include "core_policy_snapshot.h"

enum token_kind {
	T_BYTE,	    /* this byte */
	T_ONE,	    /* any byte but the separator */
	T_CLASS,    /* a byte of the set */
	T_RUN,	    /* any number of bytes but the separator */
	T_DEEP,	    /* any number of any bytes */
	T_JUMP,	    /* nothing, or what the next token takes */
	T_DEEP_SEP, /* any bytes, then the separator */
};

struct token {
	uint8_t kind, byte;
	uint16_t set;
};

struct set {
	uint64_t bits[4];
};

struct row {
	struct token *at;
	size_t n, n_fixed; /* n_fixed: bytes at the front that must be there as they are */
};

struct policy_glob {
	enum policy_dialect dialect;
	char separator;	  /* '\0': none */
	bool crosses;	  /* "*", "?" and classes take the separator too */
	struct row *rows; /* one per alternative of braces, at most POLICY_GLOB_ALTERNATIVES_MAX */
	size_t n_rows;
	struct set *sets;
	size_t n_sets;
	char *literal; /* selection dialect: the pattern stands for itself */
	char *prefix;  /* selection dialect: literal text before a trailing slash and two stars */
	bool everything;
};

struct compiler {
	struct policy_glob *g;
	const char *pattern;
	size_t len;
	struct err *e;
};

#define WORDS(n) (((n) + 64) / 64)

static bool set_has(const struct set *s, unsigned char c)
{
	return s->bits[c / 64] >> (c % 64) & 1;
}

static int add_set(struct policy_glob *g, const struct set *s, uint16_t *ret)
{
	struct set *more = realloc(g->sets, (g->n_sets + 1) * sizeof *more);

	if (!more)
		return -ENOMEM;
	g->sets = more;
	g->sets[g->n_sets] = *s;
	*ret = (uint16_t) g->n_sets++;
	return 0;
}

/* [abc], [a-z], [!x], [^x]; i stands behind the bracket.  Returns the place behind "]", or 0. */
static size_t read_class(
	const struct compiler *c, const char *p, size_t len, size_t i, struct set *ret)
{
	bool negated = i < len && (p[i] == '!' || p[i] == '^');
	size_t first = i += negated;

	*ret = (struct set){ { 0 } };
	for (; i < len && (p[i] != ']' || i == first); i++) {
		unsigned char from = (unsigned char) p[i], to = from;

		if (i + 2 < len && p[i + 1] == '-' && p[i + 2] != ']') {
			to = (unsigned char) p[i + 2];
			i += 2;
			if (to < from)
				return 0;
		}
		for (unsigned v = from; v <= to; v++)
			ret->bits[v / 64] |= 1ull << (v % 64);
	}
	if (i >= len)
		return 0;
	for (unsigned k = 0; negated && k < 4; k++)
		ret->bits[k] = ~ret->bits[k];
	/* Labels: no class reaches over a dot.  In paths the reference's classes match "/". */
	if (c->g->separator == '.' && !c->g->crosses)
		ret->bits['.' / 64] &= ~(1ull << ('.' % 64));
	return i + 1;
}

static bool is_sep(const struct policy_glob *g, const char *p, size_t len, size_t i)
{
	if (i >= len)
		return false;
	return p[i] == (g->separator ? g->separator : '/');
}

/* Two stars as a whole component. */
static bool is_deep(const struct policy_glob *g, const char *p, size_t len, size_t i)
{
	if (i + 1 >= len || p[i] != '*' || p[i + 1] != '*')
		return false;
	return (i == 0 || is_sep(g, p, len, i - 1)) && (i + 2 == len || is_sep(g, p, len, i + 2));
}

/* A row of tokens for text without braces; tokens has room for 2 * len + 2. */
static int compile_row(
	struct compiler *c, const char *p, size_t len, struct token *t, size_t *ret_n)
{
	struct policy_glob *g = c->g;
	bool braces = g->dialect != POLICY_GLOB_SELECT;
	size_t n = 0;

	for (size_t i = 0; i < len; i++) {
		if (is_deep(g, p, len, i)) {
			if (i + 2 == len) {
				t[n++] = (struct token){ .kind = T_DEEP };
			} else {
				/* In host names two stars are one label at least. */
				if (g->dialect != POLICY_GLOB_HOST)
					t[n++] = (struct token){ .kind = T_JUMP };
				t[n++] = (struct token){ .kind = T_DEEP_SEP };
				i++; /* the separator belongs to it */
			}
			i++;
		} else if (p[i] == '*') {
			while (i + 1 < len && p[i + 1] == '*' && !is_deep(g, p, len, i + 1))
				i++;
			t[n++] = (struct token){ .kind = g->separator && !g->crosses ? T_RUN
										     : T_DEEP };
		} else if (p[i] == '?') {
			t[n++] = (struct token){ .kind = T_ONE };
		} else if (p[i] == '[') {
			struct set s;
			size_t end = read_class(c, p, len, i + 1, &s);

			if (end == 0)
				return err_set(
					c->e, EINVAL, "unclosed '[' at character %zu", i + 1);
			t[n].kind = T_CLASS;
			if (add_set(g, &s, &t[n++].set) < 0)
				return err_set(c->e, ENOMEM, "pattern");
			i = end - 1;
		} else {
			if (braces && p[i] == '\\' && ++i >= len)
				return err_set(c->e, EINVAL, "'\\' at the end");
			t[n++] = (struct token){ .kind = T_BYTE, .byte = (uint8_t) p[i] };
		}
	}
	*ret_n = n;
	return 0;
}

static int add_row(struct compiler *c, const char *p, size_t len)
{
	struct policy_glob *g = c->g;
	struct row *r, *more;

	if (g->n_rows == POLICY_GLOB_ALTERNATIVES_MAX)
		return err_set(c->e, E2BIG, "more than %d alternatives in braces",
			POLICY_GLOB_ALTERNATIVES_MAX);
	more = realloc(g->rows, (g->n_rows + 1) * sizeof *more);
	if (!more)
		return err_set(c->e, ENOMEM, "pattern");
	g->rows = more;
	r = &more[g->n_rows];
	*r = (struct row){ .at = calloc(2 * len + 2, sizeof *r->at) };
	if (!r->at)
		return err_set(c->e, ENOMEM, "pattern");
	g->n_rows++;
	if (compile_row(c, p, len, r->at, &r->n) < 0)
		return -c->e->code;
	while (r->n_fixed < r->n && r->at[r->n_fixed].kind == T_BYTE)
		r->n_fixed++;
	return 0;
}

/* Skips an escaped byte or a class, so that braces inside them are plain. */
static size_t skip_plain(const char *p, size_t len, size_t i)
{
	if (p[i] == '\\')
		return i + 2;
	if (p[i] == '[')
		for (size_t k = i + 2; k < len; k++)
			if (p[k] == ']')
				return k + 1;
	return i + 1;
}

static int expand(struct compiler *c, const char *p, size_t len, int depth);

/* p[open] is '{' and p[close] its '}': one expansion per non-empty alternative. */
static int expand_group(
	struct compiler *c, const char *p, size_t len, size_t open, size_t close, int depth)
{
	size_t from = open + 1;
	int level = 0;

	for (size_t i = from; i <= close; i = i == close ? i + 1 : skip_plain(p, len, i)) {
		char text[POLICY_GLOB_BYTES_MAX];
		size_t n = 0;

		level += p[i] == '{';
		level -= p[i] == '}' && i != close;
		if (i != close && (p[i] != ',' || level > 0))
			continue;
		if (i > from) {
			(void) memcpy(text, p, open);
			n = open;
			(void) memcpy(text + n, p + from, i - from);
			n += i - from;
			(void) memcpy(text + n, p + close + 1, len - close - 1);
			n += len - close - 1;
			if (expand(c, text, n, depth + 1) < 0)
				return -c->e->code;
		}
		from = i + 1;
	}
	return 0;
}

static int expand(struct compiler *c, const char *p, size_t len, int depth)
{
	size_t open = len;
	int level = 0;

	if (depth > 8)
		return err_set(c->e, E2BIG, "braces nested too deeply");
	for (size_t i = 0; i < len; i = skip_plain(p, len, i)) {
		if (p[i] == '{' && level++ == 0)
			open = i;
		if (p[i] != '}')
			continue;
		if (level == 0)
			return err_set(c->e, EINVAL, "stray '}' at character %zu", i + 1);
		if (--level == 0)
			return expand_group(c, p, len, open, i, depth);
	}
	if (level > 0)
		return err_set(c->e, EINVAL, "unclosed '{' at character %zu", open + 1);
	return add_row(c, p, len);
}

/* Two stars glued to text are no pattern in the selection dialect. */
static bool has_glued_stars(const struct policy_glob *g, const char *p, size_t len)
{
	for (size_t i = 0; i + 1 < len; i++) {
		if (p[i] != '*' || p[i + 1] != '*')
			continue;
		if (!is_deep(g, p, len, i))
			return true;
		i++;
	}
	return false;
}

static int compile_select(struct compiler *c)
{
	struct policy_glob *g = c->g;
	const char *p = c->pattern;
	struct err none = { 0 };
	struct compiler quiet = *c;
	size_t len = c->len;

	if (len == 0 || (len == 2 && memcmp(p, "**", 2) == 0) ||
		(len == 3 && memcmp(p, "/**", 3) == 0)) {
		g->everything = true;
		return 0;
	}
	if (len > 3 && memcmp(p + len - 3, "/**", 3) == 0) {
		g->prefix = strndup(p, len - 3);
		return g->prefix ? 0 : err_set(c->e, ENOMEM, "pattern");
	}
	quiet.e = &none;
	if (has_glued_stars(g, p, len) || add_row(&quiet, p, len) < 0) {
		g->literal = strndup(p, len);
		return g->literal ? 0 : err_set(c->e, ENOMEM, "pattern");
	}
	return 0;
}

int policy_glob_new(enum policy_dialect d, const char *pattern, size_t len,
	struct policy_glob **ret, struct err *e)
{
	AUTO(policy_glob_free) struct policy_glob *g = calloc(1, sizeof *g);
	struct compiler c = { g, pattern, len, e };
	int r;

	if (!g)
		return err_set(e, ENOMEM, "pattern");
	if (len >= POLICY_GLOB_BYTES_MAX)
		return err_set(
			e, E2BIG, "pattern of more than %d bytes", POLICY_GLOB_BYTES_MAX - 1);
	g->dialect = d;
	g->separator = d == POLICY_GLOB_PATH ? '/' : d == POLICY_GLOB_SELECT ? '\0' : '.';
	g->crosses = d == POLICY_GLOB_DENY;
	r = d == POLICY_GLOB_SELECT ? compile_select(&c) : expand(&c, pattern, len, 0);
	if (r < 0)
		return r;
	*ret = TAKE_PTR(g);
	return 0;
}

void policy_glob_free(struct policy_glob *g)
{
	if (!g)
		return;
	for (size_t i = 0; i < g->n_rows; i++)
		free(g->rows[i].at);
	free(g->rows);
	free(g->sets);
	free(g->literal);
	free(g->prefix);
	free(g);
}

static void reach(const struct row *r, uint64_t *set, size_t i)
{
	for (;;) {
		set[i / 64] |= 1ull << (i % 64);
		if (i == r->n)
			return;
		if (r->at[i].kind == T_JUMP)
			reach(r, set, i + 1); /* one level: T_DEEP_SEP takes no empty step */
		if (r->at[i].kind == T_JUMP)
			i += 2;
		else if (r->at[i].kind == T_RUN || r->at[i].kind == T_DEEP)
			i++;
		else
			return;
	}
}

static void step(
	const struct policy_glob *g, const struct row *r, size_t i, unsigned char c, uint64_t *next)
{
	const struct token *t = &r->at[i];
	char sep = g->separator ? g->separator : '/';

	switch ((enum token_kind) t->kind) {
	case T_BYTE:
		if (t->byte == c)
			reach(r, next, i + 1);
		break;
	case T_ONE:
		if (!g->separator || g->crosses || c != (unsigned char) g->separator)
			reach(r, next, i + 1);
		break;
	case T_CLASS:
		if (set_has(&g->sets[t->set], c))
			reach(r, next, i + 1);
		break;
	case T_RUN:
		if (c != (unsigned char) g->separator)
			reach(r, next, i);
		break;
	case T_DEEP:
		reach(r, next, i);
		break;
	case T_DEEP_SEP:
		next[i / 64] |= 1ull << (i % 64);
		if (c == (unsigned char) sep)
			reach(r, next, i + 1);
		break;
	case T_JUMP:
		break;
	}
}

/* Rows of fewer than 64 tokens, as nearly all are: the set of positions is one word. */
static int match_short(
	const struct policy_glob *g, const struct row *r, const char *v, size_t len, size_t *steps)
{
	uint64_t now = 0;

	reach(r, &now, r->n_fixed);
	for (size_t i = r->n_fixed; i < len && now; i++) {
		uint64_t next = 0;

		for (uint64_t bits = now; bits; bits &= bits - 1) {
			size_t at = (size_t) __builtin_ctzll(bits);

			if ((*steps)-- == 0)
				return -E2BIG;
			if (at < r->n)
				step(g, r, at, (unsigned char) v[i], &next);
		}
		now = next;
	}
	return now >> r->n & 1;
}

static bool begins(const struct row *r, const char *v, size_t len)
{
	if (len < r->n_fixed)
		return false;
	for (size_t i = 0; i < r->n_fixed; i++)
		if (r->at[i].byte != (uint8_t) v[i])
			return false;
	return true;
}

/* Apart from match_row(), as the compiler clears these arrays whenever their function runs. */
static int match_long(
	const struct policy_glob *g, const struct row *r, const char *v, size_t len, size_t *steps)
{
	uint64_t now[WORDS(2 * POLICY_GLOB_BYTES_MAX)], next[WORDS(2 * POLICY_GLOB_BYTES_MAX)];
	size_t words = WORDS(r->n);

	(void) memset(now, 0, words * sizeof *now);
	reach(r, now, r->n_fixed);
	for (size_t i = r->n_fixed; i < len; i++) {
		bool any = false;

		(void) memset(next, 0, words * sizeof *next);
		for (size_t w = 0; w < words; w++)
			for (uint64_t bits = now[w]; bits; bits &= bits - 1) {
				size_t at = w * 64 + (size_t) __builtin_ctzll(bits);

				if ((*steps)-- == 0)
					return -E2BIG;
				if (at < r->n)
					step(g, r, at, (unsigned char) v[i], next);
			}
		for (size_t w = 0; w < words; w++)
			any |= next[w] != 0;
		if (!any)
			return 0;
		(void) memcpy(now, next, words * sizeof *now);
	}
	return now[r->n / 64] >> (r->n % 64) & 1;
}

/* 1, 0, or -E2BIG; steps counts down over all rows. */
static int match_row(
	const struct policy_glob *g, const struct row *r, const char *v, size_t len, size_t *steps)
{
	if (!begins(r, v, len))
		return 0;
	return r->n < 64 ? match_short(g, r, v, len, steps) : match_long(g, r, v, len, steps);
}

int policy_glob_match(const struct policy_glob *g, const char *value, size_t len)
{
	size_t steps = POLICY_GLOB_STEPS_MAX;

	if (g->everything)
		return 1;
	if (g->literal)
		return len == strlen(g->literal) && memcmp(value, g->literal, len) == 0;
	if (g->prefix) {
		size_t n = strlen(g->prefix);

		return len >= n && memcmp(value, g->prefix, n) == 0 &&
			(len == n || value[n] == '/');
	}
	if (memchr(value, '\0', len))
		return 0;
	for (size_t i = 0; i < g->n_rows; i++) {
		int r = match_row(g, &g->rows[i], value, len, &steps);

		if (r != 0)
			return r;
	}
	return 0;
}
