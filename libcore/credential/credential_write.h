/* credential_write.h - values in the encoding of the place they go to; files of this folder only. */
#pragma once
#include "core_credential_rewrite.h"

enum credential_code {
	CREDENTIAL_AS_IS,  /* text bodies, decoded Basic */
	CREDENTIAL_FIELD,  /* header value */
	CREDENTIAL_COOKIE, /* cookie value */
	CREDENTIAL_PATH,
	CREDENTIAL_QUERY,
	CREDENTIAL_JSON,
};

/* false, and a sentence, when the value may not stand there. */
bool credential_fits(
	enum credential_code code, const struct credential_value *v, const char **ret_why);
void credential_write(enum credential_code code, const char *bytes, size_t len, struct text *out);

/* Base64 (RFC 4648 4), written piece by piece, so that no buffer holds the plain text. */
struct credential_base64 {
	struct text *out;
	uint32_t bits;
	unsigned n; /* bytes in bits */
};
void credential_base64_add(struct credential_base64 *b, const char *bytes, size_t len);
void credential_base64_end(struct credential_base64 *b);
/* malloc'd; -EINVAL when s is not base64 with proper padding. */
int credential_base64_decode(const char *s, size_t len, char **ret, size_t *ret_len);
