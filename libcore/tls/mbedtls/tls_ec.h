/* tls_ec.h - elliptic curves by nettle in the place of mbedTLS's own (docs/dependencies.md, nettle):
 * P-256, P-384 and P-521 (FIPS 186-4, SEC 1) and X25519 (RFC 7748), which are all that
 * tls_mbedtls_config.h has.
 *
 * tls_ec.c speaks mbedTLS's types, tls_ec_nettle.c bytes.  There, numbers of a NIST curve are
 * big-endian and as long as its field (32, 48 or 66 bytes), a point is x followed by y; X25519 has 32
 * bytes, little-endian.
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <mbedtls/ecp.h>

#define TLS_EC_FIELD_LEN 66 /* bytes: P-521 */
#define TLS_EC_X25519_LEN 32

/* Stands for mbedtls_ecp_mul_restartable(), which mbedTLS's files for ECDH and ECDSA call.  Takes time
 * that does not depend on scalar.  0, or MBEDTLS_ERR_ECP_*: scalar is not in 1..n-1, point is not on
 * the curve or is of a small order.  rng and restart are not needed. */
int tls_ec_mul(mbedtls_ecp_group *grp, mbedtls_ecp_point *ret, const mbedtls_mpi *scalar,
	const mbedtls_ecp_point *point, int (*rng)(void *, unsigned char *, size_t),
	void *rng_context, mbedtls_ecp_restart_ctx *restart);

/* ret_point = scalar * point, or * the generator where point is NULL.  False as above. */
bool tls_ec_nist_mul(
	unsigned bits, const uint8_t *scalar, const uint8_t *point, uint8_t *ret_point);

/* Whether (r, s) is a signature of the hash by the key (FIPS 186-4 6.4); false for any number out of
 * its range and for a key that is not on the curve. */
bool tls_ec_nist_verify(unsigned bits, const uint8_t *key, const uint8_t *hash, size_t hash_len,
	const uint8_t *r, const uint8_t *s);

/* point NULL: the base point.  False: the product is zero, as it is for every point of a small order
 * (RFC 7748 6.1). */
bool tls_ec_x25519(const uint8_t scalar[TLS_EC_X25519_LEN], const uint8_t *point,
	uint8_t ret[TLS_EC_X25519_LEN]);
