/* One connection: mbedTLS between two stashes, so that it always gets its bytes rid of and a
 * system call moves more than one record. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <mbedtls/net_sockets.h>
#include "core_tls_inner.h"

#define WANT_MIN 4096	 /* bytes asked from the socket at least */
#define WANT_MORE 1024	 /* beyond what the caller asked for: record headers and tags */
#define RETRIES_MAX 4096 /* records without data that one call steps over */

/* ---- the socket below mbedTLS ---- */

static int on_recv(void *stream, unsigned char *buf, size_t len)
{
	struct tls_stream *t = stream;
	struct tls_common *c = t->common;
	ssize_t n;

	if (t->stash) {
		size_t left = t->stash_len - t->stash_at, k = len < left ? len : left;

		(void) memcpy(buf, t->stash + t->stash_at, k);
		t->stash_at += k;
		if (t->stash_at == t->stash_len) {
			free(t->stash);
			t->stash = NULL;
		}
		return (int) k;
	}
	if (c->in_at == c->in_len) {
		if (t->turn >= TLS_TURN_BYTES_MAX || t->eof) {
			t->more = !t->eof;
			return t->eof ? 0 : MBEDTLS_ERR_SSL_WANT_READ;
		}
		n = recv(t->fd, c->in, t->want, MSG_DONTWAIT);
		if (n < 0 && (errno == EAGAIN || errno == EINTR)) {
			t->starved = true;
			return MBEDTLS_ERR_SSL_WANT_READ;
		}
		if (n < 0) {
			t->socket_error = errno;
			return MBEDTLS_ERR_NET_RECV_FAILED;
		}
		t->eof = n == 0;
		t->drained = (size_t) n < t->want;
		c->in_at = 0;
		c->in_len = (size_t) n;
		t->turn += (size_t) n;
		if (t->eof)
			return 0;
	}
	if (len > c->in_len - c->in_at)
		len = c->in_len - c->in_at;
	(void) memcpy(buf, c->in + c->in_at, len);
	c->in_at += len;
	return (int) len;
}

static int send_now(struct tls_stream *t, const unsigned char *bytes, size_t len, size_t *ret)
{
	ssize_t n = send(t->fd, bytes, len, MSG_DONTWAIT | MSG_NOSIGNAL);

	*ret = n > 0 ? (size_t) n : 0;
	if (n >= 0 || errno == EAGAIN || errno == EINTR)
		return 0;
	t->socket_error = errno;
	return -errno;
}

/* Append to what the kernel did not take yet. */
static int keep_unsent(struct tls_stream *t, const unsigned char *bytes, size_t len)
{
	size_t have = t->unsent_len - t->unsent_at;
	unsigned char *grown;

	if (have + len > TLS_UNSENT_MAX)
		return -ENOBUFS;
	if (t->unsent_at) {
		(void) memmove(t->unsent, t->unsent + t->unsent_at, have);
		t->unsent_at = 0;
		t->unsent_len = have;
	}
	grown = realloc(t->unsent, have + len);
	if (!grown)
		return -ENOMEM;
	(void) memcpy(grown + have, bytes, len);
	t->unsent = grown;
	t->unsent_len = have + len;
	return 0;
}

static int flush_unsent(struct tls_stream *t)
{
	size_t n = 0;
	int r = 0;

	if (!t->unsent)
		return 0;
	r = send_now(t, t->unsent + t->unsent_at, t->unsent_len - t->unsent_at, &n);
	t->unsent_at += n;
	if (t->unsent_at < t->unsent_len)
		return r;
	free(t->unsent);
	t->unsent = NULL;
	t->unsent_at = t->unsent_len = 0;
	return r;
}

/* Move what this call has made so far to the kernel, or behind what is unsent. */
static int push_out(struct tls_stream *t)
{
	struct tls_common *c = t->common;
	size_t n = 0, len = c->out_len;
	int r = flush_unsent(t);

	c->out_len = 0;
	if (r == 0 && len && !t->unsent)
		r = send_now(t, c->out, len, &n);
	if (r == 0 && n < len)
		r = keep_unsent(t, c->out + n, len - n);
	if (r < 0 && !t->socket_error)
		t->socket_error = -r;
	return r;
}

