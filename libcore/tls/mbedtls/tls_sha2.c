/* SHA-2 for mbedTLS by nettle, which has assembler for it and uses the processor's instructions: a
 * handshake's transcript and key schedule are made of little else. */
#include <mbedtls/platform_util.h>
#include <mbedtls/sha256.h>
#include <mbedtls/sha512.h>

/* ---- SHA-256 and SHA-224 ---- */

void mbedtls_sha256_init(mbedtls_sha256_context *c)
{
	sha256_init(&c->state);
	c->is224 = 0;
}

void mbedtls_sha256_free(mbedtls_sha256_context *c)
{
	if (c)
		mbedtls_platform_zeroize(c, sizeof *c);
}

void mbedtls_sha256_clone(mbedtls_sha256_context *to, const mbedtls_sha256_context *from)
{
	*to = *from;
}

int mbedtls_sha256_starts(mbedtls_sha256_context *c, int is224)
{
	if (is224 != 0 && is224 != 1)
		return MBEDTLS_ERR_SHA256_BAD_INPUT_DATA;
	c->is224 = is224;
	if (is224)
		sha224_init(&c->state);
	else
		sha256_init(&c->state);
	return 0;
}

int mbedtls_sha256_update(mbedtls_sha256_context *c, const unsigned char *in, size_t len)
{
	sha256_update(&c->state, len, in);
	return 0;
}

int mbedtls_sha256_finish(mbedtls_sha256_context *c, unsigned char *ret)
{
	if (c->is224)
		sha224_digest(&c->state, SHA224_DIGEST_SIZE, ret);
	else
		sha256_digest(&c->state, SHA256_DIGEST_SIZE, ret);
	return 0;
}

/* ---- SHA-512 and SHA-384 ---- */

void mbedtls_sha512_init(mbedtls_sha512_context *c)
{
	sha512_init(&c->state);
	c->is384 = 0;
}

void mbedtls_sha512_free(mbedtls_sha512_context *c)
{
	if (c)
		mbedtls_platform_zeroize(c, sizeof *c);
}

void mbedtls_sha512_clone(mbedtls_sha512_context *to, const mbedtls_sha512_context *from)
{
	*to = *from;
}

int mbedtls_sha512_starts(mbedtls_sha512_context *c, int is384)
{
	if (is384 != 0 && is384 != 1)
		return MBEDTLS_ERR_SHA512_BAD_INPUT_DATA;
	c->is384 = is384;
	if (is384)
		sha384_init(&c->state);
	else
		sha512_init(&c->state);
	return 0;
}

int mbedtls_sha512_update(mbedtls_sha512_context *c, const unsigned char *in, size_t len)
{
	sha512_update(&c->state, len, in);
	return 0;
}

int mbedtls_sha512_finish(mbedtls_sha512_context *c, unsigned char *ret)
{
	if (c->is384)
		sha384_digest(&c->state, SHA384_DIGEST_SIZE, ret);
	else
		sha512_digest(&c->state, SHA512_DIGEST_SIZE, ret);
	return 0;
}
