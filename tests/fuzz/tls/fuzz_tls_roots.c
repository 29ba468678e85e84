/* PEM texts as trusted roots and as bundles: whatever is in them, counts add up and nothing breaks. */
#include <stdlib.h>
#include "core_tls.h"
#include "core_tls_bundle.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len);
int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
	const char *pem = (const char *) bytes;
	AUTO(tls_bundle_free) struct tls_bundle *b = NULL;
	AUTO(tls_client_free) struct tls_client *c = NULL;
	AUTO_FREE unsigned char *java = NULL;
	size_t added, skipped, n;
	struct err e = { 0 };

	if (tls_setup(&e) < 0 || tls_bundle_new(&b, &e) < 0)
		abort();
	if (tls_bundle_add(b, pem, len, &added, &skipped, &e) == 0 &&
		tls_bundle_java(b, &java, &n, &e) == 0 && n < 32)
		abort();
	if (tls_client_new(pem, len, &c, &skipped, &e) == 0 && added == 0)
		abort();
	return 0;
}
