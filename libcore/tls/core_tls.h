/* core_tls.h - one end of a TLS 1.2 or 1.3 connection over a non-blocking socket (mbedTLS inside).
 *
 * Three kinds of objects: a tls_server holds what all connections towards the
 * workload share (the sandbox's authority, minted certificates, ticket keys), a
 * tls_client what all connections towards upstreams share (trusted roots, kept
 * sessions), a tls_stream is one connection.  All belong to one loop; nothing
 * here blocks, opens a file or knows an event loop.
 *
 * Driving a stream.  The descriptor is borrowed, non-blocking, connected; the
 * owner watches it and closes it after tls_free().  Call tls_handshake() until it
 * is TLS_DONE, then tls_read() and tls_write().  Each says what to wait for.
 * Three rules for the owner of the watch:
 *   - watch LOOP_READ while you want bytes, and LOOP_WRITE while
 *     tls_unsent() > 0 or after a TLS_WANT_WRITE;
 *   - tls_has_input() means that tls_read() may give bytes although the socket
 *     stays silent: call it again (from a timer of 0 ms when you must yield)
 *     before you wait;
 *   - when LOOP_WRITE comes and tls_unsent() > 0, call tls_flush().
 * What tls_write() took belongs to the stream, also when the kernel did not take
 * it yet: there is no "call again with the same bytes".
 *
 * Deadlines are the owner's.  Bytes of a handshake, bytes taken per call, unsent
 * bytes, sizes of records and of both caches are bounded (below).  ALPN is
 * http/1.1 alone; a peer without ALPN is served too.  No renegotiation, no early
 * data, no compression, no client certificates, no SHA-1 signatures.
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include "core_cleanup.h"
#include "core_err.h"

#define TLS_HOST_MAX 253		     /* bytes of a host name, or of an address as text */
#define TLS_HANDSHAKE_BYTES_MAX (128 * 1024) /* bytes received before the handshake is done */
#define TLS_TURN_BYTES_MAX (256 * 1024) /* bytes received per call, so that others get a turn */
#define TLS_WRITE_MAX (64 * 1024)	/* bytes that one tls_write() takes */
#define TLS_EARLY_BYTES_MAX \
	(64 * 1024)		 /* bytes that the owner had read before the stream was made */
#define TLS_CERTIFICATES_MAX 256 /* minted certificates kept; least recently used goes */
#define TLS_MINT_BURST 320	 /* certificates minted at once ... */
#define TLS_MINT_PER_S 50	 /* ... and per second in the long run */
#define TLS_SESSIONS_MAX 256	 /* upstream sessions kept; least recently used goes */
#define TLS_SESSION_S (60 * 60)	 /* seconds an upstream session or a client's ticket may be used */
#define TLS_ROOTS_BYTES_MAX (2 * 1024 * 1024) /* bytes of DER */
#define TLS_ROOTS_MAX 2000		      /* certificates in it */

struct tls_authority; /* core_tls_authority.h */
struct tls_server;
struct tls_client;
struct tls_stream;

enum tls_step { TLS_DONE, TLS_WANT_READ, TLS_WANT_WRITE, TLS_FAILED };

/* Why a stream failed.  The err has the sentence; this is for choosing the answer. */
enum tls_reason {
	TLS_REASON_NONE,
	TLS_REASON_CLOSED,    /* the peer went away: end, reset, close_notify in the handshake */
	TLS_REASON_TRUNCATED, /* end of the connection without close_notify, after the handshake */
	TLS_REASON_PROTOCOL,  /* not TLS, malformed, wrong MAC, over a limit */
	TLS_REASON_NO_COMMON, /* no common version, cipher suite, group or signature */
	TLS_REASON_ALPN,      /* the peer speaks no http/1.1 */
	TLS_REASON_NAME_DIFFERS, /* the client's SNI is not the host of its CONNECT */
	TLS_REASON_REFUSED,	 /* the peer sent an alert; "unknown ca" etc. is in the sentence */
	TLS_REASON_MINT_RATE,	 /* too many new host names in too short a time */
	TLS_REASON_CERT_EXPIRED, /* from here on: upstream's certificate */
	TLS_REASON_CERT_FUTURE,
	TLS_REASON_CERT_NAME,	/* for another host */
	TLS_REASON_CERT_ISSUER, /* no chain to a trusted root, self-signed, incomplete chain */
	TLS_REASON_CERT_WEAK,	/* SHA-1, MD5, short key, unsuitable curve */
	TLS_REASON_CERT_USAGE,	/* not for servers, no CA, otherwise malformed */
	TLS_REASON_CLIENT_CERT, /* upstream wants a certificate of the client */
	TLS_REASON_SYSTEM,	/* memory, random numbers, socket errors */
};
/* "certificate_expired" and so on: lower case, for details, events and tests. */
const char *tls_reason_name(enum tls_reason r);

