/* net_http_head.h - strict parser of HTTP/1 heads (RFC 9112, spec/network 1.3).
 *
 * Pure: bytes in, slices of those bytes out.  What a lenient peer might read
 * differently is refused: bare CR or LF, NUL, folded lines, blanks around names,
 * several blanks in the request line, non-token methods and names, UTF-8 errors.
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <string.h>
#include "core_err.h"
#include "core_text.h"
#include "net_limits.h"

struct net_slice {
	const char *at;
	size_t len;
};

#define NET_SLICE(literal) \
	{ \
		literal, sizeof(literal) - 1 \
	}

struct net_field {
	struct net_slice name, value; /* value without surrounding blanks */
};

struct net_head {
	struct net_slice method, target; /* requests */
	unsigned status;		 /* responses */
	struct net_slice reason;
	int minor; /* HTTP/1.minor: 0 or 1 */
	struct net_field fields[NET_FIELDS_MAX];
	size_t n_fields;
	size_t connection; /* index of the first Connection field; n_fields: there is none */
	size_t len;	   /* bytes, the final empty line included */
};

/* Length of the head that begins buf, up to and with its empty line; 0 while incomplete. */
size_t net_head_end(const char *buf, size_t len);
/* buf holds one whole head. -EBADMSG with a sentence. */
int net_head_request(const char *buf, size_t len, struct net_head *ret, struct err *e);
int net_head_response(const char *buf, size_t len, struct net_head *ret, struct err *e);
/* Field lines alone, the final empty line included: the trailers of a body. */
int net_head_trailers(const char *buf, size_t len, struct net_head *ret, struct err *e);

/* Inline: the compiler knows the length of most texts, and most differ in it. */
static inline bool net_slice_is(struct net_slice s, const char *text) /* exact */
{
	return s.len == strlen(text) && memcmp(s.at, text, s.len) == 0;
}

static inline bool net_slice_ieq(struct net_slice s, const char *text) /* ASCII case ignored */
{
	size_t len = strlen(text);

	return s.len == len && text_ieq(s.at, len, text, len);
}

/* Is it one of these?  ASCII case ignored. */
static inline bool net_slice_is_one(struct net_slice s, const struct net_slice *of, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (s.len == of[i].len && text_ieq(s.at, s.len, of[i].at, s.len))
			return true;
	return false;
}

/* The only field of that name; NULL when there is none, and *ret_n how many there are. */
const struct net_field *net_head_field(const struct net_head *h, const char *name, size_t *ret_n);
/* Is token one of the comma-separated tokens of all fields of that name? */
bool net_head_has_token(const struct net_head *h, const char *name, const char *token);
/* Does a Connection field nominate this field name? */
bool net_head_nominates(const struct net_head *h, struct net_slice name);
