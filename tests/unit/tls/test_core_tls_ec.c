/* Elliptic curves and SHA-2 as mbedTLS gets them: vectors of the standards, OpenSSL as an independent
 * reference, and every input that must be refused. */
#define MBEDTLS_ALLOW_PRIVATE_ACCESS
#define OPENSSL_SUPPRESS_DEPRECATED
#include <gmp.h>
#include <mbedtls/ecdsa.h>
#include <mbedtls/sha256.h>
#include <mbedtls/sha512.h>
#include <openssl/bn.h>
#include <openssl/ec.h>
#include <openssl/ecdsa.h>
#include <openssl/obj_mac.h>
#include "core_tls_inner.h"
#include "test.h"
#include "tls_ec.h"

#define ROUNDS 40

static const struct curve {
	mbedtls_ecp_group_id id;
	int nid;
	unsigned bits;
} curves[] = {
	{ MBEDTLS_ECP_DP_SECP256R1, NID_X9_62_prime256v1, 256 },
	{ MBEDTLS_ECP_DP_SECP384R1, NID_secp384r1, 384 },
	{ MBEDTLS_ECP_DP_SECP521R1, NID_secp521r1, 521 },
};
#define ASSERT_MEM(a, b, n) ASSERT(memcmp(a, b, n) == 0)
#define N_CURVES (sizeof curves / sizeof *curves)

static size_t unhex(const char *hex, uint8_t *ret)
{
	size_t n = 0;

	for (; hex[0] && hex[1]; hex += 2) {
		unsigned v;

		ASSERT_EQ(sscanf(hex, "%2x", &v), 1);
		ret[n++] = (uint8_t) v;
	}
	return n;
}

static unsigned next(unsigned *seed)
{
	return *seed = *seed * 1664525 + 1013904223;
}

static void fill(uint8_t *at, size_t n, unsigned *seed)
{
	for (size_t i = 0; i < n; i++)
		at[i] = (uint8_t) (next(seed) >> 24);
}

/* One multiplication both ways, of the same bytes. */
struct both {
	const struct curve *curve;
	mbedtls_ecp_group group;
	EC_GROUP *ref;
	BIGNUM *order;
	size_t len;
};

static void begin(struct both *b, const struct curve *curve)
{
	*b = (struct both){ .curve = curve, .len = (curve->bits + 7) / 8 };
	mbedtls_ecp_group_init(&b->group);
	ASSERT_EQ(mbedtls_ecp_group_load(&b->group, curve->id), 0);
	b->ref = EC_GROUP_new_by_curve_name(curve->nid);
	b->order = BN_dup(EC_GROUP_get0_order(b->ref));
	ASSERT(b->order);
}

static void end(struct both *b)
{
	mbedtls_ecp_group_free(&b->group);
	BN_free(b->order);
	EC_GROUP_free(b->ref);
}

/* point NULL: the generator.  ret: x, y. */
static void reference(const struct both *b, const BIGNUM *k, const EC_POINT *point, uint8_t *ret)
{
	EC_POINT *r = EC_POINT_new(b->ref);
	BIGNUM *x = BN_new(), *y = BN_new();

	ASSERT_EQ(EC_POINT_mul(b->ref, r, point ? NULL : k, point, point ? k : NULL, NULL), 1);
	ASSERT_EQ(EC_POINT_get_affine_coordinates(b->ref, r, x, y, NULL), 1);
	ASSERT_EQ(BN_bn2binpad(x, ret, (int) b->len), (int) b->len);
	ASSERT_EQ(BN_bn2binpad(y, ret + b->len, (int) b->len), (int) b->len);
	BN_free(x);
	BN_free(y);
	EC_POINT_free(r);
}

