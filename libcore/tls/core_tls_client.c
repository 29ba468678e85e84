/* The side towards upstreams: trusted roots, strict verification, kept sessions. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <mbedtls/oid.h>
#include "core_text.h"
#include "core_tls_constraints.h"
#include "core_tls_inner.h"
#include "core_tls_pem.h"

struct kept { /* a session for next time */
	struct kept *next;
	mbedtls_ssl_session session;
	int64_t until_s; /* CLOCK_MONOTONIC */
	uint16_t port;
	char host[TLS_HOST_MAX + 1];
};

struct tls_client {
	struct tls_common common; /* first */
	const unsigned char *der; /* borrowed: the roots as they were lent */
	size_t der_len;
	mbedtls_x509_crt roots; /* parsed when the first stream is made; its bytes are der's */
	bool parsed;
	struct kept *kept; /* most recently used first */
	size_t n_kept;
};

/* ---- roots ---- */

/* How many there are, or -EINVAL when they are not certificates one behind the other. */
static int count_roots(const unsigned char *der, size_t len)
{
	const unsigned char *at = der, *end = der + len;
	int n = 0;

	while (n < TLS_ROOTS_MAX && tls_der_next(&at, end, &len))
		n++;
	return n > 0 && at == end ? n : -EINVAL;
}

/* One at a time, so that one that can't be read costs only itself.  Most sandboxes never open an
 * upstream's TLS, and parsed roots take three times the memory of their bytes. */
static int parse_roots(struct tls_client *c, struct err *e)
{
	const unsigned char *at = c->der, *end = at + c->der_len, *crt;
	size_t len, n = 0;

	if (c->parsed)
		return 0;
	while ((crt = tls_der_next(&at, end, &len)))
		n += mbedtls_x509_crt_parse_der_nocopy(&c->roots, crt, len) == 0;
	if (n == 0)
		return err_set(e, EINVAL,
			"no trusted certificate could be read, so no upstream could be verified; "
			"install ca-certificates");
	c->parsed = true;
	return 0;
}

/* ---- verification ---- */

static bool has_address(const mbedtls_x509_crt *crt, const unsigned char *address, size_t len)
{
	for (const mbedtls_x509_sequence *s = &crt->subject_alt_names; s; s = s->next)
		if ((s->buf.tag & MBEDTLS_ASN1_TAG_VALUE_MASK) == MBEDTLS_X509_SAN_IP_ADDRESS &&
			s->buf.len == len && memcmp(s->buf.p, address, len) == 0)
			return true;
	return false;
}

static void describe(struct tls_stream *t, const mbedtls_x509_crt *crt, int depth)
{
	char issuer[256];
	struct text text;

	text_init(&text, t->bad_detail, sizeof t->bad_detail);
	if (t->bad_flags & MBEDTLS_X509_BADCERT_EXPIRED) {
		text_addf(&text, "%04d-%02d-%02d", crt->valid_to.year, crt->valid_to.mon,
			crt->valid_to.day);
	} else if (t->bad_flags & MBEDTLS_X509_BADCERT_FUTURE) {
		text_addf(&text, "%04d-%02d-%02d", crt->valid_from.year, crt->valid_from.mon,
			crt->valid_from.day);
	} else if (mbedtls_x509_dn_gets(issuer, sizeof issuer, &crt->issuer) > 0) {
		text_add_quoted(&text, issuer, strlen(issuer), 120);
	}
	t->bad_depth = depth;
}

/* What an authority says of itself: for other names, or for mail alone. */
static uint32_t judge_authority(const struct tls_stream *t, const mbedtls_x509_crt *crt)
{
	uint32_t flags = 0;

	if (!tls_constraints_allow(crt->v3_ext.p, crt->v3_ext.len, t->host))
		flags |= MBEDTLS_X509_BADCERT_OTHER;
	if (mbedtls_x509_crt_has_ext_type(crt, MBEDTLS_X509_EXT_EXTENDED_KEY_USAGE) &&
		mbedtls_x509_crt_check_extended_key_usage(crt, MBEDTLS_OID_SERVER_AUTH,
			MBEDTLS_OID_SIZE(MBEDTLS_OID_SERVER_AUTH)) != 0)
		flags |= MBEDTLS_X509_BADCERT_EXT_KEY_USAGE;
	return flags;
}

/* mbedTLS has checked; we add what it leaves open, and remember what was wrong.  It is called from
 * the root down to the server's own certificate, depth 0. */
static int verify(void *stream, mbedtls_x509_crt *crt, int depth, uint32_t *flags)
{
	struct tls_stream *t = stream;
	unsigned char address[16];
	size_t len = tls_host_address(t->host, address);

	if (depth == 0) {
		/* A common name alone names nobody since RFC 6125. */
		if (!mbedtls_x509_crt_has_ext_type(crt, MBEDTLS_X509_EXT_SUBJECT_ALT_NAME) ||
			(len && !has_address(crt, address, len)))
			*flags |= MBEDTLS_X509_BADCERT_CN_MISMATCH;
	} else {
		*flags |= judge_authority(t, crt);
	}
	if (*flags) {
		t->bad_flags |= *flags;
		describe(t, crt, depth);
	}
	return 0;
}

