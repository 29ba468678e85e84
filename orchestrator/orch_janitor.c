#include "orch_janitor.h"
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/close_range.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>
#include "core_channel.h"
#include "core_cleanup.h"
#include "core_fd.h"
#include "ipc_common.h"
#include "orch_ctl_socket.h"
#include "orch_limits.h"
#include "orch_sweep.h"
#include "orch_tls.h"

#define ASK_FD 0 /* in the janitor: a packet asks for the leaf, the end tells ours */

struct janitor { /* copies of what the environment and the options say, for afterwards */
	char folder[ORCH_SOCKET_PATH_MAX], ctl[ORCH_SOCKET_PATH_MAX], ssh[ORCH_SOCKET_PATH_MAX];
};

static void keep(char ret[ORCH_SOCKET_PATH_MAX], const char *path)
{
	(void) snprintf(ret, ORCH_SOCKET_PATH_MAX, "%s", path ? path : "");
}

/* Some variable may hold a credential (from_env), which nobody but its owner shall keep. */
static void forget_environment(void)
{
	for (char **p = environ; *p; p++)
		explicit_bzero(*p, strlen(*p));
}

/* No signal for our group and no key reaches it.  stdout is not held open: whoever reads it waits
 * for its end.  stderr is the leaf's. */
static int settle(struct janitor *ret, const struct orch_janitor_plan *plan, int ask, int leaf)
{
	struct err ignored = { 0 };
	sigset_t all;

	if (orch_ctl_folder(ret->folder, &ignored) < 0)
		ret->folder[0] = '\0';
	keep(ret->ctl, plan->ctl_socket);
	keep(ret->ssh, plan->ssh_socket);
	forget_environment();
	(void) sigfillset(&all);
	(void) sigprocmask(SIG_SETMASK, &all, NULL);
	(void) setsid();
	if (prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) < 0)
		return -errno;
	if (fd_place(ask, ASK_FD) < 0 || fd_place(leaf, IPC_FD) < 0)
		return -errno;
	(void) close(STDOUT_FILENO);
	(void) close_range(IPC_FD + 1, UINT_MAX, 0);
	return 0;
}

/* Blocks until we are asked or have ended; false: ended. */
static bool is_asked(void)
{
	char byte;
	ssize_t n;

	do
		n = read(ASK_FD, &byte, 1);
	while (n < 0 && errno == EINTR);
	return n == 1;
}

/* The leaf is not reaped before the end: its pid stays its own. */
static pid_t spawn_leaf(const struct orch_janitor_plan *plan)
{
	pid_t pid;
	int r = orch_spawn_leaf_at(plan->leaf, plan->level, IPC_FD, &pid);
	int32_t answer = r < 0 ? r : pid;

	/* Nobody there: the end is seen next. */
	(void) send(ASK_FD, &answer, sizeof answer, MSG_NOSIGNAL);
	return r < 0 ? 0 : pid;
}

/* The leaf sees its channel end, kills the workload and takes its own things away. */
static void wait_for_leaf(pid_t leaf)
{
	AUTO_CLOSE int fd = leaf ? (int) syscall(SYS_pidfd_open, leaf, 0) : -1;
	struct pollfd p = { .fd = fd, .events = POLLIN };

	if (fd >= 0)
		(void) poll(&p, 1, ORCH_JANITOR_LEAF_MS);
}

static void run(const struct orch_janitor_plan *plan, int ask, int leaf_end)
{
	struct err ignored = { 0 };
	struct janitor j;
	pid_t leaf = 0;

	if (settle(&j, plan, ask, leaf_end) < 0)
		_exit(1);
	if (is_asked())
		leaf = spawn_leaf(plan);
	(void) close_range(STDERR_FILENO, UINT_MAX, 0);
	(void) !chdir("/"); /* no more than a mount that stays busy */
	while (is_asked())
		;
	wait_for_leaf(leaf);
	(void) orch_sweep_kill(ORCH_JANITOR_SWEEP_MS, &ignored);
	orch_ctl_sweep(j.folder);
	orch_ctl_remove_stale(j.ctl);
	orch_ctl_remove_stale(j.ssh);
	orch_tls_sweep();
	_exit(0);
}

static int start(
	const struct orch_janitor_plan *plan, const int ask[2], int leaf_end, struct err *e)
{
	const struct timeval limit = { .tv_sec = ORCH_JANITOR_ANSWER_MS / 1000 };
	pid_t pid;

	if (setsockopt(ask[0], SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit) < 0)
		return err_set(e, errno, "make a socket for the janitor");
	pid = fork();
	if (pid == 0)
		run(plan, ask[1], leaf_end);
	return pid < 0 ? err_set(e, errno, "fork the janitor: %s", strerror(errno)) : 0;
}

int orch_janitor_start(
	const struct orch_janitor_plan *plan, struct orch_janitor *ret, struct err *e)
{
	int ask[2], leaf[2], r;

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ask) < 0)
		return err_set(e, errno, "make a socket for the janitor");
	*ret = (struct orch_janitor){ ask[0], -1 };
	r = channel_pair(leaf, e);
	if (r == 0) {
		ret->leaf_fd = leaf[0];
		r = start(plan, ask, leaf[1], e);
		(void) close(leaf[1]);
	}
	(void) close(ask[1]);
	if (r < 0)
		orch_janitor_done(ret);
	return r;
}

int orch_janitor_spawn(struct orch_janitor *j, int *ret_channel, int *ret_pidfd, struct err *e)
{
	int32_t pid = -EPIPE;
	ssize_t n;
	int fd;

	if (send(j->fd, "", 1, MSG_NOSIGNAL) != 1)
		return err_set(
			e, errno, "ask the janitor for the process leaf: %s", strerror(errno));
	do
		n = recv(j->fd, &pid, sizeof pid, 0);
	while (n < 0 && errno == EINTR);
	if (n != sizeof pid)
		return err_set(e, n < 0 ? errno : EPIPE,
			"the janitor did not start the process leaf: %s",
			n < 0 ? strerror(errno) : "it is gone");
	if (pid < 0)
		return err_set(e, -pid, "start the process leaf: %s", strerror(-pid));
	fd = (int) syscall(SYS_pidfd_open, pid, 0);
	if (fd < 0)
		return err_set(e, errno, "watch the process leaf (pidfd_open, Linux 5.3): %s",
			strerror(errno));
	*ret_pidfd = fd;
	*ret_channel = TAKE_FD(j->leaf_fd);
	return 0;
}

void orch_janitor_done(struct orch_janitor *j)
{
	core_closep(&j->fd);
	core_closep(&j->leaf_fd);
	*j = (struct orch_janitor){ -1, -1 };
}
