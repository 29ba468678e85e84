/* Random numbers for mbedTLS (MBEDTLS_PSA_CRYPTO_EXTERNAL_RNG): the kernel's, each time. */
#include <errno.h>
#include <sys/random.h>
#include <psa/crypto.h>

psa_status_t mbedtls_psa_external_get_random(mbedtls_psa_external_random_context_t *context,
	uint8_t *output, size_t size, size_t *ret_len)
{
	size_t got = 0;

	(void) context;
	while (got < size) {
		ssize_t n = getrandom(output + got, size - got, 0);

		if (n < 0 && errno != EINTR)
			return PSA_ERROR_INSUFFICIENT_ENTROPY;
		if (n > 0)
			got += (size_t) n;
	}
	*ret_len = got;
	return PSA_SUCCESS;
}
