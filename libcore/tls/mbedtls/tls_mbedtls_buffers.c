/* Built with mbedTLS itself, whose private headers it needs. */
#include <common.h> /* mbedTLS's: opens the private members */
#include <ssl_misc.h>
#include <string.h>
#include "tls_mbedtls_buffers.h"

/* Nothing received that is not read, no message in parts, nothing to be sent. */
static bool is_empty(const mbedtls_ssl_context *ssl)
{
	return ssl->in_left == 0 && !ssl->in_offt && ssl->in_hslen == 0 &&
		ssl->badmac_seen_or_in_hsfraglen == 0 && !ssl->keep_current_message &&
		ssl->out_left == 0;
}

bool tls_buffers_take(
	mbedtls_ssl_context *ssl, struct tls_buffers *ret, unsigned char ret_counter[8])
{
	if (!ssl->in_buf || !mbedtls_ssl_is_handshake_over(ssl) || !is_empty(ssl))
		return false;
	(void) memcpy(ret_counter, ssl->in_ctr, MBEDTLS_SSL_SEQUENCE_NUMBER_LEN);
	*ret = (struct tls_buffers){ ssl->in_buf, ssl->out_buf };
	ssl->in_buf = ssl->out_buf = NULL;
	return true;
}

void tls_buffers_give(
	mbedtls_ssl_context *ssl, struct tls_buffers take_buffers, const unsigned char counter[8])
{
	ssl->in_buf = take_buffers.in;
	ssl->out_buf = take_buffers.out;
	mbedtls_ssl_reset_in_pointers(ssl);
	mbedtls_ssl_reset_out_pointers(ssl);
	/* TLS 1.2 has a nonce before the content. */
	mbedtls_ssl_update_out_pointers(ssl, ssl->transform_out);
	(void) memcpy(ssl->in_ctr, counter, MBEDTLS_SSL_SEQUENCE_NUMBER_LEN);
}

bool tls_buffers_new(struct tls_buffers *ret)
{
	struct tls_buffers b = { mbedtls_calloc(1, MBEDTLS_SSL_IN_BUFFER_LEN),
		mbedtls_calloc(1, MBEDTLS_SSL_OUT_BUFFER_LEN) };

	if (!b.in || !b.out) {
		tls_buffers_free(&b);
		return false;
	}
	*ret = b;
	return true;
}

void tls_buffers_free(struct tls_buffers *b)
{
	if (b->in)
		mbedtls_zeroize_and_free(b->in, MBEDTLS_SSL_IN_BUFFER_LEN);
	if (b->out)
		mbedtls_zeroize_and_free(b->out, MBEDTLS_SSL_OUT_BUFFER_LEN);
	*b = (struct tls_buffers){ NULL, NULL };
}

static void forget_certificate(mbedtls_ssl_session *session)
{
	if (!session || !session->peer_cert)
		return;
	mbedtls_x509_crt_free(session->peer_cert);
	mbedtls_free(session->peer_cert);
	session->peer_cert = NULL;
}

/* mbedtls_ssl_free() looks for it beside the handshake only. */
static void forget_transform(mbedtls_ssl_transform **transform)
{
	mbedtls_ssl_transform_free(*transform);
	mbedtls_free(*transform);
	*transform = NULL;
}

void tls_buffers_forget_handshake(mbedtls_ssl_context *ssl)
{
	if (!mbedtls_ssl_is_handshake_over(ssl))
		return;
	forget_certificate(ssl->session);
	if (!ssl->handshake)
		return; /* TLS 1.2 has freed it */
	forget_transform(&ssl->handshake->transform_handshake);
	forget_transform(&ssl->transform_negotiate);
	if (ssl->conf->endpoint == MBEDTLS_SSL_IS_CLIENT)
		return;
	mbedtls_ssl_handshake_free(ssl);
	mbedtls_free(ssl->handshake);
	ssl->handshake = NULL;
}
