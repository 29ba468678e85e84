#include "net_collect.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "core_secret.h"
#include "net_http_body.h"

#define FIRST 4096 /* bytes of the first buffer; it doubles */

struct net_collect {
	net_collect_fn fn;
	struct net_carry carry;
	struct net_bytes bytes;
	size_t max, wire; /* of bytes with their framing; so many came */
	char trailers[NET_TRAILERS_MAX];
};

void net_collect_free(struct net_collect *k)
{
	if (!k)
		return;
	if (k->bytes.at)
		secret_wipe(k->bytes.at, k->bytes.size);
	free(k->bytes.at);
	free(k);
}

struct net_slice net_collect_bytes(const struct net_collect *k)
{
	return (struct net_slice){ k->bytes.at ? k->bytes.at : "", k->bytes.len };
}

static void refuse_large(struct net_client *c, size_t max)
{
	char reason[128];

	(void) snprintf(reason, sizeof reason,
		"a body that is inspected or rewritten may have %zu bytes, framing included", max);
	net_client_refuse(c, 413, "body_too_large", "the request body is too large", reason);
}

static int grow(struct net_collect *k)
{
	size_t size = k->bytes.size ? 2 * k->bytes.size : FIRST;
	char *at = malloc(size);

	if (!at)
		return -ENOMEM;
	if (k->bytes.len)
		(void) memcpy(at, k->bytes.at, k->bytes.len);
	if (k->bytes.at)
		secret_wipe(k->bytes.at, k->bytes.size);
	free(k->bytes.at);
	k->bytes.at = at;
	k->bytes.size = size;
	return 0;
}

/* Take what is there behind the head. */
static int take(struct net_client *c, struct err *e)
{
	struct net_collect *k = c->collect;
	size_t head = c->head->len, used;

	while (!k->carry.done && (c->in_len > head || k->carry.read)) {
		if (k->bytes.size - k->bytes.len < NET_BUFFER && grow(k) < 0)
			return err_set(e, ENOMEM, "no memory for this request");
		if (net_carry(&k->carry, c->in + head, c->in_len - head, &used, &k->bytes, e) < 0)
			return -e->code;
		(void) memmove(c->in + head, c->in + head + used, c->in_len - head - used);
		c->in_len -= used;
		k->wire += used;
		if (k->wire > k->max)
			return err_set(e, EFBIG, "too large");
	}
	if (k->carry.done && k->carry.chunks.kept > 1)
		return err_set(e, EBADMSG, "trailers behind a body that is rewritten");
	return 0;
}

static void refuse(struct net_client *c, const struct err *why)
{
	if (why->code == EFBIG)
		refuse_large(c, c->collect->max);
	else if (why->code == EBADMSG)
		net_client_refuse(c, 400, "malformed_request", why->text, "");
	else
		net_client_refuse(c, 503, "out_of_memory", why->text, "");
}

void net_collect_ready(struct net_client *c)
{
	struct net_collect *k = c->collect;
	struct err e = { 0 };
	size_t before;

	do {
		if (take(c, &e) < 0) {
			refuse(c, &e);
			return;
		}
		before = c->in_len;
		if (!k->carry.done && !net_client_fill(c)) {
			net_client_free(c);
			return;
		}
	} while (!k->carry.done && c->in_len != before);
	if (k->carry.done)
		k->fn(c);
}

void net_collect_release(struct net_client *c)
{
	if (c->holds_body)
		c->leaf->n_bodies--;
	c->holds_body = false;
}

static void ask(struct net_client *c)
{
	static const char go_on[] = "HTTP/1.1 100 Continue\r\n\r\n";

	/* Nothing else is on its way to a client whose request waits. */
	if (c->head->minor == 1 && net_head_has_token(c->head, "expect", "100-continue"))
		(void) net_stream_write(c->stream, go_on, sizeof go_on - 1);
}

void net_collect_begin(struct net_client *c, size_t max, net_collect_fn fn)
{
	struct net_collect *k;

	if (c->leaf->n_bodies >= NET_BODIES_MAX) {
		net_client_refuse(c, 503, "too_many_bodies",
			"too many requests whose bodies are read whole are under way; try again",
			"");
		return;
	}
	k = calloc(1, sizeof *k);
	if (!k) {
		net_client_refuse(c, 503, "out_of_memory", "no memory for this request", "");
		return;
	}
	if (c->body.framing == NET_BODY_LENGTH && c->body.length > max) {
		free(k);
		refuse_large(c, max);
		return;
	}
	k->fn = fn;
	k->max = max;
	net_carry_init(&k->carry, &c->body, true, false, k->trailers);
	c->collect = k;
	c->holds_body = true;
	c->leaf->n_bodies++;
	c->phase = NET_PHASE_BODY;
	net_client_deadline(c, NET_BODY_MS);
	ask(c);
	net_collect_ready(c);
}
