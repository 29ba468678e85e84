/* AES-GCM: the hook's fast half and mbedTLS's own against the vectors of the specification of GCM, and
 * against each other. */
#include <mbedtls/gcm.h>
#include "core_tls.h"
#include "test.h"
#include "tls_gcm.h"

#define BIG 20000

static size_t unhex(const char *hex, unsigned char *ret)
{
	size_t n = 0;

	for (; hex[0] && hex[1]; hex += 2) {
		unsigned v;

		ASSERT_EQ(sscanf(hex, "%2x", &v), 1);
		ret[n++] = (unsigned char) v;
	}
	return n;
}

static const struct vector {
	const char *key, *iv, *ad, *plain, *cipher, *tag;
} vectors[] = {
	{ "00000000000000000000000000000000", "000000000000000000000000", "", "", "",
		"58e2fccefa7e3061367f1d57a4e7455a" },
	{ "00000000000000000000000000000000", "000000000000000000000000", "",
		"00000000000000000000000000000000", "0388dace60b6a392f328c2b971b2fe78",
		"ab6e47d42cec13bdf53a67b21257bddf" },
	{ "feffe9928665731c6d6a8f9467308308", "cafebabefacedbaddecaf888",
		"feedfacedeadbeeffeedfacedeadbeefabaddad2",
		"d9313225f88406e5a55909c5aff5269a86a7a9531534f7da2e4c303d8a318a721c3c0c959568095"
		"32fcf0e2449a6b525b16aedf5aa0de657ba637b39",
		"42831ec2217774244b7221b784d0d49ce3aa212f2c02a4e035c17e2329aca12e21d514b25466931"
		"c7d8f6a5aac84aa051ba30b396a0aac973d58e091",
		"5bc94fbc3221a5db94fae95ae7121a47" },
	{ "000000000000000000000000000000000000000000000000", "000000000000000000000000", "",
		"00000000000000000000000000000000", "98e7247c07f0fe411c267e4384b0f600",
		"2ff58d80033927ab8ef4d4587514f0fb" },
	{ "0000000000000000000000000000000000000000000000000000000000000000",
		"000000000000000000000000", "", "", "", "530f8afbc74536b9a963b4f1c4cb738b" },
	{ "0000000000000000000000000000000000000000000000000000000000000000",
		"000000000000000000000000", "", "00000000000000000000000000000000",
		"cea7403d4d606b6e074ec5d3baf39d18", "d0d1c8a799996bf0265b98b5d48ab919" },
};

static void check_vector(const struct vector *v)
{
	unsigned char key[32], iv[12], ad[64], plain[64], cipher[64], tag[16], out[64], got[16];
	size_t key_len = unhex(v->key, key), n = unhex(v->plain, plain), ad_len = unhex(v->ad, ad);
	mbedtls_gcm_context c;

	(void) unhex(v->iv, iv);
	(void) unhex(v->cipher, cipher);
	(void) unhex(v->tag, tag);
	mbedtls_gcm_init(&c);
	ASSERT_EQ(mbedtls_gcm_setkey(&c, MBEDTLS_CIPHER_ID_AES, key, (unsigned) key_len * 8), 0);
	ASSERT_EQ(mbedtls_gcm_crypt_and_tag(
			  &c, MBEDTLS_GCM_ENCRYPT, n, iv, 12, ad, ad_len, plain, out, 16, got),
		0);
	ASSERT(memcmp(out, cipher, n) == 0);
	ASSERT(memcmp(got, tag, 16) == 0);
	ASSERT_EQ(mbedtls_gcm_auth_decrypt(&c, n, iv, 12, ad, ad_len, tag, 16, cipher, out), 0);
	ASSERT(memcmp(out, plain, n) == 0);
	mbedtls_gcm_free(&c);
}

TEST(vectors_of_the_specification)
{
	for (int fast = 0; fast < 2; fast++) {
		tls_gcm_use(fast ? tls_gcm_ipsec() : NULL);
		for (size_t i = 0; i < sizeof vectors / sizeof *vectors; i++)
			check_vector(&vectors[i]);
	}
}

static void *no_key(const unsigned char *key, unsigned bits)
{
	(void) key;
	(void) bits;
	return NULL;
}

TEST(a_key_that_the_library_does_not_make_is_mbedtls_own)
{
	static const struct tls_gcm_ops poor = { .key_new = no_key };

	tls_gcm_use(&poor);
	for (size_t i = 0; i < sizeof vectors / sizeof *vectors; i++)
		check_vector(&vectors[i]);
}

static unsigned next(unsigned *seed)
{
	return *seed = *seed * 1664525 + 1013904223;
}

static void fill(unsigned char *at, size_t n, unsigned *seed)
{
	for (size_t i = 0; i < n; i++)
		at[i] = (unsigned char) (next(seed) >> 24);
}

struct message {
	unsigned char key[32], iv[12], ad[80], in[BIG], out[2][BIG], tag[2][16];
	size_t len, ad_len;
	unsigned bits;
};

static void make(struct message *m, unsigned *seed)
{
	static const unsigned sizes[] = { 128, 192, 256 };

	m->bits = sizes[next(seed) % 3];
	m->len = next(seed) % (next(seed) % 4 ? 300 : BIG);
	m->ad_len = next(seed) % sizeof m->ad;
	fill(m->key, sizeof m->key, seed);
	fill(m->iv, sizeof m->iv, seed);
	fill(m->ad, m->ad_len, seed);
	fill(m->in, m->len, seed);
}

