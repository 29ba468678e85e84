#include "core_channel.h"
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>
#include "core_loop.h"

#define PACKET_MAX (CHANNEL_HEADER_LEN + CHANNEL_PAYLOAD_MAX)

struct packet { /* waiting for the kernel to take it */
	struct packet *next;
	size_t len, n_fds;
	int fds[CHANNEL_FDS_MAX];
	uint8_t bytes[];
};

struct channel {
	struct loop *loop;
	struct loop_io *io;
	int fd;
	const struct channel_rule *rules;
	const uint32_t *state;
	channel_end_fn on_end;
	void *owner;
	struct packet *first, **last;
	size_t queued;
	bool busy; /* a callback runs: freeing waits until it has returned */
	bool freed;
	bool ended;
	uint8_t in[PACKET_MAX + 1];
};

const struct channel_rule *channel_admit(const struct channel_rule *table, uint32_t state,
	uint16_t number, size_t len, size_t n_fds, struct err *e)
{
	for (const struct channel_rule *r = table; r->name; r++) {
		if (r->number != number)
			continue;
		if (!(r->states & state))
			(void) err_set(e, EPROTO, "%s in state %#x", r->name, (unsigned) state);
		else if (len < r->min || len > r->max)
			(void) err_set(e, EPROTO, "%s of %zu bytes", r->name, len);
		else if (n_fds != r->fds)
			(void) err_set(e, EPROTO, "%s with %zu descriptors", r->name, n_fds);
		else
			return r;
		return NULL;
	}
	(void) err_set(e, EPROTO, "unknown message %u", (unsigned) number);
	return NULL;
}

static void packet_free(struct packet *p)
{
	for (size_t i = 0; i < p->n_fds; i++)
		(void) close(p->fds[i]);
	free(p);
}

static void end(struct channel *c, const struct err *why)
{
	if (c->ended)
		return;
	c->ended = true;
	(void) loop_io_watch(c->io, 0);
	c->on_end(c->owner, why);
}

/* One packet into c->in.  >0 bytes, 0 in-order end, -EAGAIN, or another error with e set. */
static ssize_t receive(struct channel *c, int fds[CHANNEL_FDS_MAX], size_t *n_fds, struct err *e)
{
	union {
		struct cmsghdr align;
		char bytes[CMSG_SPACE(sizeof(int) * CHANNEL_FDS_MAX)];
	} control;
	struct iovec iov = { c->in, sizeof c->in };
	struct msghdr m = { .msg_iov = &iov,
		.msg_iovlen = 1,
		.msg_control = &control,
		.msg_controllen = sizeof control };
	ssize_t n;

	*n_fds = 0;
	do
		n = recvmsg(c->fd, &m, MSG_CMSG_CLOEXEC | MSG_DONTWAIT);
	while (n < 0 && errno == EINTR);
	if (n < 0)
		return errno == EAGAIN || errno == ECONNRESET ? (errno == EAGAIN ? -EAGAIN : 0)
							      : err_set(e, errno, "receive");
	for (struct cmsghdr *h = CMSG_FIRSTHDR(&m); h; h = CMSG_NXTHDR(&m, h)) {
		if (h->cmsg_level != SOL_SOCKET || h->cmsg_type != SCM_RIGHTS)
			continue;
		*n_fds = (h->cmsg_len - CMSG_LEN(0)) / sizeof(int);
		(void) memcpy(fds, CMSG_DATA(h), *n_fds * sizeof(int));
	}
	if (m.msg_flags & (MSG_TRUNC | MSG_CTRUNC))
		return err_set(e, EPROTO, "packet with too many bytes or descriptors");
	return n;
}

static int handle(struct channel *c, size_t len, int *fds, size_t n_fds, struct err *e)
{
	const struct channel_rule *rule;
	struct channel_msg m;
	uint16_t type, flags;
	int r;

	if (len < CHANNEL_HEADER_LEN)
		return err_set(e, EPROTO, "packet of %zu bytes", len);
	type = (uint16_t) (c->in[0] | c->in[1] << 8);
	flags = (uint16_t) (c->in[2] | c->in[3] << 8);
	if (flags)
		return err_set(e, EPROTO, "message %u with flags %#x", type, flags);
	rule = channel_admit(c->rules, *c->state, type, len - CHANNEL_HEADER_LEN, n_fds, e);
	if (!rule)
		return -e->code;
	m = (struct channel_msg){
		.name = rule->name,
		.number = type,
		.request = (uint32_t) c->in[4] | (uint32_t) c->in[5] << 8 |
			(uint32_t) c->in[6] << 16 | (uint32_t) c->in[7] << 24,
		.bytes = c->in + CHANNEL_HEADER_LEN,
		.len = len - CHANNEL_HEADER_LEN,
	};
	r = rule->handle(c->owner, &m, fds, e);
	return r < 0 ? err_wrap(e, "%s", rule->name) : 0;
}

