/* The sandbox's authority, and the certificates that it signs. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <mbedtls/oid.h>
#include <mbedtls/pem.h>
#include <mbedtls/platform_util.h>
#include "core_tls_inner.h"

#define SERIAL_LEN 16	     /* bytes */
#define CERTIFICATE_MAX 2048 /* bytes of DER */
#define NAME_MAX_LEN 64	     /* bytes of a common name (X.520) */
#define DAY_S (24 * 60 * 60)
#define LEAF_DAYS 90
#define RENEW_DAYS 30	/* a kept certificate is minted again when it has less than this left */
#define EARLIER_S DAY_S /* valid from so long ago, for clocks that are behind */

#define ISSUER "CN=OpenShell Sandbox CA,O=OpenShell"

/* ---- keys ---- */

int tls_key_new(mbedtls_pk_context *ret, struct err *e)
{
	int r;

	tls_memory_secret_begin();
	r = mbedtls_pk_setup(ret, mbedtls_pk_info_from_type(MBEDTLS_PK_ECKEY));
	if (r == 0)
		r = mbedtls_ecp_gen_key(
			MBEDTLS_ECP_DP_SECP256R1, mbedtls_pk_ec(*ret), tls_random, NULL);
	tls_memory_secret_end();
	return r ? tls_err(e, r, "make a private key") : 0;
}

static int parse_key(mbedtls_pk_context *ret, const void *der, size_t len)
{
	int r;

	tls_memory_secret_begin();
	r = mbedtls_pk_parse_key(ret, der, len, NULL, 0, tls_random, NULL);
	tls_memory_secret_end();
	return r;
}

/* ---- writing ---- */

struct writer {
	mbedtls_x509write_cert w;
	unsigned char der[CERTIFICATE_MAX];
	size_t der_len; /* at the end of der */
};

static int set_serial(mbedtls_x509write_cert *w)
{
	unsigned char serial[SERIAL_LEN];
	int r = tls_random(NULL, serial, sizeof serial);

	if (r != 0)
		return r;
	serial[0] = (unsigned char) ((serial[0] & 0x7f) | 0x40); /* positive, always 16 bytes */
	return mbedtls_x509write_crt_set_serial_raw(w, serial, sizeof serial);
}

static int set_validity(mbedtls_x509write_cert *w, int64_t from_s, int64_t to_s)
{
	char from[16], to[16];
	time_t times[2] = { (time_t) from_s, (time_t) to_s };
	struct tm tm;

	if (!gmtime_r(&times[0], &tm) || !strftime(from, sizeof from, "%Y%m%d%H%M%S", &tm) ||
		!gmtime_r(&times[1], &tm) || !strftime(to, sizeof to, "%Y%m%d%H%M%S", &tm))
		return MBEDTLS_ERR_X509_INVALID_DATE;
	return mbedtls_x509write_crt_set_validity(w, from, to);
}

static int set_server_usage(mbedtls_x509write_cert *w)
{
	mbedtls_asn1_sequence usage = {
		.buf = { .tag = MBEDTLS_ASN1_OID,
			.len = MBEDTLS_OID_SIZE(MBEDTLS_OID_SERVER_AUTH),
			.p = (unsigned char *) (uintptr_t) MBEDTLS_OID_SERVER_AUTH },
	};

	return mbedtls_x509write_crt_set_ext_key_usage(w, &usage);
}

static int set_alternative_name(mbedtls_x509write_cert *w, const char *host)
{
	unsigned char address[16];
	size_t len = tls_host_address(host, address);
	mbedtls_x509_san_list san = { .node = { .type = len ? MBEDTLS_X509_SAN_IP_ADDRESS
							    : MBEDTLS_X509_SAN_DNS_NAME } };

	san.node.san.unstructured_name.p = len ? address : (unsigned char *) (uintptr_t) host;
	san.node.san.unstructured_name.len = len ? len : strlen(host);
	return mbedtls_x509write_crt_set_subject_alternative_name(w, &san);
}

