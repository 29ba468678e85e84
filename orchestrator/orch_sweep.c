#include "orch_sweep.h"
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#include "core_cleanup.h"
#include "core_procfs.h"
#include "core_text.h"
#include "orch_limits.h"

#define STOP_PASSES 8		/* new forks that slip through are found by the next pass */
#define PASS_PAUSE_NS 1000000	/* the dying need a moment, and grandchildren can't be waited on */
#define SENDER_PAUSE_NS 1000000 /* between two looks at a child that signals for us */
#define SENDER_LOOKS 200

struct process {
	pid_t pid, parent;
	uint64_t start;
	bool ours, dead;
};

struct table {
	int proc_fd;
	struct process *at;
	size_t n, room;
};

static int open_table(struct table *ret, struct err *e)
{
	*ret = (struct table){ .proc_fd = open("/proc", O_RDONLY | O_DIRECTORY | O_CLOEXEC) };
	return ret->proc_fd < 0 ? err_set(e, errno, "open /proc: %s", strerror(errno)) : 0;
}

static void close_table(struct table *t)
{
	core_closep(&t->proc_fd);
	free(t->at);
}

static int add(struct table *t, pid_t pid)
{
	struct err ignored = { 0 };
	struct procfs_stat s;

	if (procfs_stat(t->proc_fd, pid, &s, &ignored) < 0)
		return 0; /* it has ended */
	if (t->n == ORCH_SWEEP_PIDS_MAX)
		return -E2BIG;
	if (t->n == t->room) {
		size_t room = t->room ? t->room * 2 : 1024;
		struct process *grown = reallocarray(t->at, room, sizeof *grown);

		if (!grown)
			return -ENOMEM;
		t->at = grown;
		t->room = room;
	}
	t->at[t->n++] =
		(struct process){ pid, s.parent, s.start, false, s.state == 'Z' || s.state == 'X' };
	return 0;
}

/* What does not fit is looked at in a later pass, when others have gone. */
static void read_all(struct table *t)
{
	DIR *dir = opendir("/proc");
	const struct dirent *d;
	uint64_t pid;

	t->n = 0;
	while (dir && (d = readdir(dir)))
		if (text_to_u64(d->d_name, strlen(d->d_name), 1, INT32_MAX, &pid) == 0 &&
			add(t, (pid_t) pid) < 0)
			break;
	if (dir)
		(void) closedir(dir);
}

static int by_pid(const void *a, const void *b)
{
	pid_t x = ((const struct process *) a)->pid, y = ((const struct process *) b)->pid;

	return (x > y) - (x < y);
}

static bool is_ours(const struct table *t, pid_t parent)
{
	const struct process key = { .pid = parent };
	const struct process *p = bsearch(&key, t->at, t->n, sizeof key, by_pid);

	return p && p->ours;
}

static void mark(struct table *t, pid_t self)
{
	bool more = true;

	qsort(t->at, t->n, sizeof *t->at, by_pid);
	while (more) {
		more = false;
		for (size_t i = 0; i < t->n; i++) {
			struct process *p = &t->at[i];

			if (p->ours || (p->parent != self && !is_ours(t, p->parent)))
				continue;
			p->ours = more = true;
		}
	}
}

/* Only descendants that live are left in the table. */
static void find(struct table *t)
{
	size_t n = 0;

	read_all(t);
	mark(t, getpid());
	for (size_t i = 0; i < t->n; i++)
		if (t->at[i].ours && !t->at[i].dead)
			t->at[n++] = t->at[i];
	t->n = n;
}

/* A pid may have gone to somebody else since it was listed: what is held is compared first. */
static int send_signal(const struct table *t, const struct process *p, int signo)
{
	AUTO_CLOSE int fd = (int) syscall(SYS_pidfd_open, p->pid, 0);
	struct err ignored = { 0 };
	struct procfs_stat s;

	if (fd < 0)
		return -errno;
	if (procfs_stat(t->proc_fd, p->pid, &s, &ignored) < 0 || s.start != p->start)
		return -ESRCH;
	return syscall(SYS_pidfd_send_signal, fd, signo, NULL, 0) < 0 ? -errno : 0;
}

static int send_all(const struct table *t, const int *signals)
{
	int r = 0;

	for (; *signals; signals++)
		for (size_t i = 0; i < t->n; i++)
			if (send_signal(t, &t->at[i], *signals) == -EPERM)
				r = -EPERM;
	return r;
}

/* Root without CAP_KILL (Podman drops it: GAP-2) may not signal other users: a child becomes one of
 * them.  That user could stop it, so it is not waited for without a limit. */
static void send_all_as(uint32_t uid, const struct table *t, const int *signals)
{
	const struct timespec pause = { .tv_nsec = SENDER_PAUSE_NS };
	pid_t pid = fork();

	if (pid == 0) {
		if (setresuid(uid, uid, uid) == 0)
			(void) send_all(t, signals);
		_exit(0);
	}
	for (int i = 0; pid > 0 && i < SENDER_LOOKS && waitpid(pid, NULL, WNOHANG) == 0; i++)
		(void) nanosleep(&pause, NULL);
}

/* Whoever is left of another user: the next pass finds him. */
static void signal_all(const struct table *t, const int *signals)
{
	struct err ignored = { 0 };
	uint32_t uid;

	if (send_all(t, signals) != -EPERM)
		return;
	for (size_t i = 0; i < t->n; i++) {
		if (procfs_uid(t->proc_fd, t->at[i].pid, &uid, &ignored) < 0 || uid == geteuid())
			continue;
		send_all_as(uid, t, signals);
		return;
	}
}

static uint64_t now_ms(void)
{
	struct timespec t;

	(void) clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t) t.tv_sec * 1000 + (uint64_t) t.tv_nsec / 1000000;
}

static void reap(void)
{
	while (waitpid(-1, NULL, WNOHANG) > 0)
		;
}

/* Until no pass finds more than the one before: then nobody is left who could fork. */
static void stop_all(struct table *t)
{
	size_t before = 0;

	find(t);
	for (int pass = 0; pass < STOP_PASSES && t->n > before; pass++) {
		before = t->n;
		signal_all(t, (int[]){ SIGSTOP, 0 });
		find(t);
	}
}

int orch_sweep_kill(uint64_t limit_ms, struct err *e)
{
	const struct timespec pause = { .tv_nsec = PASS_PAUSE_NS };
	uint64_t end = now_ms() + limit_ms;
	struct table t;
	int r = open_table(&t, e);

	if (r < 0)
		return err_wrap(e, "end the workload");
	while (stop_all(&t), t.n > 0) {
		signal_all(&t, (int[]){ SIGKILL, 0 });
		reap();
		if (now_ms() > end) {
			r = err_set(e, ETIMEDOUT,
				"%zu processes of the workload could not be killed, the first is "
				"pid %d; look what keeps them in the kernel",
				t.n, (int) t.at[0].pid);
			break;
		}
		(void) nanosleep(&pause, NULL);
	}
	reap();
	close_table(&t);
	return r;
}
