#include "proc_monitor_child.h"
#include <errno.h>
#include <limits.h>
#include <linux/close_range.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>
#include "core_channel.h"
#include "core_cleanup.h"
#include "core_confine.h"
#include "core_identity.h"
#include "core_log.h"
#include "core_loop.h"
#include "ipc_identity.h"
#include "ipc_identity.pb-c.h"
#include "proc_bypass.h"
#include "proc_limits.h"
#include "proc_monitor_child.h"

#define NOBODY 65534u

struct pending {
	bool used;
	uint32_t id;
	uint64_t since_ms;
	struct mon_packet packet;
};

struct mon_child {
	struct loop *loop;
	struct proc_nflog *log, *host_log; /* host_log: NULL without veth */
	struct loop_io *log_io, *host_log_io;
	struct loop_timer *late;
	bool timer_runs, flush_wanted;
	struct channel *leaf, *identity;
	uint32_t leaf_state, identity_state, next_id;
	int raw4, raw6;
	struct pending pending[PROC_MONITOR_PENDING_MAX];
	struct {
		struct mon_packet packet;
		uint64_t at_ms;
	} recent[PROC_MONITOR_RECENT_MAX]; /* a repetition is no attempt of its own */
	size_t next_recent;
};

/* Left out on purpose: everything with a file name, socket(2), connect(2), fork, execve, kill. */
static const struct confine_call monitor_calls[] = {
	{ "epoll_wait", "loop" },
	{ "epoll_pwait", "loop" },
	{ "epoll_ctl", "loop" },
	{ "recvmsg", "channels, packet log" },
	{ "recvfrom", "packet log" },
	{ "sendmsg", "channels" },
	{ "sendto", "resets" },
	{ "read", "the loop's wake-up" },
	{ "write", "standard error, the loop's wake-up" },
	{ "close", "a channel that has ended" },
	{ "brk", "memory" },
	{ "mmap:data", "memory" },
	{ "mremap", "memory" },
	{ "munmap", "memory" },
	{ "mprotect:data", "memory" },
	{ "madvise", "memory" },
	{ "futex", "the C library's locks" },
	{ "getrandom", "hash tables of the C library" },
	{ "clock_gettime", "times, where the vDSO is off" },
	{ "rt_sigaction", "end" },
	{ "rt_sigprocmask", "end" },
	{ "rt_sigreturn", "end" },
	{ "restart_syscall", "after a stop" },
	{ "exit", "end" },
	{ "exit_group", "end" },
	{ 0 },
};

/* The fence lets resets pass; the workload can't tell this one from the kernel's own. */
static void send_reset(struct mon_child *m, const struct proc_packet *p)
{
	struct sockaddr_storage to;
	uint8_t bytes[PROC_PACKET_RESET_MAX];
	size_t len = proc_packet_reset(p, bytes);
	socklen_t to_len;

	if (len == 0)
		return;
	addr_to_sockaddr(&p->source, 0, &to, &to_len);
	/* Lost: the repetition is refused by the fence. */
	(void) sendto(p->v4 ? m->raw4 : m->raw6, bytes, len, MSG_DONTWAIT | MSG_NOSIGNAL,
		(struct sockaddr *) &to, to_len);
}

static void flush_if_done(struct mon_child *m)
{
	struct err e = { 0 };

	for (size_t i = 0; i < PROC_MONITOR_PENDING_MAX; i++)
		if (m->pending[i].used)
			return;
	if (!m->flush_wanted)
		return;
	m->flush_wanted = false;
	if (channel_send(m->leaf, MON_FLUSHED, 0, NULL, &e) < 0)
		loop_stop(m->loop);
}

/* First the report, then the reset: when the program goes on, the leaf already has it. */
static void conclude(
	struct mon_child *m, const struct mon_packet *packet, const struct identity_caller *caller)
{
	struct err e = { 0 };
	struct event ev;

	proc_bypass_event(&packet->p, caller, packet->uid, &ev);
	if (channel_send(m->leaf, MON_EVENT, 0, &ev.msg.base, &e) < 0)
		log_line(LOG_LEVEL_WARN, "bypass monitor: a report is lost: %s", e.text);
	send_reset(m, &packet->p);
}

