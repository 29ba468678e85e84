#include "net_copy.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include "net_http_body.h"

#define HALF_SIZE (2 * NET_BUFFER)

struct half {
	struct net_stream *from, *to;
	struct net_bytes bytes;
	bool eof, ended;
};

struct net_copy {
	struct half up, down;
	char buffer[2][HALF_SIZE];
};

int net_copy_new(struct net_client *c, const char *early, size_t early_len, struct net_copy **ret,
	struct err *e)
{
	struct net_copy *y = malloc(sizeof *y);

	if (!y || early_len > HALF_SIZE || c->in_len > HALF_SIZE) {
		free(y);
		return err_set(e, ENOMEM, "switched connection");
	}
	y->up = (struct half){ c->stream, c->upstream, { y->buffer[0], HALF_SIZE, c->in_len, 0 },
		false, false };
	y->down = (struct half){ c->upstream, c->stream, { y->buffer[1], HALF_SIZE, early_len, 0 },
		false, false };
	(void) memcpy(y->buffer[0], c->in, c->in_len);
	(void) memcpy(y->buffer[1], early, early_len);
	c->in_len = 0;
	*ret = y;
	return 0;
}

void net_copy_free(struct net_copy *y)
{
	free(y);
}

/* 1 the buffer is empty, 0 waits, negative failed. */
static int flush(struct half *h)
{
	while (h->bytes.sent < h->bytes.len) {
		ssize_t n = net_stream_write(
			h->to, h->bytes.at + h->bytes.sent, h->bytes.len - h->bytes.sent);

		if (n < 0)
			return n == -EAGAIN ? 0 : (int) n;
		h->bytes.sent += (size_t) n;
	}
	h->bytes.sent = h->bytes.len = 0;
	return 1;
}

/* 1 progress, 0 waits, negative failed. */
static int step(struct half *h)
{
	int r = flush(h);
	ssize_t n;

	if (r <= 0 || h->ended)
		return r < 0 ? r : 0;
	if (h->eof) {
		net_stream_end(h->to);
		h->ended = true;
		return 0;
	}
	n = net_stream_read(h->from, h->bytes.at, h->bytes.size);
	if (n < 0)
		return n == -EAGAIN ? 0 : (int) n;
	h->eof = n == 0;
	h->bytes.len = (size_t) n;
	return 1;
}

void net_copy_ready(struct net_client *c)
{
	struct net_copy *y = c->copy;
	int up = 1, down = 1;

	for (unsigned turn = 0; up > 0 || down > 0; turn++) {
		if (turn == NET_RELAY_TURNS) {
			net_client_again(c);
			break;
		}
		up = step(&y->up);
		down = up < 0 ? 0 : step(&y->down);
		if (up < 0 || down < 0 ||
			(y->up.ended && y->down.ended && net_stream_is_sent(c->stream) &&
				net_stream_is_sent(c->upstream))) {
			net_client_free(c);
			return;
		}
	}
	c->deadline_ms = loop_now_ms(c->leaf->loop) + NET_IDLE_MS;
}