static int on_send(void *stream, const unsigned char *buf, size_t len)
{
	struct tls_stream *t = stream;
	struct tls_common *c = t->common;

	if (c->out_len + len > TLS_OUT_MAX && push_out(t) < 0)
		return MBEDTLS_ERR_NET_SEND_FAILED;
	(void) memcpy(c->out + c->out_len, buf, len); /* a record is smaller than the buffer */
	c->out_len += len;
	return (int) len;
}

/* ---- a call begins and ends: the shared buffers are this stream's in between ---- */

/* 0, or mbedTLS's reason why it can't. */
static int enter(struct tls_stream *t, size_t want)
{
	struct tls_common *c = t->common;

	c->in_at = c->in_len = c->out_len = 0;
	t->turn = 0;
	t->starved = t->more = t->drained = false;
	want += WANT_MORE;
	t->want = want < WANT_MIN ? WANT_MIN : want > TLS_IN_MAX ? TLS_IN_MAX : want;
	if (t->server)
		tls_server_enter(t->server, t->host);
	return tls_buffers_want(t);
}

static int stash_rest(struct tls_stream *t)
{
	struct tls_common *c = t->common;
	size_t left = c->in_len - c->in_at;

	if (!left)
		return 0;
	t->stash = malloc(left);
	if (!t->stash)
		return -ENOMEM;
	(void) memcpy(t->stash, c->in + c->in_at, left);
	t->stash_at = 0;
	t->stash_len = left;
	return 0;
}

/* 0, or a negative errno: the socket or the memory has failed. */
static int leave(struct tls_stream *t)
{
	int kept = stash_rest(t), r = push_out(t);

	tls_buffers_spare(t);
	if (kept < 0 && !t->socket_error)
		t->socket_error = -kept;
	return kept < 0 ? kept : r;
}

/* Final: remember it, tell the caller. */
static int fail(struct tls_stream *t, int r, struct err *e)
{
	if (!t->failed.code) {
		tls_explain(t, r);
		if (t->client && t->offered_session && !t->done)
			tls_client_forget(t);
	}
	return err_set(e, t->failed.code, "%s", t->failed.text);
}

static bool has_failed(const struct tls_stream *t, struct err *e)
{
	if (t->failed.code)
		(void) err_set(e, t->failed.code, "%s", t->failed.text);
	return t->failed.code != 0;
}

/* ---- handshake ---- */

static size_t made(const struct tls_stream *t)
{
	return t->common->out_len + t->ssl.MBEDTLS_PRIVATE(out_left);
}

static int step(struct tls_stream *t)
{
	int state = t->ssl.MBEDTLS_PRIVATE(state);
	size_t before = made(t);
	int r = mbedtls_ssl_handshake_step(&t->ssl);

	if (state == MBEDTLS_SSL_SERVER_CERTIFICATE)
		t->saw_certificate = true;
	/* We have no certificate, so a client writes this message only when it was asked. */
	if (t->client && state == MBEDTLS_SSL_CLIENT_CERTIFICATE && made(t) > before)
		t->client_cert_wanted = true;
	return r;
}

static int run_handshake(struct tls_stream *t)
{
	int r = 0;

	while (r == 0 && t->ssl.MBEDTLS_PRIVATE(state) != MBEDTLS_SSL_HANDSHAKE_OVER) {
		r = step(t);
		if (t->handshake_bytes + t->turn > TLS_HANDSHAKE_BYTES_MAX)
			return MBEDTLS_ERR_SSL_UNEXPECTED_RECORD;
		/* Whatever it skipped, there may be more in what was received. */
		if (r == MBEDTLS_ERR_SSL_WANT_READ && !t->starved && !t->more)
			r = 0;
	}
	return r;
}

static void finish(struct tls_stream *t)
{
	t->done = true;
	t->resumed = !t->saw_certificate;
	tls_cert_unref(t->cert);
	t->cert = NULL;
	tls_buffers_handshake_over(t);
	if (t->client && mbedtls_ssl_get_version_number(&t->ssl) == MBEDTLS_SSL_VERSION_TLS1_2)
		tls_client_keep(t);
}

enum tls_step tls_handshake(struct tls_stream *t, struct err *e)
{
	int r, sent;