static void finish(struct mon_child *m, struct pending *w, const struct identity_caller *caller)
{
	w->used = false;
	conclude(m, &w->packet, caller);
	flush_if_done(m);
}

static void on_late(void *owner)
{
	struct mon_child *m = owner;
	uint64_t now = loop_now_ms(m->loop);
	bool more = false;

	m->timer_runs = false;
	for (size_t i = 0; i < PROC_MONITOR_PENDING_MAX; i++) {
		struct pending *w = &m->pending[i];

		if (w->used && now - w->since_ms >= PROC_MONITOR_ANSWER_MS)
			finish(m, w, NULL);
		more |= w->used;
	}
	if (more)
		m->timer_runs = loop_timer_start(m->late, PROC_MONITOR_ANSWER_MS) == 0;
}

static int ask(struct mon_child *m, const struct pending *w, struct err *e)
{
	Openshell__Ipc__IdAsk q = OPENSHELL__IPC__ID_ASK__INIT;
	const struct proc_packet *p = &w->packet.p;

	q.peer.data = (uint8_t *) (uintptr_t) p->source.b;
	q.local.data = (uint8_t *) (uintptr_t) p->destination.b;
	q.peer.len = q.local.len = sizeof p->source.b;
	q.peer_port = p->source_port;
	q.local_port = p->destination_port;
	q.kind = p->protocol == IPPROTO_UDP ? IDENTITY_UDP : IDENTITY_TCP_OPENING;
	return channel_send(m->identity, ID_ASK, w->id, &q.base, e);
}

static struct pending *take_slot(struct mon_child *m)
{
	for (size_t i = 0; i < PROC_MONITOR_PENDING_MAX; i++)
		if (!m->pending[i].used)
			return &m->pending[i];
	return NULL;
}

static bool is_same(const struct proc_packet *a, const struct proc_packet *b)
{
	return a->protocol == b->protocol && a->source_port == b->source_port &&
		a->destination_port == b->destination_port && addr_equal(&a->source, &b->source) &&
		addr_equal(&a->destination, &b->destination);
}

static bool is_repeated(struct mon_child *m, const struct mon_packet *packet)
{
	uint64_t now = loop_now_ms(m->loop);

	for (size_t i = 0; i < PROC_MONITOR_RECENT_MAX; i++)
		if (m->recent[i].at_ms && now - m->recent[i].at_ms < PROC_MONITOR_REPEAT_MS &&
			is_same(&m->recent[i].packet.p, &packet->p))
			return true;
	m->recent[m->next_recent].packet = *packet;
	m->recent[m->next_recent].at_ms = now ? now : 1;
	m->next_recent = (m->next_recent + 1) % PROC_MONITOR_RECENT_MAX;
	return false;
}

static void take_packet(struct mon_child *m, const uint8_t *bytes, size_t len, uint32_t uid)
{
	struct mon_packet packet = { .uid = uid };
	struct err e = { 0 };
	struct pending *w;

	if (proc_packet_parse(bytes, len, &packet.p) < 0)
		return;
	if (is_repeated(m, &packet)) {
		send_reset(m, &packet.p);
		return;
	}
	w = packet.p.source_port ? take_slot(m) : NULL;
	if (!w) {
		conclude(m, &packet, NULL);
		return;
	}
	*w = (struct pending){ true, m->next_id++, loop_now_ms(m->loop), packet };
	if (ask(m, w, &e) < 0)
		finish(m, w, NULL);
	else if (!m->timer_runs)
		m->timer_runs = loop_timer_start(m->late, PROC_MONITOR_ANSWER_MS) == 0;
}

static void on_packet(void *owner, const uint8_t *bytes, size_t len, uint32_t uid)
{
	/* Without a uid it is the kernel's own (neighbour discovery and the like). */
	if (uid != PROC_NFLOG_NO_UID)
		take_packet(owner, bytes, len, uid);
}

