/* core_policy_path.h - request targets as policy reads them: canonical path and decoded query.
 *
 * Pure: bytes in, struct out, no allocation.  What comes out is what rules are matched against AND
 * what must be sent upstream, so that both see the same path (spec/network 3.10).
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include "core_err.h"

#define POLICY_TARGET_PATH_MAX 4096  /* bytes of a path, as written and in canonical form */
#define POLICY_QUERY_BYTES_MAX 16384 /* bytes of a query string */
#define POLICY_QUERY_PARAMS_MAX 512  /* key and value pairs of one query */

/* Borrowed, not NUL-terminated.  at NULL: absent (an empty string has at != NULL). */
struct policy_bytes {
	const char *at;
	size_t len;
};

enum policy_path_fault {
	POLICY_PATH_FINE,
	POLICY_PATH_BYTE,	   /* a control byte, DEL, a byte above 0x7f or '#', also decoded */
	POLICY_PATH_ESCAPE,	   /* '%' without two hex digits */
	POLICY_PATH_ENCODED_SLASH, /* "%2F" where allow_encoded_slash is off */
	POLICY_PATH_ABOVE_ROOT,	   /* ".." climbs above "/" */
	POLICY_PATH_DOTS,	   /* a dot segment hidden behind "%2F" */
	POLICY_PATH_FORM,	   /* neither origin form nor absolute form ("*", "a/b") */
	POLICY_PATH_LONG,
};

struct policy_path {
	char at[POLICY_TARGET_PATH_MAX + 1]; /* canonical, begins with '/', NUL-terminated */
	size_t len;
	bool changed;		   /* differs from the path as written: rewrite the request line */
	bool encoded_slash;	   /* the canonical form holds "%2F" */
	struct policy_bytes query; /* behind the first '?', verbatim, in the target's memory */
};

/* Absolute form ("http://h/p") loses scheme and authority; "" is "/".  Fills *ret only on
 * POLICY_PATH_FINE. */
enum policy_path_fault policy_path_canonical(
	const char *target, size_t len, bool allow_encoded_slash, struct policy_path *ret);
/* One sentence without the target: "the path holds an encoded slash; allow_encoded_slash ..." */
const char *policy_path_fault_text(enum policy_path_fault f);

struct policy_param { /* one key=value of a query, decoded; repeated keys are repeated entries */
	struct policy_bytes key, value;
};

struct policy_query {
	struct policy_param at[POLICY_QUERY_PARAMS_MAX];
	size_t n;
	char text[POLICY_QUERY_BYTES_MAX]; /* what the entries point into */
};

/* '+' is a space, "%HH" a byte, "k" is "k=", an empty query has no entries.  -EINVAL for a bad
 * escape, a NUL or text that is not UTF-8 after decoding; -E2BIG at the limits. */
int policy_query_decode(struct policy_bytes query, struct policy_query *ret, struct err *e);
