#include "tls_pair.h"

TEST(authority_survives_being_lent)
{
	struct tls_authority *a, *b;
	struct secret *key, *again;
	struct err e = { 0 };

	ASSERT_OK(tls_setup(&e));
	ASSERT_OK(tls_authority_new(&a, &e));
	ASSERT_OK(tls_authority_key(a, &key, &e));
	ASSERT_OK(tls_authority_load(tls_authority_pem(a), strlen(tls_authority_pem(a)),
		secret_bytes(key), secret_len(key), &b, &e));
	ASSERT_STR(tls_authority_pem(b), tls_authority_pem(a));
	ASSERT_OK(tls_authority_key(b, &again, &e));
	ASSERT_EQ(secret_len(key), secret_len(again));
	ASSERT(memcmp(secret_bytes(key), secret_bytes(again), secret_len(key)) == 0);
	secret_free(key);
	secret_free(again);
	tls_authority_free(a);
	tls_authority_free(b);
}

TEST(authority_with_the_key_of_another_is_refused)
{
	struct tls_authority *a, *b, *c;
	struct secret *key;
	struct err e = { 0 };

	ASSERT_OK(tls_setup(&e));
	ASSERT_OK(tls_authority_new(&a, &e));
	ASSERT_OK(tls_authority_new(&b, &e));
	ASSERT_OK(tls_authority_key(b, &key, &e));
	ASSERT(tls_authority_load(tls_authority_pem(a), strlen(tls_authority_pem(a)),
		       secret_bytes(key), secret_len(key), &c, &e) < 0);
	secret_free(key);
	tls_authority_free(a);
	tls_authority_free(b);
}

static char *host_of(char *buf, size_t i)
{
	(void) snprintf(buf, TLS_HOST_MAX, "h%zu.example.test", i);
	return buf;
}

TEST(same_host_has_one_certificate)
{
	struct err e = { 0 };
	struct tls_cert *first, *second;
	struct pair p;

	pair_begin(&p);
	pair_connect(&p, "example.test", "example.test");
	first = p.s->cert;
	pair_close(&p);
	pair_connect(&p, "example.test", "example.test");
	second = p.s->cert;
	ASSERT(first == second);
	ASSERT_OK(tls_server_prepare(p.server, "example.test", &e));
	pair_end(&p);
}

TEST(flood_of_hosts_is_bounded_and_those_in_use_stay)
{
	char host[TLS_HOST_MAX + 1];
	struct err e = { 0 };
	struct pair p;
	size_t i;

	pair_begin(&p);
	pair_connect(&p, "first.test", "first.test");
	/* The burst; what the test's own duration adds is allowed for. */
	for (i = 0; i < TLS_MINT_BURST + TLS_MINT_PER_S * 10; i++)
		if (tls_server_prepare(p.server, host_of(host, i), &e) < 0)
			break;
	ASSERT(i >= TLS_MINT_BURST - 1);
	ASSERT(i < TLS_MINT_BURST + TLS_MINT_PER_S * 10);
	ASSERT_EQ(e.code, EBUSY);
	/* The first one's certificate was dropped from the cache, but its handshake goes on with it. */
	ASSERT_EQ(p.s->cert->refs, 1);
	pair_handshake(&p);
	ASSERT_EQ(p.s_step, TLS_DONE);
	ASSERT_EQ(p.c_step, TLS_DONE);
	/* A host that is known costs nothing. */
	ASSERT_OK(tls_server_prepare(p.server, host_of(host, i - 1), &e));
	pair_end(&p);
}

TEST(least_recently_used_goes_first)
{
	char host[TLS_HOST_MAX + 1];
	struct err e = { 0 };
	struct tls_cert *kept;
	struct pair p;

	pair_begin(&p);
	pair_connect(&p, "kept.test", "kept.test");
	kept = p.s->cert;
	/* More than fit, but for the burst's sake not many more. */
	for (size_t i = 0; i < TLS_CERTIFICATES_MAX + 10; i++) {
		ASSERT_OK(tls_server_prepare(p.server, host_of(host, i), &e));
		ASSERT_OK(tls_server_prepare(p.server, "kept.test", &e));
	}
	ASSERT_EQ(kept->refs, 2); /* of the cache and of the stream */
	pair_close(&p);
	pair_connect(&p, host_of(host, TLS_CERTIFICATES_MAX + 9), "x");
	ASSERT_EQ(p.s->cert->refs, 2);
	pair_close(&p);
	/* The first of the others has gone: the stream's certificate is a new one. */
	pair_connect(&p, "kept.test", "kept.test");
	ASSERT(p.s->cert == kept);
	pair_end(&p);
}

TEST(cache_is_bounded)
{
	struct tls_stream *first;
	char host[TLS_HOST_MAX + 1];
	struct err e = { 0 };
	struct pair p;

	pair_begin(&p);
	pair_connect(&p, "first.test", "first.test");
	first = p.s;
	for (size_t i = 0; i < TLS_CERTIFICATES_MAX - 1; i++)
		ASSERT_OK(tls_server_prepare(p.server, host_of(host, i), &e));
	ASSERT_EQ(first->cert->refs, 2);
	ASSERT_OK(tls_server_prepare(p.server, "one-more.test", &e));
	ASSERT_EQ(first->cert->refs, 1); /* the oldest has left the cache */
	pair_end(&p);
}

TEST(names_that_no_certificate_can_carry_are_refused)
{
	static const char *const bad[] = { "", ".", "a..b", "-.a.", "a b", "a,b", "CN=x", "A.test",
		"a.test.", ".a.test", "a\nb", "a/b", "*.a.test", "[::1]", "1.2.3.4:5",
		"ex\xc3\xa4mple",
		"a234567890123456789012345678901234567890123456789012345678901234.test" };
	struct err e = { 0 };
	struct pair p;

	pair_begin(&p);
	for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
		if (tls_server_prepare(p.server, bad[i], &e) != -EINVAL)
			FAIL_("\"%s\" was taken", bad[i]);
	}
	pair_end(&p);
}

TEST(long_names_work_up_to_the_limit)
{
	char host[TLS_HOST_MAX + 2];
	struct err e = { 0 };
	struct pair p;

	for (size_t i = 0; i < TLS_HOST_MAX; i++)
		host[i] = i % 50 == 49 ? '.' : 'a';
	host[TLS_HOST_MAX] = 0;
	pair_begin(&p);
	pair_open(&p, host);
	pair_close(&p);
	(void) memcpy(host + TLS_HOST_MAX, "a", 2);
	ASSERT_ERR(tls_server_prepare(p.server, host, &e), EINVAL);
	pair_end(&p);
}
