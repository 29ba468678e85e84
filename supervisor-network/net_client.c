/* net_client.c - life of a client: its beginning, its heads one after the other, its end.
 *
 * Runs in the network leaf (openshell-supervisor-network), without privilege.  The leaf has a list of its
 * clients; a client owns all that it points to but the leaf.  Whatever happens to a client comes through
 * go_on(), which knows by the phase whose turn it is, or through its deadline (net_client_deadline.c).
 */
#include "net_client.h"
#include <errno.h>
#include <stdlib.h>
#include "net_collect.h"
#include "net_copy.h"
#include "net_refuse.h"
#include "net_relay.h"

static void on_client(void *owner);

static void link_client(struct net_client *c)
{
	struct net_leaf *n = c->leaf;

	c->next = n->clients;
	if (n->clients)
		n->clients->prev = c;
	n->clients = c;
	n->n_clients++;
}

int net_client_new(
	struct net_leaf *n, int take_fd, const struct identity_question *ends, struct err *e)
{
	AUTO_CLOSE int fd = take_fd;
	struct net_client *c = calloc(1, sizeof *c);
	int r;

	if (!c)
		return err_set(e, ENOMEM, "client");
	c->leaf = n;
	c->question = *ends;
	c->who.caller = (struct identity_caller){ .exe = "", .sha256 = "", .reason = "" };
	link_client(c);
	c->head = calloc(1, sizeof *c->head);
	c->decision = malloc(sizeof *c->decision);
	if (!c->head || !c->decision)
		r = err_set(e, ENOMEM, "client");
	else
		r = net_stream_new(n->loop, TAKE_FD(fd), on_client, c, &c->stream, e);
	if (r < 0) {
		net_client_free(c);
		return r;
	}
	net_client_deadline(c, NET_HEADER_MS);
	return 0;
}

void net_client_cancel(struct net_client *c)
{
	net_identity_cancel(c->leaf->identity, c->asked);
	c->asked = 0;
	net_resolve_cancel(TAKE_PTR(c->query));
	net_dial_free(TAKE_PTR(c->dial));
}

void net_client_free(struct net_client *c)
{
	struct net_leaf *n = c->leaf;

	if (c->prev)
		c->prev->next = c->next;
	else
		n->clients = c->next;
	if (c->next)
		c->next->prev = c->prev;
	n->n_clients--;
	net_client_cancel(c);
	net_tunnel_free(c->tunnel);
	net_collect_free(c->collect);
	net_collect_release(c);
	net_copy_free(c->copy);
	net_exchange_free(c->exchange);
	net_who_done(&c->who);
	policy_snapshot_unref(c->pinned);
	net_stream_free(c->upstream);
	net_stream_free(c->stream);
	loop_timer_free(c->again);
	free(c->canonical);
	net_client_buffer_spare(c);
	free(c->head);
	free(c->decision);
	free(c);
}

void net_client_close_stale(struct net_leaf *n, uint64_t generation)
{
	for (struct net_client *c = n->clients, *after; c; c = after) {
		after = c->next;
		if (!c->pinned || policy_snapshot_generation(c->pinned) == generation)
			continue;
		if (c->phase == NET_PHASE_HEAD && !c->tunnelled)
			net_client_drop_upstream(c); /* idle: the next request is decided anew */
		else
			net_client_free(c);
	}
}

static void refuse_bare(struct net_client *c, unsigned status)
{
	char answer[256];
	struct text t;

	text_init(&t, answer, sizeof answer);
	net_refuse_bare(status, &t);
	net_client_send_and_linger(c, answer, t.len);
}

bool net_client_fill(struct net_client *c)
{
	size_t room = NET_CLIENT_BUFFER - c->in_len;
	ssize_t n;

	if (room == 0)
		return true;
	n = net_stream_read(c->stream, c->in + c->in_len, room);
	if (n > 0)
		c->in_len += (size_t) n;
	return n > 0 || n == -EAGAIN;
}

/* Length of the head that is there, 0 when it needs more; false: the client has ended. */
static bool read_head(struct net_client *c, size_t max, size_t *ret_len)
{
	size_t before;

	/* Edge-triggered: the end behind a part of a head is told only once. */
	while (*ret_len = net_head_end(c->in, c->in_len), !*ret_len && c->in_len < max) {
		before = c->in_len;
		if (!net_client_fill(c))
			return false;
		if (c->in_len == before)
			break;
	}
	return true;
}

static void on_head(struct net_client *c)
{
	size_t len, before = c->in_len;
	size_t max = c->tunnelled ? NET_TUNNEL_HEAD_MAX : NET_HEAD_MAX;

	if (!net_client_buffer_want(c) || !read_head(c, max, &len))
		net_client_send_and_linger(c, "", 0); /* the last answer may still be on its way */
	else if (len > max || (!len && c->in_len >= max))
		refuse_bare(c, 431);
	else if (len && c->tunnelled)
		net_client_take_tunnelled(c, len);
	else if (len)
		net_client_take_head(c, len);
	else if (c->served && !before && c->in_len)
		net_client_deadline(c, NET_HEADER_MS);
	else if (!c->in_len)
		net_client_buffer_spare(c);
}

void net_client_await_head(struct net_client *c)
{
	c->phase = NET_PHASE_HEAD;
	on_head(c);
}

void net_client_next(struct net_client *c)
{
	c->served = true;
	c->phase = NET_PHASE_HEAD;
	net_collect_release(c);
	net_client_deadline(c, c->in_len ? NET_HEADER_MS : NET_KEEPALIVE_MS);
	if (++c->answered < NET_PIPELINE_TURN)
		on_head(c);
	else
		net_client_again(c);
}

static void go_on(struct net_client *c)
{
	c->answered = 0;
	switch (c->phase) {
	case NET_PHASE_HEAD:
		on_head(c);
		break;
	case NET_PHASE_LINGER:
		net_client_linger(c);
		break;
	case NET_PHASE_PEEK:
		net_client_peek(c);
		break;
	case NET_PHASE_BODY:
		net_collect_ready(c);
		break;
	case NET_PHASE_SECURE:
		net_client_secure(c);
		break;
	case NET_PHASE_RELAY:
		/* Between its request and the answer nobody reads it, and its server may be silent. */
		if (net_stream_is_broken(c->stream))
			net_client_free(c);
		else
			net_relay_ready(c);
		break;
	case NET_PHASE_COPY:
		net_copy_ready(c);
		break;
	case NET_PHASE_IDENTITY:
	case NET_PHASE_RESOLVE:
	case NET_PHASE_DIAL:
	case NET_PHASE_SECURE_UPSTREAM:
	case NET_PHASE_TUNNEL:
		break; /* what it sends meanwhile stays in the socket */
	}
}

static void on_client(void *owner)
{
	go_on(owner);
}

void net_client_again(struct net_client *c)
{
	struct err e = { 0 };

	if (!c->again && loop_timer_new(c->leaf->loop, on_client, c, &c->again, &e) < 0) {
		c->deadline_ms = 0; /* without a timer the tick ends it */
		return;
	}
	(void) loop_timer_start(c->again, 0);
}
