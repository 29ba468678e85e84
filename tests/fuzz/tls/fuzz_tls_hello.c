/* The ClientHello parser: no crash; a longer input never takes back what a shorter one said. */
#include <stdlib.h>
#include <string.h>
#include "core_tls_hello.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len);
int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
	struct tls_hello h, half;
	enum tls_hello_is is = tls_hello_parse(bytes, len, &h);

	if (is == TLS_HELLO_YES && (h.len > len || strlen(h.sni) > TLS_HELLO_NAME_MAX))
		abort();
	if (is == TLS_HELLO_YES && tls_hello_parse(bytes, h.len, &half) != TLS_HELLO_YES)
		abort();
	if (is == TLS_HELLO_YES && h.len &&
		tls_hello_parse(bytes, h.len - 1, &half) != TLS_HELLO_MORE)
		abort();
	if (is == TLS_HELLO_MORE && len && tls_hello_parse(bytes, len - 1, &half) != TLS_HELLO_MORE)
		abort();
	return 0;
}
