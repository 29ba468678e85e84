/* The server side of a handshake with anything for a client: it ends or waits, within its bounds. */
#include <fcntl.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>
#include "core_tls.h"
#include "core_tls_authority.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len);

static struct tls_authority *authority;
static struct tls_server *server;

static void begin(void)
{
	struct err e = { 0 };

	if (tls_setup(&e) < 0 || tls_authority_new(&authority, &e) < 0 ||
		tls_server_new(authority, &server, &e) < 0)
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
	AUTO(tls_free) struct tls_stream *t = NULL;
	struct err e = { 0 };
	enum tls_step s;
	int fds[2];

	if (!server)
		begin();
	if (len > TLS_EARLY_BYTES_MAX ||
		socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds) < 0)
		return 0;
	if (tls_server_stream(server, fds[0], "example.test", &t, &e) < 0 ||
		tls_early(t, bytes, len, &e) < 0)
		abort();
	s = tls_handshake(t, &e);
	if (s == TLS_DONE || (s == TLS_FAILED && (!e.code || tls_reason(t) == TLS_REASON_NONE)))
		abort();
	(void) close(fds[0]);
	(void) close(fds[1]);
	return 0;
}
