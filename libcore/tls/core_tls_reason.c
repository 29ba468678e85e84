/* What mbedTLS's error numbers mean to somebody who did not choose mbedTLS. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <mbedtls/error.h>
#include <mbedtls/net_sockets.h>
#include "core_tls_inner.h"

static const char *const names[] = {
	[TLS_REASON_NONE] = "none",
	[TLS_REASON_CLOSED] = "closed",
	[TLS_REASON_TRUNCATED] = "truncated",
	[TLS_REASON_PROTOCOL] = "protocol_error",
	[TLS_REASON_NO_COMMON] = "nothing_in_common",
	[TLS_REASON_ALPN] = "no_http11",
	[TLS_REASON_NAME_DIFFERS] = "sni_differs",
	[TLS_REASON_REFUSED] = "refused_by_peer",
	[TLS_REASON_MINT_RATE] = "too_many_hosts",
	[TLS_REASON_CERT_EXPIRED] = "certificate_expired",
	[TLS_REASON_CERT_FUTURE] = "certificate_not_yet_valid",
	[TLS_REASON_CERT_NAME] = "certificate_for_other_host",
	[TLS_REASON_CERT_ISSUER] = "certificate_issuer_unknown",
	[TLS_REASON_CERT_WEAK] = "certificate_too_weak",
	[TLS_REASON_CERT_USAGE] = "certificate_unsuitable",
	[TLS_REASON_CLIENT_CERT] = "client_certificate_wanted",
	[TLS_REASON_SYSTEM] = "system_error",
};

const char *tls_reason_name(enum tls_reason r)
{
	return (size_t) r < sizeof names / sizeof names[0] ? names[r] : "unknown";
}

/* RFC 8446 6.2 and RFC 5246 7.2 */
static const char *alert_name(unsigned code)
{
	static const struct {
		unsigned code;
		const char *name;
	} alerts[] = { { 10, "unexpected message" }, { 20, "bad record MAC" },
		{ 22, "record overflow" }, { 40, "handshake failure" }, { 41, "no certificate" },
		{ 42, "bad certificate" }, { 43, "unsupported certificate" },
		{ 44, "certificate revoked" }, { 45, "certificate expired" },
		{ 46, "certificate unknown" }, { 47, "illegal parameter" }, { 48, "unknown CA" },
		{ 49, "access denied" }, { 50, "decode error" }, { 51, "decrypt error" },
		{ 70, "protocol version" }, { 71, "insufficient security" },
		{ 80, "internal error" }, { 86, "inappropriate fallback" },
		{ 90, "user cancelled" }, { 109, "missing extension" },
		{ 110, "unsupported extension" }, { 112, "unrecognized name" },
		{ 115, "unknown PSK identity" }, { 116, "certificate required" },
		{ 120, "no application protocol" } };

	for (size_t i = 0; i < sizeof alerts / sizeof alerts[0]; i++)
		if (alerts[i].code == code)
			return alerts[i].name;
	return "an unknown alert";
}

static const char *peer(const struct tls_stream *t)
{
	return t->client ? "upstream" : "the client";
}

static void set(struct tls_stream *t, enum tls_reason reason, int code)
{
	t->reason = reason;
	t->failed.code = code;
}

#define SAY(t, reason, code, ...) \
	do { \
		(void) err_set(&(t)->failed, code, __VA_ARGS__); \
		set(t, reason, code); \
	} while (0)

static bool is_about_certificates(unsigned alert)
{
	return (alert >= 41 && alert <= 46) || alert == 48 || alert == 49 || alert == 116;
}

/* OpenSSL's clients send an alert in the clear where 1.3 wants it encrypted; it can't be believed,
 * but it is the likely reason of a failure that is certain. */
static unsigned clear_alert(const struct tls_stream *t)
{
	const unsigned char *record = t->ssl.MBEDTLS_PRIVATE(in_hdr);

	if (t->done || !record || record[0] != MBEDTLS_SSL_MSG_ALERT || record[3] != 0 ||
		record[4] != 2)
		return 0;
	return record[6];
}

