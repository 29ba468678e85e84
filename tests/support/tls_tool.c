/* tls_tool - libcore/tls at the command line, so that other people's TLS can be tried against it.
 *
 *     tls_tool mint DIR HOST            writes ca.pem, leaf.pem, bundle.pem, store.jks to DIR
 *     tls_tool serve DIR HOST N         serves N connections; DIR gets ca.pem, bundle.pem, store.jks;
 *                                       prints "port P", then a line for each connection
 *     tls_tool get ROOTS HOST PORT N    N connections to 127.0.0.1:PORT, a line for each
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include <mbedtls/pem.h>
#include "core_fd.h"
#include "core_tls.h"
#include "core_tls_authority.h"
#include "core_tls_bundle.h"
#include "core_tls_inner.h"

#define WAIT_MS 20000
#define ROOTS_MAX (1024 * 1024)

static __attribute__((noreturn)) void die(const char *what, const struct err *e)
{
	printf("error %s: %s\n", what, e->text);
	exit(1);
}

static void put(const char *dir, const char *name, const void *bytes, size_t len)
{
	char path[4096];
	struct err e = { 0 };
	int fd;

	(void) snprintf(path, sizeof path, "%s/%s", dir, name);
	fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
	if (fd < 0 || fd_write_all(fd, bytes, len, &e) < 0)
		die(path, &e);
	(void) close(fd);
}

static void put_authority(const char *dir, const struct tls_authority *a)
{
	const char *ca = tls_authority_pem(a), *pem;
	struct tls_bundle *b;
	unsigned char *java;
	struct err e = { 0 };
	size_t len;

	put(dir, "ca.pem", ca, strlen(ca));
	if (tls_bundle_new(&b, &e) < 0 || tls_bundle_add(b, ca, strlen(ca), NULL, NULL, &e) < 0 ||
		tls_bundle_java(b, &java, &len, &e) < 0)
		die("bundle", &e);
	put(dir, "store.jks", java, len);
	pem = tls_bundle_pem(b, &len);
	put(dir, "bundle.pem", pem, len);
	free(java);
	tls_bundle_free(b);
}

static int mint(const char *dir, const char *host)
{
	unsigned char pem[4096];
	struct tls_authority *a;
	mbedtls_pk_context key;
	struct tls_cert *c;
	struct err e = { 0 };
	size_t len;

	mbedtls_pk_init(&key);
	if (tls_authority_new(&a, &e) < 0 || tls_key_new(&key, &e) < 0 ||
		tls_mint(a, &key, host, &c, &e) < 0)
		die("mint", &e);
	put_authority(dir, a);
	if (mbedtls_pem_write_buffer("-----BEGIN CERTIFICATE-----\n", "-----END CERTIFICATE-----\n",
		    c->crt.raw.p, c->crt.raw.len, pem, sizeof pem, &len) != 0)
		return 1;
	put(dir, "leaf.pem", pem, strlen((char *) pem));
	tls_cert_unref(c);
	mbedtls_pk_free(&key);
	tls_authority_free(a);
	return 0;
}

static bool wait_for(int fd, short events)
{
	struct pollfd p = { fd, events, 0 };

	return poll(&p, 1, WAIT_MS) == 1;
}

static bool shake_hands(struct tls_stream *t, int fd, struct err *e)
{
	for (;;) {
		enum tls_step s = tls_handshake(t, e);

		if (s == TLS_DONE || s == TLS_FAILED)
			return s == TLS_DONE;
		if (!wait_for(fd, s == TLS_WANT_READ ? POLLIN : POLLOUT)) {
			(void) err_set(e, ETIMEDOUT, "no answer");
			return false;
		}
	}
}

static bool write_all(struct tls_stream *t, int fd, const char *text, struct err *e)
{
	size_t done = 0, len = strlen(text);

	while (done < len || tls_unsent(t)) {
		ssize_t n = done < len ? tls_write(t, text + done, len - done, e) : tls_flush(t, e);

		if (n < 0 && n != -EAGAIN)
			return false;
		done += done < len && n > 0 ? (size_t) n : 0;
		if (n == -EAGAIN && !wait_for(fd, POLLOUT))
			return false;
	}
	return true;
}

/* Until text appears or the peer ends. */
static ssize_t read_until(
	struct tls_stream *t, int fd, const char *text, char *buf, size_t size, struct err *e)
{
	size_t got = 0;
	ssize_t n = 1;

	while (n != 0 && got + 1 < size) {
		n = tls_read(t, buf + got, size - 1 - got, e);
		if (n == -EAGAIN && (tls_has_input(t) || wait_for(fd, POLLIN)))
			continue;
		if (n < 0)
			return n;
		got += (size_t) n;
		buf[got] = 0;
		if (text && strstr(buf, text))
			break;
	}
	return (ssize_t) got;
}

