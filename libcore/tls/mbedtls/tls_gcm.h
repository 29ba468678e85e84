/* tls_gcm.h - where a faster AES-GCM plugs in (docs/dependencies.md, libipsec-mb).
 *
 * mbedTLS treats one block at a time; a program that moves bulk data registers
 * functions for whole messages with a 12-byte nonce instead.  A program that does
 * not call tls_gcm_use() neither links nor loads the library.
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>

struct tls_gcm_message {
	const unsigned char *nonce;
	size_t nonce_len; /* 12 for the functions below */
	const unsigned char *ad;
	size_t ad_len;
	const unsigned char *in;
	unsigned char *out; /* may be in */
	size_t len;
	unsigned char *tag; /* written, also when decrypting: the caller compares */
	size_t tag_len;
};

struct tls_gcm_ops {
	/* NULL: no memory; mbedTLS's own code serves this key. */
	void *(*key_new)(const unsigned char *key, unsigned bits);
	void (*key_free)(void *key); /* wipes */
	void (*encrypt)(void *key, unsigned bits, const struct tls_gcm_message *m);
	void (*decrypt)(void *key, unsigned bits, const struct tls_gcm_message *m);
};

/* ops must live for ever; NULL: portable again, for keys made from now on.  Used by tests, too. */
void tls_gcm_use(const struct tls_gcm_ops *ops);
const struct tls_gcm_ops *tls_gcm_used(void);

/* libipsec-mb, when this build has it and the CPU can (AES-NI, carry-less multiplication); else
 * NULL.  Its manager (2 MB with the pages of its code) is made with the first key and kept. */
const struct tls_gcm_ops *tls_gcm_ipsec(void);
