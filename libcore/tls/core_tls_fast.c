#include "core_tls.h"
#ifndef TLS_MBEDTLS_SYSTEM
#include "tls_gcm.h"
#endif

bool tls_setup_bulk(void)
{
#ifndef TLS_MBEDTLS_SYSTEM
	tls_gcm_use(tls_gcm_ipsec());
	return tls_gcm_used() != NULL;
#else
	return false; /* its AES-GCM has no hook */
#endif
}
