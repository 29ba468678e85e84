/* The side towards the workload: minted certificates, kept and bounded; session tickets. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <mbedtls/constant_time.h>
#include <mbedtls/md.h>
#include "core_text.h"
#include "core_tls_inner.h"

#define TICKET_BINDING_LEN 16 /* bytes behind a ticket that bind it to its host */
#define BINDING_KEY_LEN 32

struct tls_server {
	struct tls_common common; /* first */
	const struct tls_authority *authority;
	mbedtls_pk_context key; /* of every minted certificate; made with the first */
	bool equipped;		/* key and tickets are there */
	struct tls_cert *certs;
	size_t n_certs;
	uint64_t clock;	  /* for the least recently used */
	uint64_t mint_ms; /* when tokens was right */
	double tokens;
	mbedtls_ssl_ticket_context tickets;
	unsigned char binding_key[BINDING_KEY_LEN];
	const char
		*host; /* of the stream whose call runs: mbedTLS's ticket functions don't know it */
};

static int equip(struct tls_server *s, struct err *e);

/* ---- certificates ---- */

static uint64_t now_ms(void)
{
	struct timespec t;

	(void) clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t) t.tv_sec * 1000 + (uint64_t) t.tv_nsec / 1000000;
}

static bool may_mint(struct tls_server *s)
{
	uint64_t now = now_ms();

	s->tokens += (double) (now - s->mint_ms) * TLS_MINT_PER_S / 1000;
	s->mint_ms = now;
	if (s->tokens > TLS_MINT_BURST)
		s->tokens = TLS_MINT_BURST;
	if (s->tokens < 1)
		return false;
	s->tokens -= 1;
	return true;
}

static void unlink_cert(struct tls_server *s, struct tls_cert **at)
{
	struct tls_cert *c = *at;

	*at = c->next;
	s->n_certs--;
	tls_cert_unref(c); /* a handshake may still hold it */
}

static struct tls_cert **find(struct tls_server *s, const char *host)
{
	struct tls_cert **at = &s->certs;

	while (*at && strcmp((*at)->host, host) != 0)
		at = &(*at)->next;
	return at;
}

static void drop_oldest(struct tls_server *s)
{
	struct tls_cert **oldest = &s->certs;

	for (struct tls_cert **at = &s->certs; *at; at = &(*at)->next)
		if ((*at)->used < (*oldest)->used)
			oldest = at;
	unlink_cert(s, oldest);
}

static int get_cert(struct tls_server *s, const char *host, struct tls_cert **ret, struct err *e)
{
	struct tls_cert **at = find(s, host), *c = *at;

	if (c && c->renew_s < (int64_t) time(NULL)) {
		unlink_cert(s, at);
		c = NULL;
	}
	if (!c) {
		if (!may_mint(s))
			return err_set(e, EBUSY,
				"certificates for more than %d new hosts were asked for at once; "
				"wait a second",
				TLS_MINT_BURST);
		if (equip(s, e) < 0 || tls_mint(s->authority, &s->key, host, &c, e) < 0)
			return -e->code;
		if (s->n_certs == TLS_CERTIFICATES_MAX)
			drop_oldest(s);
		c->next = s->certs;
		s->certs = c;
		s->n_certs++;
	}
	c->used = ++s->clock;
	*ret = c;
	return 0;
}

/* The host of the CONNECT chooses the certificate; a client that asks for another is refused. */
static int choose(mbedtls_ssl_context *ssl)
{
	struct tls_stream *t = mbedtls_ssl_get_user_data_p(ssl);
	const unsigned char *sni;
	size_t len = 0;

	sni = mbedtls_ssl_get_hs_sni(ssl, &len);
	if (sni && len) {
		size_t keep = len < sizeof t->sni - 1 ? len : sizeof t->sni - 1;

		(void) memcpy(t->sni, sni, keep);
		t->sni[keep] = 0;
		if (sni[len - 1] == '.')
			len--; /* the root's dot */
		t->name_differs = !text_ieq((const char *) sni, len, t->host, strlen(t->host));
	}
	if (t->name_differs) {
		(void) mbedtls_ssl_send_alert_message(ssl, MBEDTLS_SSL_ALERT_LEVEL_FATAL,
			MBEDTLS_SSL_ALERT_MSG_UNRECOGNIZED_NAME);
		return MBEDTLS_ERR_SSL_UNRECOGNIZED_NAME;
	}
	return mbedtls_ssl_set_hs_own_cert(ssl, &t->cert->crt, &t->server->key);
}

/* ---- tickets ---- */

/* A ticket works for the host that it was made for alone. */
static int bind_ticket(
	struct tls_server *s, const unsigned char *ticket, size_t len, unsigned char ret[32])
{
	const mbedtls_md_info_t *sha256 = mbedtls_md_info_from_type(MBEDTLS_MD_SHA256);
	unsigned char both[32 + TLS_HOST_MAX];
	size_t host_len = strlen(s->host);
	int r = mbedtls_md(sha256, ticket, len, both);

