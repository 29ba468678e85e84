/* Builds mbedTLS's psa_crypto_ecp.c so that X25519 public keys are computed by Everest, too.
 *
 * The option for Everest covers the shared secret only; TLS 1.3 makes its key share here, by the
 * general ladder, which is ten times as slow and a third of a server's whole handshake.
 */
#include <common.h>
#include <mbedtls/ecp.h>
#include <mbedtls/platform_util.h>
#include <everest/Hacl_Curve25519.h>

#define X25519_LEN 32 /* bytes */

static int multiply(mbedtls_ecp_group *grp, mbedtls_ecp_point *ret, const mbedtls_mpi *m,
	const mbedtls_ecp_point *p, int (*rng)(void *, unsigned char *, size_t), void *rng_context)
{
	uint8_t secret[X25519_LEN], public[X25519_LEN], base[X25519_LEN] = { 9 };
	int r;

	if (grp->id != MBEDTLS_ECP_DP_CURVE25519 || p != &grp->G)
		return mbedtls_ecp_mul(grp, ret, m, p, rng, rng_context);
	r = mbedtls_mpi_write_binary_le(m, secret, sizeof secret);
	if (r == 0) {
		Hacl_Curve25519_crypto_scalarmult(public, secret, base);
		r = mbedtls_mpi_read_binary_le(&ret->X, public, sizeof public);
	}
	mbedtls_platform_zeroize(secret, sizeof secret);
	if (r == 0)
		r = mbedtls_mpi_lset(&ret->Z, 1); /* affine; a Montgomery point has no Y */
	mbedtls_mpi_free(&ret->Y);
	return r;
}

#define mbedtls_ecp_mul multiply
/* NOLINTNEXTLINE(bugprone-suspicious-include): the whole point of this file */
#include <psa_crypto_ecp.c>