static void report(struct tls_stream *t, const struct err *e)
{
	if (e->code)
		printf("failed %s: %s\n", tls_reason_name(tls_reason(t)), e->text);
	else
		printf("ok %s %s %s alpn=%d sni=%s asked=%d\n", tls_version(t), tls_cipher(t),
			tls_is_resumed(t) ? "resumed" : "full", tls_has_alpn(t), tls_sni(t),
			tls_client_cert_wanted(t));
	fflush(stdout);
}

static void serve_one(struct tls_server *s, int fd, const char *host)
{
	static const char answer[] = "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n"
				     "Content-Length: 6\r\nConnection: close\r\n\r\nhello\n";
	struct tls_stream *t;
	struct err e = { 0 };
	char buf[16384];

	if (tls_server_stream(s, fd, host, &t, &e) < 0)
		die("stream", &e);
	if (shake_hands(t, fd, &e) && read_until(t, fd, "\r\n\r\n", buf, sizeof buf, &e) > 0 &&
		write_all(t, fd, answer, &e)) {
		struct err end = { 0 };

		if (tls_close(t, &end) == 0)
			(void) shutdown(fd, SHUT_WR);
	}
	report(t, &e);
	tls_free(t);
	(void) close(fd);
}

static int serve(const char *dir, const char *host, int n)
{
	struct sockaddr_in at = { .sin_family = AF_INET, .sin_addr = { htonl(INADDR_LOOPBACK) } };
	socklen_t len = sizeof at;
	int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	struct tls_authority *a;
	struct tls_server *s;
	struct err e = { 0 };

	if (tls_authority_new(&a, &e) < 0 || tls_server_new(a, &s, &e) < 0)
		die("server", &e);
	put_authority(dir, a);
	if (bind(listener, (struct sockaddr *) &at, sizeof at) < 0 || listen(listener, 16) < 0 ||
		getsockname(listener, (struct sockaddr *) &at, &len) < 0)
		return 1;
	printf("port %d\n", ntohs(at.sin_port));
	fflush(stdout);
	while (n-- > 0) {
		int fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

		if (fd < 0)
			return 1;
		serve_one(s, fd, host);
	}
	(void) close(listener);
	tls_server_free(s);
	tls_authority_free(a);
	return 0;
}

static void get_one(struct tls_client *c, const char *host, uint16_t port)
{
	struct sockaddr_in at = { .sin_family = AF_INET,
		.sin_addr = { htonl(INADDR_LOOPBACK) },
		.sin_port = htons(port) };
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	struct tls_stream *t;
	struct err e = { 0 };
	char buf[65536];

	if (connect(fd, (struct sockaddr *) &at, sizeof at) < 0 || fd_set_nonblock(fd, &e) < 0 ||
		tls_client_stream(c, fd, host, port, &t, &e) < 0)
		die("connect", &e);
	if (shake_hands(t, fd, &e) &&
		write_all(t, fd, "GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", &e))
		(void) read_until(t, fd, NULL, buf, sizeof buf, &e);
	report(t, &e);
	tls_free(t);
	(void) close(fd);
}

static int get(const char *roots, const char *host, uint16_t port, int n)
{
	int fd = open(roots, O_RDONLY | O_CLOEXEC);
	const unsigned char *der;
	struct tls_bundle *b;
	struct tls_client *c;
	struct err e = { 0 };
	size_t len;
	char *pem;

	if (fd < 0 || fd_read_all(fd, ROOTS_MAX, &pem, &len, &e) < 0 ||
		tls_bundle_new(&b, &e) < 0 || tls_bundle_add(b, pem, len, NULL, NULL, &e) < 0)
		die(roots, &e);
	(void) close(fd);
	free(pem);
	der = tls_bundle_der(b, &len);
	if (tls_client_new(der, len, &c, &e) < 0)
		die(roots, &e);
	while (n-- > 0)
		get_one(c, host, port);
	tls_client_free(c);
	tls_bundle_free(b);
	return 0;
}

int main(int argc, char **argv)
{
	struct err e = { 0 };

	(void) signal(SIGPIPE, SIG_IGN);
	if (tls_setup(&e) < 0)
		die("setup", &e);
	(void) tls_setup_bulk();
	if (argc == 4 && strcmp(argv[1], "mint") == 0)
		return mint(argv[2], argv[3]);
	if (argc == 5 && strcmp(argv[1], "serve") == 0)
		return serve(argv[2], argv[3], (int) strtoul(argv[4], NULL, 10));
	if (argc == 6 && strcmp(argv[1], "get") == 0)
		return get(argv[2], argv[3], (uint16_t) strtoul(argv[4], NULL, 10),
			(int) strtoul(argv[5], NULL, 10));
	printf("usage: see the top of tls_tool.c\n");
	return 2;
}
