/* The buffer that a client's bytes are read into: an idle connection has none. */
#include <stdlib.h>
#include "core_cleanup.h"
#include "net_client.h"
#include "net_leaf.h"

bool net_client_buffer_want(struct net_client *c)
{
	struct net_leaf *n = c->leaf;

	if (!c->in)
		c->in = n->n_spare_in ? n->spare_in[--n->n_spare_in] : malloc(NET_CLIENT_BUFFER);
	return c->in != NULL;
}

void net_client_buffer_spare(struct net_client *c)
{
	struct net_leaf *n = c->leaf;

	if (c->in && n->n_spare_in < NET_SPARE_BUFFERS_MAX)
		n->spare_in[n->n_spare_in++] = TAKE_PTR(c->in);
	free(TAKE_PTR(c->in));
}

void net_client_buffer_done(struct net_leaf *n)
{
	while (n->n_spare_in)
		free(n->spare_in[--n->n_spare_in]);
}