/* A packet that has crossed the pair has lost its socket. */
static void on_host_packet(void *owner, const uint8_t *bytes, size_t len, uint32_t uid)
{
	take_packet(owner, bytes, len, uid);
}

static int on_ID_ANSWER(void *owner, const struct channel_msg *msg, int *fds, struct err *e)
{
	struct identity_caller caller = { 0 };
	struct mon_child *m = owner;
	Openshell__Ipc__IdAnswer *got;
	ProtobufCMessage *base;

	(void) fds;
	if (channel_unpack(msg, &openshell__ipc__id_answer__descriptor, &base, e) < 0)
		return -e->code;
	got = (Openshell__Ipc__IdAnswer *) base;
	caller.assurance = got->assurance == IDENTITY_OBSERVED ? IDENTITY_OBSERVED : IDENTITY_NONE;
	caller.exe = got->exe;
	caller.ancestors = (const char *const *) got->ancestors;
	caller.n_ancestors = got->n_ancestors;
	caller.pid = (pid_t) got->pid;
	caller.reason = got->reason;
	for (size_t i = 0; i < PROC_MONITOR_PENDING_MAX; i++)
		if (m->pending[i].used && m->pending[i].id == msg->request) {
			finish(m, &m->pending[i], &caller);
			break;
		}
	protobuf_c_message_free_unpacked(base, NULL);
	return 0;
}

static int on_ID_RESOLVED(void *owner, const struct channel_msg *m, int *fds, struct err *e)
{
	(void) owner;
	(void) fds;
	return err_set(e, EPROTO, "%s was not asked for", m->name);
}

static int on_MON_FLUSH(void *owner, const struct channel_msg *msg, int *fds, struct err *e)
{
	struct mon_child *m = owner;

	(void) msg;
	(void) fds;
	(void) e;
	m->flush_wanted = true;
	proc_nflog_read(m->log);
	if (m->host_log)
		proc_nflog_read(m->host_log);
	flush_if_done(m);
	return 0;
}

#define X(n, num, lo, hi, fds, st) { #n, (num), (lo), (hi), (fds), (st), on_##n },
static const struct channel_rule leaf_rules[] = { MON_REQUESTS(X){ 0 } };
static const struct channel_rule identity_rules[] = { ID_ANSWERS(X){ 0 } };
#undef X

/* Either of the two gone: nobody could be told, or nobody knows; the leaf notices our end. */
static void on_end(void *owner, const struct err *why)
{
	struct mon_child *m = owner;

	if (why->code)
		log_line(LOG_LEVEL_WARN, "bypass monitor: ended channel: %s", why->text);
	loop_stop(m->loop);
}

static void on_log(void *owner, int fd, unsigned ready)
{
	struct mon_child *m = owner;

	(void) fd;
	(void) ready;
	proc_nflog_read(m->log);
}

static void on_host_log(void *owner, int fd, unsigned ready)
{
	struct mon_child *m = owner;

	(void) fd;
	(void) ready;
	proc_nflog_read(m->host_log);
}

static int open_raw(int family, int *ret, struct err *e)
{
	*ret = socket(family, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, IPPROTO_RAW);
	return *ret < 0 ? err_set(e, errno, "a socket for resets") : 0;
}

int mon_child_new(struct mon_child **ret, struct err *e)
{
	struct mon_child *m = calloc(1, sizeof *m);

	if (!m)
		return err_set(e, ENOMEM, "bypass monitor");
	m->raw4 = m->raw6 = -1;
	m->leaf_state = MON_OPEN;
	m->identity_state = ID_OPEN;
	*ret = m;
	return 0;
}

void mon_child_free(struct mon_child *m)
{
	if (!m)
		return;
	channel_free(m->leaf);
	channel_free(m->identity);
	loop_io_free(m->log_io);
	loop_io_free(m->host_log_io);
	loop_timer_free(m->late);
	proc_nflog_free(m->log);
	proc_nflog_free(m->host_log);
	core_closep(&m->raw4);
	core_closep(&m->raw6);
	loop_free(m->loop);
	free(m);
}

