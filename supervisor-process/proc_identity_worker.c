#include "proc_identity_worker.h"
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/capability.h>
#include <linux/close_range.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>
#include "core_channel.h"
#include "core_confine.h"
#include "core_fd.h"
#include "core_identity.h"
#include "core_log.h"
#include "ipc_identity.h"
#include "ipc_identity.pb-c.h"

#define WORKER_NETNS_FD 4
#define WORKER_CONTROL_FD 3
#define WORKER_CAPS (1ull << CAP_SYS_PTRACE | 1ull << CAP_DAC_READ_SEARCH)

struct proc_worker {
	pid_t pid;
	int control; /* our end */
};

struct order {		/* on the internal socket: an anchor, or a descriptor with it */
	int32_t anchor; /* 0: a channel comes along */
};

struct peer { /* one identity channel */
	struct worker *worker;
	struct channel *channel;
};

struct asked {
	struct peer *peer;
	uint32_t request;
};

struct worker { /* inside the child */
	struct loop *loop;
	struct loop_io *control;
	struct loop_timer *soon;
	struct identity_finder *finder;
	struct peer peers[PROC_WORKER_CHANNELS_MAX];
	uint32_t state;
	struct identity_question questions[IDENTITY_BATCH_MAX];
	struct asked asked[IDENTITY_BATCH_MAX];
	size_t n_asked;
};

/* Left out on purpose: execve, clone, fork, kill, ptrace, connect and internet sockets, every
 * writing call on files, setuid and its kin. */
static const struct confine_call worker_calls[] = {
	{ "epoll_wait", "loop" },
	{ "epoll_pwait", "loop" },
	{ "epoll_ctl", "loop" },
	{ "recvmsg", "channels, sock_diag" },
	{ "recvfrom", "sock_diag" },
	{ "sendmsg", "channels, sock_diag" },
	{ "sendto", "sock_diag" },
	{ "setsockopt", "sock_diag" },
	{ "poll", "sock_diag" },
	{ "openat:read", "proc and executables, for reading only" },
	{ "readlinkat", "executables, descriptors" },
	{ "readlink", "the same" },
	{ "newfstatat", "namespaces, fingerprints" },
	{ "fstat", "fingerprints" },
	{ "statx", "fingerprints" },
	{ "getdents64", "processes and their descriptors" },
	{ "kcmp", "threads that share a descriptor table" },
	{ "lseek", "the list of processes again" },
	{ "read", "proc, signals of the loop" },
	{ "pread64", "hashing, the newest pid" },
	{ "write", "standard error, the loop's wake-up" },
	{ "close", "descriptors" },
	{ "fcntl", "close-on-exec" },
	{ "brk", "memory" },
	{ "mmap:data", "memory" },
	{ "mremap", "memory" },
	{ "munmap", "memory" },
	{ "mprotect:data", "memory" },
	{ "madvise", "memory" },
	{ "futex", "libcrypto's locks" },
	{ "getrandom", "hash tables of the C library" },
	{ "clock_gettime", "deadlines, where the vDSO is off" },
	{ "getpid", "netlink port" },
	{ "rt_sigaction", "end" },
	{ "rt_sigprocmask", "end" },
	{ "rt_sigreturn", "end" },
	{ "restart_syscall", "after a stop" },
	{ "exit", "end" },
	{ "exit_group", "end" },
	{ 0 },
};

static void send_answer(
	struct worker *w, const struct asked *a, const struct identity_answer *answer)
{
	const struct identity_caller *c = &answer->caller;
	Openshell__Ipc__IdAnswer m = OPENSHELL__IPC__ID_ANSWER__INIT;
	struct err e = { 0 };

