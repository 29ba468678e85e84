/* net_stream.h - a byte stream over a connected socket that never blocks.
 *
 * Owns its descriptor.  Edge-triggered: fn is called when the socket became
 * readable or writable, and its owner reads and writes until -EAGAIN.  fn may
 * free the stream.
 */
#pragma once
#include <stdbool.h>
#include <sys/types.h>
#include "core_loop.h"

struct net_stream;

int net_stream_new(struct loop *l, int take_fd, loop_fn fn, void *owner, struct net_stream **ret,
	struct err *e);
void net_stream_free(struct net_stream *s);
/* Bytes; 0: the peer has ended; -EAGAIN: nothing now; another negative errno: broken. */
ssize_t net_stream_read(struct net_stream *s, void *buf, size_t len);
/* Bytes taken; -EAGAIN: none now; another negative errno: broken. */
ssize_t net_stream_write(struct net_stream *s, const void *buf, size_t len);
/* Nothing more comes from us; the peer may go on. */
void net_stream_end(struct net_stream *s);
/* Read what still comes and drop it: false once the peer has ended or failed. */
bool net_stream_drop_input(struct net_stream *s);
/* Without taking any: is there a byte, or the end, to be read? */
bool net_stream_has_input(struct net_stream *s);
/* Borrowed, and no longer watched: for a raw tunnel. */
int net_stream_unwatch(struct net_stream *s);
