/* core_tls_authority.h - the sandbox's own certificate authority.
 *
 * The orchestrator makes one per sandbox and lends it, certificate and key, to
 * each network leaf, so that a replaced leaf keeps it.  The key never touches a
 * file system; both ends hold it in a struct secret or inside this object,
 * which is wiped when freed.
 */
#pragma once
#include <stddef.h>
#include <stdint.h>
#include "core_cleanup.h"
#include "core_err.h"
#include "core_secret.h"

#define TLS_AUTHORITY_PEM_MAX 2048 /* bytes of the certificate as PEM, NUL included */
#define TLS_AUTHORITY_KEY_MAX 256  /* bytes of the key (SEC 1 DER) */
#define TLS_AUTHORITY_DAYS 3650

struct tls_authority;

/* A new ECDSA P-256 key and a self-signed certificate for it. */
int tls_authority_new(struct tls_authority **ret, struct err *e);
/* From what tls_authority_pem() and tls_authority_key() gave; refuses a key that is not the
 * certificate's. */
int tls_authority_load(const char *pem, size_t pem_len, const void *key, size_t key_len,
	struct tls_authority **ret, struct err *e);
const char *tls_authority_pem(const struct tls_authority *a); /* NUL-terminated */
int tls_authority_key(const struct tls_authority *a, struct secret **ret, struct err *e);
void tls_authority_free(struct tls_authority *a);
DEFINE_AUTO(struct tls_authority, tls_authority_free)
