#include "core_sockdiag.h"
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/inet_diag.h>
#include <linux/sock_diag.h>
#include <netinet/in.h>
#include <netlink/msg.h>
#include <netlink/netlink.h>
#include <sched.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/time.h>

/* Connected, also after either side has shut down its half (include/net/tcp_states.h). */
#define STATES_CONNECTED (1u << 1 | 1u << 4 | 1u << 5 | 1u << 8)
#define STATE_SYN_SENT (1u << 2)
#define STATES_ANY ~0u /* UDP: CLOSE is an unconnected socket */
#define ANSWER_MS 500

struct answer {
	uint64_t inode;
	uint32_t uid;
	uint32_t states; /* that count */
	bool found;
};

struct sockdiag {
	struct nl_sock *socket;
	struct nl_cb *cb;
	struct answer *answer; /* of the question being asked */
};

static int on_socket(struct nl_msg *m, void *arg)
{
	struct nlmsghdr *h = nlmsg_hdr(m);
	struct answer *a = ((struct sockdiag *) arg)->answer;

	if (h->nlmsg_type != SOCK_DIAG_BY_FAMILY ||
		nlmsg_datalen(h) < (int) sizeof(struct inet_diag_msg))
		return NL_SKIP;
	const struct inet_diag_msg *d = nlmsg_data(h);

	a->inode = d->idiag_inode;
	a->uid = d->idiag_uid;
	a->found = a->states >> d->idiag_state & 1;
	return NL_OK;
}

static int open_socket(struct sockdiag *d, struct err *e)
{
	struct timeval limit = { 0, ANSWER_MS * 1000 };
	int r = nl_connect(d->socket, NETLINK_SOCK_DIAG);

	if (r < 0)
		return err_set(e, EIO, "open sock_diag: %s", nl_geterror(r));
	nl_socket_disable_seq_check(d->socket);
	nl_socket_disable_auto_ack(d->socket);
	nl_socket_disable_msg_peek(d->socket); /* answers are small: one call instead of two */
	if (setsockopt(nl_socket_get_fd(d->socket), SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit) <
		0)
		return err_set(e, errno, "limit sock_diag");
	return 0;
}

static bool is_same(int a, int b)
{
	struct stat x, y;

	return fstat(a, &x) == 0 && fstat(b, &y) == 0 && x.st_dev == y.st_dev &&
		x.st_ino == y.st_ino;
}

int sockdiag_new(int netns_fd, struct sockdiag **ret, struct err *e)
{
	AUTO(sockdiag_free) struct sockdiag *d = calloc(1, sizeof *d);
	AUTO_CLOSE int home = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);
	int r;

	if (!d || home < 0)
		return err_set(e, d ? errno : ENOMEM, "sock_diag");
	d->socket = nl_socket_alloc();
	d->cb = nl_cb_alloc(NL_CB_CUSTOM);
	if (!d->socket || !d->cb)
		return err_set(e, ENOMEM, "sock_diag");
	(void) nl_cb_set(d->cb, NL_CB_VALID, NL_CB_CUSTOM, on_socket, d);
	/* Without root the leaf lives inside, and could not come back from anywhere else. */
	if (is_same(netns_fd, home)) {
		r = open_socket(d, e);
	} else {
		if (setns(netns_fd, CLONE_NEWNET) < 0)
			return err_set(e, errno, "enter the workload's network namespace");
		r = open_socket(d, e);
		if (setns(home, CLONE_NEWNET) < 0)
			return err_set(e, errno, "leave the workload's network namespace");
	}
	if (r < 0)
		return r;
	*ret = TAKE_PTR(d);
	return 0;
}

void sockdiag_free(struct sockdiag *d)
{
	if (!d)
		return;
	nl_socket_free(d->socket);
	nl_cb_put(d->cb);
	free(d);
}

static int ask(struct sockdiag *d, const struct inet_diag_req_v2 *req, struct answer *a)
{
	int r;

	d->answer = a;
	r = nl_send_simple(
		d->socket, SOCK_DIAG_BY_FAMILY, 0, (void *) (uintptr_t) req, sizeof *req);
	if (r >= 0)
		r = nl_recvmsgs(d->socket, d->cb);
	return r < 0 ? -EIO : 0;
}

/* A socket of family AF_INET6 that talks IPv4 has mapped addresses.  For UDP the kernel looks the
 * receiver of an answer up (udp_dump_one): the two ends stand the other way round. */
static int ask_family(
	struct sockdiag *d, const struct identity_question *q, int family, struct answer *a)
{
	struct inet_diag_req_v2 req = { .sdiag_family = (uint8_t) family,
		.sdiag_protocol = q->kind == IDENTITY_UDP ? IPPROTO_UDP : IPPROTO_TCP,
		.idiag_states = a->states };
	size_t skip = family == AF_INET ? 12 : 0;
	bool swapped = q->kind == IDENTITY_UDP;

	req.id.idiag_sport = htons(swapped ? q->local_port : q->peer_port);
	req.id.idiag_dport = htons(swapped ? q->peer_port : q->local_port);
	(void) memcpy(swapped ? req.id.idiag_dst : req.id.idiag_src, q->peer.b + skip, 16 - skip);
	(void) memcpy(swapped ? req.id.idiag_src : req.id.idiag_dst, q->local.b + skip, 16 - skip);
	req.id.idiag_cookie[0] = req.id.idiag_cookie[1] = INET_DIAG_NOCOOKIE;
	return ask(d, &req, a);
}

int sockdiag_find(struct sockdiag *d, const struct identity_question *q, uint64_t *ret_inode,
	uint32_t *ret_uid, struct err *e)
{
	bool v4 = addr_is_v4(&q->peer) && addr_is_v4(&q->local);
	struct answer a = { 0 };

	a.states = q->kind == IDENTITY_UDP	  ? STATES_ANY
		: q->kind == IDENTITY_TCP_OPENING ? STATES_CONNECTED | STATE_SYN_SENT
						  : STATES_CONNECTED;
	if (v4)
		(void) ask_family(d, q, AF_INET, &a);
	if (!a.found)
		(void) ask_family(d, q, AF_INET6, &a);
	if (!a.found || a.inode == 0)
		return err_set(e, ENOENT, "no process holds the calling socket any more");
	*ret_inode = a.inode;
	*ret_uid = a.uid;
	return 0;
}
