#include "core_tls_bundle.h"
#include "core_tls_pem.h"
#include "tls_pair.h"

static struct tls_bundle *fresh(void)
{
	struct tls_bundle *b;
	struct err e = { 0 };

	ASSERT_OK(tls_setup(&e));
	ASSERT_OK(tls_bundle_new(&b, &e));
	return b;
}

TEST(bad_blocks_are_skipped_and_counted)
{
	static const char broken[] =
		"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
	struct tls_authority *a, *c;
	struct err e = { 0 };
	size_t added, skipped, len;
	char text[8192];
	const char *pem;
	struct tls_bundle *b = fresh();

	ASSERT_OK(tls_authority_new(&a, &e));
	ASSERT_OK(tls_authority_new(&c, &e));
	(void) snprintf(text, sizeof text,
		"garbage\n%s%s# comment\n%s%s-----BEGIN CERTIFICATE-----\nMII", broken,
		tls_authority_pem(a), broken, tls_authority_pem(c));
	ASSERT_OK(tls_bundle_add(b, text, strlen(text), &added, &skipped, &e));
	ASSERT_EQ((long long) added, 2);
	ASSERT_EQ((long long) skipped, 3);
	pem = tls_bundle_pem(b, &len);
	ASSERT(len < strlen(text));
	ASSERT(!memmem(pem, len, "garbage", 7) && !memmem(pem, len, "comment", 7));
	ASSERT_OK(tls_bundle_add(b, "", 0, &added, &skipped, &e));
	ASSERT_EQ((long long) (added + skipped), 0);
	tls_bundle_free(b);
	tls_authority_free(a);
	tls_authority_free(c);
}

TEST(roots_of_a_client_skip_bad_ones_and_need_one)
{
	static const unsigned char no_certificate[] = { 0x30, 2, 5, 0 };
	unsigned char roots[4096];
	const unsigned char *der;
	struct tls_stream *t;
	struct err e = { 0 };
	struct pair p;
	size_t len;

	pair_begin(&p);
	der = tls_bundle_der(p.roots, &len);
	(void) memcpy(roots, no_certificate, sizeof no_certificate);
	(void) memcpy(roots + sizeof no_certificate, der, len);
	tls_client_free(p.client);
	ASSERT_OK(tls_client_new(roots, sizeof no_certificate + len, &p.client, &e));
	pair_open(&p, "example.test");
	pair_close(&p);
	tls_client_free(p.client);
	ASSERT_OK(tls_client_new(roots, sizeof no_certificate, &p.client, &e));
	ASSERT_ERR(tls_client_stream(p.client, 0, "example.test", 443, &t, &e), EINVAL);
	ASSERT(strstr(e.text, "no trusted certificate could be read"));
	pair_end(&p);
}

TEST(roots_of_a_client_are_certificates_and_nothing_else)
{
	struct tls_client *c;
	struct err e = { 0 };
	unsigned char *cut;
	const unsigned char *der;
	struct pair p;
	size_t len;

	pair_begin(&p);
	der = tls_bundle_der(p.roots, &len);
	ASSERT_ERR(tls_client_new("", 0, &c, &e), EINVAL);
	for (size_t i = 0; i < len; i++) { /* heap, so that a byte too many is seen */
		cut = malloc(i + 1);
		(void) memcpy(cut, der, i);
		ASSERT_ERR(tls_client_new(cut, i, &c, &e), EINVAL);
		free(cut);
	}
	cut = malloc(len + 1);
	(void) memcpy(cut, der, len);
	cut[len] = 0;
	ASSERT_ERR(tls_client_new(cut, len + 1, &c, &e), EINVAL);
	free(cut);
	pair_end(&p);
}

TEST(roots_of_a_client_have_a_limit)
{
	static unsigned char many[2 * (TLS_ROOTS_MAX + 1)];
	struct tls_client *c;
	struct err e = { 0 };

	for (size_t i = 0; i < sizeof many; i += 2)
		many[i] = 0x30;
	ASSERT_OK(tls_setup(&e));
	ASSERT_OK(tls_client_new(many, sizeof many - 2, &c, &e));
	tls_client_free(c);
	ASSERT_ERR(tls_client_new(many, sizeof many, &c, &e), EINVAL);
}

TEST(certificates_come_in_their_order_in_every_form)
{
	struct tls_bundle *b = fresh();
	struct tls_authority *a[3];
	const unsigned char *at, *end, *der;
	unsigned char *java;
	struct err e = { 0 };
	size_t len, java_len, from = 0;

	for (int i = 0; i < 3; i++) {
		const char *pem;

		ASSERT_OK(tls_authority_new(&a[i], &e));
		pem = tls_authority_pem(a[i]);
		ASSERT_OK(tls_bundle_add(b, pem, strlen(pem), NULL, NULL, &e));
	}
	ASSERT_OK(tls_bundle_java(b, &java, &java_len, &e));
	at = tls_bundle_der(b, &len);
	end = at + len;
	for (int i = 0; i < 3; i++) {
		const unsigned char *found;

		der = tls_der_next(&at, end, &len);
		ASSERT(der && len == a[i]->crt.raw.len);
		ASSERT(memcmp(der, a[i]->crt.raw.p, len) == 0);
		found = memmem(java + from, java_len - from, der, len);
		ASSERT(found);
		from = (size_t) (found - java) + len;
		tls_authority_free(a[i]);
	}
	ASSERT(at == end && from + 20 == java_len); /* SHA-1 is all that follows */
	free(java);
	tls_bundle_free(b);
}

TEST(java_store_has_its_form)
{
	struct tls_bundle *b = fresh();
	struct tls_authority *a;
	unsigned char *java;
	struct err e = { 0 };
	size_t len;

	ASSERT_OK(tls_authority_new(&a, &e));
	ASSERT_OK(tls_bundle_add(
		b, tls_authority_pem(a), strlen(tls_authority_pem(a)), NULL, NULL, &e));
	ASSERT_OK(tls_bundle_java(b, &java, &len, &e));
	ASSERT(memcmp(java, "\xfe\xed\xfe\xed\0\0\0\2\0\0\0\1\0\0\0\2", 16) == 0);
	ASSERT(memmem(java, len, "openshell-0", 11) && memmem(java, len, "X.509", 5));
	free(java);
	tls_bundle_free(b);
	tls_authority_free(a);
}
