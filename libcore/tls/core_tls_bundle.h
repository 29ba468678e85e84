/* core_tls_bundle.h - certificates gathered from PEM texts, written for the programs of a sandbox:
 * as one PEM bundle, and as a Java key store (JKS); and for our own client side, in DER.
 *
 * Blocks that are no certificate are skipped and counted.  Whatever stands between blocks is left
 * out.
 */
#pragma once
#include <stddef.h>
#include "core_cleanup.h"
#include "core_err.h"

#define TLS_BUNDLE_BYTES_MAX (4 * 1024 * 1024) /* of either form */
#define TLS_BUNDLE_PASSWORD "changeit" /* Java's own; it protects nothing, as all is public */

struct tls_bundle;

int tls_bundle_new(struct tls_bundle **ret, struct err *e);
void tls_bundle_free(struct tls_bundle *b);
/* The counts may be NULL.  tls_setup() must have been called. */
int tls_bundle_add(struct tls_bundle *b, const char *pem, size_t len, size_t *ret_added,
	size_t *ret_skipped, struct err *e);
/* Borrowed until the next add. */
const char *tls_bundle_pem(const struct tls_bundle *b, size_t *ret_len);
/* The certificates in DER, one behind the other, as tls_client_new() wants them.  Borrowed likewise. */
const unsigned char *tls_bundle_der(const struct tls_bundle *b, size_t *ret_len);
/* malloc'd */
int tls_bundle_java(
	const struct tls_bundle *b, unsigned char **ret, size_t *ret_len, struct err *e);
DEFINE_AUTO(struct tls_bundle, tls_bundle_free)