	(void) w;
	if (!a->peer)
		return; /* the leaf that asked has gone */
	m.assurance = (uint32_t) c->assurance;
	m.exe = (char *) (uintptr_t) c->exe;
	m.sha256 = (char *) (uintptr_t) c->sha256;
	m.ancestors = (char **) (uintptr_t) c->ancestors;
	m.n_ancestors = c->n_ancestors;
	m.cmdline_paths = (char **) (uintptr_t) c->cmdline_paths;
	m.n_cmdline_paths = c->n_cmdline_paths;
	m.pid = (uint32_t) c->pid;
	m.uid = c->uid;
	m.reason = (char *) (uintptr_t) c->reason;
	if (channel_send(a->peer->channel, ID_ANSWER, a->request, &m.base, &e) < 0) {
		log_line(LOG_LEVEL_WARN, "identity worker: answer is lost: %s", e.text);
	}
}

/* Everything that was asked in one turn of the loop is answered by one scan. */
static void answer_all(void *owner)
{
	static struct identity_answer answers[IDENTITY_BATCH_MAX];
	struct worker *w = owner;
	size_t n = w->n_asked;

	if (n == 0)
		return;
	w->n_asked = 0;
	identity_find(w->finder, w->questions, answers, n);
	for (size_t i = 0; i < n; i++) {
		send_answer(w, &w->asked[i], &answers[i]);
		identity_answer_done(&answers[i]);
	}
}

static int on_ID_ASK(void *owner, const struct channel_msg *m, int *fds, struct err *e)
{
	struct peer *p = owner;
	struct worker *w = p->worker;
	ProtobufCMessage *base;
	Openshell__Ipc__IdAsk *ask;
	int r = 0;

	(void) fds;
	if (channel_unpack(m, &openshell__ipc__id_ask__descriptor, &base, e) < 0)
		return -e->code;
	ask = (Openshell__Ipc__IdAsk *) base;
	if (ask->peer.len != 16 || ask->local.len != 16 || ask->peer_port > UINT16_MAX ||
		ask->local_port > UINT16_MAX || ask->kind > IDENTITY_UDP) {
		r = err_set(e, EBADMSG, "malformed");
	} else {
		struct identity_question *q = &w->questions[w->n_asked];

		(void) memcpy(q->peer.b, ask->peer.data, 16);
		(void) memcpy(q->local.b, ask->local.data, 16);
		q->kind = (enum identity_socket) ask->kind;
		q->peer_port = (uint16_t) ask->peer_port;
		q->local_port = (uint16_t) ask->local_port;
		w->asked[w->n_asked++] = (struct asked){ p, m->request };
		if (w->n_asked == IDENTITY_BATCH_MAX)
			answer_all(w);
		else
			(void) loop_timer_start(w->soon, 0);
	}
	protobuf_c_message_free_unpacked(base, NULL);
	return r;
}

static int send_resolved(
	struct peer *p, uint32_t request, const Openshell__Ipc__IdResolve *ask, struct err *e)
{
	static Openshell__Ipc__IdResolvedPath rows[ID_RESOLVE_PATHS_MAX];
	static Openshell__Ipc__IdResolvedPath *list[ID_RESOLVE_PATHS_MAX];
	static char targets[ID_RESOLVE_PATHS_MAX][4096];
	Openshell__Ipc__IdResolved m = OPENSHELL__IPC__ID_RESOLVED__INIT;

	for (size_t i = 0; i < ask->n_paths; i++) {
		struct err why = { 0 };

		openshell__ipc__id_resolved_path__init(&rows[i]);
		rows[i].path = ask->paths[i];
		if (identity_resolve(p->worker->finder, ask->paths[i], targets[i], &why) < 0)
			rows[i].problem = (char *) (why.code == ENOENT ? "no such file"
								       : "can't be followed");
		else if (strcmp(targets[i], ask->paths[i]) != 0)
			rows[i].target = targets[i];
		list[i] = &rows[i];
	}
	m.paths = list;
	m.n_paths = ask->n_paths;
	return channel_send(p->channel, ID_RESOLVED, request, &m.base, e);
}

static int on_ID_RESOLVE(void *owner, const struct channel_msg *m, int *fds, struct err *e)
{
	struct peer *p = owner;
	ProtobufCMessage *base;
	Openshell__Ipc__IdResolve *ask;
	int r;

	(void) fds;
	if (channel_unpack(m, &openshell__ipc__id_resolve__descriptor, &base, e) < 0)
		return -e->code;
	ask = (Openshell__Ipc__IdResolve *) base;
	r = ask->n_paths > ID_RESOLVE_PATHS_MAX ? err_set(e, E2BIG, "too many paths")
						: send_resolved(p, m->request, ask, e);
	protobuf_c_message_free_unpacked(base, NULL);
	return r;
}

