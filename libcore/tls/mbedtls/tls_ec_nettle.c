/* Elliptic curves by nettle's libhogweed: constant time where a secret is involved, in assembler where
 * it counts.  Runs wherever mbedTLS does: in the orchestrator, which makes the authority, and in the
 * network leaf.  GMP allocates through mbedTLS's allocator, and wipes what it frees. */
#include <stdlib.h>
#include <string.h>
#include <gmp.h>
#include <mbedtls/platform.h>
#include <mbedtls/platform_util.h>
#include <nettle/bignum.h>
#include <nettle/curve25519.h>
#include <nettle/dsa.h>
#include <nettle/ecc-curve.h>
#include <nettle/ecc.h>
#include <nettle/ecdsa.h>
#include "tls_ec.h"

static void *allocate(size_t size)
{
	void *p = mbedtls_calloc(1, size);

	if (!p)
		abort(); /* GMP has no way to be told (its manual, "Custom Allocation") */
	return p;
}

static void release(void *p, size_t size)
{
	mbedtls_platform_zeroize(p, size);
	mbedtls_free(p);
}

static void *reallocate(void *p, size_t old_size, size_t new_size)
{
	void *new = allocate(new_size);

	(void) memcpy(new, p, old_size < new_size ? old_size : new_size);
	release(p, old_size);
	return new;
}

/* GMP has one allocator for the process; nothing else in ours uses it, so nothing exists before this. */
static void setup(void)
{
	static bool done;

	if (!done)
		mp_set_memory_functions(allocate, reallocate, release);
	done = true;
}

static const struct ecc_curve *curve_of(unsigned bits)
{
	switch (bits) {
	case 256:
		return nettle_get_secp_256r1();
	case 384:
		return nettle_get_secp_384r1();
	default:
		return nettle_get_secp_521r1(); /* tls_ec.c has no others */
	}
}

static size_t field_len(unsigned bits)
{
	return (bits + 7) / 8;
}

static bool set_point(struct ecc_point *p, const uint8_t *at, size_t len)
{
	mpz_t x, y;
	bool on_curve;

	nettle_mpz_init_set_str_256_u(x, len, at);
	nettle_mpz_init_set_str_256_u(y, len, at + len);
	on_curve = ecc_point_set(p, x, y) == 1; /* range and equation are checked */
	mpz_clear(x);
	mpz_clear(y);
	return on_curve;
}

static void get_point(const struct ecc_point *p, uint8_t *at, size_t len)
{
	mpz_t x, y;

	mpz_init(x);
	mpz_init(y);
	ecc_point_get(p, x, y);
	nettle_mpz_get_str_256(len, at, x);
	nettle_mpz_get_str_256(len, at + len, y);
	mpz_clear(x);
	mpz_clear(y);
}

static bool set_scalar(struct ecc_scalar *s, const uint8_t *at, size_t len)
{
	mpz_t value;
	bool in_range;

	nettle_mpz_init_set_str_256_u(value, len, at);
	in_range = ecc_scalar_set(s, value) == 1; /* 1..n-1 */
	mpz_clear(value);
	return in_range;
}

bool tls_ec_nist_mul(unsigned bits, const uint8_t *scalar, const uint8_t *point, uint8_t *ret_point)
{
	const struct ecc_curve *curve = curve_of(bits);
	size_t len = field_len(bits);
	struct ecc_point p, product;
	struct ecc_scalar s;
	bool ok;

	setup();
	ecc_point_init(&p, curve);
	ecc_point_init(&product, curve);
	ecc_scalar_init(&s, curve);
	ok = set_scalar(&s, scalar, len) && (!point || set_point(&p, point, len));
	if (ok && point)
		ecc_point_mul(&product, &s, &p);
	else if (ok)
		ecc_point_mul_g(&product, &s);
	if (ok)
		get_point(&product, ret_point, len);
	ecc_scalar_clear(&s);
	ecc_point_clear(&product);
	ecc_point_clear(&p);
	return ok;
}

/* nettle refuses a signature for which both halves of its sum are the same point.  Chance does not
 * make one, and who makes one on purpose loses nothing. */
bool tls_ec_nist_verify(unsigned bits, const uint8_t *key, const uint8_t *hash, size_t hash_len,
	const uint8_t *r, const uint8_t *s)
{
	const struct ecc_curve *curve = curve_of(bits);
	size_t len = field_len(bits);
	struct dsa_signature signature;
	struct ecc_point p;
	bool ok;

	setup();
	ecc_point_init(&p, curve);
	dsa_signature_init(&signature);
	nettle_mpz_set_str_256_u(signature.r, len, r);
	nettle_mpz_set_str_256_u(signature.s, len, s);
	ok = set_point(&p, key, len) && ecdsa_verify(&p, hash_len, hash, &signature) == 1;
	dsa_signature_clear(&signature);
	ecc_point_clear(&p);
	return ok;
}

bool tls_ec_x25519(const uint8_t scalar[TLS_EC_X25519_LEN], const uint8_t *point,
	uint8_t ret[TLS_EC_X25519_LEN])
{
	uint8_t any = 0;

	setup();
	if (point)
		curve25519_mul(ret, scalar, point);
	else
		curve25519_mul_g(ret, scalar);
	for (size_t i = 0; i < TLS_EC_X25519_LEN; i++)
		any |= ret[i];
	return any != 0;
}
