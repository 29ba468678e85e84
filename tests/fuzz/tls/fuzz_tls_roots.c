/* PEM texts as bundles and trusted roots: whatever is in them, counts add up and nothing breaks; what
 * our decoder of PEM takes, mbedTLS takes too, with the same bytes. */
#include <stdlib.h>
#include <string.h>
#include <mbedtls/pem.h>
#include "core_tls.h"
#include "core_tls_bundle.h"
#include "core_tls_pem.h"

static void compare(const char *block, size_t len)
{
	unsigned char *out = malloc(tls_pem_room(len)),
		      *text = (unsigned char *) strndup(block, len);
	mbedtls_pem_context pem;
	size_t n, used;

	mbedtls_pem_init(&pem);
	if (tls_pem_decode(block, len, out, &n) &&
		(n > tls_pem_room(len) ||
			mbedtls_pem_read_buffer(&pem, "-----BEGIN CERTIFICATE-----",
				"-----END CERTIFICATE-----", text, NULL, 0, &used) != 0 ||
			n != pem.MBEDTLS_PRIVATE(buflen) ||
			memcmp(out, pem.MBEDTLS_PRIVATE(buf), n) != 0))
		abort();
	mbedtls_pem_free(&pem);
	free(out);
	free(text);
}

static void check(const char *pem, size_t len)
{
	AUTO(tls_bundle_free) struct tls_bundle *b = NULL;
	AUTO(tls_client_free) struct tls_client *c = NULL;
	AUTO_FREE unsigned char *java = NULL;
	size_t added, skipped, n;
	const unsigned char *der;
	struct err e = { 0 };

	if (tls_setup(&e) < 0 || tls_bundle_new(&b, &e) < 0)
		abort();
	if (tls_bundle_add(b, pem, len, &added, &skipped, &e) < 0)
		return;
	if (tls_bundle_java(b, &java, &n, &e) == 0 && n < 32)
		abort();
	der = tls_bundle_der(b, &n);
	if ((tls_client_new(der, n, &c, &e) == 0) != (added > 0))
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len);
int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
	const char *at = (const char *) bytes, *end = at + len, *block;
	AUTO(tls_client_free) struct tls_client *c = NULL;
	struct tls_stream *t;
	struct err e = { 0 };
	size_t n;

	check(at, len);
	while ((block = tls_pem_next(&at, end, &n)))
		if (n)
			compare(block, n);
	/* The bytes as roots themselves: a stream can be made or not, nothing else. */
	if (tls_client_new(bytes, len, &c, &e) == 0 &&
		tls_client_stream(c, -1, "example.test", 443, &t, &e) == 0)
		tls_free(t);
	return 0;
}