#define X(n, num, lo, hi, fds, st) { #n, (num), (lo), (hi), (fds), (st), on_##n },
static const struct channel_rule worker_rules[] = { ID_QUESTIONS(X){ 0 } };
#undef X

static void on_channel_end(void *owner, const struct err *why)
{
	struct peer *p = owner;

	if (why->code)
		log_line(LOG_LEVEL_WARN, "identity worker: ended channel: %s", why->text);
	/* Its place may be taken again: what it asked must not be answered to another. */
	for (size_t i = 0; i < p->worker->n_asked; i++)
		if (p->worker->asked[i].peer == p)
			p->worker->asked[i].peer = NULL;
	channel_free(TAKE_PTR(p->channel));
}

static void add_channel(struct worker *w, int take_fd)
{
	struct err e = { 0 };

	for (size_t i = 0; i < PROC_WORKER_CHANNELS_MAX; i++) {
		const struct channel_user user = { worker_rules, &w->state, on_channel_end,
			&w->peers[i] };

		if (w->peers[i].channel)
			continue;
		w->peers[i].worker = w;
		if (channel_open(w->loop, take_fd, &user, &w->peers[i].channel, &e) < 0)
			log_line(LOG_LEVEL_ERROR, "identity worker: %s", e.text);
		return;
	}
	log_line(LOG_LEVEL_ERROR, "identity worker: more than %d network leaves",
		PROC_WORKER_CHANNELS_MAX);
	(void) close(take_fd);
}

/* One order of the leaf; false at its end. */
static bool take_order(struct worker *w, int fd)
{
	union {
		struct cmsghdr align;
		char bytes[CMSG_SPACE(sizeof(int))];
	} control;
	struct order o;
	struct iovec iov = { &o, sizeof o };
	struct msghdr m = { .msg_iov = &iov,
		.msg_iovlen = 1,
		.msg_control = &control,
		.msg_controllen = sizeof control };
	struct cmsghdr *h;
	ssize_t n = recvmsg(fd, &m, MSG_CMSG_CLOEXEC | MSG_DONTWAIT);
	int got;

	if (n < 0)
		return errno == EAGAIN || errno == EINTR;
	if (n != sizeof o)
		return false;
	h = CMSG_FIRSTHDR(&m);
	if (o.anchor)
		identity_finder_set_anchor(w->finder, (pid_t) o.anchor);
	if (!h || h->cmsg_type != SCM_RIGHTS)
		return true;
	(void) memcpy(&got, CMSG_DATA(h), sizeof got);
	add_channel(w, got);
	return true;
}

static void on_control(void *owner, int fd, unsigned ready)
{
	struct worker *w = owner;

	(void) ready;
	if (!take_order(w, fd))
		loop_stop(w->loop);
}

static int confine(struct err *e)
{
	struct confine_identity id = { .keep_caps = WORKER_CAPS & confine_caps_permitted(),
		.keep_uid = true };

	if (confine_harden(e) < 0 || confine_drop(&id, e) < 0)
		return -e->code;
	/* No Landlock here: reading /proc/PID/exe is an access of the ptrace kind, which a domain
	 * allows only towards itself and what is nested in it; the workload's processes would be out
	 * of sight.  The filter lets files be opened for reading only. */
	return confine_seccomp_allow(worker_calls, false, e);
}