/* Code of tls_ec_mul; point NULL: the generator. */
static int ours(struct both *b, const BIGNUM *k, const uint8_t *point, uint8_t *ret)
{
	uint8_t bytes[2 * TLS_EC_FIELD_LEN] = { 0 };
	mbedtls_ecp_point p, r;
	mbedtls_mpi m;
	int code;

	mbedtls_mpi_init(&m);
	mbedtls_ecp_point_init(&p);
	mbedtls_ecp_point_init(&r);
	(void) BN_bn2binpad(k, bytes, (int) b->len + 1);
	ASSERT_EQ(mbedtls_mpi_read_binary(&m, bytes, b->len + 1), 0);
	if (point) {
		ASSERT_EQ(mbedtls_mpi_read_binary(&p.X, point, b->len), 0);
		ASSERT_EQ(mbedtls_mpi_read_binary(&p.Y, point + b->len, b->len), 0);
		ASSERT_EQ(mbedtls_mpi_lset(&p.Z, 1), 0);
	}
	code = tls_ec_mul(&b->group, &r, &m, point ? &p : &b->group.G, NULL, NULL, NULL);
	if (code == 0) {
		ASSERT_EQ(mbedtls_mpi_cmp_int(&r.Z, 1), 0);
		ASSERT_EQ(mbedtls_mpi_write_binary(&r.X, ret, b->len), 0);
		ASSERT_EQ(mbedtls_mpi_write_binary(&r.Y, ret + b->len, b->len), 0);
	}
	mbedtls_mpi_free(&m);
	mbedtls_ecp_point_free(&p);
	mbedtls_ecp_point_free(&r);
	return code;
}

static void check_mul(struct both *b, const BIGNUM *k)
{
	uint8_t want[2 * TLS_EC_FIELD_LEN], got[2 * TLS_EC_FIELD_LEN], twice[2 * TLS_EC_FIELD_LEN];
	EC_POINT *p = EC_POINT_new(b->ref);

	reference(b, k, NULL, want);
	ASSERT_EQ(ours(b, k, NULL, got), 0);
	ASSERT_MEM(got, want, 2 * b->len);
	ASSERT_EQ(EC_POINT_mul(b->ref, p, k, NULL, NULL, NULL), 1);
	reference(b, k, p, want); /* a general point */
	ASSERT_EQ(ours(b, k, got, twice), 0);
	ASSERT_MEM(twice, want, 2 * b->len);
	EC_POINT_free(p);
}

TEST(multiplication_is_openssl_s)
{
	unsigned seed = 7;

	for (size_t c = 0; c < N_CURVES; c++) {
		struct both b;
		BIGNUM *k = BN_new();
		BN_CTX *scratch = BN_CTX_new();
		uint8_t bytes[TLS_EC_FIELD_LEN];

		begin(&b, &curves[c]);
		for (unsigned i = 0; i < ROUNDS; i++) {
			size_t n = i % 4 ? b.len : 1 + next(&seed) % b.len; /* short ones, too */

			fill(bytes, n, &seed);
			ASSERT(BN_bin2bn(bytes, (int) n, k));
			ASSERT_EQ(BN_nnmod(k, k, b.order, scratch), 1);
			if (!BN_is_zero(k))
				check_mul(&b, k);
		}
		for (unsigned i = 1; i < 20; i++) { /* both ends of the range */
			ASSERT_EQ(BN_set_word(k, i), 1);
			check_mul(&b, k);
			ASSERT_EQ(BN_sub(k, b.order, k), 1);
			check_mul(&b, k);
		}
		BN_CTX_free(scratch);
		BN_free(k);
		end(&b);
	}
}

TEST(scalars_out_of_range_are_refused)
{
	for (size_t c = 0; c < N_CURVES; c++) {
		struct both b;
		BIGNUM *k = BN_new();
		uint8_t ret[2 * TLS_EC_FIELD_LEN];

		begin(&b, &curves[c]);
		ASSERT_EQ(BN_set_word(k, 0), 1);
		ASSERT_EQ(ours(&b, k, NULL, ret), MBEDTLS_ERR_ECP_INVALID_KEY);
		ASSERT_EQ(ours(&b, b.order, NULL, ret), MBEDTLS_ERR_ECP_INVALID_KEY);
		ASSERT_EQ(BN_add(k, b.order, BN_value_one()), 1);
		ASSERT_EQ(ours(&b, k, NULL, ret), MBEDTLS_ERR_ECP_INVALID_KEY);
		ASSERT_EQ(BN_lshift(k, BN_value_one(), (int) b.len * 8), 1); /* a byte too long */
		ASSERT_EQ(ours(&b, k, NULL, ret), MBEDTLS_ERR_ECP_INVALID_KEY);
		BN_free(k);
		end(&b);
	}
}