/* Once per process, before it is confined: reads the time zone, locks memory for keys. */
int tls_setup(struct err *e);

/* For a process that moves much data, after tls_setup(): AES-GCM by libipsec-mb, ten times as fast,
 * for 2 MB of memory when the first key is made.  false: this machine or build can't; mbedTLS's own
 * code serves. */
bool tls_setup_bulk(void);

/* ---- towards the workload ---- */

/* authority is borrowed and must live longer.  The key of all certificates of this process is made
 * with the first of them. */
int tls_server_new(const struct tls_authority *authority, struct tls_server **ret, struct err *e);
void tls_server_free(struct tls_server *s); /* after its streams */
/* Have a certificate for this host ready (lower case; addresses without brackets): to be called
 * before "200 Connection Established", while an error can still be told in HTTP.
 * -EBUSY: TLS_REASON_MINT_RATE; -EINVAL: no name that a certificate can carry. */
int tls_server_prepare(struct tls_server *s, const char *host, struct err *e);
/* The end towards a client of the workload; host is the one of its CONNECT, which alone chooses the
 * certificate.  A client that names another one (SNI) fails with TLS_REASON_NAME_DIFFERS.
 * Errors as tls_server_prepare(). */
int tls_server_stream(
	struct tls_server *s, int fd, const char *host, struct tls_stream **ret, struct err *e);

/* ---- towards upstreams ---- */

/* roots: certificates in DER, one behind the other (tls_bundle_der()), borrowed for as long as the
 * client lives.  -EINVAL when that is not their form.  They are parsed when the first stream is
 * made; one that can't be read is skipped then, and when none is left, no stream can be made. */
int tls_client_new(const void *roots, size_t len, struct tls_client **ret, struct err *e);
void tls_client_free(struct tls_client *c); /* after its streams */
/* Verified for host, which is also the SNI unless it is an address.  port is part of the session
 * cache's key only. */
int tls_client_stream(struct tls_client *c, int fd, const char *host, uint16_t port,
	struct tls_stream **ret, struct err *e);

/* ---- a stream ---- */

void tls_free(struct tls_stream *t); /* sends nothing; see tls_close() */
DEFINE_AUTO(struct tls_stream, tls_free)
DEFINE_AUTO(struct tls_server, tls_server_free)
DEFINE_AUTO(struct tls_client, tls_client_free)

/* Bytes that were read from the descriptor before (copied).  Before the first tls_handshake();
 * -EFBIG above TLS_EARLY_BYTES_MAX. */
int tls_early(struct tls_stream *t, const void *bytes, size_t len, struct err *e);
/* TLS_FAILED: e and tls_reason() say why; an alert for the peer has been tried. The failure is
 * final: only tls_free() is of use then. */
enum tls_step tls_handshake(struct tls_stream *t, struct err *e);
/* > 0: so many bytes.  0: the peer ended its direction in order (close_notify); it may still read.
 * -EAGAIN: wait for LOOP_READ (or see tls_has_input()).  Anything else: failed for good, with
 * tls_reason(); TLS_REASON_TRUNCATED: everything before the cut has been delivered already. */
ssize_t tls_read(struct tls_stream *t, void *buf, size_t size, struct err *e);
/* > 0: so many bytes were taken, at most TLS_WRITE_MAX.  -EAGAIN: none, because earlier ones are
 * unsent; wait for LOOP_WRITE.  Anything else: failed for good. len must not be 0. */
ssize_t tls_write(struct tls_stream *t, const void *bytes, size_t len, struct err *e);
/* 0: nothing is unsent any more.  -EAGAIN: wait for LOOP_WRITE.  Else failed. */
int tls_flush(struct tls_stream *t, struct err *e);
/* End our direction: close_notify behind what is unsent.  Reading goes on.  Results as tls_flush();
 * the owner may shutdown(2) the socket when it is 0. */
int tls_close(struct tls_stream *t, struct err *e);

size_t tls_unsent(const struct tls_stream *t); /* bytes taken but not with the kernel */
bool tls_has_input(const struct tls_stream *t);
bool tls_is_done(const struct tls_stream *t); /* the handshake is */
enum tls_reason tls_reason(const struct tls_stream *t);
/* Of a finished handshake. */
const char *tls_version(const struct tls_stream *t); /* "TLSv1.2", "TLSv1.3" */
const char *tls_cipher(const struct tls_stream *t);
bool tls_is_resumed(const struct tls_stream *t);
bool tls_has_alpn(const struct tls_stream *t);	 /* http/1.1 was agreed on, rather than nothing */
const char *tls_sni(const struct tls_stream *t); /* server side: as sent; "" = none */
/* Upstream asked for a client certificate (and got an empty answer). */
bool tls_client_cert_wanted(const struct tls_stream *t);