/* ---- kept sessions ---- */

static int64_t now_s(void)
{
	struct timespec ts;

	(void) clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec;
}

static void drop(struct tls_client *c, struct kept **at)
{
	struct kept *k = *at;

	*at = k->next;
	c->n_kept--;
	mbedtls_ssl_session_free(&k->session); /* wipes */
	free(k);
}

static struct kept **find(struct tls_client *c, const char *host, uint16_t port)
{
	struct kept **at = &c->kept;

	while (*at && ((*at)->port != port || strcmp((*at)->host, host) != 0))
		at = &(*at)->next;
	return at;
}

void tls_client_forget(struct tls_stream *t)
{
	struct kept **at = find(t->client, t->host, t->port);

	if (*at)
		drop(t->client, at);
}

void tls_client_keep(struct tls_stream *t)
{
	struct tls_client *c = t->client;
	struct kept *k = calloc(1, sizeof *k), **last = &c->kept;

	if (!k)
		return;
	mbedtls_ssl_session_init(&k->session);
	if (mbedtls_ssl_get_session(&t->ssl, &k->session) != 0) {
		mbedtls_ssl_session_free(&k->session);
		free(k);
		return;
	}
	tls_client_forget(t);
	(void) memcpy(k->host, t->host, sizeof k->host);
	k->port = t->port;
	/* A chain of resumptions ends, too: after the hour, certificates are looked at again. */
	k->until_s = t->resumed ? t->session_until_s : now_s() + TLS_SESSION_S;
	if (c->n_kept == TLS_SESSIONS_MAX) {
		while ((*last)->next)
			last = &(*last)->next;
		drop(c, last);
	}
	k->next = c->kept;
	c->kept = k;
	c->n_kept++;
}

static int offer(struct tls_stream *t)
{
	struct tls_client *c = t->client;
	struct kept **at = find(c, t->host, t->port), *k = *at;

	if (!k)
		return 0;
	if (k->until_s < now_s()) {
		drop(c, at);
		return 0;
	}
	*at = k->next; /* to the front */
	k->next = c->kept;
	c->kept = k;
	t->offered_session = true;
	t->session_until_s = k->until_s;
	return mbedtls_ssl_set_session(&t->ssl, &k->session);
}

/* ---- life ---- */

int tls_client_new(const void *roots, size_t len, struct tls_client **ret, struct err *e)
{
	AUTO(tls_client_free) struct tls_client *c = calloc(1, sizeof *c);

	if (!c)
		return err_set(e, ENOMEM, "TLS client side");
	mbedtls_x509_crt_init(&c->roots);
	if (tls_common_init(&c->common, false, e) < 0)
		return -e->code;
	if (len > TLS_ROOTS_BYTES_MAX)
		return err_set(
			e, EFBIG, "trusted certificates: more than %d bytes", TLS_ROOTS_BYTES_MAX);
	if (count_roots(roots, len) < 0)
		return err_set(e, EINVAL, "the trusted certificates are malformed");
	c->der = roots;
	c->der_len = len;
	mbedtls_ssl_conf_ca_chain(&c->common.conf, &c->roots, NULL);
	mbedtls_ssl_conf_authmode(&c->common.conf, MBEDTLS_SSL_VERIFY_REQUIRED);
	mbedtls_ssl_conf_session_tickets(&c->common.conf, MBEDTLS_SSL_SESSION_TICKETS_ENABLED);
	mbedtls_ssl_conf_tls13_enable_signal_new_session_tickets(
		&c->common.conf, MBEDTLS_SSL_TLS1_3_SIGNAL_NEW_SESSION_TICKETS_ENABLED);
	*ret = TAKE_PTR(c);
	return 0;
}

void tls_client_free(struct tls_client *c)
{
	if (!c)
		return;
	while (c->kept)
		drop(c, &c->kept);
	mbedtls_x509_crt_free(&c->roots);
	tls_common_done(&c->common);
	free(c);
}

int tls_client_stream(struct tls_client *c, int fd, const char *host, uint16_t port,
	struct tls_stream **ret, struct err *e)
{
	AUTO(tls_free) struct tls_stream *t = NULL;
	unsigned char address[16];
	int r;

	if (parse_roots(c, e) < 0 || tls_stream_new(&c->common, fd, host, &t, e) < 0)
		return -e->code;
	t->client = c;
	t->port = port;
	mbedtls_ssl_set_verify(&t->ssl, verify, t);
	/* An address is no server name (RFC 6066 3); verify() compares it. */
	r = mbedtls_ssl_set_hostname(&t->ssl, tls_host_address(host, address) ? NULL : host);
	if (r == 0)
		r = offer(t);
	if (r != 0)
		return tls_err(e, r, "TLS client side");
	*ret = TAKE_PTR(t);
	return 0;
}