/* The parts that all certificates share. */
static int begin(mbedtls_x509write_cert *w, mbedtls_pk_context *subject, mbedtls_pk_context *issuer,
	bool is_ca)
{
	unsigned usage = is_ca ? MBEDTLS_X509_KU_KEY_CERT_SIGN | MBEDTLS_X509_KU_CRL_SIGN
			       : MBEDTLS_X509_KU_DIGITAL_SIGNATURE;
	int r;

	mbedtls_x509write_crt_init(w);
	mbedtls_x509write_crt_set_version(w, MBEDTLS_X509_CRT_VERSION_3);
	mbedtls_x509write_crt_set_md_alg(w, MBEDTLS_MD_SHA256);
	mbedtls_x509write_crt_set_subject_key(w, subject);
	mbedtls_x509write_crt_set_issuer_key(w, issuer);
	if ((r = set_serial(w)) != 0 ||
		(r = mbedtls_x509write_crt_set_issuer_name(w, ISSUER)) != 0 ||
		(r = mbedtls_x509write_crt_set_basic_constraints(w, is_ca, -1)) != 0 ||
		(r = mbedtls_x509write_crt_set_key_usage(w, usage)) != 0 ||
		(r = mbedtls_x509write_crt_set_subject_key_identifier(w)) != 0)
		return r;
	return mbedtls_x509write_crt_set_authority_key_identifier(w);
}

static int finish(struct writer *w)
{
	int r = mbedtls_x509write_crt_der(&w->w, w->der, sizeof w->der, tls_random, NULL);

	if (r > 0)
		w->der_len = (size_t) r;
	return r > 0 ? 0 : r;
}

static const unsigned char *der_of(const struct writer *w)
{
	return w->der + sizeof w->der - w->der_len;
}

/* ---- the authority ---- */

static int sign_authority(struct tls_authority *a, struct writer *w)
{
	int64_t now = (int64_t) time(NULL);
	int r;

	if ((r = begin(&w->w, &a->key, &a->key, true)) != 0 ||
		(r = mbedtls_x509write_crt_set_subject_name(&w->w, ISSUER)) != 0 ||
		(r = set_validity(
			 &w->w, now - EARLIER_S, now + (int64_t) TLS_AUTHORITY_DAYS * DAY_S)) != 0)
		return r;
	return finish(w);
}

static int take_authority(struct tls_authority *a, const struct writer *w)
{
	size_t len;
	int r = mbedtls_pem_write_buffer("-----BEGIN CERTIFICATE-----\n",
		"-----END CERTIFICATE-----\n", der_of(w), w->der_len, (unsigned char *) a->pem,
		sizeof a->pem, &len);

	return r ? r : mbedtls_x509_crt_parse_der(&a->crt, der_of(w), w->der_len);
}

static int new_empty(struct tls_authority **ret, struct err *e)
{
	struct tls_authority *a = calloc(1, sizeof *a);

	if (!a)
		return err_set(e, ENOMEM, "certificate authority");
	mbedtls_pk_init(&a->key);
	mbedtls_x509_crt_init(&a->crt);
	*ret = a;
	return 0;
}

int tls_authority_new(struct tls_authority **ret, struct err *e)
{
	AUTO(tls_authority_free) struct tls_authority *a = NULL;
	struct writer w = { 0 };
	int r;

	if (new_empty(&a, e) < 0 || tls_key_new(&a->key, e) < 0)
		return -e->code;
	r = sign_authority(a, &w);
	mbedtls_x509write_crt_free(&w.w);
	if (r == 0)
		r = take_authority(a, &w);
	if (r != 0)
		return tls_err(e, r, "make the sandbox's certificate authority");
	*ret = TAKE_PTR(a);
	return 0;
}

int tls_authority_load(const char *pem, size_t pem_len, const void *key, size_t key_len,
	struct tls_authority **ret, struct err *e)
{
	AUTO(tls_authority_free) struct tls_authority *a = NULL;
	int r;

	if (pem_len >= TLS_AUTHORITY_PEM_MAX || key_len > TLS_AUTHORITY_KEY_MAX)
		return err_set(e, EMSGSIZE, "certificate authority: too large");
	if (new_empty(&a, e) < 0)
		return -e->code;
	(void) memcpy(a->pem, pem, pem_len); /* NUL-terminated: it began as zeros */
	if ((r = mbedtls_x509_crt_parse(&a->crt, (unsigned char *) a->pem, pem_len + 1)) != 0 ||
		(r = parse_key(&a->key, key, key_len)) != 0 ||
		(r = mbedtls_pk_check_pair(&a->crt.pk, &a->key, tls_random, NULL)) != 0)
		return tls_err(e, r, "certificate authority");
	if (mbedtls_pk_get_type(&a->key) != MBEDTLS_PK_ECKEY || a->crt.next ||
		!mbedtls_x509_crt_get_ca_istrue(&a->crt))
		return err_set(e, EINVAL, "certificate authority: not one of ours");
	*ret = TAKE_PTR(a);
	return 0;
}