/* An invalid-curve attack gives points of another curve, whose order is small. */
TEST(points_off_the_curve_are_refused)
{
	for (size_t c = 0; c < N_CURVES; c++) {
		struct both b;
		BIGNUM *k = BN_new(), *prime = BN_new();
		uint8_t point[2 * TLS_EC_FIELD_LEN], bad[2 * TLS_EC_FIELD_LEN],
			ret[2 * TLS_EC_FIELD_LEN];
		mbedtls_ecp_point infinity, r;
		mbedtls_mpi one;

		begin(&b, &curves[c]);
		ASSERT_EQ(BN_set_word(k, 5), 1);
		ASSERT_EQ(ours(&b, k, NULL, point), 0);
		for (size_t i = 0; i < 2 * b.len; i += b.len / 4) {
			(void) memcpy(bad, point, sizeof bad);
			bad[i + 3] ^= 1;
			ASSERT_EQ(ours(&b, k, bad, ret), MBEDTLS_ERR_ECP_INVALID_KEY);
		}
		(void) memset(bad, 0, sizeof bad);
		ASSERT_EQ(ours(&b, k, bad, ret), MBEDTLS_ERR_ECP_INVALID_KEY);
		(void) memcpy(bad, point, sizeof bad); /* x as great as the prime */
		ASSERT_EQ(EC_GROUP_get_curve(b.ref, prime, NULL, NULL, NULL), 1);
		ASSERT_EQ(BN_bn2binpad(prime, bad, (int) b.len), (int) b.len);
		ASSERT_EQ(ours(&b, k, bad, ret), MBEDTLS_ERR_ECP_INVALID_KEY);

		mbedtls_ecp_point_init(&infinity);
		mbedtls_ecp_point_init(&r);
		mbedtls_mpi_init(&one);
		ASSERT_EQ(mbedtls_ecp_set_zero(&infinity), 0);
		ASSERT_EQ(mbedtls_mpi_lset(&one, 1), 0);
		ASSERT_EQ(tls_ec_mul(&b.group, &r, &one, &infinity, NULL, NULL, NULL),
			MBEDTLS_ERR_ECP_INVALID_KEY);
		mbedtls_ecp_point_free(&infinity);
		mbedtls_ecp_point_free(&r);
		mbedtls_mpi_free(&one);
		BN_free(prime);
		BN_free(k);
		end(&b);
	}
}

struct signature {
	mbedtls_mpi r, s;
	mbedtls_ecp_point key;
};

static int verify(struct both *b, struct signature *g, const uint8_t *hash, size_t len)
{
	return mbedtls_ecdsa_verify(&b->group, hash, len, &g->key, &g->r, &g->s);
}

static void take(mbedtls_mpi *to, const BIGNUM *from)
{
	uint8_t bytes[2 * TLS_EC_FIELD_LEN];
	int n = BN_bn2bin(from, bytes);

	ASSERT_EQ(mbedtls_mpi_read_binary(to, bytes, (size_t) n), 0);
}

/* A key and a signature that OpenSSL made. */
static EC_KEY *sign(struct both *b, struct signature *g, const uint8_t *hash, size_t len)
{
	EC_KEY *key = EC_KEY_new_by_curve_name(b->curve->nid);
	BIGNUM *x = BN_new(), *y = BN_new();
	ECDSA_SIG *made;

	ASSERT_EQ(EC_KEY_generate_key(key), 1);
	made = ECDSA_do_sign(hash, (int) len, key);
	ASSERT(made);
	ASSERT_EQ(EC_POINT_get_affine_coordinates(b->ref, EC_KEY_get0_public_key(key), x, y, NULL),
		1);
	mbedtls_mpi_init(&g->r);
	mbedtls_mpi_init(&g->s);
	mbedtls_ecp_point_init(&g->key);
	take(&g->r, ECDSA_SIG_get0_r(made));
	take(&g->s, ECDSA_SIG_get0_s(made));
	take(&g->key.X, x);
	take(&g->key.Y, y);
	ASSERT_EQ(mbedtls_mpi_lset(&g->key.Z, 1), 0);
	ECDSA_SIG_free(made);
	BN_free(x);
	BN_free(y);
	return key;
}

static void drop(struct signature *g, EC_KEY *key)
{
	mbedtls_mpi_free(&g->r);
	mbedtls_mpi_free(&g->s);
	mbedtls_ecp_point_free(&g->key);
	EC_KEY_free(key);
}

static void refuses(struct both *b, struct signature *g, mbedtls_mpi *number,
	const mbedtls_mpi *value, const uint8_t *hash, size_t len)
{
	mbedtls_mpi saved;

	mbedtls_mpi_init(&saved);
	ASSERT_EQ(mbedtls_mpi_copy(&saved, number), 0);
	ASSERT_EQ(mbedtls_mpi_copy(number, value), 0);
	ASSERT_EQ(verify(b, g, hash, len), MBEDTLS_ERR_ECP_VERIFY_FAILED);
	ASSERT_EQ(mbedtls_mpi_copy(number, &saved), 0);
	mbedtls_mpi_free(&saved);
}