static void explain_alert(struct tls_stream *t, unsigned alert)
{
	if (t->client_cert_wanted && (is_about_certificates(alert) || alert == 40))
		SAY(t, TLS_REASON_CLIENT_CERT, EACCES,
			"%s asks for a client certificate, which the proxy does not have; exempt "
			"it with "
			"`tls: skip` if the program is to show its own (alert: %s)",
			t->host, alert_name(alert));
	else if (t->client && alert == 120)
		SAY(t, TLS_REASON_ALPN, EPROTO, "%s speaks no HTTP/1.1 (alert: %s)", t->host,
			alert_name(alert));
	else if (alert == 40 || alert == 70 || alert == 71)
		SAY(t, TLS_REASON_NO_COMMON, EPROTO,
			"%s has no TLS version or cipher in common with the proxy, which speaks "
			"1.2 "
			"and 1.3 with forward secrecy only (alert: %s)",
			t->client ? t->host : peer(t), alert_name(alert));
	else if (!t->client && is_about_certificates(alert))
		SAY(t, TLS_REASON_REFUSED, ECONNREFUSED,
			"the client refused the sandbox's certificate (alert: %s); it must trust "
			"the CA "
			"file of the sandbox, which SSL_CERT_FILE and its kin name",
			alert_name(alert));
	else
		SAY(t, TLS_REASON_REFUSED, ECONNREFUSED, "%s ended the TLS connection (alert: %s)",
			t->client ? t->host : peer(t), alert_name(alert));
}

static void explain_certificate(struct tls_stream *t)
{
	const uint32_t weak = MBEDTLS_X509_BADCERT_BAD_MD | MBEDTLS_X509_BADCERT_BAD_PK |
		MBEDTLS_X509_BADCERT_BAD_KEY;
	const char *which = t->bad_depth ? "a certificate above that of" : "the certificate of";
	uint32_t f = t->bad_flags;

	if (f & MBEDTLS_X509_BADCERT_CN_MISMATCH)
		SAY(t, TLS_REASON_CERT_NAME, EACCES, "the certificate of %s is for another name",
			t->host);
	else if (f & MBEDTLS_X509_BADCERT_EXPIRED)
		SAY(t, TLS_REASON_CERT_EXPIRED, EACCES, "%s %s expired on %s", which, t->host,
			t->bad_detail);
	else if (f & MBEDTLS_X509_BADCERT_FUTURE)
		SAY(t, TLS_REASON_CERT_FUTURE, EACCES, "%s %s is not valid before %s", which,
			t->host, t->bad_detail);
	else if (f & weak)
		SAY(t, TLS_REASON_CERT_WEAK, EACCES,
			"%s %s has a signature or key that is too weak (SHA-1, MD5, RSA below 2048 "
			"bits)",
			which, t->host);
	else if (f & MBEDTLS_X509_BADCERT_NOT_TRUSTED)
		SAY(t, TLS_REASON_CERT_ISSUER, EACCES,
			"the certificate of %s leads to no trusted root (issuer: %s); if it is to "
			"be "
			"trusted, start with --upstream-ca FILE",
			t->host, t->bad_detail);
	else if (f & MBEDTLS_X509_BADCERT_OTHER)
		SAY(t, TLS_REASON_CERT_NAME, EACCES,
			"an authority above the certificate of %s may not vouch for that name (its "
			"name constraints)",
			t->host);
	else
		SAY(t, TLS_REASON_CERT_USAGE, EACCES, "%s %s is not one for a server", which,
			t->host);
}

/* mbedTLS gives up at the certificate that it can't take in; which extension that was for is only to
 * be seen in the message itself.  A peer that fakes it chooses between two sentences about itself. */
static bool has_critical_constraints(const struct tls_stream *t)
{
	static const uint8_t critical[] = { 0x06, 0x03, 0x55, 0x1d, 0x1e, 0x01, 0x01, 0xff };
	size_t len = t->ssl.MBEDTLS_PRIVATE(in_hslen);

	if (len > MBEDTLS_SSL_IN_CONTENT_LEN)
		len = MBEDTLS_SSL_IN_CONTENT_LEN;
	return t->ssl.MBEDTLS_PRIVATE(in_msg) &&
		memmem(t->ssl.MBEDTLS_PRIVATE(in_msg), len, critical, sizeof critical);
}

