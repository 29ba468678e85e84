/* This build has no libipsec-mb (another architecture, or not installed). */
#include <stddef.h>
#include "tls_gcm.h"

const struct tls_gcm_ops *tls_gcm_ipsec(void)
{
	return NULL;
}
