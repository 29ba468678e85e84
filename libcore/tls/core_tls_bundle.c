#include "core_tls_bundle.h"
#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <mbedtls/sha1.h>
#include "core_tls_inner.h"
#include "core_tls_pem.h"

#define SHA1_LEN 20
#define NUMBER_MAX 8 /* bytes */

struct bytes {
	unsigned char *at;
	size_t len, size;
};

struct tls_bundle {
	struct bytes pem, der;
	uint32_t n;
};

static int make_room(struct bytes *b, size_t len, struct err *e)
{
	size_t size = (b->len + len) * 2;
	unsigned char *grown;

	if (b->len + len > TLS_BUNDLE_BYTES_MAX)
		return err_set(
			e, EFBIG, "certificates of more than %d bytes", TLS_BUNDLE_BYTES_MAX);
	if (b->len + len <= b->size)
		return 0;
	grown = realloc(b->at, size);
	if (!grown)
		return err_set(e, ENOMEM, "certificates");
	b->at = grown;
	b->size = size;
	return 0;
}

static int append(struct bytes *b, const void *what, size_t len, struct err *e)
{
	if (make_room(b, len, e) < 0)
		return -e->code;
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

/* What is in the block, behind b->der; true when it is a certificate. */
static bool parse_block(
	const struct tls_bundle *b, const char *block, size_t len, mbedtls_x509_crt *crt)
{
	unsigned char *der = b->der.at + b->der.len;
	AUTO_FREE unsigned char *text = NULL;
	size_t n;

	if (tls_pem_decode(block, len, der, &n))
		return mbedtls_x509_crt_parse_der_nocopy(crt, der, n) == 0;
	text = (unsigned char *) strndup(block, len);
	return text && mbedtls_x509_crt_parse(crt, text, strlen((char *) text) + 1) == 0 &&
		crt->raw.len <= tls_pem_room(len);
}

static int add_block(struct tls_bundle *b, const char *block, size_t len, bool *ret, struct err *e)
{
	mbedtls_x509_crt crt;
	int r;

	if ((r = make_room(&b->der, tls_pem_room(len), e)) < 0)
		return r;
	mbedtls_x509_crt_init(&crt);
	*ret = len && parse_block(b, block, len, &crt);
	if (*ret && (r = append(&b->pem, block, len, e)) == 0 &&
		(r = append(&b->pem, "\n", 1, e)) == 0) {
		(void) memmove(b->der.at + b->der.len, crt.raw.p, crt.raw.len);
		b->der.len += crt.raw.len;
		b->n++;
	}
	mbedtls_x509_crt_free(&crt);
	return r;
}

int tls_bundle_add(struct tls_bundle *b, const char *pem, size_t len, size_t *ret_added,
	size_t *ret_skipped, struct err *e)
{
	const char *at = pem, *block;
	size_t block_len, added = 0, skipped = 0;

	/* At once what all of it may need, instead of growing and copying. */
	if (make_room(&b->pem, len, e) < 0 || make_room(&b->der, tls_pem_room(len), e) < 0)
		return -e->code;
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
	*ret = calloc(1, sizeof **ret);
	return *ret ? 0 : err_set(e, ENOMEM, "certificates");
}

void tls_bundle_free(struct tls_bundle *b)
{
	if (!b)
		return;
	free(b->pem.at);
	free(b->der.at);
	free(b);
}

const char *tls_bundle_pem(const struct tls_bundle *b, size_t *ret_len)
{
	*ret_len = b->pem.len;
	return b->pem.at ? (const char *) b->pem.at : "";
}

const unsigned char *tls_bundle_der(const struct tls_bundle *b, size_t *ret_len)
{
	*ret_len = b->der.len;
	return b->der.at ? b->der.at : (const unsigned char *) "";
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

/* A JKS entry of a trusted certificate: tag 2, alias, time, type, length, DER. */
static int append_entry(struct bytes *b, uint32_t i, const void *der, size_t len, struct err *e)
{
	char alias[32];

	(void) snprintf(alias, sizeof alias, "openshell-%u", i);
	if (append_number(b, 2, 4, e) < 0 || append_name(b, alias, e) < 0 ||
		append_number(b, (uint64_t) time(NULL) * 1000, 8, e) < 0 ||
		append_name(b, "X.509", e) < 0 || append_number(b, len, 4, e) < 0)
		return -e->code;
	return append(b, der, len, e);
}

static int append_store(struct bytes *b, const struct tls_bundle *from, struct err *e)
{
	static const unsigned char magic[] = { 0xfe, 0xed, 0xfe, 0xed, 0, 0, 0, 2 };
	const unsigned char *at = from->der.at, *end = at + from->der.len, *der;
	size_t len;

	if (append(b, magic, sizeof magic, e) < 0 || append_number(b, from->n, 4, e) < 0)
		return -e->code;
	for (uint32_t i = 0; i < from->n && (der = tls_der_next(&at, end, &len)); i++)
		if (append_entry(b, i, der, len, e) < 0)
			return -e->code;
	return 0;
}

int tls_bundle_java(const struct tls_bundle *b, unsigned char **ret, size_t *ret_len, struct err *e)
{
	struct bytes store = { NULL, 0, 0 };
	unsigned char sum[SHA1_LEN];
	int r = append_store(&store, b, e);

	if (r == 0 && (r = digest(store.at, store.len, sum)) != 0)
		r = tls_err(e, r, "Java key store");
	if (r == 0)
		r = append(&store, sum, sizeof sum, e);
	if (r < 0) {
		free(store.at);
		return r;
	}
	*ret_len = store.len;
	*ret = store.at;
	return 0;
}
