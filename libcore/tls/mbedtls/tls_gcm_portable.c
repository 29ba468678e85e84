/* Builds mbedTLS's own gcm.c under other names: the fallback behind the hook (gcm_alt.h).  The
 * file is compiled with TLS_GCM_PORTABLE, which leaves MBEDTLS_GCM_ALT unset. */
#define mbedtls_gcm_context tls_portable_gcm_context
#define mbedtls_gcm_init tls_portable_gcm_init
#define mbedtls_gcm_setkey tls_portable_gcm_setkey
#define mbedtls_gcm_crypt_and_tag tls_portable_gcm_crypt_and_tag
#define mbedtls_gcm_auth_decrypt tls_portable_gcm_auth_decrypt
#define mbedtls_gcm_starts tls_portable_gcm_starts
#define mbedtls_gcm_update_ad tls_portable_gcm_update_ad
#define mbedtls_gcm_update tls_portable_gcm_update
#define mbedtls_gcm_finish tls_portable_gcm_finish
#define mbedtls_gcm_free tls_portable_gcm_free
/* NOLINTNEXTLINE(bugprone-suspicious-include): the whole point of this file */
#include <gcm.c>
#include "tls_gcm_portable.h"

void *tls_gcm_portable_new(int cipher, const unsigned char *key, unsigned bits, int *ret_error)
{
	mbedtls_gcm_context *c = mbedtls_calloc(1, sizeof *c);

	if (!c) {
		*ret_error = MBEDTLS_ERR_CIPHER_ALLOC_FAILED;
		return NULL;
	}
	mbedtls_gcm_init(c);
	*ret_error = mbedtls_gcm_setkey(c, (mbedtls_cipher_id_t) cipher, key, bits);
	if (*ret_error == 0)
		return c;
	tls_gcm_portable_free(c);
	return NULL;
}

void tls_gcm_portable_free(void *c)
{
	if (!c)
		return;
	mbedtls_gcm_free(c); /* wipes */
	mbedtls_free(c);
}

int tls_gcm_portable_crypt(void *c, int mode, const struct tls_gcm_message *m)
{
	return mbedtls_gcm_crypt_and_tag(c, mode, m->len, m->nonce, m->nonce_len, m->ad, m->ad_len,
		m->in, m->out, m->tag_len, m->tag);
}

int tls_gcm_portable_starts(void *c, int mode, const unsigned char *iv, size_t iv_len)
{
	return mbedtls_gcm_starts(c, mode, iv, iv_len);
}

int tls_gcm_portable_update_ad(void *c, const unsigned char *ad, size_t len)
{
	return mbedtls_gcm_update_ad(c, ad, len);
}

int tls_gcm_portable_update(void *c, const unsigned char *in, size_t len, unsigned char *out,
	size_t out_size, size_t *ret_len)
{
	return mbedtls_gcm_update(c, in, len, out, out_size, ret_len);
}

int tls_gcm_portable_finish(void *c, unsigned char *out, size_t out_size, size_t *ret_len,
	unsigned char *tag, size_t tag_len)
{
	return mbedtls_gcm_finish(c, out, out_size, ret_len, tag, tag_len);
}
