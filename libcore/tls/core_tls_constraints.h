/* core_tls_constraints.h - the names that an authority may vouch for (RFC 5280 4.2.1.10).
 *
 * mbedTLS refuses an authority whose name constraints are critical and ignores
 * others.  Pure: bytes in, an answer out.  Only the host that is being connected
 * to is judged, as no other name of a certificate is used for anything.
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* extensions: those of the authority's certificate, in DER; len 0: it has none.  host: a DNS name, or
 * an address.  false, too, when its constraints can't be read. */
bool tls_constraints_allow(const uint8_t *extensions, size_t len, const char *host);
