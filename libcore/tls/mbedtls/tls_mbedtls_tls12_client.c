/* Builds mbedTLS's ssl_tls12_client.c with RSA-PSS allowed in a TLS 1.2 ServerKeyExchange.
 *
 * A hello that offers 1.2 and 1.3 must offer RSA-PSS (1.3 has no other RSA), and RFC 8446 4.2.3 lets
 * a 1.2 server use what was offered.  mbedTLS 3.6 verifies such a signature, but refuses it before
 * it comes to that.  What the file checks next, that it was offered, still holds.
 */
#include <ssl_misc.h>

static int is_pss(uint16_t alg)
{
	return alg == MBEDTLS_TLS1_3_SIG_RSA_PSS_RSAE_SHA256 ||
		alg == MBEDTLS_TLS1_3_SIG_RSA_PSS_RSAE_SHA384 ||
		alg == MBEDTLS_TLS1_3_SIG_RSA_PSS_RSAE_SHA512;
}

#define mbedtls_ssl_sig_alg_is_supported(ssl, alg) \
	(is_pss(alg) || (mbedtls_ssl_sig_alg_is_supported) (ssl, alg))
/* NOLINTNEXTLINE(bugprone-suspicious-include): the whole point of this file */
#include <ssl_tls12_client.c>