/* One turn of reading; true when the channel is still there and open. */
static bool read_one(struct channel *c)
{
	int fds[CHANNEL_FDS_MAX] = { -1, -1, -1, -1 };
	struct err e = { 0 };
	size_t n_fds;
	ssize_t n = receive(c, fds, &n_fds, &e);
	int r = 0;

	if (n == -EAGAIN)
		return false;
	if (n > 0)
		r = handle(c, (size_t) n, fds, n_fds, &e);
	for (size_t i = 0; i < n_fds; i++)
		if (fds[i] >= 0)
			(void) close(fds[i]);
	if (c->freed)
		return false;
	if (n > 0 && r == 0)
		return !c->ended;
	end(c, &e);
	return false;
}

static int flush(struct channel *c);

static void release(struct channel *c)
{
	loop_io_free(c->io);
	while (c->first) {
		struct packet *p = c->first;

		c->first = p->next;
		packet_free(p);
	}
	(void) close(c->fd);
	free(c);
}

static void serve(struct channel *c, unsigned ready)
{
	if ((ready & LOOP_WRITE) && flush(c) < 0) {
		struct err e = { 0 };

		(void) err_set(&e, EIO, "peer does not take messages");
		end(c, &e);
		return;
	}
	if (!(ready & LOOP_READ))
		return;
	for (int i = 0; i < CHANNEL_TURN_MAX; i++)
		if (!read_one(c))
			return;
}

static void on_ready(void *owner, int fd, unsigned ready)
{
	struct channel *c = owner;

	(void) fd;
	c->busy = true;
	serve(c, ready);
	c->busy = false;
	if (c->freed)
		release(c);
}

int channel_open(struct loop *l, int take_fd, const struct channel_user *user, struct channel **ret,
	struct err *e)
{
	AUTO_CLOSE int fd = take_fd;
	AUTO_FREE struct channel *c = calloc(1, sizeof *c);

	if (!c)
		return err_set(e, ENOMEM, "channel");
	c->loop = l;
	c->rules = user->rules;
	c->state = user->state;
	c->on_end = user->on_end;
	c->owner = user->owner;
	c->last = &c->first;
	if (fcntl(fd, F_GETFD) < 0)
		return err_set(e, EBADF, "channel: descriptor %d is not open", take_fd);
	if (loop_io_new(l, fd, on_ready, c, &c->io, e) < 0)
		return -e->code;
	if (loop_io_watch(c->io, LOOP_READ) < 0) {
		loop_io_free(c->io);
		return err_set(e, EIO, "watch channel");
	}
	c->fd = TAKE_FD(fd);
	*ret = TAKE_PTR(c);
	return 0;
}

void channel_free(struct channel *c)
{
	if (!c)
		return;
	c->freed = true;
	c->ended = true;
	if (!c->busy)
		release(c);
	else
		(void) loop_io_watch(c->io, 0);
}

static int transmit(int fd, const uint8_t *bytes, size_t len, const int *fds, size_t n_fds)
{
	union {
		struct cmsghdr align;
		char bytes[CMSG_SPACE(sizeof(int) * CHANNEL_FDS_MAX)];
	} control = { 0 };
	struct iovec iov = { (void *) (uintptr_t) bytes, len };
	struct msghdr m = { .msg_iov = &iov, .msg_iovlen = 1 };
	ssize_t n;

	if (n_fds) {
		struct cmsghdr *h;

		m.msg_control = &control;
		m.msg_controllen = CMSG_SPACE(sizeof(int) * n_fds);
		h = CMSG_FIRSTHDR(&m);
		h->cmsg_level = SOL_SOCKET;
		h->cmsg_type = SCM_RIGHTS;
		h->cmsg_len = CMSG_LEN(sizeof(int) * n_fds);
		(void) memcpy(CMSG_DATA(h), fds, sizeof(int) * n_fds);
	}
	do
		n = sendmsg(fd, &m, MSG_NOSIGNAL | MSG_DONTWAIT);
	while (n < 0 && errno == EINTR);
	return n < 0 ? -errno : 0;
}