const char *tls_authority_pem(const struct tls_authority *a)
{
	return a->pem;
}

int tls_authority_key(const struct tls_authority *a, struct secret **ret, struct err *e)
{
	unsigned char der[TLS_AUTHORITY_KEY_MAX];
	int n = mbedtls_pk_write_key_der(&a->key, der, sizeof der), r;

	r = n < 0 ? tls_err(e, n, "certificate authority")
		  : secret_new(der + sizeof der - (size_t) n, (size_t) n, ret, e);
	mbedtls_platform_zeroize(der, sizeof der);
	return r;
}

void tls_authority_free(struct tls_authority *a)
{
	if (!a)
		return;
	mbedtls_pk_free(&a->key); /* wipes */
	mbedtls_x509_crt_free(&a->crt);
	free(a);
}

/* ---- certificates of hosts ---- */

static int set_subject(mbedtls_x509write_cert *w, const char *host)
{
	char name[NAME_MAX_LEN + sizeof "CN=,O=OpenShell"];

	/* A name that is too long for a common name is in the alternative name alone. */
	(void) snprintf(name, sizeof name, "%s%s%sO=OpenShell",
		strlen(host) <= NAME_MAX_LEN ? "CN=" : "", strlen(host) <= NAME_MAX_LEN ? host : "",
		strlen(host) <= NAME_MAX_LEN ? "," : "");
	return mbedtls_x509write_crt_set_subject_name(w, name);
}

static int sign_host(const struct tls_authority *a, mbedtls_pk_context *key, const char *host,
	int64_t now, struct writer *w)
{
	/* The writer wants its keys writable; it does not write them. */
	mbedtls_pk_context *issuer = (mbedtls_pk_context *) (uintptr_t) &a->key;
	int r;

	if ((r = begin(&w->w, key, issuer, false)) != 0 || (r = set_subject(&w->w, host)) != 0 ||
		(r = set_validity(&w->w, now - EARLIER_S, now + (int64_t) LEAF_DAYS * DAY_S)) !=
			0 ||
		(r = set_server_usage(&w->w)) != 0 || (r = set_alternative_name(&w->w, host)) != 0)
		return r;
	return finish(w);
}

int tls_mint(const struct tls_authority *a, mbedtls_pk_context *key, const char *host,
	struct tls_cert **ret, struct err *e)
{
	int64_t now = (int64_t) time(NULL);
	struct writer w = { 0 };
	struct tls_cert *c;
	int r;

	if (!tls_host_is_valid(host))
		return err_set(e, EINVAL, "no certificate can carry the name of this host");
	r = sign_host(a, key, host, now, &w);
	mbedtls_x509write_crt_free(&w.w);
	if (r != 0)
		return tls_err(e, r, "make a certificate");
	c = calloc(1, sizeof *c);
	if (!c)
		return err_set(e, ENOMEM, "certificate");
	mbedtls_x509_crt_init(&c->crt);
	c->refs = 1;
	c->renew_s = now + (int64_t) (LEAF_DAYS - RENEW_DAYS) * DAY_S;
	(void) snprintf(c->host, sizeof c->host, "%s", host);
	r = mbedtls_x509_crt_parse_der(&c->crt, der_of(&w), w.der_len);
	if (r != 0) {
		tls_cert_unref(c);
		return tls_err(e, r, "make a certificate");
	}
	c->crt.next = (mbedtls_x509_crt *) (uintptr_t) &a->crt;
	*ret = c;
	return 0;
}

void tls_cert_unref(struct tls_cert *c)
{
	if (!c || --c->refs)
		return;
	c->crt.next = NULL; /* the authority's stays */
	mbedtls_x509_crt_free(&c->crt);
	free(c);
}
