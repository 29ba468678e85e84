/* tls_gcm_portable.h - mbedTLS's own AES-GCM behind an opaque pointer.
 *
 * Its context has the same name as the hook's, so that no file can see both.
 * Results are mbedTLS's.
 */
#pragma once
#include <stddef.h>
#include "tls_gcm.h"

void *tls_gcm_portable_new(int cipher, const unsigned char *key, unsigned bits, int *ret_error);
void tls_gcm_portable_free(void *c);
int tls_gcm_portable_crypt(void *c, int mode, const struct tls_gcm_message *m);
int tls_gcm_portable_starts(void *c, int mode, const unsigned char *iv, size_t iv_len);
int tls_gcm_portable_update_ad(void *c, const unsigned char *ad, size_t len);
int tls_gcm_portable_update(void *c, const unsigned char *in, size_t len, unsigned char *out,
	size_t out_size, size_t *ret_len);
int tls_gcm_portable_finish(void *c, unsigned char *out, size_t out_size, size_t *ret_len,
	unsigned char *tag, size_t tag_len);
