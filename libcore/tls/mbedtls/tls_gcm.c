/* The functions that MBEDTLS_GCM_ALT asks for: whole messages go to what tls_gcm_use() named, the
 * rest to mbedTLS's own code. */
#include "tls_gcm.h"
#include <stdint.h>
#include <string.h>
#include <mbedtls/build_info.h>
#include <mbedtls/cipher.h>
#include <mbedtls/constant_time.h>
#include <mbedtls/gcm.h>
#include <mbedtls/platform_util.h>
#include "tls_gcm_portable.h"

#define NONCE_LEN 12 /* bytes; the only length that TLS has */
#define TAG_MIN 4    /* bytes */
#define TAG_MAX 16
#define MESSAGE_MAX 0xfffffffe0ull /* bytes under one nonce (SP 800-38D 5.2.1.1) */

static const struct tls_gcm_ops *used;

void tls_gcm_use(const struct tls_gcm_ops *ops)
{
	used = ops;
}

const struct tls_gcm_ops *tls_gcm_used(void)
{
	return used;
}

void mbedtls_gcm_init(mbedtls_gcm_context *c)
{
	(void) memset(c, 0, sizeof *c);
}

void mbedtls_gcm_free(mbedtls_gcm_context *c)
{
	if (!c)
		return;
	if (c->fast)
		c->ops->key_free(c->fast);
	tls_gcm_portable_free(c->portable);
	mbedtls_platform_zeroize(c, sizeof *c);
}

static int need_portable(mbedtls_gcm_context *c, mbedtls_cipher_id_t cipher)
{
	int r = 0;

	if (!c->portable)
		c->portable = tls_gcm_portable_new((int) cipher, c->key, c->key_bits, &r);
	return r;
}

int mbedtls_gcm_setkey(mbedtls_gcm_context *c, mbedtls_cipher_id_t cipher, const unsigned char *key,
	unsigned int bits)
{
	mbedtls_gcm_free(c);
	if (bits != 128 && bits != 192 && bits != 256)
		return MBEDTLS_ERR_GCM_BAD_INPUT;
	c->key_bits = bits;
	(void) memcpy(c->key, key, bits / 8);
	if (!used || cipher != MBEDTLS_CIPHER_ID_AES)
		return need_portable(c, cipher);
	c->ops = used;
	c->fast = used->key_new(key, bits);
	return c->fast ? 0 : need_portable(c, cipher);
}

static int crypt_fast(mbedtls_gcm_context *c, int mode, const struct tls_gcm_message *m)
{
	if (m->tag_len < TAG_MIN || m->tag_len > TAG_MAX || (uint64_t) m->len > MESSAGE_MAX)
		return MBEDTLS_ERR_GCM_BAD_INPUT;
	if (mode == MBEDTLS_GCM_ENCRYPT)
		c->ops->encrypt(c->fast, c->key_bits, m);
	else
		c->ops->decrypt(c->fast, c->key_bits, m);
	return 0;
}

static int crypt(mbedtls_gcm_context *c, int mode, const struct tls_gcm_message *m)
{
	int r;

	if (c->fast && m->nonce_len == NONCE_LEN)
		return crypt_fast(c, mode, m);
	r = need_portable(c, MBEDTLS_CIPHER_ID_AES);
	return r ? r : tls_gcm_portable_crypt(c->portable, mode, m);
}

/* NOLINTNEXTLINE(readability-function-size): mbedTLS gives the parameters */
int mbedtls_gcm_crypt_and_tag(mbedtls_gcm_context *c, int mode, size_t len, const unsigned char *iv,
	size_t iv_len, const unsigned char *ad, size_t ad_len, const unsigned char *in,
	unsigned char *out, size_t tag_len, unsigned char *tag)
{
	struct tls_gcm_message m = { iv, iv_len, ad, ad_len, in, out, len, tag, tag_len };

	return crypt(c, mode, &m);
}

/* NOLINTNEXTLINE(readability-function-size): mbedTLS gives the parameters */
int mbedtls_gcm_auth_decrypt(mbedtls_gcm_context *c, size_t len, const unsigned char *iv,
	size_t iv_len, const unsigned char *ad, size_t ad_len, const unsigned char *tag,
	size_t tag_len, const unsigned char *in, unsigned char *out)
{
	unsigned char have[TAG_MAX];
	struct tls_gcm_message m = { iv, iv_len, ad, ad_len, in, out, len, have, tag_len };
	int r = tag_len > sizeof have ? MBEDTLS_ERR_GCM_BAD_INPUT
				      : crypt(c, MBEDTLS_GCM_DECRYPT, &m);

	if (r != 0)
		return r;
	if (mbedtls_ct_memcmp(tag, have, tag_len) == 0)
		return 0;
	mbedtls_platform_zeroize(out, len);
	return MBEDTLS_ERR_GCM_AUTH_FAILED;
}

/* ---- messages in pieces: nobody here has them, but the hook's contract does ---- */

int mbedtls_gcm_starts(mbedtls_gcm_context *c, int mode, const unsigned char *iv, size_t iv_len)
{
	int r = need_portable(c, MBEDTLS_CIPHER_ID_AES);

	return r ? r : tls_gcm_portable_starts(c->portable, mode, iv, iv_len);
}

int mbedtls_gcm_update_ad(mbedtls_gcm_context *c, const unsigned char *ad, size_t len)
{
	return c->portable ? tls_gcm_portable_update_ad(c->portable, ad, len)
			   : MBEDTLS_ERR_GCM_BAD_INPUT;
}

int mbedtls_gcm_update(mbedtls_gcm_context *c, const unsigned char *in, size_t len,
	unsigned char *out, size_t out_size, size_t *ret_len)
{
	return c->portable ? tls_gcm_portable_update(c->portable, in, len, out, out_size, ret_len)
			   : MBEDTLS_ERR_GCM_BAD_INPUT;
}

int mbedtls_gcm_finish(mbedtls_gcm_context *c, unsigned char *out, size_t out_size, size_t *ret_len,
	unsigned char *tag, size_t tag_len)
{
	return c->portable
		? tls_gcm_portable_finish(c->portable, out, out_size, ret_len, tag, tag_len)
		: MBEDTLS_ERR_GCM_BAD_INPUT;
}
