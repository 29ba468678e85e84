/* core_tls_pem.h - where certificates begin and end: blocks of PEM, and DER one behind the other.
 *
 * Pure: bytes in, positions out; no certificate is judged here.  Certificates are no secret, so the
 * decoder need not run in constant time as mbedTLS's does, and is thirty times as fast; it takes
 * what every tool writes and leaves the rest to mbedTLS (tls_bundle_add()).
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>

/* The next block "-----BEGIN CERTIFICATE-----" to "-----END CERTIFICATE-----" at or behind *at;
 * NULL when there is none.  *ret_len 0: it has no end. */
const char *tls_pem_next(const char **at, const char *end, size_t *ret_len);
/* Bytes that tls_pem_decode() may write for a block of len bytes. */
size_t tls_pem_room(size_t len);
/* The base64 of a block that tls_pem_next() found.  true: plain lines of base64, each ended by LF or
 * CR LF, padded, no bit left over; then *ret_len bytes are in out.  false: anything else. */
bool tls_pem_decode(const char *block, size_t len, unsigned char *out, size_t *ret_len);

/* The next DER SEQUENCE at *at; NULL at the end, and when what is there is none. */
const unsigned char *tls_der_next(
	const unsigned char **at, const unsigned char *end, size_t *ret_len);
