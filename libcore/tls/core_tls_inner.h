/* core_tls_inner.h - what the files of libcore/tls share; nobody else includes it, as it shows
 * mbedTLS. */
#pragma once
#include <mbedtls/pk.h>
#include <mbedtls/ssl.h>
#include <mbedtls/ssl_ticket.h>
#include <mbedtls/x509_crt.h>
#include "core_tls.h"
#include "core_tls_authority.h"
#include "tls_mbedtls_buffers.h"

#define TLS_IN_MAX (68 * 1024)	/* bytes received by one recv(2) */
#define TLS_OUT_MAX (80 * 1024) /* bytes of records made by one call: TLS_WRITE_MAX and overhead */
#define TLS_UNSENT_MAX (160 * 1024) /* bytes kept of a peer that does not read; beyond: failed */
#define TLS_SPARE_MAX 8 /* pairs of record buffers, 32 KiB each, kept for the next call */

/* What all streams of one side share.  The two buffers belong to a stream while one of its calls
 * runs, and to nobody in between. */
struct tls_common {
	mbedtls_ssl_config conf;
	bool is_server;
	unsigned char *in, *out;
	size_t in_at, in_len, out_len;
	struct tls_buffers spare[TLS_SPARE_MAX]; /* mbedTLS's; see core_tls_buffers.c */
	unsigned n_spare;
};

struct tls_cert { /* one minted certificate */
	struct tls_cert *next;
	mbedtls_x509_crt crt; /* its next is the authority's, shared */
	unsigned refs;	      /* handshakes that use it, and the cache */
	uint64_t used;	      /* for the least recently used */
	int64_t renew_s;      /* wall clock */
	char host[TLS_HOST_MAX + 1];
};

struct tls_stream {
	mbedtls_ssl_context ssl;
	struct tls_common *common;
	int fd;
	char host[TLS_HOST_MAX + 1];
	char sni[TLS_HOST_MAX + 1]; /* server side */
	uint16_t port;
	struct tls_cert *cert; /* server side, during the handshake */
	struct tls_client *client;
	struct tls_server *server;

	bool lent; /* it has no record buffers; record_number is that of the next record */
	unsigned char record_number[8];
	unsigned char *stash; /* received, not yet given to mbedTLS */
	size_t stash_at, stash_len;
	unsigned char *unsent;
	size_t unsent_at, unsent_len;

	size_t turn, want; /* bytes received in this call; how many the next recv(2) asks for */
	size_t handshake_bytes;
	bool starved, more; /* the socket had nothing; the turn was over */
	bool drained;	    /* the last recv(2) of this call brought less than it could */
	bool eof, ended, done, closed, resumed, saw_certificate, offered_session;
	bool client_cert_wanted, name_differs, no_cert;
	int64_t session_until_s; /* of the session that was offered */
	int socket_error;	 /* errno of recv or send */
	int later;		 /* mbedTLS's result that is told by the next tls_read() */
	struct err failed;	 /* code 0: not failed */
	enum tls_reason reason;

	/* client side: of the certificate that was refused */
	uint32_t bad_flags;
	int bad_depth;
	char bad_detail[160];
};

/* core_tls.c */
int tls_random(void *unused, unsigned char *out, size_t len);
/* mbedTLS's own words for r, in e. */
int tls_err(struct err *e, int r, const char *what);
int tls_common_init(struct tls_common *c, bool is_server, struct err *e);
void tls_common_done(struct tls_common *c);
/* Hosts that a certificate can carry: DNS names in lower case, or an address. */
bool tls_host_is_valid(const char *host);
/* 4 or 16 when host is an address, else 0. */
size_t tls_host_address(const char *host, unsigned char ret[16]);

/* core_tls_memory.c: between these two, what mbedTLS allocates lies in locked pages. */
int tls_memory_setup(struct err *e);
void tls_memory_secret_begin(void);
void tls_memory_secret_end(void);

/* core_tls_mint.c */
struct tls_authority {
	mbedtls_pk_context key;
	mbedtls_x509_crt crt;
	char pem[TLS_AUTHORITY_PEM_MAX];
};
int tls_key_new(mbedtls_pk_context *ret, struct err *e); /* P-256; initialised by the caller */
int tls_mint(const struct tls_authority *a, mbedtls_pk_context *key, const char *host,
	struct tls_cert **ret, struct err *e);
void tls_cert_unref(struct tls_cert *c);

/* core_tls_server.c */
/* A call of a stream for this host begins; host must live until the next one. */
void tls_server_enter(struct tls_server *s, const char *host);

/* core_tls_client.c */
void tls_client_keep(struct tls_stream *t);   /* this session, for later */
void tls_client_forget(struct tls_stream *t); /* what was kept for this host did not work */

/* core_tls_stream.c */
int tls_stream_new(
	struct tls_common *c, int fd, const char *host, struct tls_stream **ret, struct err *e);

/* core_tls_buffers.c */
/* Before mbedTLS works: have record buffers.  0, or MBEDTLS_ERR_SSL_ALLOC_FAILED. */
int tls_buffers_want(struct tls_stream *t);
void tls_buffers_spare(struct tls_stream *t); /* after: let others have them, if they are empty */
void tls_buffers_done(struct tls_common *c);
void tls_buffers_handshake_over(struct tls_stream *t); /* free what it alone needed */

/* core_tls_reason.c: mbedTLS's result to reason and sentence (t->reason, t->failed). */
void tls_explain(struct tls_stream *t, int r);
