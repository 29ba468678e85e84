/* tls_mbedtls_buffers.h - what mbedTLS keeps of a connection that is only needed while it works.
 *
 * A context of mbedTLS owns two record buffers of 16 KiB from its first moment to
 * its last, and in TLS 1.3 what the handshake needed, too: most of an idle
 * connection's memory.  These functions take them away between two calls and give
 * them back.  They know mbedTLS's inside, so they exist only where it is built here.
 */
#pragma once
#include <stdbool.h>
#include <mbedtls/ssl.h>

struct tls_buffers { /* both or neither */
	unsigned char *in, *out;
};

/* Take the buffers out of a context whose handshake is over: the caller owns them, and must give
 * some back before mbedTLS is called again, mbedtls_ssl_free() and questions excepted.  The number
 * of the next record, which mbedTLS keeps in the buffer, goes to ret_counter.  false: something is
 * in them still, or they are gone already.  What was read from them, mbedTLS has wiped. */
bool tls_buffers_take(
	mbedtls_ssl_context *ssl, struct tls_buffers *ret, unsigned char ret_counter[8]);
void tls_buffers_give(
	mbedtls_ssl_context *ssl, struct tls_buffers take_buffers, const unsigned char counter[8]);
/* false: no memory. */
bool tls_buffers_new(struct tls_buffers *ret);
void tls_buffers_free(struct tls_buffers *b); /* wipes */

/* Once the handshake is over: free what only the handshake needed, as far as mbedTLS has not, and
 * the peer's certificate, which is verified.  A client keeps what session tickets that arrive later
 * are read with. */
void tls_buffers_forget_handshake(mbedtls_ssl_context *ssl);