static void encrypt(struct message *m, int which, mbedtls_gcm_context *c)
{
	tls_gcm_use(which ? tls_gcm_ipsec() : NULL);
	mbedtls_gcm_init(c);
	ASSERT_EQ(mbedtls_gcm_setkey(c, MBEDTLS_CIPHER_ID_AES, m->key, m->bits), 0);
	(void) memcpy(m->out[which], m->in, m->len); /* in place, as TLS does it */
	ASSERT_EQ(mbedtls_gcm_crypt_and_tag(c, MBEDTLS_GCM_ENCRYPT, m->len, m->iv, 12, m->ad,
			  m->ad_len, m->out[which], m->out[which], 16, m->tag[which]),
		0);
}

TEST(both_halves_agree)
{
	struct message *m = calloc(1, sizeof *m);
	unsigned seed = 1;

	ASSERT(m);
	for (int i = 0; i < 500; i++) {
		mbedtls_gcm_context c[2];

		make(m, &seed);
		encrypt(m, 0, &c[0]);
		encrypt(m, 1, &c[1]);
		ASSERT(memcmp(m->out[0], m->out[1], m->len) == 0);
		ASSERT(memcmp(m->tag[0], m->tag[1], 16) == 0);
		ASSERT_EQ(mbedtls_gcm_auth_decrypt(&c[1], m->len, m->iv, 12, m->ad, m->ad_len,
				  m->tag[0], 16, m->out[0], m->out[0]),
			0);
		ASSERT(memcmp(m->out[0], m->in, m->len) == 0);
		mbedtls_gcm_free(&c[0]);
		mbedtls_gcm_free(&c[1]);
	}
	free(m);
}

TEST(wrong_tag_gives_no_plaintext)
{
	struct message *m = calloc(1, sizeof *m);
	unsigned seed = 7;

	ASSERT(m);
	for (int which = 0; which < 2; which++) {
		mbedtls_gcm_context c;

		do
			make(m, &seed);
		while (m->len < 32);
		encrypt(m, which, &c);
		m->tag[which][15] ^= 0x80;
		ASSERT_EQ(mbedtls_gcm_auth_decrypt(&c, m->len, m->iv, 12, m->ad, m->ad_len,
				  m->tag[which], 16, m->out[which], m->out[which]),
			MBEDTLS_ERR_GCM_AUTH_FAILED);
		for (size_t i = 0; i < m->len; i++)
			ASSERT_EQ(m->out[which][i], 0);
		mbedtls_gcm_free(&c);
	}
	free(m);
}

TEST(message_in_pieces_is_the_same)
{
	unsigned char out[300], tag[16];
	struct message *m = calloc(1, sizeof *m);
	mbedtls_gcm_context c;
	unsigned seed = 3;
	size_t n = 0, done;

	ASSERT(m);
	do
		make(m, &seed);
	while (m->len < 100 || m->len > sizeof out || m->ad_len < 20);
	encrypt(m, 1, &c);
	ASSERT_EQ(mbedtls_gcm_starts(&c, MBEDTLS_GCM_ENCRYPT, m->iv, 12), 0);
	ASSERT_EQ(mbedtls_gcm_update_ad(&c, m->ad, 13), 0);
	ASSERT_EQ(mbedtls_gcm_update_ad(&c, m->ad + 13, m->ad_len - 13), 0);
	for (done = 0; done < m->len; done += n) {
		size_t k = m->len - done < 17 ? m->len - done : 17;

		ASSERT_EQ(
			mbedtls_gcm_update(&c, m->in + done, k, out + done, sizeof out - done, &n),
			0);
		ASSERT(n > 0);
	}
	ASSERT_EQ(mbedtls_gcm_finish(&c, NULL, 0, &n, tag, 16), 0);
	ASSERT(memcmp(out, m->out[1], m->len) == 0);
	ASSERT(memcmp(tag, m->tag[1], 16) == 0);
	mbedtls_gcm_free(&c);
	free(m);
}

TEST(bad_sizes_are_refused)
{
	unsigned char key[32] = { 0 }, iv[12] = { 0 }, tag[32], in[1] = { 0 }, out[1];
	mbedtls_gcm_context c;

	for (int which = 0; which < 2; which++) {
		tls_gcm_use(which ? tls_gcm_ipsec() : NULL);
		mbedtls_gcm_init(&c);
		ASSERT(mbedtls_gcm_setkey(&c, MBEDTLS_CIPHER_ID_AES, key, 100) != 0);
		ASSERT_EQ(mbedtls_gcm_setkey(&c, MBEDTLS_CIPHER_ID_AES, key, 128), 0);
		ASSERT(mbedtls_gcm_crypt_and_tag(
			       &c, MBEDTLS_GCM_ENCRYPT, 1, iv, 12, NULL, 0, in, out, 17, tag) != 0);
		ASSERT(mbedtls_gcm_crypt_and_tag(
			       &c, MBEDTLS_GCM_ENCRYPT, 1, iv, 12, NULL, 0, in, out, 3, tag) != 0);
		mbedtls_gcm_free(&c);
	}
}
