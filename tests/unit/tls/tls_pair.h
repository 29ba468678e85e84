/* tls_pair.h - both ends of a TLS connection in one process, over a socket pair. */
#pragma once
#include <errno.h>
#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>
#include "core_tls.h"
#include "core_tls_authority.h"
#include "core_tls_bundle.h"
#include "core_tls_inner.h"
#include "test.h"

struct pair {
	struct tls_authority *authority;
	struct tls_server *server;
	struct tls_client *client;
	struct tls_bundle *roots; /* the client's */
	int fds[2];		  /* server's, client's */
	struct tls_stream *s, *c;
	struct err s_err, c_err;
	enum tls_step s_step, c_step;
};

/* A client (in place of the one before) that trusts what is in pem. */
static inline void pair_trust(struct pair *p, const char *pem)
{
	const unsigned char *der;
	struct err e = { 0 };
	size_t len;

	tls_client_free(p->client);
	tls_bundle_free(p->roots);
	ASSERT_OK(tls_bundle_new(&p->roots, &e));
	ASSERT_OK(tls_bundle_add(p->roots, pem, strlen(pem), NULL, NULL, &e));
	der = tls_bundle_der(p->roots, &len);
	ASSERT_OK(tls_client_new(der, len, &p->client, &e));
}

static inline void pair_begin(struct pair *p)
{
	struct err e = { 0 };

	*p = (struct pair){ .fds = { -1, -1 } };
	ASSERT_OK(tls_setup(&e));
	ASSERT_OK(tls_authority_new(&p->authority, &e));
	ASSERT_OK(tls_server_new(p->authority, &p->server, &e));
	pair_trust(p, tls_authority_pem(p->authority));
}

/* A new connection; the client believes that it talks to client_host. */
static inline void pair_connect(struct pair *p, const char *server_host, const char *client_host)
{
	struct err e = { 0 };

	p->s_step = p->c_step = TLS_WANT_READ;
	ASSERT_OK(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, p->fds));
	ASSERT_OK(tls_server_stream(p->server, p->fds[0], server_host, &p->s, &e));
	ASSERT_OK(tls_client_stream(p->client, p->fds[1], client_host, 443, &p->c, &e));
}

static inline bool pair_going(enum tls_step s)
{
	return s == TLS_WANT_READ || s == TLS_WANT_WRITE;
}

static inline void pair_handshake(struct pair *p)
{
	for (int i = 0; i < 1000 && (pair_going(p->s_step) || pair_going(p->c_step)); i++) {
		if (pair_going(p->c_step))
			p->c_step = tls_handshake(p->c, &p->c_err);
		if (pair_going(p->s_step))
			p->s_step = tls_handshake(p->s, &p->s_err);
		if (p->c_step == TLS_FAILED || p->s_step == TLS_FAILED)
			break;
	}
}

/* Once more each, so that an end hears the alert of the other. */
static inline void pair_settle(struct pair *p)
{
	if (pair_going(p->c_step))
		p->c_step = tls_handshake(p->c, &p->c_err);
	if (pair_going(p->s_step))
		p->s_step = tls_handshake(p->s, &p->s_err);
}

static inline void pair_open(struct pair *p, const char *host)
{
	pair_connect(p, host, host);
	pair_handshake(p);
	if (p->s_step != TLS_DONE || p->c_step != TLS_DONE)
		FAIL_("server: %s; client: %s", p->s_err.text, p->c_err.text);
}

static inline void pair_close(struct pair *p)
{
	tls_free(p->s);
	tls_free(p->c);
	p->s = p->c = NULL;
	for (int i = 0; i < 2; i++) {
		core_closep(&p->fds[i]);
		p->fds[i] = -1;
	}
}

static inline void pair_end(struct pair *p)
{
	pair_close(p);
	tls_server_free(p->server);
	tls_client_free(p->client);
	tls_bundle_free(p->roots);
	tls_authority_free(p->authority);
}

static inline void pair_only_tls12(struct pair *p)
{
	mbedtls_ssl_conf_max_tls_version(
		&((struct tls_common *) p->client)->conf, MBEDTLS_SSL_VERSION_TLS1_2);
}

/* Everything that from has for to is read and compared. */
static inline void pair_say(struct tls_stream *from, struct tls_stream *to, const char *text)
{
	struct err e = { 0 };
	char buf[256] = { 0 };
	ssize_t n = -EAGAIN;

	ASSERT_EQ(tls_write(from, text, strlen(text), &e), (ssize_t) strlen(text));
	for (int i = 0; i < 10 && n == -EAGAIN; i++)
		n = tls_read(to, buf, sizeof buf - 1, &e);
	if (n < 0)
		FAIL_("read: %zd %s", n, e.text);
	ASSERT_STR(buf, text);
}
