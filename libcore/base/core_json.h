/* core_json.h - write one JSON value (RFC 8259), member by member; the one writer of JSON that there is.
 *
 * The style is one for all: no blank, members in the order in which they are added, commas by
 * themselves.  Strings may hold any bytes: they are escaped, invalid UTF-8 becomes U+FFFD, and what is
 * cut is marked "...".  Names are constants of ours and are written as they are; NULL inside a list
 * and for the value itself.
 *
 * It writes into a text that the caller owns, whose `cut` says that it did not fit; or, when
 * zero-initialised, into memory of its own, which grows to JSON_BYTES_MAX at the most and is released
 * with json_done().  Brackets are the caller's to close.
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "core_text.h"

#define JSON_BYTES_MAX (64 * 1024 * 1024) /* of a text of its own */

struct json {
	struct text *to; /* NULL: own */
	struct text own;
	bool comma; /* before the next member */
};

void json_init(struct json *j, struct text *to);
void json_open(struct json *j, const char *name, char bracket); /* '{' or '[' */
void json_close(struct json *j, char bracket);			/* '}' or ']' */
void json_add_text(struct json *j, const char *name, const char *value);
/* At most max bytes of it, see text_add_json(). */
void json_add_bytes(struct json *j, const char *name, const char *value, size_t len, size_t max);
void json_add_number(struct json *j, const char *name, uint64_t value);
void json_add_flag(struct json *j, const char *name, bool value);
void json_add_null(struct json *j, const char *name);
/* A value that is JSON already. */
void json_add_raw(struct json *j, const char *name, const char *json, size_t len);
/* What was written; NULL when it did not fit or there was no memory.  Borrowed. */
const char *json_result(const struct json *j, size_t *ret_len);
void json_done(struct json *j);
