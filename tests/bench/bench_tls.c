/* bench_tls - handshakes per second and bulk speed of both ends in one process, and the heap that a
 * connection costs.  Prints one line each. */
#include <malloc.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>
#include "core_tls.h"
#include "core_tls_authority.h"
#include "core_tls_inner.h"

#define FULL 300
#define RESUMED 600
#define BULK (256u * 1024 * 1024)
#define MANY 200

static struct tls_authority *authority;
static struct tls_server *server;
static struct tls_client *client;
static double server_s, client_s;

static double now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t); /* others use this machine, too */
	return (double) t.tv_sec + (double) t.tv_nsec / 1e9;
}

static __attribute__((noreturn)) void die(const char *what, const struct err *e)
{
	fprintf(stderr, "bench_tls: %s: %s\n", what, e->text);
	exit(1);
}

struct conn {
	int fds[2];
	struct tls_stream *s, *c;
};

static void open_conn(struct conn *x, unsigned port)
{
	enum tls_step s = TLS_WANT_READ, c = TLS_WANT_READ;
	struct err e = { 0 };
	char buf[64];

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, x->fds) < 0 ||
		tls_server_stream(server, x->fds[0], "bench.test", &x->s, &e) < 0 ||
		tls_client_stream(client, x->fds[1], "bench.test", (uint16_t) port, &x->c, &e) < 0)
		die("stream", &e);
	while (s != TLS_DONE || c != TLS_DONE) {
		double t0 = now(), t1;

		if (c != TLS_DONE)
			c = tls_handshake(x->c, &e);
		t1 = now();
		if (s != TLS_DONE)
			s = tls_handshake(x->s, &e);
		client_s += t1 - t0;
		server_s += now() - t1;
		if (s == TLS_FAILED || c == TLS_FAILED)
			die("handshake", &e);
	}
	(void) tls_read(x->c, buf, sizeof buf, &e); /* the ticket */
}

static void close_conn(struct conn *x)
{
	tls_free(x->s);
	tls_free(x->c);
	close(x->fds[0]);
	close(x->fds[1]);
}

static void handshakes(const char *name, bool resume, unsigned n)
{
	struct conn x;

	open_conn(&x, 1);
	close_conn(&x);
	server_s = client_s = 0;
	for (unsigned i = 0; i < n; i++) {
		open_conn(&x, resume ? 1 : 1000 + i);
		if (tls_is_resumed(x.c) != resume)
			fprintf(stderr, "bench_tls: resumed is %d\n", !resume);
		close_conn(&x);
	}
	printf("%-28s server %7.0f/s  client %7.0f/s  pair %7.0f/s\n", name, n / server_s,
		n / client_s, n / (server_s + client_s));
}

static void bulk(const char *name)
{
	static char out[65536], in[65536];
	struct err e = { 0 };
	size_t sent = 0, got = 0;
	struct conn x;
	double t;

	open_conn(&x, 2);
	t = now();
	while (got < BULK) {
		ssize_t n = sent < BULK ? tls_write(x.s, out, sizeof out, &e) : tls_flush(x.s, &e);

		sent += sent < BULK && n > 0 ? (size_t) n : 0;
		while ((n = tls_read(x.c, in, sizeof in, &e)) > 0)
			got += (size_t) n;
	}
	t = now() - t;
	printf("%-28s encrypt + decrypt %.0f MB/s, %s %s\n", name, BULK / t / 1e6, tls_version(x.c),
		tls_cipher(x.c));
	close_conn(&x);
}

static void memory(void)
{
	static struct conn x[MANY];
	size_t before = mallinfo2().uordblks;
	struct err e = { 0 };
	char buf[64];

	for (unsigned i = 0; i < MANY; i++) {
		open_conn(&x[i], 3);
		(void) tls_read(x[i].s, buf, sizeof buf, &e); /* idle: there is nothing */
	}
	printf("heap per idle intercepted connection (a server and a client stream): %zu KiB\n",
		(mallinfo2().uordblks - before) / MANY / 1024);
	for (unsigned i = 0; i < MANY; i++)
		close_conn(&x[i]);
}

static void renew(bool tls12)
{
	struct err e = { 0 };
	const mbedtls_x509_buf *der = &authority->crt.raw;

	tls_server_free(server);
	tls_client_free(client);
	if (tls_server_new(authority, &server, &e) < 0 ||
		tls_client_new(der->p, der->len, &client, &e) < 0)
		die("setup", &e);
	if (tls12)
		mbedtls_ssl_conf_max_tls_version(
			&((struct tls_common *) client)->conf, MBEDTLS_SSL_VERSION_TLS1_2);
}

static void mint(void)
{
	struct tls_cert *c;
	struct err e = { 0 };
	mbedtls_pk_context key;
	double t;

	mbedtls_pk_init(&key);
	if (tls_key_new(&key, &e) < 0)
		die("key", &e);
	t = now();
	for (int i = 0; i < 500; i++) {
		if (tls_mint(authority, &key, "bench.test", &c, &e) < 0)
			die("mint", &e);
		tls_cert_unref(c);
	}
	printf("certificates minted: %.0f/s\n", 500 / (now() - t));
	mbedtls_pk_free(&key);
}

int main(int argc, char **argv)
{
	struct err e = { 0 };
	double t = now();

	(void) argv;
	if (tls_setup(&e) < 0)
		die("setup", &e);
	printf("bulk ciphers by libipsec-mb: %s\n", argc < 2 && tls_setup_bulk() ? "yes" : "no");
	if (tls_authority_new(&authority, &e) < 0)
		die("authority", &e);
	printf("setup and authority: %.2f ms\n", (now() - t) * 1e3);
	mint();
	for (int tls12 = 0; tls12 < 2; tls12++) {
		renew(tls12);
		handshakes(tls12 ? "TLS 1.2 full" : "TLS 1.3 full", false, FULL);
		handshakes(tls12 ? "TLS 1.2 resumed" : "TLS 1.3 resumed", true, RESUMED);
		bulk(tls12 ? "TLS 1.2 bulk" : "TLS 1.3 bulk");
	}
	memory();
	return 0;
}