static bool is_about_reading_certificates(int r)
{
	int high = -r & 0xff80;

	return high >= -MBEDTLS_ERR_X509_FEATURE_UNAVAILABLE &&
		high <= -MBEDTLS_ERR_X509_CERT_UNKNOWN_FORMAT;
}

static void explain_unreadable(struct tls_stream *t, int r)
{
	char text[160];

	if (has_critical_constraints(t)) {
		SAY(t, TLS_REASON_CERT_USAGE, EACCES,
			"an authority above the certificate of %s has name constraints that are "
			"critical, which the proxy can't take in; exempt the host with `tls: "
			"skip`, "
			"or have the authority issued with ones that are not critical",
			t->host);
		return;
	}
	mbedtls_strerror(r, text, sizeof text);
	SAY(t, TLS_REASON_CERT_USAGE, EACCES,
		"a certificate that %s showed is malformed or asks for what the proxy does not "
		"know: %s",
		t->host, text);
}

static void explain_socket(struct tls_stream *t)
{
	int code = t->socket_error ? t->socket_error : EIO;
	bool gone = code == ECONNRESET || code == EPIPE || code == ETIMEDOUT;

	SAY(t, gone ? TLS_REASON_CLOSED : TLS_REASON_SYSTEM, code, "%s: %s",
		t->client ? t->host : peer(t), strerror(code));
}

static void explain_end(struct tls_stream *t)
{
	if (t->done)
		SAY(t, TLS_REASON_TRUNCATED, EPIPE,
			"%s closed the connection without ending TLS; what came may be cut short",
			t->client ? t->host : peer(t));
	else
		SAY(t, TLS_REASON_CLOSED, ECONNRESET,
			"%s closed the connection during the TLS handshake%s",
			t->client ? t->host : peer(t),
			t->client ? "" : "; it may not trust the CA file of the sandbox");
}

static void explain_rest(struct tls_stream *t, int r)
{
	char text[160];

	mbedtls_strerror(r, text, sizeof text);
	SAY(t, TLS_REASON_PROTOCOL, EPROTO, "%s does not keep to TLS: %s",
		t->client ? t->host : peer(t), text);
}

void tls_explain(struct tls_stream *t, int r)
{
	if (t->name_differs) {
		SAY(t, TLS_REASON_NAME_DIFFERS, EACCES,
			"the client asked TLS for another host than CONNECT did");
		return;
	}
	switch (r) {
	case MBEDTLS_ERR_SSL_CONN_EOF:
	case MBEDTLS_ERR_SSL_PEER_CLOSE_NOTIFY:
		explain_end(t);
		break;
	case MBEDTLS_ERR_NET_RECV_FAILED:
	case MBEDTLS_ERR_NET_SEND_FAILED:
		explain_socket(t);
		break;
	case MBEDTLS_ERR_SSL_FATAL_ALERT_MESSAGE:
		explain_alert(t, t->ssl.MBEDTLS_PRIVATE(in_msg)[1]);
		break;
	case MBEDTLS_ERR_SSL_INVALID_MAC:
		if (clear_alert(t))
			explain_alert(t, clear_alert(t));
		else
			explain_rest(t, r);
		break;
	case MBEDTLS_ERR_X509_CERT_VERIFY_FAILED:
	case MBEDTLS_ERR_SSL_BAD_CERTIFICATE:
		explain_certificate(t);
		break;
	case MBEDTLS_ERR_SSL_NO_APPLICATION_PROTOCOL:
		SAY(t, TLS_REASON_ALPN, EPROTO, "%s speaks no HTTP/1.1", peer(t));
		break;
	case MBEDTLS_ERR_SSL_BAD_PROTOCOL_VERSION:
	case MBEDTLS_ERR_SSL_HANDSHAKE_FAILURE:
		SAY(t, TLS_REASON_NO_COMMON, EPROTO,
			"%s has no TLS version or cipher in common with the proxy, which speaks "
			"1.2 "
			"and 1.3 with forward secrecy only",
			t->client ? t->host : peer(t));
		break;
	case MBEDTLS_ERR_SSL_ALLOC_FAILED:
		SAY(t, TLS_REASON_SYSTEM, ENOMEM, "TLS: out of memory");
		break;
	default:
		if (t->client && is_about_reading_certificates(r))
			explain_unreadable(t, r);
		else
			explain_rest(t, r);
	}
}
