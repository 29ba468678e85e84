/* net_stream.h - a byte stream over a connected socket that never blocks, plain or TLS.
 *
 * Owns its descriptor.  Edge-triggered: fn is called when the socket became
 * readable, or writable after a write that it could not take whole, and its owner
 * reads and writes until -EAGAIN.  fn may free the stream.  A stream begins plain
 * and can become one end of TLS; what net_stream_write() took then may still wait
 * here for the socket.
 */
#pragma once
#include <stdbool.h>
#include <sys/types.h>
#include "core_loop.h"
#include "core_tls.h"

struct net_stream;

/* take_fd: connected and non-blocking. */
int net_stream_new(struct loop *l, int take_fd, loop_fn fn, void *owner, struct net_stream **ret,
	struct err *e);
/* Closes at once: what TLS still holds is lost.  See net_stream_is_sent(). */
void net_stream_free(struct net_stream *s);

/* TLS from now on, towards a client of the workload: host is that of its CONNECT, early what was
 * read of its bytes.  Errors as tls_server_stream(). */
int net_stream_serve_tls(struct net_stream *s, struct tls_server *with, const char *host,
	const char *early, size_t early_len, struct err *e);
/* TLS from now on, towards an upstream server. */
int net_stream_use_tls(struct net_stream *s, struct tls_client *with, const char *host,
	uint16_t port, struct err *e);
/* TLS_WANT_READ and TLS_WANT_WRITE: fn will be called. */
enum tls_step net_stream_handshake(struct net_stream *s, struct err *e);
const struct tls_stream *net_stream_tls(const struct net_stream *s); /* NULL: plain */

/* Bytes; 0: the peer has ended; -EAGAIN: nothing now; another negative errno: broken. */
ssize_t net_stream_read(struct net_stream *s, void *buf, size_t len);
/* Bytes taken; -EAGAIN: none now; another negative errno: broken. */
ssize_t net_stream_write(struct net_stream *s, const void *buf, size_t len);
/* Everything that was taken is with the socket. */
bool net_stream_is_sent(const struct net_stream *s);
/* Nothing more comes from us; the peer may go on. */
void net_stream_end(struct net_stream *s);
/* Read what still comes and drop it.  1: there may be more, others have their turn first; 0: nothing
 * now; -EPIPE: the peer has ended, and nothing waits for it. */
int net_stream_drop_input(struct net_stream *s);
/* For a stream that should be silent: is there a byte, or the end, to be read?  TLS takes it. */
bool net_stream_has_input(struct net_stream *s);
/* The peer is gone: reset, or not there to answer probes.  false for one that only ended its direction. */
bool net_stream_is_broken(const struct net_stream *s);
/* Borrowed, and no longer watched: for a raw tunnel. */
int net_stream_unwatch(struct net_stream *s);