static int flush(struct channel *c)
{
	while (c->first) {
		struct packet *p = c->first;
		int r = transmit(c->fd, p->bytes, p->len, p->fds, p->n_fds);

		if (r == -EAGAIN || r == -ENOBUFS)
			return 0;
		if (r < 0)
			return r;
		c->queued -= p->len;
		c->first = p->next;
		if (!c->first)
			c->last = &c->first;
		packet_free(p);
	}
	return loop_io_watch(c->io, LOOP_READ);
}

static int enqueue(struct channel *c, const uint8_t *bytes, size_t len, const int *fds,
	size_t n_fds, struct err *e)
{
	struct packet *p;

	if (c->queued + len > CHANNEL_QUEUE_MAX)
		return err_set(e, ENOBUFS, "peer does not read: %zu bytes are waiting", c->queued);
	p = calloc(1, sizeof *p + len);
	if (!p)
		return err_set(e, ENOMEM, "channel queue");
	p->len = len;
	(void) memcpy(p->bytes, bytes, len);
	for (size_t i = 0; i < n_fds; i++) {
		p->fds[i] = fcntl(fds[i], F_DUPFD_CLOEXEC, 3);
		if (p->fds[i] < 0) {
			packet_free(p);
			return err_set(e, errno, "keep a descriptor to send");
		}
		p->n_fds++;
	}
	*c->last = p;
	c->last = &p->next;
	c->queued += len;
	return loop_io_watch(c->io, LOOP_READ | LOOP_WRITE) < 0 ? err_set(e, EIO, "watch channel")
								: 0;
}

int channel_send_fds(struct channel *c, uint16_t number, uint32_t request,
	const ProtobufCMessage *m, const int *fds, size_t n_fds, struct err *e)
{
	size_t len = m ? protobuf_c_message_get_packed_size(m) : 0;
	AUTO_FREE uint8_t *bytes = NULL;
	int r;

	if (c->ended)
		return err_set(e, EPIPE, "channel has ended");
	if (len > CHANNEL_PAYLOAD_MAX || n_fds > CHANNEL_FDS_MAX)
		return err_set(e, EMSGSIZE, "message %u of %zu bytes", (unsigned) number, len);
	bytes = malloc(CHANNEL_HEADER_LEN + len);
	if (!bytes)
		return err_set(e, ENOMEM, "message %u", (unsigned) number);
	for (int i = 0; i < 2; i++) {
		bytes[i] = (uint8_t) (number >> (8 * i));
		bytes[2 + i] = 0;
	}
	for (int i = 0; i < 4; i++)
		bytes[4 + i] = (uint8_t) (request >> (8 * i));
	if (m)
		(void) protobuf_c_message_pack(m, bytes + CHANNEL_HEADER_LEN);
	r = c->first ? -EAGAIN : transmit(c->fd, bytes, CHANNEL_HEADER_LEN + len, fds, n_fds);
	if (r == -EAGAIN || r == -ENOBUFS)
		return enqueue(c, bytes, CHANNEL_HEADER_LEN + len, fds, n_fds, e);
	return r < 0 ? err_set(e, -r, "send message %u", (unsigned) number) : 0;
}

int channel_send(struct channel *c, uint16_t number, uint32_t request, const ProtobufCMessage *m,
	struct err *e)
{
	return channel_send_fds(c, number, request, m, NULL, 0, e);
}

size_t channel_queued(const struct channel *c)
{
	return c->queued;
}

int channel_unpack(const struct channel_msg *m, const ProtobufCMessageDescriptor *type,
	ProtobufCMessage **ret, struct err *e)
{
	*ret = protobuf_c_message_unpack(type, NULL, m->len, m->bytes);
	return *ret ? 0 : err_set(e, EBADMSG, "malformed");
}

int channel_pair(int ret_fds[2], struct err *e)
{
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, ret_fds) < 0)
		return err_set(e, errno, "socket pair");
	return 0;
}
