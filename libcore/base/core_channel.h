/* core_channel.h - one end of an AF_UNIX SOCK_SEQPACKET pair between two of our processes.
 *
 * One packet = header {type u16, flags u16, request u32, little-endian} and one
 * protobuf message; descriptors belong to the packet that carried them
 * (SCM_RIGHTS, unix(7)).  Every incoming packet is checked against the
 * receiver's table - number, size, descriptor count, state - before its payload
 * is unpacked and its handler runs.  A packet that fails is a broken or hostile
 * peer: the channel ends, never "ignore and go on".  flags are 0 in version 1.
 *
 * Sending never blocks: what the kernel does not take is queued, at most
 * CHANNEL_QUEUE_MAX bytes; beyond that channel_send() fails with -ENOBUFS and
 * the caller drops the event or ends the channel.
 */
#pragma once
#include <stddef.h>
#include <stdint.h>
#include <protobuf-c/protobuf-c.h>
#include "core_cleanup.h"
#include "core_err.h"

#define CHANNEL_HEADER_LEN 8				     /* bytes */
#define CHANNEL_PAYLOAD_MAX (64 * 1024 - CHANNEL_HEADER_LEN) /* bytes; larger things go as memfd */
#define CHANNEL_QUEUE_MAX (1024 * 1024)			     /* bytes not yet taken by the kernel */
#define CHANNEL_FDS_MAX 4				     /* descriptors of one packet */
#define CHANNEL_TURN_MAX 64				     /* packets read per turn of the loop */

struct loop;
struct channel;

struct channel_msg { /* borrowed for the duration of the handler */
	const char *name;
	uint16_t number;
	uint32_t request;
	const uint8_t *bytes;
	size_t len;
};

struct channel_rule {
	const char *name; /* for logs; NULL name ends the table */
	uint16_t number;
	uint32_t min, max; /* payload bytes, inclusive */
	uint8_t fds;	   /* exactly this many */
	uint32_t states;   /* mask: when the peer may send it */
	/* fds are borrowed; to keep one, TAKE_FD(fds[i]).  Whatever is left is
	 * closed on return.  0, or a negative errno to end the channel. */
	int (*handle)(void *owner, const struct channel_msg *m, int *fds, struct err *e);
};

/* Called once, when the channel has ended: why->code is 0 when the peer closed it in order.
 * The channel is dead then, and may be freed from here. */
typedef void (*channel_end_fn)(void *owner, const struct err *why);

/* Which rule, if any, admits this packet.  NULL, and e set, otherwise. */
const struct channel_rule *channel_admit(const struct channel_rule *table, uint32_t state,
	uint16_t number, size_t len, size_t n_fds, struct err *e);

/* state is read before each packet and belongs to the owner; handlers assign it.
 * take_fd is owned even on failure. */
struct channel_user {
	const struct channel_rule *rules;
	const uint32_t *state;
	channel_end_fn on_end;
	void *owner; /* of handlers and on_end */
};

/* Packets are read and handled from the loop.  user is copied; what it points to is borrowed. */
int channel_open(struct loop *l, int take_fd, const struct channel_user *user, struct channel **ret,
	struct err *e);
/* What is still queued is lost.  From a handler or on_end, too: it goes when that has returned. */
void channel_free(struct channel *c);

/* m may be NULL (empty payload).  The _fds form passes duplicates: the caller keeps its own. */
int channel_send(struct channel *c, uint16_t number, uint32_t request, const ProtobufCMessage *m,
	struct err *e);
int channel_send_fds(struct channel *c, uint16_t number, uint32_t request,
	const ProtobufCMessage *m, const int *fds, size_t n_fds, struct err *e);
/* Bytes queued and not yet taken by the kernel. */
size_t channel_queued(const struct channel *c);

/* Unpack the payload as this message type, or -EBADMSG.  Free with
 * protobuf_c_message_free_unpacked(). */
int channel_unpack(const struct channel_msg *m, const ProtobufCMessageDescriptor *type,
	ProtobufCMessage **ret, struct err *e);
/* A close-on-exec, non-blocking pair. */
int channel_pair(int ret_fds[2], struct err *e);
DEFINE_AUTO(struct channel, channel_free)
