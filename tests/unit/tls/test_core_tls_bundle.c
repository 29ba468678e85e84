#include "core_tls_bundle.h"
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

TEST(roots_of_a_client_skip_bad_blocks_and_need_one)
{
	struct tls_client *c;
	struct err e = { 0 };
	size_t skipped;
	char text[8192];
	struct pair p;

	pair_begin(&p);
	ASSERT_ERR(tls_client_new("", 0, &c, NULL, &e), EINVAL);
	(void) snprintf(text, sizeof text,
		"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n%s",
		tls_authority_pem(p.authority));
	ASSERT_OK(tls_client_new(text, strlen(text), &c, &skipped, &e));
	ASSERT_EQ((long long) skipped, 1);
	tls_client_free(p.client);
	p.client = c;
	pair_open(&p, "example.test");
	pair_end(&p);
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