TEST(signatures_of_openssl_are_verified_and_changed_ones_are_not)
{
	static const size_t lengths[] = { 20, 28, 32, 48,
		64 }; /* shorter and longer than the field */
	unsigned seed = 3;

	for (size_t c = 0; c < N_CURVES; c++) {
		for (size_t i = 0; i < sizeof lengths / sizeof *lengths; i++) {
			size_t len = lengths[i];
			struct signature g;
			struct both b;
			uint8_t hash[64];
			mbedtls_mpi value;
			EC_KEY *key;

			begin(&b, &curves[c]);
			fill(hash, sizeof hash, &seed);
			key = sign(&b, &g, hash, len);
			ASSERT_EQ(verify(&b, &g, hash, len), 0);
			hash[next(&seed) % (len < b.len ? len : b.len - 1)] ^= 0x10;
			ASSERT_EQ(verify(&b, &g, hash, len), MBEDTLS_ERR_ECP_VERIFY_FAILED);

			mbedtls_mpi_init(&value);
			refuses(&b, &g, &g.r, &value, hash, len); /* zero */
			refuses(&b, &g, &g.s, &value, hash, len);
			refuses(&b, &g, &g.r, &b.group.N, hash, len);
			refuses(&b, &g, &g.s, &b.group.N, hash, len);
			refuses(&b, &g, &g.r, &g.s, hash, len);
			ASSERT_EQ(mbedtls_mpi_add_mpi(&value, &g.r, &b.group.N), 0);
			refuses(&b, &g, &g.r, &value, hash, len);
			ASSERT_EQ(mbedtls_mpi_lset(&value, -1), 0);
			refuses(&b, &g, &g.s, &value, hash, len);
			ASSERT_EQ(mbedtls_mpi_lset(&value, 1), 0);
			refuses(&b, &g, &g.key.X, &value, hash, len); /* no point of the curve */
			ASSERT_EQ(mbedtls_mpi_lset(&g.key.Z, 0), 0);
			ASSERT_EQ(verify(&b, &g, hash, len), MBEDTLS_ERR_ECP_VERIFY_FAILED);
			mbedtls_mpi_free(&value);
			drop(&g, key);
			end(&b);
		}
	}
}

/* The leftmost bits of a hash count, as many as the order has. */
static void hash_that_is(const struct both *b, const mbedtls_mpi *value, uint8_t *ret)
{
	mbedtls_mpi shifted;

	mbedtls_mpi_init(&shifted);
	ASSERT_EQ(mbedtls_mpi_copy(&shifted, value), 0);
	ASSERT_EQ(mbedtls_mpi_shift_l(&shifted, b->len * 8 - b->curve->bits), 0);
	ASSERT_EQ(mbedtls_mpi_write_binary(&shifted, ret, b->len), 0);
	mbedtls_mpi_free(&shifted);
}

/* With a hash of zero, u1 is zero; with the key -G or G, the sum meets the group's special cases. */
TEST(special_cases_of_verification_are_openssl_s)
{
	for (size_t c = 0; c < N_CURVES; c++) {
		uint8_t hash[TLS_EC_FIELD_LEN] = { 0 };
		struct signature g;
		struct both b;
		EC_KEY *key;

		begin(&b, &curves[c]);
		key = sign(&b, &g, hash, 32);
		ASSERT_EQ(verify(&b, &g, hash, 32), 0);
		/* key G, r = s = Gx mod n, hash 0: u2 = 1, so that the sum is G and its x is r. */
		ASSERT_EQ(mbedtls_mpi_copy(&g.key.X, &b.group.G.X), 0);
		ASSERT_EQ(mbedtls_mpi_copy(&g.key.Y, &b.group.G.Y), 0);
		ASSERT_EQ(mbedtls_mpi_mod_mpi(&g.r, &b.group.G.X, &b.group.N), 0);
		ASSERT_EQ(mbedtls_mpi_copy(&g.s, &g.r), 0);
		ASSERT_EQ(verify(&b, &g, hash, 32), 0);
		/* key -G, hash = r: u1 = u2 = 1, and the sum is infinity. */
		ASSERT_EQ(mbedtls_mpi_sub_mpi(&g.key.Y, &b.group.P, &b.group.G.Y), 0);
		hash_that_is(&b, &g.r, hash);
		ASSERT_EQ(verify(&b, &g, hash, b.len), MBEDTLS_ERR_ECP_VERIFY_FAILED);
		drop(&g, key);
		end(&b);
	}
}