int mon_child_open(struct mon_child *m, uint16_t group, struct err *e)
{
	struct err none = { 0 };

	if (proc_nflog_open(group, on_packet, m, &m->log, e) < 0 ||
		open_raw(AF_INET, &m->raw4, e) < 0)
		return -e->code;
	/* A kernel without IPv6 has no packets of it either. */
	(void) open_raw(AF_INET6, &m->raw6, &none);
	return 0;
}

int mon_child_open_host(struct mon_child *m, uint16_t group, struct err *e)
{
	return proc_nflog_open(group, on_host_packet, m, &m->host_log, e);
}

size_t mon_child_logs(const struct mon_child *m, int ret[MON_LOGS_MAX])
{
	ret[0] = proc_nflog_fd(m->log);
	if (m->host_log)
		ret[1] = proc_nflog_fd(m->host_log);
	return m->host_log ? 2 : 1;
}

static int watch_logs(struct mon_child *m, struct err *e)
{
	if (loop_io_new(m->loop, proc_nflog_fd(m->log), on_log, m, &m->log_io, e) < 0 ||
		loop_io_watch(m->log_io, LOOP_READ) < 0)
		return err_set(e, EIO, "watch the packet log");
	if (m->host_log &&
		(loop_io_new(m->loop, proc_nflog_fd(m->host_log), on_host_log, m, &m->host_log_io,
			 e) < 0 ||
			loop_io_watch(m->host_log_io, LOOP_READ) < 0))
		return err_set(e, EIO, "watch the host's packet log");
	return 0;
}

static int by_number(const void *a, const void *b)
{
	return *(const int *) a - *(const int *) b;
}

static int close_all_but(int *keep, size_t n, struct err *e)
{
	unsigned from = STDERR_FILENO + 1;

	qsort(keep, n, sizeof *keep, by_number);
	for (size_t i = 0; i < n; i++) {
		if (keep[i] < (int) from)
			continue;
		if (keep[i] > (int) from && close_range(from, (unsigned) keep[i] - 1, 0) < 0)
			return err_set(e, errno, "close what is not needed");
		from = (unsigned) keep[i] + 1;
	}
	return close_range(from, UINT_MAX, 0) < 0 ? err_set(e, errno, "close what is not needed")
						  : 0;
}

static int confine(struct err *e)
{
	struct confine_identity id = { .uid = NOBODY, .gid = NOBODY };
	struct err why = { 0 };

	/* Without root there is only one user to be; it has no capability either way. */
	if (geteuid() != 0)
		id.keep_uid = true;
	if (confine_harden(e) < 0 || confine_drop(&id, e) < 0)
		return -e->code;
	/* The change of user has cleared it, and made us dumpable. */
	if (prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0) < 0 || prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) < 0)
		return err_set(e, errno, "harden the bypass monitor");
	if (confine_landlock_abi(&why) > 0 && confine_landlock_nothing(true, e) < 0)
		return -e->code;
	return confine_seccomp_allow(monitor_calls, false, e);
}

int mon_child_run(struct mon_child *m, int take_leaf_fd, int take_identity_fd, struct err *e)
{
	const struct channel_user leaf = { leaf_rules, &m->leaf_state, on_end, m };
	const struct channel_user identity = { identity_rules, &m->identity_state, on_end, m };
	int keep[] = { take_leaf_fd, take_identity_fd, proc_nflog_fd(m->log), m->raw4, m->raw6,
		m->host_log ? proc_nflog_fd(m->host_log) : -1 };
	int r;

	if ((r = close_all_but(keep, sizeof keep / sizeof *keep, e)) < 0 ||
		(r = loop_new(&m->loop, e)) < 0 ||
		(r = loop_timer_new(m->loop, on_late, m, &m->late, e)) < 0 ||
		(r = watch_logs(m, e)) < 0 ||
		(r = channel_open(m->loop, take_leaf_fd, &leaf, &m->leaf, e)) < 0 ||
		(r = channel_open(m->loop, take_identity_fd, &identity, &m->identity, e)) < 0 ||
		(r = confine(e)) < 0) /* nothing has been read yet */
		return r;
	return loop_run(m->loop, e);
}
