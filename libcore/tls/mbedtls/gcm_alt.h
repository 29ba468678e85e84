/* gcm_alt.h - the context of mbedTLS's hook for AES-GCM (MBEDTLS_GCM_ALT; the name is mbedTLS's).
 *
 * fast is what a library with whole-message functions prepared for the key (tls_gcm.h);
 * portable is mbedTLS's own context, made when it is needed: for other CPUs, and for messages in
 * several pieces or with other nonces, which TLS never has.
 */
#pragma once
#include <stddef.h>

struct tls_gcm_ops;

typedef struct mbedtls_gcm_context {
	const struct tls_gcm_ops *ops; /* that made fast */
	void *fast;		       /* NULL: portable serves everything */
	void *portable;		       /* NULL: not made yet */
	unsigned int key_bits;
	unsigned char key[32]; /* for making portable later */
} mbedtls_gcm_context;