static void check_x25519(const char *scalar, const char *point, const char *product)
{
	uint8_t k[32], u[32], want[32], got[32];

	ASSERT_EQ((long long) unhex(scalar, k), 32);
	ASSERT_EQ((long long) unhex(product, want), 32);
	if (point)
		ASSERT_EQ((long long) unhex(point, u), 32);
	ASSERT(tls_ec_x25519(k, point ? u : NULL, got));
	ASSERT_MEM(got, want, 32);
}

TEST(x25519_vectors_of_rfc_7748)
{
	check_x25519("a546e36bf0527c9d3b16154b82465edd62144c0ac1fc5a18506a2244ba449ac4",
		"e6db6867583030db3594c1a424b15f7c726624ec26b3353b10a903a6d0ab1c4c",
		"c3da55379de9c6908e94ea4df28d084f32eccf03491c71f754b4075577a28552");
	check_x25519("4b66e9d4d1b4673c5ad22691957d6af5c11b6421e0ea01d42ca4169e7918ba0d",
		"e5210f12786811d3f4b7959d0538ae2c31dbe7106fc03c3efc4cd549c715a493",
		"95cbde9476e8907d7aade45cb4b873f88b595a68799fa152e6f8f7647aac7957");
}

TEST(x25519_iterated_as_in_rfc_7748)
{
	uint8_t k[32] = { 9 }, u[32] = { 9 }, product[32], once[32], thousand[32];

	ASSERT_EQ((long long) unhex(
			  "422c8e7a6227d7bca1350b3e2bb7279f7897b87bb6854b783c60e80311ae3079", once),
		32);
	ASSERT_EQ((long long) unhex(
			  "684cf59ba83309552800ef566f2f4d3c1c3887c49360e3875f2eb94d99532c51",
			  thousand),
		32);
	for (unsigned i = 0; i < 1000; i++) {
		ASSERT(tls_ec_x25519(k, u, product));
		(void) memcpy(u, k, sizeof u);
		(void) memcpy(k, product, sizeof k);
		if (i == 0)
			ASSERT_MEM(k, once, 32);
	}
	ASSERT_MEM(k, thousand, 32);
}

TEST(x25519_of_the_base_point_is_that_of_9)
{
	static const uint8_t nine[32] = { 9 };
	uint8_t k[32], a[32], b[32];
	unsigned seed = 11;

	for (unsigned i = 0; i < ROUNDS; i++) {
		fill(k, sizeof k, &seed);
		ASSERT(tls_ec_x25519(k, NULL, a) && tls_ec_x25519(k, nine, b));
		ASSERT_MEM(a, b, 32);
	}
}

/* Through the types of mbedTLS, and with each point whose product is zero whatever the key is. */
TEST(x25519_points_of_small_order_are_refused)
{
	static const char *const points[] = {
		"0000000000000000000000000000000000000000000000000000000000000000",
		"0100000000000000000000000000000000000000000000000000000000000000",
		"e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800",
		"5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f1157",
		"ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
		"edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
		"eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
	};
	uint8_t k[32] = { 0x48, 1, 2, 3, [31] = 0x41 }, u[32], want[32], got[32];
	mbedtls_ecp_point p, r;
	mbedtls_ecp_group group;
	mbedtls_mpi m;

	mbedtls_ecp_group_init(&group);
	ASSERT_EQ(mbedtls_ecp_group_load(&group, MBEDTLS_ECP_DP_CURVE25519), 0);
	mbedtls_mpi_init(&m);
	mbedtls_ecp_point_init(&p);
	mbedtls_ecp_point_init(&r);
	ASSERT_EQ(mbedtls_mpi_read_binary_le(&m, k, sizeof k), 0);
	ASSERT_EQ(mbedtls_mpi_lset(&p.Z, 1), 0);
	for (size_t i = 0; i < sizeof points / sizeof *points; i++) {
		ASSERT_EQ((long long) unhex(points[i], u), 32);
		ASSERT_EQ(mbedtls_mpi_read_binary_le(&p.X, u, sizeof u), 0);
		ASSERT_EQ(tls_ec_mul(&group, &r, &m, &p, NULL, NULL, NULL),
			MBEDTLS_ERR_ECP_INVALID_KEY);
	}
	ASSERT_EQ(mbedtls_mpi_lset(&p.X, 9), 0);
	ASSERT_EQ(tls_ec_mul(&group, &r, &m, &p, NULL, NULL, NULL), 0);
	ASSERT_EQ(mbedtls_mpi_write_binary_le(&r.X, got, sizeof got), 0);
	ASSERT(tls_ec_x25519(k, NULL, want));
	ASSERT_MEM(got, want, 32);
	mbedtls_mpi_free(&m);
	mbedtls_ecp_point_free(&p);
	mbedtls_ecp_point_free(&r);
	mbedtls_ecp_group_free(&group);
}

