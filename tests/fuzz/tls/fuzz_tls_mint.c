/* Certificates for any host name: refused, or one that is for exactly that name and verifies. */
#include <stdlib.h>
#include <string.h>
#include "core_tls_inner.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len);

static struct tls_authority *authority;
static mbedtls_pk_context key;

static void begin(void)
{
	struct err e = { 0 };

	mbedtls_pk_init(&key);
	if (tls_setup(&e) < 0 || tls_authority_new(&authority, &e) < 0 || tls_key_new(&key, &e) < 0)
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
	unsigned char address[16];
	struct tls_cert *c;
	char host[512];
	uint32_t flags;
	struct err e = { 0 };
	bool is_name;

	if (!authority)
		begin();
	if (len >= sizeof host)
		return 0;
	(void) memcpy(host, bytes, len);
	host[len] = 0;
	if (tls_mint(authority, &key, host, &c, &e) < 0)
		return 0;
	is_name = !tls_host_address(host, address);
	if (mbedtls_x509_crt_verify(
		    &c->crt, &authority->crt, NULL, is_name ? host : NULL, &flags, NULL, NULL) != 0)
		abort();
	if (strlen(host) > TLS_HOST_MAX || strpbrk(host, " *,/=\\\n") || c->crt.raw.len == 0)
		abort();
	tls_cert_unref(c);
	return 0;
}