	if (has_failed(t, e))
		return TLS_FAILED;
	if (t->done)
		return TLS_DONE;
	r = enter(t, MBEDTLS_SSL_IN_CONTENT_LEN);
	if (r == 0)
		r = run_handshake(t);
	t->handshake_bytes += t->turn;
	sent = leave(t);
	if (r != 0 && r != MBEDTLS_ERR_SSL_WANT_READ) {
		(void) fail(t, r, e);
		return TLS_FAILED;
	}
	if (sent < 0) {
		(void) fail(t, MBEDTLS_ERR_NET_SEND_FAILED, e);
		return TLS_FAILED;
	}
	if (r == MBEDTLS_ERR_SSL_WANT_READ)
		return t->unsent ? TLS_WANT_WRITE : TLS_WANT_READ;
	finish(t);
	return TLS_DONE;
}

/* ---- data ---- */

/* > 0 bytes, or mbedTLS's reason for none; WANT_READ only when there is really nothing. */
static int read_record(struct tls_stream *t, unsigned char *buf, size_t size)
{
	for (unsigned i = 0; i < RETRIES_MAX; i++) {
		int r = mbedtls_ssl_read(&t->ssl, buf, size);

		if (r == MBEDTLS_ERR_SSL_RECEIVED_NEW_SESSION_TICKET) {
			tls_client_keep(t);
			continue;
		}
		if (r == MBEDTLS_ERR_SSL_WANT_READ && !t->starved && !t->more)
			continue; /* it stepped over something that was no data */
		if (r == 0 && !t->eof)
			continue; /* an empty record */
		return r == 0 ? MBEDTLS_ERR_SSL_CONN_EOF : r;
	}
	return MBEDTLS_ERR_SSL_UNEXPECTED_MESSAGE;
}

static ssize_t read_ended(struct tls_stream *t, int r, struct err *e)
{
	if (r == MBEDTLS_ERR_SSL_WANT_READ)
		return -EAGAIN;
	t->later = r;
	t->ended = true;
	return r == MBEDTLS_ERR_SSL_PEER_CLOSE_NOTIFY ? 0 : fail(t, r, e);
}

ssize_t tls_read(struct tls_stream *t, void *buf, size_t size, struct err *e)
{
	size_t got = 0;
	int r = 0, sent;

	if (t->later)
		return read_ended(t, t->later, e);
	if (has_failed(t, e))
		return -e->code;
	if (!t->done || !size)
		return err_set(e, EINVAL, "TLS: read before the handshake, or into nothing");
	r = enter(t, size);
	if (r != 0)
		return fail(t, r, e);
	while (got < size) {
		r = read_record(t, (unsigned char *) buf + got, size - got);
		if (r <= 0)
			break;
		got += (size_t) r;
		/* The socket gave less than was asked for: there is hardly more.  Whether it has
		 * ended is for the next call to find out. */
		if (t->drained && !t->stash && t->common->in_at == t->common->in_len)
			break;
	}
	sent = leave(t);
	if (!got && sent < 0 && (r >= 0 || r == MBEDTLS_ERR_SSL_WANT_READ))
		r = MBEDTLS_ERR_NET_SEND_FAILED;
	if (!got)
		return read_ended(t, r, e);
	if (r < 0 && r != MBEDTLS_ERR_SSL_WANT_READ)
		t->later = r; /* what came before it is delivered first */
	return (ssize_t) got;
}

ssize_t tls_write(struct tls_stream *t, const void *bytes, size_t len, struct err *e)
{
	size_t taken = 0;
	int r;

	if (has_failed(t, e))
		return -e->code;
	if (!t->done || t->closed || !len)
		return err_set(
			e, EPIPE, "TLS: write before the handshake, after the end, or nothing");
	if (flush_unsent(t) < 0)
		return fail(t, MBEDTLS_ERR_NET_SEND_FAILED, e);
	if (t->unsent)
		return -EAGAIN;
	if (len > TLS_WRITE_MAX)
		len = TLS_WRITE_MAX;
	r = enter(t, 0);
	if (r != 0)
		return fail(t, r, e);
	while (taken < len) {
		r = mbedtls_ssl_write(&t->ssl, (const unsigned char *) bytes + taken, len - taken);

		if (r <= 0)
			return fail(t, r, e);
		taken += (size_t) r;
	}
	if (leave(t) < 0)
		return fail(t, MBEDTLS_ERR_NET_SEND_FAILED, e);
	return (ssize_t) taken;
}

