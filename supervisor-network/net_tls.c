#include "net_tls.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include "core_fd.h"
#include "core_tls_authority.h"

struct net_tls {
	struct tls_authority *authority;
	struct tls_server *server;
	struct tls_client *client;
	const void *roots; /* the client's, mapped */
	size_t roots_len;
};

static int need(struct net_tls **tls, struct err *e)
{
	if (!*tls)
		*tls = calloc(1, sizeof **tls);
	return *tls ? 0 : err_set(e, ENOMEM, "TLS");
}

int net_tls_authority(struct net_tls **tls, const char *certificate, int fd, struct err *e)
{
	const void *key;
	size_t len;
	int r;

	if (need(tls, e) < 0)
		return -e->code;
	if ((*tls)->authority)
		return err_set(e, EALREADY, "a second certificate authority");
	if (fd_sealed_map(fd, TLS_AUTHORITY_KEY_MAX, &key, &len, e) < 0)
		return -e->code;
	r = tls_authority_load(certificate, strlen(certificate), key, len, &(*tls)->authority, e);
	fd_sealed_unmap(key, len);
	return r < 0 ? r : tls_server_new((*tls)->authority, &(*tls)->server, e);
}

int net_tls_roots(struct net_tls **tls, int fd, struct err *e)
{
	struct net_tls *t;

	if (need(tls, e) < 0)
		return -e->code;
	t = *tls;
	if (t->roots)
		return err_set(e, EALREADY, "trusted roots a second time");
	if (fd_sealed_map(fd, TLS_ROOTS_BYTES_MAX, &t->roots, &t->roots_len, e) < 0)
		return -e->code;
	return tls_client_new(t->roots, t->roots_len, &t->client, e);
}

void net_tls_free(struct net_tls *t)
{
	if (!t)
		return;
	tls_server_free(t->server);
	tls_client_free(t->client);
	tls_authority_free(t->authority);
	if (t->roots)
		fd_sealed_unmap(t->roots, t->roots_len);
	free(t);
}

bool net_tls_is_ready(const struct net_tls *t)
{
	return t && t->server && t->client;
}

struct tls_server *net_tls_server(struct net_tls *t)
{
	return t->server;
}

struct tls_client *net_tls_client(struct net_tls *t)
{
	return t->client;
}
