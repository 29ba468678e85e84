/* core_text.h - text in buffers of fixed size, numbers, and UTF-8 (RFC 3629).
 *
 * Nothing here allocates, fails or looks at the locale; what does not fit is cut, and says so.  Lengths
 * are bytes.
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

/* A growing string inside a fixed buffer, which is the caller's: appending past the end cuts at a
 * UTF-8 character boundary and sets cut; whatever is appended behind a cut is dropped.  Always
 * NUL-terminated. */
struct text {
	char *at;
	size_t size, len; /* bytes; size includes the NUL */
	bool cut;
};

/* Empty, in buf of size > 0 bytes. */
void text_init(struct text *t, char *buf, size_t size);
/* Any bytes, as they are. */
void text_add_n(struct text *t, const char *s, size_t len);
/* Inline: the compiler knows the length of a literal. */
static inline void text_add(struct text *t, const char *s)
{
	text_add_n(t, s, strlen(s));
}
void text_add_u64(struct text *t, uint64_t v); /* decimal */
void text_addf(struct text *t, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* Peer-controlled bytes, at most max of them: control characters, DEL, C1, '"' and '\' are
 * written as \n \t \" \\ or \xHH, invalid UTF-8 as \xHH; a cut is marked "...". */
void text_add_quoted(struct text *t, const char *s, size_t len, size_t max);
/* The same, with JSON's escapes (RFC 8259; invalid UTF-8 becomes U+FFFD), without the quotes. */
void text_add_json(struct text *t, const char *s, size_t len, size_t max);

/* What a terminal could take for a command, or show in another order than it is, becomes '?':
 * control characters, DEL, C1, bidirectional marks and overrides.  In place. */
void text_neutralise(char *s);

/* Whole string, ASCII digits only (no sign, no blank), value in [min, max]; else -EINVAL/-ERANGE. */
int text_to_u64(const char *s, size_t len, uint64_t min, uint64_t max, uint64_t *ret);
/* Valid throughout: no surrogate, no overlong form, nothing behind U+10FFFF; NUL is a character. */
bool text_is_utf8(const char *s, size_t len);
/* Largest n <= max such that s[0..n) ends at a UTF-8 character boundary. */
size_t text_utf8_cut(const char *s, size_t len, size_t max);
/* ASCII only, locale-free. */
bool text_ieq(const char *a, size_t a_len, const char *b, size_t b_len);
void text_lower(char *s, size_t len);