int tls_flush(struct tls_stream *t, struct err *e)
{
	if (has_failed(t, e))
		return -e->code;
	if (flush_unsent(t) < 0)
		return fail(t, MBEDTLS_ERR_NET_SEND_FAILED, e);
	return t->unsent ? -EAGAIN : 0;
}

int tls_close(struct tls_stream *t, struct err *e)
{
	int r = 0;

	if (has_failed(t, e))
		return -e->code;
	if (!t->closed && t->done) {
		t->closed = true;
		r = enter(t, 0);
		if (r == 0)
			r = mbedtls_ssl_close_notify(&t->ssl);
		if (leave(t) < 0 || r != 0)
			return fail(t, r ? r : MBEDTLS_ERR_NET_SEND_FAILED, e);
	}
	return tls_flush(t, e);
}

/* ---- life ---- */

int tls_stream_new(
	struct tls_common *c, int fd, const char *host, struct tls_stream **ret, struct err *e)
{
	struct tls_stream *t;
	int r;

	if (!tls_host_is_valid(host))
		return err_set(e, EINVAL, "TLS: no certificate can carry the name of this host");
	t = calloc(1, sizeof *t);
	if (!t)
		return err_set(e, ENOMEM, "TLS stream");
	t->common = c;
	t->fd = fd;
	(void) snprintf(t->host, sizeof t->host, "%s", host);
	mbedtls_ssl_init(&t->ssl);
	r = mbedtls_ssl_setup(&t->ssl, &c->conf);
	if (r != 0) {
		tls_free(t);
		return tls_err(e, r, "TLS stream");
	}
	mbedtls_ssl_set_user_data_p(&t->ssl, t);
	mbedtls_ssl_set_bio(&t->ssl, t, on_send, on_recv, NULL);
	*ret = t;
	return 0;
}

void tls_free(struct tls_stream *t)
{
	if (!t)
		return;
	mbedtls_ssl_free(&t->ssl); /* wipes */
	tls_cert_unref(t->cert);
	free(t->stash);
	free(t->unsent);
	free(t);
}

int tls_early(struct tls_stream *t, const void *bytes, size_t len, struct err *e)
{
	if (len > TLS_EARLY_BYTES_MAX)
		return err_set(e, EFBIG, "more than %d bytes before the TLS handshake",
			TLS_EARLY_BYTES_MAX);
	if (t->stash || t->done)
		return err_set(e, EALREADY, "TLS: early bytes come first, and once");
	if (!len)
		return 0;
	t->stash = malloc(len);
	if (!t->stash)
		return err_set(e, ENOMEM, "TLS: early bytes");
	(void) memcpy(t->stash, bytes, len);
	t->stash_at = 0;
	t->stash_len = len;
	t->handshake_bytes = len;
	return 0;
}

/* ---- questions ---- */

size_t tls_unsent(const struct tls_stream *t)
{
	return t->unsent_len - t->unsent_at;
}

bool tls_has_input(const struct tls_stream *t)
{
	return !t->ended && !t->failed.code &&
		(t->stash || t->more || t->later || mbedtls_ssl_get_bytes_avail(&t->ssl) > 0);
}

bool tls_is_done(const struct tls_stream *t)
{
	return t->done;
}

enum tls_reason tls_reason(const struct tls_stream *t)
{
	return t->reason;
}

const char *tls_version(const struct tls_stream *t)
{
	return mbedtls_ssl_get_version(&t->ssl);
}

const char *tls_cipher(const struct tls_stream *t)
{
	return mbedtls_ssl_get_ciphersuite(&t->ssl);
}

bool tls_is_resumed(const struct tls_stream *t)
{
	return t->done && t->resumed;
}

bool tls_has_alpn(const struct tls_stream *t)
{
	return mbedtls_ssl_get_alpn_protocol(&t->ssl) != NULL;
}

const char *tls_sni(const struct tls_stream *t)
{
	return t->sni;
}

bool tls_client_cert_wanted(const struct tls_stream *t)
{
	return t->client_cert_wanted;
}
