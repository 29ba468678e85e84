/* sha512_alt.h - the SHA-512 context that MBEDTLS_SHA512_ALT asks for (tls_sha2.c). */
#pragma once
#include <nettle/sha2.h>

typedef struct mbedtls_sha512_context {
	struct sha512_ctx state; /* SHA-384 has the same */
	int is384;
} mbedtls_sha512_context;
