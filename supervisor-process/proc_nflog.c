#include "proc_nflog.h"
#include <errno.h>
#include <linux/netfilter/nfnetlink.h>
#include <netlink/msg.h>
#include <netlink/netfilter/log.h>
#include <netlink/netfilter/log_msg.h>
#include <netlink/netlink.h>
#include <sys/socket.h>
#include "proc_limits.h"
#include "proc_packet.h"

struct proc_nflog {
	struct nl_sock *socket;
	struct nl_cb *cb;
	proc_nflog_fn fn;
	void *owner;
};

static int on_message(struct nl_msg *m, void *arg)
{
	struct nfnl_log_msg *got = NULL;
	struct proc_nflog *n = arg;
	const uint8_t *bytes;
	uint32_t uid;
	int len = 0;

	if (NFNL_SUBSYS_ID(nlmsg_hdr(m)->nlmsg_type) != NFNL_SUBSYS_ULOG ||
		nfnlmsg_log_msg_parse(nlmsg_hdr(m), &got) < 0)
		return NL_SKIP;
	bytes = nfnl_log_msg_get_payload(got, &len);
	uid = nfnl_log_msg_test_uid(got) ? nfnl_log_msg_get_uid(got) : PROC_NFLOG_NO_UID;
	if (bytes && len > 0)
		n->fn(n->owner, bytes, (size_t) len, uid);
	nfnl_log_msg_put(got);
	return NL_OK;
}

static int bind_group(struct nl_sock *s, uint16_t group, struct err *e)
{
	struct nfnl_log *log = nfnl_log_alloc();
	int r = -NLE_NOMEM;

	if (log) {
		nfnl_log_set_group(log, group);
		nfnl_log_set_copy_mode(log, NFNL_LOG_COPY_PACKET);
		nfnl_log_set_copy_range(log, PROC_PACKET_COPY);
		nfnl_log_set_queue_threshold(log, 1);
		r = nfnl_log_create(s, log);
	}
	nfnl_log_put(log);
	return r < 0 ? err_set(e, r == -NLE_PERM ? EPERM : EIO, "packet log, group %u: %s", group,
			       nl_geterror(r))
		     : 0;
}

int proc_nflog_open(
	uint16_t group, proc_nflog_fn fn, void *owner, struct proc_nflog **ret, struct err *e)
{
	AUTO(proc_nflog_free) struct proc_nflog *n = calloc(1, sizeof *n);
	int r;

	if (!n)
		return err_set(e, ENOMEM, "packet log");
	n->fn = fn;
	n->owner = owner;
	n->socket = nl_socket_alloc();
	n->cb = nl_cb_alloc(NL_CB_CUSTOM);
	r = n->socket && n->cb ? nl_connect(n->socket, NETLINK_NETFILTER) : -NLE_NOMEM;
	if (r < 0)
		return err_set(e, EIO, "open the packet log: %s", nl_geterror(r));
	if (bind_group(n->socket, group, e) < 0)
		return -e->code;
	nl_socket_disable_seq_check(n->socket);
	nl_socket_disable_auto_ack(n->socket);
	nl_socket_disable_msg_peek(n->socket);
	r = nl_socket_set_nonblocking(n->socket);
	if (r >= 0)
		r = nl_cb_set(n->cb, NL_CB_VALID, NL_CB_CUSTOM, on_message, n);
	if (r < 0)
		return err_set(e, EIO, "prepare the packet log: %s", nl_geterror(r));
	*ret = TAKE_PTR(n);
	return 0;
}

int proc_nflog_fd(const struct proc_nflog *n)
{
	return nl_socket_get_fd(n->socket);
}

void proc_nflog_read(struct proc_nflog *n)
{
	/* A full queue (ENOBUFS) costs records, not enforcement: the fence refuses regardless. */
	for (int i = 0; i < PROC_NFLOG_TURN_MAX; i++)
		if (nl_recvmsgs(n->socket, n->cb) < 0)
			return;
}

void proc_nflog_free(struct proc_nflog *n)
{
	if (!n)
		return;
	nl_socket_free(n->socket);
	nl_cb_put(n->cb);
	free(n);
}
