/* core_tls_hello.h - the beginning of a connection: is it TLS, and what does its ClientHello say?
 *
 * Pure: bytes in, struct out.  Meant for peeking (MSG_PEEK), so it may be called
 * again with more bytes.  What it reports is the client's claim; the handshake
 * checks it again.
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define TLS_HELLO_BYTES_MAX (20 * 1024) /* records and all; a longer one is not understood */
#define TLS_HELLO_NAME_MAX 255		/* bytes of a server name */
#define TLS_HELLO_RECORDS_MAX 64	/* records that one ClientHello may be cut into */

enum tls_hello_is {
	TLS_HELLO_MORE, /* may be TLS; more bytes are needed */
	TLS_HELLO_NO,	/* no TLS */
	TLS_HELLO_YES,	/* a whole ClientHello; the struct is filled in */
	TLS_HELLO_BAD,	/* begins like TLS, but is malformed or over a limit */
};

struct tls_hello {
	char sni[TLS_HELLO_NAME_MAX + 1]; /* as sent, NUL-terminated; "" = none. Contains no NUL */
	bool has_alpn, alpn_http11, alpn_h2, alpn_http10;
	bool tls13;	     /* offers TLS 1.3 */
	uint16_t version;    /* legacy_version, e.g. 0x0303 */
	bool has_early_data; /* offers 0-RTT, which the server side ignores */
	size_t len;	     /* bytes consumed, record headers included */
};

/* Less: is this a TLS record of a handshake?  16 03 00..04 (spec: 3 bytes are enough). */
enum tls_hello_is tls_hello_is_tls(const uint8_t *bytes, size_t len);
enum tls_hello_is tls_hello_parse(const uint8_t *bytes, size_t len, struct tls_hello *ret);
