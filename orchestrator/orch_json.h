/* orch_json.h - one JSON text (RFC 8259) in memory that the caller owns, read without allocation.
 *
 * Strict: UTF-8, no control characters in strings, no duplicate keys, no trailing bytes.  Strings are
 * unescaped in place, so the text is spent by reading it.
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "core_err.h"

#define ORCH_JSON_NODES_MAX 8192 /* values and keys of one text */
#define ORCH_JSON_DEPTH_MAX 16

enum orch_json_kind {
	ORCH_JSON_NULL,
	ORCH_JSON_FALSE,
	ORCH_JSON_TRUE,
	ORCH_JSON_NUMBER,
	ORCH_JSON_STRING,
	ORCH_JSON_LIST,
	ORCH_JSON_MAP,
};

struct orch_json_node {
	enum orch_json_kind kind;
	uint32_t first,
		next;	/* places in nodes, 0 = none; children of a map: key, value, key ... */
	const char *at; /* string: unescaped; number: as written */
	size_t len;
};

struct orch_json { /* large: not for the stack */
	struct orch_json_node nodes[ORCH_JSON_NODES_MAX];
	size_t n;
	char *text, *p, *end; /* while reading */
	unsigned depth;
};

/* nodes[0] is the value.  -EINVAL with "...at byte N". */
int orch_json_read(struct orch_json *j, char *text, size_t len, struct err *e);
/* NULL when o is no map or does not have the key. */
const struct orch_json_node *orch_json_get(
	const struct orch_json *j, const struct orch_json_node *o, const char *key);
const struct orch_json_node *orch_json_first(
	const struct orch_json *j, const struct orch_json_node *o);
const struct orch_json_node *orch_json_next(
	const struct orch_json *j, const struct orch_json_node *o);
