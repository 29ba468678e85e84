#include "core_tls.h"
#include <arpa/inet.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <mbedtls/error.h>
#include <mbedtls/psa_util.h>
#include <mbedtls/version.h>
#include <psa/crypto.h>
#include "core_tls_inner.h"

#define MBEDTLS_TEXT_MAX 160 /* bytes of its description of an error */

/* AES-GCM first: it is the one that has hardware behind it.  Forward secrecy and authenticated
 * ciphers only. */
static const int suites[] = { MBEDTLS_TLS1_3_AES_128_GCM_SHA256, MBEDTLS_TLS1_3_AES_256_GCM_SHA384,
	MBEDTLS_TLS1_3_CHACHA20_POLY1305_SHA256, MBEDTLS_TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256,
	MBEDTLS_TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256,
	MBEDTLS_TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384,
	MBEDTLS_TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384,
	MBEDTLS_TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256,
	MBEDTLS_TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256, 0 };

static const uint16_t groups[] = { MBEDTLS_SSL_IANA_TLS_GROUP_X25519,
	MBEDTLS_SSL_IANA_TLS_GROUP_SECP256R1, MBEDTLS_SSL_IANA_TLS_GROUP_SECP384R1,
	MBEDTLS_SSL_IANA_TLS_GROUP_SECP521R1, MBEDTLS_SSL_IANA_TLS_GROUP_NONE };

/* RSA with PKCS #1 padding before PSS, which only 1.3 insists on. No SHA-1, no SHA-224. */
static const uint16_t signatures[] = { MBEDTLS_TLS1_3_SIG_ECDSA_SECP256R1_SHA256,
	MBEDTLS_TLS1_3_SIG_ECDSA_SECP384R1_SHA384, MBEDTLS_TLS1_3_SIG_ECDSA_SECP521R1_SHA512,
	MBEDTLS_TLS1_3_SIG_RSA_PKCS1_SHA256, MBEDTLS_TLS1_3_SIG_RSA_PKCS1_SHA384,
	MBEDTLS_TLS1_3_SIG_RSA_PKCS1_SHA512, MBEDTLS_TLS1_3_SIG_RSA_PSS_RSAE_SHA256,
	MBEDTLS_TLS1_3_SIG_RSA_PSS_RSAE_SHA384, MBEDTLS_TLS1_3_SIG_RSA_PSS_RSAE_SHA512,
	MBEDTLS_TLS1_3_SIG_NONE };

static const char *protocols[] = { "http/1.1", NULL };

int tls_random(void *unused, unsigned char *out, size_t len)
{
	(void) unused;
	return mbedtls_psa_get_random(MBEDTLS_PSA_RANDOM_STATE, out, len);
}

int tls_err(struct err *e, int r, const char *what)
{
	char text[MBEDTLS_TEXT_MAX];

	mbedtls_strerror(r, text, sizeof text);
	return err_set(e, r == MBEDTLS_ERR_SSL_ALLOC_FAILED ? ENOMEM : EIO, "%s: %s", what, text);
}

int tls_setup(struct err *e)
{
	if (mbedtls_version_get_number() < 0x03060000)
		return err_set(e, ENOTSUP, "mbedTLS older than 3.6; rebuild with a newer one");
	/* gmtime_r(3) reads the time zone's file once, and later there are no files. */
	tzset();
	if (tls_memory_setup(e) < 0)
		return -e->code;
	if (psa_crypto_init() != PSA_SUCCESS)
		return err_set(e, EIO, "mbedTLS can't initialise its cryptography");
	return 0;
}

size_t tls_host_address(const char *host, unsigned char ret[16])
{
	if (inet_pton(AF_INET, host, ret) == 1)
		return 4;
	return inet_pton(AF_INET6, host, ret) == 1 ? 16 : 0;
}

bool tls_host_is_valid(const char *host)
{
	size_t len = strlen(host), label = 0;
	unsigned char address[16];

	if (len == 0 || len > TLS_HOST_MAX)
		return false;
	if (tls_host_address(host, address))
		return true;
	for (size_t i = 0; i < len; i++) {
		char c = host[i];
		bool is_plain =
			(c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_' || c == '-';

		if (c == '.' ? label == 0 : !is_plain || label == 63)
			return false;
		label = c == '.' ? 0 : label + 1;
	}
	return label > 0;
}

static int configure(struct tls_common *c)
{
	mbedtls_ssl_config *conf = &c->conf;
	int r = mbedtls_ssl_config_defaults(conf,
		c->is_server ? MBEDTLS_SSL_IS_SERVER : MBEDTLS_SSL_IS_CLIENT,
		MBEDTLS_SSL_TRANSPORT_STREAM, MBEDTLS_SSL_PRESET_DEFAULT);

	if (r != 0)
		return r;
	mbedtls_ssl_conf_rng(conf, tls_random, NULL);
	mbedtls_ssl_conf_min_tls_version(conf, MBEDTLS_SSL_VERSION_TLS1_2);
	mbedtls_ssl_conf_max_tls_version(conf, MBEDTLS_SSL_VERSION_TLS1_3);
	mbedtls_ssl_conf_ciphersuites(conf, suites);
	mbedtls_ssl_conf_groups(conf, groups);
	mbedtls_ssl_conf_sig_algs(conf, signatures);
	return mbedtls_ssl_conf_alpn_protocols(conf, protocols);
}

int tls_common_init(struct tls_common *c, bool is_server, struct err *e)
{
	int r;

	mbedtls_ssl_config_init(&c->conf);
	c->is_server = is_server;
	c->in = malloc(TLS_IN_MAX);
	c->out = malloc(TLS_OUT_MAX);
	if (!c->in || !c->out)
		return err_set(e, ENOMEM, "TLS buffers");
	r = configure(c);
	return r ? tls_err(e, r, "configure TLS") : 0;
}

void tls_common_done(struct tls_common *c)
{
	tls_buffers_done(c);
	mbedtls_ssl_config_free(&c->conf);
	free(c->in);
	free(c->out);
}