/* The two families have the same functions by other names. */
#define CHECK_SHA(family, shorter, text, times, digest) \
	do { \
		uint8_t want_[64], got_[64], copied_[64]; \
		size_t n_ = unhex(digest, want_); \
		mbedtls_##family##_context c_, copy_; \
		mbedtls_##family##_init(&c_); \
		mbedtls_##family##_init(&copy_); \
		ASSERT_EQ(mbedtls_##family##_starts(&c_, shorter), 0); \
		for (unsigned i_ = (times); i_ > 0; i_--) \
			ASSERT_EQ(mbedtls_##family##_update( \
					  &c_, (const uint8_t *) (text), strlen(text)), \
				0); \
		mbedtls_##family##_clone(&copy_, &c_); /* TLS reads its transcript and goes on */ \
		ASSERT_EQ(mbedtls_##family##_finish(&copy_, copied_), 0); \
		ASSERT_EQ(mbedtls_##family##_finish(&c_, got_), 0); \
		ASSERT_MEM(got_, want_, n_); \
		ASSERT_MEM(copied_, want_, n_); \
		mbedtls_##family##_free(&c_); \
		mbedtls_##family##_free(&copy_); \
	} while (0)

TEST(sha2_vectors_of_fips_180)
{
	static const char two[] = "abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq";

	CHECK_SHA(sha256, 0, "", 0,
		"e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
	CHECK_SHA(sha256, 0, "abc", 1,
		"ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
	CHECK_SHA(sha256, 0, two, 1,
		"248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1");
	CHECK_SHA(sha256, 0, "aaaaaaaaaa", 100000,
		"cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0");
	CHECK_SHA(sha256, 1, "abc", 1, "23097d223405d8228642a477bda255b32aadbce4bda0b3f7e36c9da7");
	CHECK_SHA(sha256, 1, two, 1, "75388b16512776cc5dba5da1fd890150b0c6455cb4f58b1952522525");
	CHECK_SHA(sha512, 0, "abc", 1,
		"ddaf35a193617abacc417349ae20413112e6fa4e89a97ea20a9eeee64b55d39a"
		"2192992a274fc1a836ba3c23a3feebbd454d4423643ce80e2a9ac94fa54ca49f");
	CHECK_SHA(sha512, 0, "aaaaaaaaaa", 100000,
		"e718483d0ce769644e2e42c7bc15b4638e1f98b13b2044285632a803afa973eb"
		"de0ff244877ea60a4cb0432ce577c31beb009c5c2c49aa2e4eadb217ad8cc09b");
	CHECK_SHA(sha512, 1, "abc", 1,
		"cb00753f45a35e8bb5a03d699ac65007272c32ab0eded1631a8b605a43ff5bed8086072ba1e7cc2358"
		"baeca134c825a7");
	CHECK_SHA(sha512, 1, "aaaaaaaaaa", 100000,
		"9d0e1809716474cb086e834e310a4a1ced149e9c00f248527972cec5704c2a5b07b8b3dc38ecc4ebae"
		"97ddd87f3d8985");
}

/* GMP's allocator is mbedTLS's, with its locked memory where that is asked for, and it wipes. */
TEST(numbers_live_where_keys_do)
{
	uint8_t k[32] = { 1 }, ret[32];
	void *(*allocate)(size_t), *(*reallocate)(void *, size_t, size_t), *p;
	void (*release)(void *, size_t);
	struct err e = { 0 };

	ASSERT_OK(tls_memory_setup(&e));
	ASSERT(tls_ec_x25519(k, NULL, ret));
	mp_get_memory_functions(&allocate, &reallocate, &release);
	tls_memory_secret_begin();
	p = allocate(100);
	(void) memset(p, 0x5a, 100);
	p = reallocate(p, 100, 200);
	tls_memory_secret_end();
	ASSERT_EQ(((unsigned char *) p)[99], 0x5a);
	ASSERT_EQ(((unsigned char *) p)[100], 0);
	release(p, 200);
	ASSERT_EQ(((unsigned char *) p)[99], 0); /* it was in the arena, which stays */
}
