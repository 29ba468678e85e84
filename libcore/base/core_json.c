#include "core_json.h"
#include <stdlib.h>
#include <string.h>

#define ESCAPED_MAX 6 /* bytes that one byte of a string may become */
#define FIRST_BYTES 1024

/* Room for this much, when the text is our own. */
static struct text *target(struct json *j, size_t more)
{
	struct text *t = &j->own;
	size_t size = t->len + more + 1;
	char *at;

	if (j->to)
		return j->to;
	if (size <= t->size || t->cut)
		return t;
	at = NULL;
	if (size <= JSON_BYTES_MAX) {
		size = size < FIRST_BYTES ? FIRST_BYTES : 2 * size;
		size = size < JSON_BYTES_MAX ? size : JSON_BYTES_MAX;
		at = realloc(t->at, size);
	}
	if (at) {
		t->at = at;
		t->size = size;
		t->at[t->len] = '\0';
	} else {
		t->cut = true; /* nothing is added any more */
	}
	return t;
}

static struct text *begin(struct json *j, const char *name, size_t more)
{
	size_t len = name ? strlen(name) : 0;
	struct text *t = target(j, len + more + 8);

	if (j->comma)
		text_add_n(t, ",", 1);
	if (name) {
		text_add_n(t, "\"", 1);
		text_add_n(t, name, len);
		text_add_n(t, "\":", 2);
	}
	j->comma = true;
	return t;
}

void json_init(struct json *j, struct text *to)
{
	*j = (struct json){ .to = to };
}

void json_open(struct json *j, const char *name, char bracket)
{
	text_add_n(begin(j, name, 1), &bracket, 1);
	j->comma = false;
}

void json_close(struct json *j, char bracket)
{
	text_add_n(target(j, 1), &bracket, 1);
	j->comma = true;
}

void json_add_bytes(struct json *j, const char *name, const char *value, size_t len, size_t max)
{
	struct text *t = begin(j, name, ESCAPED_MAX * (len < max ? len : max) + 8);

	text_add_n(t, "\"", 1);
	text_add_json(t, value, len, max);
	text_add_n(t, "\"", 1);
}

void json_add_text(struct json *j, const char *name, const char *value)
{
	size_t len = strlen(value);

	json_add_bytes(j, name, value, len, len);
}

void json_add_number(struct json *j, const char *name, uint64_t value)
{
	text_add_u64(begin(j, name, 20), value);
}

void json_add_flag(struct json *j, const char *name, bool value)
{
	text_add(begin(j, name, 5), value ? "true" : "false");
}

void json_add_null(struct json *j, const char *name)
{
	text_add(begin(j, name, 4), "null");
}

void json_add_raw(struct json *j, const char *name, const char *json, size_t len)
{
	text_add_n(begin(j, name, len), json, len);
}

const char *json_result(const struct json *j, size_t *ret_len)
{
	const struct text *t = j->to ? j->to : &j->own;

	*ret_len = t->len;
	return t->cut ? NULL : t->at;
}

void json_done(struct json *j)
{
	free(j->own.at);
	*j = (struct json){ 0 };
}
