#include "core_tls_bundle.h"
#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <mbedtls/sha1.h>
#include "core_tls_inner.h"

#define BEGIN "-----BEGIN CERTIFICATE-----"
#define END "-----END CERTIFICATE-----"
#define JKS_HEADER 12 /* bytes: magic, version, number of entries */
#define SHA1_LEN 20
#define NUMBER_MAX 8 /* bytes */

struct bytes {
	unsigned char *at;
	size_t len, size;
};

struct tls_bundle {
	struct bytes pem, java; /* java: header and entries, without the digest */
	uint32_t n;
};

const char *tls_pem_next(const char **at, const char *end, size_t *ret_len)
{
	const char *from = memmem(*at, (size_t) (end - *at), BEGIN, sizeof BEGIN - 1), *to;

	if (!from)
		return NULL;
	to = memmem(from, (size_t) (end - from), END, sizeof END - 1);
	*ret_len = to ? (size_t) (to - from) + sizeof END - 1 : 0;
	*at = to ? from + *ret_len : end;
	return from;
}

static int append(struct bytes *b, const void *what, size_t len, struct err *e)
{
	if (b->len + len > TLS_BUNDLE_BYTES_MAX)
		return err_set(
			e, EFBIG, "certificates of more than %d bytes", TLS_BUNDLE_BYTES_MAX);
	if (b->len + len > b->size) {
		size_t size = (b->len + len) * 2;
		unsigned char *grown = realloc(b->at, size);

		if (!grown)
			return err_set(e, ENOMEM, "certificates");
		b->at = grown;
		b->size = size;
	}
	(void) memcpy(b->at + b->len, what, len);
	b->len += len;
	return 0;
}

static int append_number(struct bytes *b, uint64_t v, size_t n, struct err *e)
{
	unsigned char be[NUMBER_MAX];

	for (size_t i = 0; i < n; i++)
		be[i] = (unsigned char) (v >> 8 * (n - 1 - i));
	return append(b, be, n, e);
}

static int append_name(struct bytes *b, const char *name, struct err *e)
{
	if (append_number(b, strlen(name), 2, e) < 0)
		return -e->code;
	return append(b, name, strlen(name), e);
}

/* A JKS entry of a trusted certificate: tag 2, alias, time, type, length, DER. */
static int append_java(struct tls_bundle *b, const mbedtls_x509_crt *crt, struct err *e)
{
	char alias[32];

	(void) snprintf(alias, sizeof alias, "openshell-%u", b->n);
	if (append_number(&b->java, 2, 4, e) < 0 || append_name(&b->java, alias, e) < 0 ||
		append_number(&b->java, (uint64_t) time(NULL) * 1000, 8, e) < 0 ||
		append_name(&b->java, "X.509", e) < 0 ||
		append_number(&b->java, crt->raw.len, 4, e) < 0)
		return -e->code;
	return append(&b->java, crt->raw.p, crt->raw.len, e);
}

static int add_block(struct tls_bundle *b, const char *block, size_t len, bool *ret, struct err *e)
{
	AUTO_FREE unsigned char *text = (unsigned char *) strndup(block, len);
	mbedtls_x509_crt crt;
	int r = 0;

	if (!text)
		return err_set(e, ENOMEM, "certificates");
	mbedtls_x509_crt_init(&crt);
	*ret = len && mbedtls_x509_crt_parse(&crt, text, strlen((char *) text) + 1) == 0;
	if (*ret &&
		((r = append(&b->pem, block, len, e)) < 0 ||
			(r = append(&b->pem, "\n", 1, e)) < 0 || (r = append_java(b, &crt, e)) < 0))
		*ret = false;
	b->n += *ret;
	mbedtls_x509_crt_free(&crt);
	return r;
}

int tls_bundle_add(struct tls_bundle *b, const char *pem, size_t len, size_t *ret_added,
	size_t *ret_skipped, struct err *e)
{
	const char *at = pem, *block;
	size_t block_len, added = 0, skipped = 0;

	while ((block = tls_pem_next(&at, pem + len, &block_len))) {
		bool good;

		if (b->n + skipped == TLS_ROOTS_MAX)
			return err_set(e, EFBIG, "more than %d certificates", TLS_ROOTS_MAX);
		if (add_block(b, block, block_len, &good, e) < 0)
			return -e->code;
		added += good;
		skipped += !good;
	}
	if (ret_added)
		*ret_added = added;
	if (ret_skipped)
		*ret_skipped = skipped;
	return 0;
}

int tls_bundle_new(struct tls_bundle **ret, struct err *e)
{
	static const unsigned char header[JKS_HEADER] = { 0xfe, 0xed, 0xfe, 0xed, 0, 0, 0, 2 };
	AUTO(tls_bundle_free) struct tls_bundle *b = calloc(1, sizeof *b);

	if (!b)
		return err_set(e, ENOMEM, "certificates");
	if (append(&b->java, header, sizeof header, e) < 0)
		return -e->code;
	*ret = TAKE_PTR(b);
	return 0;
}

void tls_bundle_free(struct tls_bundle *b)
{
	if (!b)
		return;
	free(b->pem.at);
	free(b->java.at);
	free(b);
}

const char *tls_bundle_pem(const struct tls_bundle *b, size_t *ret_len)
{
	*ret_len = b->pem.len;
	return b->pem.at ? (const char *) b->pem.at : "";
}

/* SHA-1 over the password in UTF-16, a fixed phrase and the store: the format's checksum. */
static int digest(const unsigned char *store, size_t len, unsigned char ret[SHA1_LEN])
{
	static const char password[] = TLS_BUNDLE_PASSWORD, phrase[] = "Mighty Aphrodite";
	unsigned char wide[2 * sizeof password] = { 0 };
	mbedtls_sha1_context c;
	int r;

	for (size_t i = 0; i + 1 < sizeof password; i++)
		wide[2 * i + 1] = (unsigned char) password[i];
	mbedtls_sha1_init(&c);
	r = mbedtls_sha1_starts(&c);
	if (r == 0)
		r = mbedtls_sha1_update(&c, wide, 2 * (sizeof password - 1));
	if (r == 0)
		r = mbedtls_sha1_update(&c, (const unsigned char *) phrase, sizeof phrase - 1);
	if (r == 0)
		r = mbedtls_sha1_update(&c, store, len);
	if (r == 0)
		r = mbedtls_sha1_finish(&c, ret);
	mbedtls_sha1_free(&c);
	return r;
}

int tls_bundle_java(const struct tls_bundle *b, unsigned char **ret, size_t *ret_len, struct err *e)
{
	AUTO_FREE unsigned char *store = malloc(b->java.len + SHA1_LEN);
	int r;

	if (!store)
		return err_set(e, ENOMEM, "Java key store");
	(void) memcpy(store, b->java.at, b->java.len);
	for (int i = 0; i < 4; i++)
		store[8 + i] = (unsigned char) (b->n >> (24 - 8 * i));
	if ((r = digest(store, b->java.len, store + b->java.len)) != 0)
		return tls_err(e, r, "Java key store");
	*ret_len = b->java.len + SHA1_LEN;
	*ret = TAKE_PTR(store);
	return 0;
}