	if (r != 0)
		return r;
	(void) memcpy(both + 32, s->host, host_len);
	return mbedtls_md_hmac(
		sha256, s->binding_key, sizeof s->binding_key, both, 32 + host_len, ret);
}

static int write_ticket(void *server, const mbedtls_ssl_session *session, unsigned char *start,
	const unsigned char *end, size_t *len, uint32_t *lifetime)
{
	struct tls_server *s = server;
	unsigned char binding[32];
	int r;

	if (end - start < TICKET_BINDING_LEN)
		return MBEDTLS_ERR_SSL_BUFFER_TOO_SMALL;
	r = mbedtls_ssl_ticket_write(
		&s->tickets, session, start, end - TICKET_BINDING_LEN, len, lifetime);
	if (r != 0 || (r = bind_ticket(s, start, *len, binding)) != 0)
		return r;
	(void) memcpy(start + *len, binding, TICKET_BINDING_LEN);
	*len += TICKET_BINDING_LEN;
	return 0;
}

static int parse_ticket(void *server, mbedtls_ssl_session *session, unsigned char *buf, size_t len)
{
	struct tls_server *s = server;
	unsigned char binding[32];
	int r;

	if (len < TICKET_BINDING_LEN)
		return MBEDTLS_ERR_SSL_INVALID_MAC;
	len -= TICKET_BINDING_LEN;
	if ((r = bind_ticket(s, buf, len, binding)) != 0)
		return r;
	if (mbedtls_ct_memcmp(binding, buf + len, TICKET_BINDING_LEN) != 0)
		return MBEDTLS_ERR_SSL_INVALID_MAC;
	return mbedtls_ssl_ticket_parse(&s->tickets, session, buf, len);
}

static int setup_tickets(struct tls_server *s, struct err *e)
{
	int r = mbedtls_ssl_ticket_setup(
		&s->tickets, tls_random, NULL, MBEDTLS_CIPHER_AES_256_GCM, TLS_SESSION_S);

	if (r == 0)
		r = tls_random(NULL, s->binding_key, sizeof s->binding_key);
	if (r != 0)
		return tls_err(e, r, "session tickets");
	mbedtls_ssl_conf_session_tickets_cb(&s->common.conf, write_ticket, parse_ticket, s);
	return 0;
}

/* What the first stream needs, and a sandbox that ends no TLS need not make: 1 ms and, with
 * libipsec-mb, which the ticket key is the first to use, 2 MB. */
static int equip(struct tls_server *s, struct err *e)
{
	if (s->equipped)
		return 0;
	if (tls_key_new(&s->key, e) < 0 || setup_tickets(s, e) < 0) {
		mbedtls_pk_free(&s->key); /* and initialised anew, for the next try */
		mbedtls_ssl_ticket_free(&s->tickets);
		mbedtls_ssl_ticket_init(&s->tickets);
		return -e->code;
	}
	s->equipped = true;
	return 0;
}

/* ---- life ---- */

int tls_server_new(const struct tls_authority *authority, struct tls_server **ret, struct err *e)
{
	AUTO(tls_server_free) struct tls_server *s = calloc(1, sizeof *s);

	if (!s)
		return err_set(e, ENOMEM, "TLS server side");
	s->authority = authority;
	s->tokens = TLS_MINT_BURST;
	s->mint_ms = now_ms();
	mbedtls_pk_init(&s->key);
	mbedtls_ssl_ticket_init(&s->tickets);
	if (tls_common_init(&s->common, true, e) < 0)
		return -e->code;
	mbedtls_ssl_conf_cert_cb(&s->common.conf, choose);
	mbedtls_ssl_conf_authmode(&s->common.conf, MBEDTLS_SSL_VERIFY_NONE);
	mbedtls_ssl_conf_preference_order(
		&s->common.conf, MBEDTLS_SSL_SRV_CIPHERSUITE_ORDER_SERVER);
	*ret = TAKE_PTR(s);
	return 0;
}

void tls_server_free(struct tls_server *s)
{
	if (!s)
		return;
	while (s->certs)
		unlink_cert(s, &s->certs);
	mbedtls_pk_free(&s->key);
	mbedtls_ssl_ticket_free(&s->tickets);
	explicit_bzero(s->binding_key, sizeof s->binding_key);
	tls_common_done(&s->common);
	free(s);
}

int tls_server_prepare(struct tls_server *s, const char *host, struct err *e)
{
	struct tls_cert *c;

	return get_cert(s, host, &c, e);
}

int tls_server_stream(
	struct tls_server *s, int fd, const char *host, struct tls_stream **ret, struct err *e)
{
	AUTO(tls_free) struct tls_stream *t = NULL;
	struct tls_cert *c;

	if (get_cert(s, host, &c, e) < 0 || tls_stream_new(&s->common, fd, host, &t, e) < 0)
		return -e->code;
	t->server = s;
	t->cert = c;
	c->refs++;
	*ret = TAKE_PTR(t);
	return 0;
}

void tls_server_enter(struct tls_server *s, const char *host)
{
	s->host = host;
}
