/* credential_inner.h - what the files of libcore/credential share; nobody else includes it. */
#pragma once
#include "core_credential_rewrite.h"

struct credential_value {
	const char *at;
	size_t len;
};

/* One unit of percent-decoding at text[at]: a valid %HH counts as one byte, everything else, a
 * lone "%" too, as itself. Returns how many bytes it takes. */
size_t credential_unit(const char *text, size_t len, size_t at, char *ret);
/* The longest beginning of marker that ends k matched bytes followed by c. */
unsigned credential_step(const char *marker, unsigned k, char c);

/* A text decoded once, with the place in the original of each byte; at[len] is the original's
 * length. */
struct credential_view {
	char *text;
	uint32_t *at;
	size_t len;
};
/* -ENOMEM, or -E2BIG beyond 4 GiB. */
int credential_view_new(const char *text, size_t len, bool decode, struct credential_view *ret);
void credential_view_done(struct credential_view *v);
