#include "proc_monitor.h"
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>
#include "core_channel.h"
#include "core_log.h"
#include "proc_monitor_child.h"

struct proc_monitor {
	struct loop *loop;
	struct proc_worker *worker;
	struct mon_child *child;	    /* until it is forked */
	struct loop_io *logs[MON_LOGS_MAX]; /* the same */
	pid_t pid;
	struct channel *down;
	uint32_t state;
	const struct proc_monitor_calls *calls;
	void *owner;
};

static int on_MON_EVENT(void *owner, const struct channel_msg *msg, int *fds, struct err *e)
{
	struct proc_monitor *m = owner;
	ProtobufCMessage *base;

	(void) fds;
	if (channel_unpack(msg, &openshell__event__event__descriptor, &base, e) < 0)
		return -e->code;
	m->calls->event(m->owner, (Openshell__Event__Event *) base);
	protobuf_c_message_free_unpacked(base, NULL);
	return 0;
}

static int on_MON_FLUSHED(void *owner, const struct channel_msg *msg, int *fds, struct err *e)
{
	struct proc_monitor *m = owner;

	(void) msg;
	(void) fds;
	(void) e;
	m->calls->flushed(m->owner);
	return 0;
}

#define X(n, num, lo, hi, fds, st) { #n, (num), (lo), (hi), (fds), (st), on_##n },
static const struct channel_rule monitor_rules[] = { MON_ANSWERS(X){ 0 } };
#undef X

/* The owner sees its death through SIGCHLD. */
static void on_end(void *owner, const struct err *why)
{
	struct proc_monitor *m = owner;

	if (why->code)
		log_line(LOG_LEVEL_WARN, "ended channel to the bypass monitor: %s", why->text);
	(void) kill(m->pid, SIGKILL);
	channel_free(TAKE_PTR(m->down));
}

static int run_child(struct mon_child *c, const int fds[2], pid_t parent, struct err *e)
{
	sigset_t none;

	log_open("openshell-supervisor-process");
	(void) sigemptyset(&none);
	(void) sigprocmask(SIG_SETMASK, &none, NULL);
	if (prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0) < 0 || getppid() != parent)
		return err_set(e, ESRCH, "bypass monitor");
	return mon_child_run(c, fds[0], fds[1], e);
}

static pid_t fork_child(struct mon_child *c, const int fds[2])
{
	pid_t parent = getpid(), pid = fork();
	struct err why = { 0 };

	if (pid == 0)
		_exit(run_child(c, fds, parent, &why) < 0 ? log_fatal(&why) : 0);
	return pid;
}

static int open_inside(
	const struct proc_netns *netns, struct mon_child *c, uint16_t group, struct err *e)
{
	int r;

	if (proc_netns_enter(netns, e) < 0)
		return -e->code;
	r = mon_child_open(c, group, e);
	if (proc_netns_leave(netns, e) < 0)
		return -e->code;
	if (r < 0 || !netns->host_link[0])
		return r;
	return mon_child_open_host(c, group, e);
}

static void close_pair(const int pair[2])
{
	(void) close(pair[0]);
	(void) close(pair[1]);
}

/* take_fd: our end of its channel. */
static int adopt(struct proc_monitor *m, int take_fd, struct err *e)
{
	const struct channel_user user = { monitor_rules, &m->state, on_end, m };

	m->state = MON_OPEN;
	return channel_open(m->loop, take_fd, &user, &m->down, e);
}

static int launch_with(struct proc_monitor *m, struct mon_child *c, struct err *e)
{
	int leaf[2], identity[2], fds[2];

	if (channel_pair(leaf, e) < 0)
		return -e->code;
	if (channel_pair(identity, e) < 0) {
		close_pair(leaf);
		return -e->code;
	}
	fds[0] = leaf[1];
	fds[1] = identity[1];
	if (proc_worker_add(m->worker, identity[0], e) == 0) {
		m->pid = fork_child(c, fds);
		if (m->pid < 0)
			(void) err_set(e, errno, "fork the bypass monitor");
	}
	close_pair(identity);
	(void) close(leaf[1]);
	if (m->pid <= 0) {
		(void) close(leaf[0]);
		return -e->code;
	}
	return adopt(m, leaf[0], e);
}

/* From here on the child has the packet log; ours is closed. */
static void launch(struct proc_monitor *m)
{
	struct mon_child *c = TAKE_PTR(m->child);
	struct err why = { 0 };
	int r;

	for (size_t i = 0; i < MON_LOGS_MAX; i++)
		loop_io_free(TAKE_PTR(m->logs[i]));
	r = launch_with(m, c, &why);
	mon_child_free(c);
	if (r < 0)
		m->calls->failed(m->owner, &why);
}

static void on_readable(void *owner, int fd, unsigned ready)
{
	(void) fd;
	(void) ready;
	launch(owner);
}

static int watch(struct proc_monitor *m, struct err *e)
{
	int fds[MON_LOGS_MAX];
	size_t n = mon_child_logs(m->child, fds);

	for (size_t i = 0; i < n; i++)
		if (loop_io_new(m->loop, fds[i], on_readable, m, &m->logs[i], e) < 0 ||
			loop_io_watch(m->logs[i], LOOP_READ) < 0)
			return err_set(e, EIO, "watch the packet log");
	return 0;
}

int proc_monitor_start(struct loop *l, const struct proc_monitor_plan *plan,
	struct proc_monitor **ret, struct err *e)
{
	AUTO(proc_monitor_free) struct proc_monitor *m = calloc(1, sizeof *m);

	if (!m)
		return err_set(e, ENOMEM, "bypass monitor");
	m->loop = l;
	m->worker = plan->worker;
	m->calls = plan->calls;
	m->owner = plan->owner;
	if (mon_child_new(&m->child, e) < 0 ||
		open_inside(plan->netns, m->child, plan->group, e) < 0 || watch(m, e) < 0)
		return -e->code;
	*ret = TAKE_PTR(m);
	return 0;
}

pid_t proc_monitor_pid(const struct proc_monitor *m)
{
	return m->pid;
}

static bool something_waits(const struct proc_monitor *m)
{
	int fds[MON_LOGS_MAX];
	size_t n = mon_child_logs(m->child, fds);
	struct pollfd p[MON_LOGS_MAX];

	for (size_t i = 0; i < n; i++)
		p[i] = (struct pollfd){ fds[i], POLLIN, 0 };
	return poll(p, n, 0) > 0;
}

int proc_monitor_flush(struct proc_monitor *m, struct err *e)
{
	if (m->child && !something_waits(m)) {
		m->calls->flushed(m->owner);
		return 0;
	}
	if (m->child)
		launch(m);
	return m->down ? channel_send(m->down, MON_FLUSH, 0, NULL, e)
		       : err_set(e, EPIPE, "the bypass monitor is gone");
}

void proc_monitor_free(struct proc_monitor *m)
{
	if (!m)
		return;
	for (size_t i = 0; i < MON_LOGS_MAX; i++)
		loop_io_free(m->logs[i]);
	mon_child_free(m->child);
	channel_free(m->down);
	free(m);
}
