/* Builds mbedTLS's psa_crypto_ecp.c, which makes the key share of TLS 1.3, so that public keys are
 * computed by tls_ec.c. */
#include <common.h>
#include "tls_ec.h"

#define mbedtls_ecp_mul(grp, ret, scalar, point, rng, rng_context) \
	tls_ec_mul(grp, ret, scalar, point, rng, rng_context, NULL)
/* NOLINTNEXTLINE(bugprone-suspicious-include): the whole point of this file */
#include <psa_crypto_ecp.c>
