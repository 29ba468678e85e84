/* What mbedTLS asks of a curve, in the bytes that tls_ec_nettle.c takes. */
#define MBEDTLS_ALLOW_PRIVATE_ACCESS /* a point's coordinates */
#include "tls_ec.h"
#include <mbedtls/ecdsa.h>
#include <mbedtls/platform_util.h>

/* Bytes of a number; 0: not a NIST curve. */
static size_t field_len(const mbedtls_ecp_group *grp)
{
	bool nist = grp->id == MBEDTLS_ECP_DP_SECP256R1 || grp->id == MBEDTLS_ECP_DP_SECP384R1 ||
		grp->id == MBEDTLS_ECP_DP_SECP521R1;

	return nist ? (grp->pbits + 7) / 8 : 0;
}

/* False: negative, or it does not fit. */
static bool put(const mbedtls_mpi *from, uint8_t *at, size_t len)
{
	return mbedtls_mpi_cmp_int(from, 0) >= 0 && mbedtls_mpi_write_binary(from, at, len) == 0;
}

static bool put_point(const mbedtls_ecp_point *from, uint8_t *at, size_t len)
{
	/* Z is 1 for every point that was read or computed, 0 for infinity. */
	return mbedtls_mpi_cmp_int(&from->Z, 1) == 0 && put(&from->X, at, len) &&
		put(&from->Y, at + len, len);
}

static int get_point(mbedtls_ecp_point *ret, const uint8_t *at, size_t len)
{
	int r = mbedtls_mpi_read_binary(&ret->X, at, len);

	if (r == 0)
		r = mbedtls_mpi_read_binary(&ret->Y, at + len, len);
	return r ? r : mbedtls_mpi_lset(&ret->Z, 1);
}

static int nist_mul(const mbedtls_ecp_group *grp, mbedtls_ecp_point *ret, const mbedtls_mpi *scalar,
	const mbedtls_ecp_point *point)
{
	uint8_t m[TLS_EC_FIELD_LEN], p[2 * TLS_EC_FIELD_LEN], product[2 * TLS_EC_FIELD_LEN];
	size_t len = field_len(grp);
	int r = MBEDTLS_ERR_ECP_INVALID_KEY;

	if (put(scalar, m, len) && put_point(point, p, len) &&
		tls_ec_nist_mul((unsigned) grp->pbits, m, point == &grp->G ? NULL : p, product))
		r = get_point(ret, product, len);
	mbedtls_platform_zeroize(m, sizeof m);
	mbedtls_platform_zeroize(product, sizeof product); /* a shared secret's x */
	return r;
}

static int x25519_mul(const mbedtls_ecp_group *grp, mbedtls_ecp_point *ret,
	const mbedtls_mpi *scalar, const mbedtls_ecp_point *point)
{
	uint8_t m[TLS_EC_X25519_LEN], p[TLS_EC_X25519_LEN], product[TLS_EC_X25519_LEN];
	int r = MBEDTLS_ERR_ECP_INVALID_KEY;

	if (mbedtls_mpi_write_binary_le(scalar, m, sizeof m) == 0 &&
		mbedtls_mpi_write_binary_le(&point->X, p, sizeof p) == 0 &&
		tls_ec_x25519(m, point == &grp->G ? NULL : p, product))
		r = mbedtls_mpi_read_binary_le(&ret->X, product, sizeof product);
	mbedtls_platform_zeroize(m, sizeof m);
	mbedtls_platform_zeroize(product, sizeof product);
	mbedtls_mpi_free(&ret->Y); /* a Montgomery point has none */
	return r ? r : mbedtls_mpi_lset(&ret->Z, 1);
}

int tls_ec_mul(mbedtls_ecp_group *grp, mbedtls_ecp_point *ret, const mbedtls_mpi *scalar,
	const mbedtls_ecp_point *point, int (*rng)(void *, unsigned char *, size_t),
	void *rng_context, mbedtls_ecp_restart_ctx *restart)
{
	(void) rng; /* for blinding, which constant time makes needless */
	(void) rng_context;
	(void) restart;
	if (grp->id == MBEDTLS_ECP_DP_CURVE25519)
		return x25519_mul(grp, ret, scalar, point);
	return field_len(grp) ? nist_mul(grp, ret, scalar, point)
			      : MBEDTLS_ERR_ECP_FEATURE_UNAVAILABLE;
}

int mbedtls_ecdsa_verify(mbedtls_ecp_group *grp, const unsigned char *hash, size_t hash_len,
	const mbedtls_ecp_point *key, const mbedtls_mpi *r, const mbedtls_mpi *s)
{
	uint8_t q[2 * TLS_EC_FIELD_LEN], bytes_r[TLS_EC_FIELD_LEN], bytes_s[TLS_EC_FIELD_LEN];
	size_t len = field_len(grp);

	if (len == 0)
		return MBEDTLS_ERR_ECP_FEATURE_UNAVAILABLE;
	if (put_point(key, q, len) && put(r, bytes_r, len) && put(s, bytes_s, len) &&
		tls_ec_nist_verify((unsigned) grp->pbits, q, hash, hash_len, bytes_r, bytes_s))
		return 0;
	return MBEDTLS_ERR_ECP_VERIFY_FAILED;
}