static int serve(struct worker *w, struct err *e)
{
	AUTO_CLOSE int proc_fd = open("/proc", O_PATH | O_DIRECTORY | O_CLOEXEC);
	int r;

	w->state = ID_OPEN;
	if (proc_fd < 0)
		return err_set(e, errno, "open /proc");
	if ((r = loop_new(&w->loop, e)) < 0 ||
		(r = identity_finder_new(WORKER_NETNS_FD, proc_fd, &w->finder, e)) < 0 ||
		(r = loop_timer_new(w->loop, answer_all, w, &w->soon, e)) < 0 ||
		(r = loop_io_new(w->loop, WORKER_CONTROL_FD, on_control, w, &w->control, e)) < 0 ||
		(r = loop_io_watch(w->control, LOOP_READ)) < 0)
		return r;
	if (geteuid() != 0)
		identity_finder_share_root(w->finder);
	if ((r = confine(e)) < 0)
		return r;
	return loop_run(w->loop, e);
}

static int run_child(int control, int netns_fd, pid_t parent, struct err *e)
{
	AUTO_FREE struct worker *w = calloc(1, sizeof *w);
	sigset_t none;

	log_open("openshell-supervisor-process");
	(void) sigemptyset(&none);
	(void) sigprocmask(SIG_SETMASK, &none, NULL);
	if (!w || prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0) < 0 || getppid() != parent)
		return err_set(e, w ? ESRCH : ENOMEM, "identity worker");
	/* Out of the way first: the two may stand where they must go. */
	control = fcntl(control, F_DUPFD_CLOEXEC, 10);
	netns_fd = fcntl(netns_fd, F_DUPFD_CLOEXEC, 10);
	if (control < 0 || netns_fd < 0 || fd_place(control, WORKER_CONTROL_FD) < 0 ||
		fd_place(netns_fd, WORKER_NETNS_FD) < 0 ||
		close_range(WORKER_NETNS_FD + 1, UINT_MAX, 0) < 0)
		return err_set(e, errno, "identity worker: descriptors");
	return serve(w, e);
}

int proc_worker_start(int netns_fd, struct proc_worker **ret, struct err *e)
{
	AUTO_FREE struct proc_worker *w = calloc(1, sizeof *w);
	pid_t parent = getpid();
	int pair[2];

	if (!w)
		return err_set(e, ENOMEM, "identity worker");
	if (channel_pair(pair, e) < 0)
		return -e->code;
	w->pid = fork();
	if (w->pid == 0) {
		struct err why = { 0 };

		_exit(run_child(pair[1], netns_fd, parent, &why) < 0 ? log_fatal(&why) : 0);
	}
	(void) close(pair[1]);
	w->control = pair[0];
	if (w->pid < 0) {
		(void) close(pair[0]);
		return err_set(e, errno, "fork the identity worker");
	}
	*ret = TAKE_PTR(w);
	return 0;
}

static int send_order(struct proc_worker *w, const struct order *o, int fd, struct err *e)
{
	union {
		struct cmsghdr align;
		char bytes[CMSG_SPACE(sizeof(int))];
	} control = { 0 };
	struct iovec iov = { (void *) (uintptr_t) o, sizeof *o };
	struct msghdr m = { .msg_iov = &iov, .msg_iovlen = 1 };

	if (fd >= 0) {
		struct cmsghdr *h;

		m.msg_control = &control;
		m.msg_controllen = sizeof control;
		h = CMSG_FIRSTHDR(&m);
		h->cmsg_level = SOL_SOCKET;
		h->cmsg_type = SCM_RIGHTS;
		h->cmsg_len = CMSG_LEN(sizeof(int));
		(void) memcpy(CMSG_DATA(h), &fd, sizeof fd);
	}
	if (sendmsg(w->control, &m, MSG_NOSIGNAL) < 0)
		return err_set(e, errno, "reach the identity worker");
	return 0;
}

int proc_worker_add(struct proc_worker *w, int fd, struct err *e)
{
	struct order o = { 0 };

	return send_order(w, &o, fd, e);
}

int proc_worker_set_anchor(struct proc_worker *w, pid_t anchor, struct err *e)
{
	struct order o = { (int32_t) anchor };

	return send_order(w, &o, -1, e);
}

pid_t proc_worker_pid(const struct proc_worker *w)
{
	return w->pid;
}

void proc_worker_free(struct proc_worker *w)
{
	if (!w)
		return;
	(void) close(w->control);
	free(w);
}
