/* sha256_alt.h - the SHA-256 context that MBEDTLS_SHA256_ALT asks for (tls_sha2.c). */
#pragma once
#include <nettle/sha2.h>

typedef struct mbedtls_sha256_context {
	struct sha256_ctx state; /* SHA-224 has the same */
	int is224;
} mbedtls_sha256_context;
