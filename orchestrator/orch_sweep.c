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
#include "core_fd.h"
#include "core_procfs.h"
#include "core_text.h"
#include "orch_limits.h"

#define STOP_PASSES 8 /* new forks that slip through are found by the next pass */
#define PAUSE_FIRST_NS 50000
#define PAUSE_LAST_NS 1000000
#define SENDER_PAUSE_NS 1000000 /* between two looks at a child that signals for us */
#define SENDER_LOOKS 200

/* ---- who is there ---- */

struct process {
	pid_t pid, parent;
	bool ours, dead;
};

struct table {
	struct process *at;
	size_t n, room;
};

static int add(struct table *t, int proc_fd, pid_t pid)
{
	struct err ignored = { 0 };
	struct procfs_stat s;

	if (procfs_stat(proc_fd, pid, &s, &ignored) < 0)
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
	t->at[t->n++] = (struct process){ pid, s.parent, false, s.state == 'Z' || s.state == 'X' };
	return 0;
}

/* What does not fit is looked at in a later pass, when others have gone. */
static void read_all(struct table *t)
{
	DIR *dir = fd_list(AT_FDCWD, "/proc");
	const struct dirent *d;
	uint64_t pid;

	while (dir && (d = readdir(dir)))
		if (text_to_u64(d->d_name, strlen(d->d_name), 1, INT32_MAX, &pid) == 0 &&
			add(t, dirfd(dir), (pid_t) pid) < 0)
			break;
	if (dir)
		(void) closedir(dir);
}

static int by_pid(const void *a, const void *b)
{
	pid_t x = *(const pid_t *) a, y = *(const pid_t *) b; /* also of struct process */

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

size_t orch_sweep_scan(pid_t *ret, size_t max)
{
	struct table t = { 0 };
	size_t n = 0;

	read_all(&t);
	mark(&t, getpid());
	for (size_t i = 0; i < t.n && n < max; i++)
		if (t.at[i].ours && !t.at[i].dead)
			ret[n++] = t.at[i].pid;
	free(t.at);
	return n;
}

size_t orch_sweep_list(int proc_fd, pid_t *ret, size_t max)
{
	struct err ignored = { 0 };
	size_t n = 0, next = 0;
	pid_t at = getpid();

	for (;;) {
		int got = procfs_children(proc_fd, at, ret + n, max - n, &ignored);

		n += got > 0 ? (size_t) got : 0;
		if (next == n)
			return n;
		at = ret[next++];
	}
}

/* ---- signals ---- */

struct victims {
	int proc_fd;
	pid_t self;
	pid_t *at; /* in order */
	size_t n;
};

static void find(struct victims *v)
{
	v->n = orch_sweep_list(v->proc_fd, v->at, ORCH_SWEEP_PIDS_MAX);
	if (!v->n)
		v->n = orch_sweep_scan(v->at, ORCH_SWEEP_PIDS_MAX);
	qsort(v->at, v->n, sizeof *v->at, by_pid);
}

/* A pid may have gone to somebody else since it was listed.  What the descriptor holds can't be
 * exchanged any more; it is ours if its parent is. */
static int send_signal(const struct victims *v, pid_t pid, int signo)
{
	AUTO_CLOSE int fd = (int) syscall(SYS_pidfd_open, pid, 0);
	struct err ignored = { 0 };
	struct procfs_stat s;

	if (fd < 0)
		return -errno;
	if (procfs_stat(v->proc_fd, pid, &s, &ignored) < 0 ||
		(s.parent != v->self && !bsearch(&s.parent, v->at, v->n, sizeof *v->at, by_pid)))
		return -ESRCH;
	return syscall(SYS_pidfd_send_signal, fd, signo, NULL, 0) < 0 ? -errno : 0;
}

static int send_all(const struct victims *v, int signo)
{
	int r = 0;

	for (size_t i = 0; i < v->n; i++)
		if (send_signal(v, v->at[i], signo) == -EPERM)
			r = -EPERM;
	return r;
}

/* Root without CAP_KILL (Podman drops it: GAP-2) may not signal other users: a child becomes one of
 * them.  That user could stop it, so it is not waited for without a limit. */
static void send_all_as(uint32_t uid, const struct victims *v, int signo)
{
	const struct timespec pause = { .tv_nsec = SENDER_PAUSE_NS };
	pid_t pid = fork();

	if (pid == 0) {
		if (setresuid(uid, uid, uid) == 0)
			(void) send_all(v, signo);
		_exit(0);
	}
	for (int i = 0; pid > 0 && i < SENDER_LOOKS && waitpid(pid, NULL, WNOHANG) == 0; i++)
		(void) nanosleep(&pause, NULL);
}

/* Whoever is left of a third user: the next pass finds him. */
static void signal_all(const struct victims *v, int signo)
{
	struct err ignored = { 0 };
	uint32_t uid;

	if (send_all(v, signo) != -EPERM)
		return;
	for (size_t i = 0; i < v->n; i++) {
		if (procfs_uid(v->proc_fd, v->at[i], &uid, &ignored) < 0 || uid == geteuid())
			continue;
		send_all_as(uid, v, signo);
		return;
	}
}

/* Until no pass finds more than the one before: then nobody is left who could fork. */
static void stop_all(struct victims *v)
{
	size_t before = 0;

	find(v);
	for (int pass = 0; pass < STOP_PASSES && v->n > before; pass++) {
		before = v->n;
		signal_all(v, SIGSTOP);
		find(v);
	}
}

/* ---- the end ---- */

static uint64_t now_ms(void)
{
	struct timespec t;

	(void) clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t) t.tv_sec * 1000 + (uint64_t) t.tv_nsec / 1000000;
}

/* Our zombies; false when we have no child any more, and thereby, as a sub-reaper, no descendant. */
static bool reap(void)
{
	for (;;) {
		pid_t pid = waitpid(-1, NULL, WNOHANG | __WALL);

		if (pid <= 0)
			return pid == 0 || errno != ECHILD;
	}
}

int orch_sweep_kill(uint64_t limit_ms, struct err *e)
{
	AUTO_CLOSE int proc_fd = open("/proc", O_PATH | O_DIRECTORY | O_CLOEXEC);
	AUTO_FREE pid_t *pids = calloc(ORCH_SWEEP_PIDS_MAX, sizeof *pids);
	struct victims v = { .proc_fd = proc_fd, .self = getpid(), .at = pids };
	struct timespec pause = { .tv_nsec = PAUSE_FIRST_NS };
	uint64_t end = now_ms() + limit_ms;

	if (!pids)
		return err_set(e, ENOMEM, "end the workload: out of memory");
	while (reap()) {
		stop_all(&v);
		signal_all(&v, SIGKILL);
		if (now_ms() > end)
			return err_set(e, ETIMEDOUT,
				"%zu processes of the workload could not be killed, the first is "
				"pid %d; look what keeps them in the kernel",
				v.n, (int) (v.n ? pids[0] : 0));
		/* The dying need a moment; there is nothing else to wait on for grandchildren. */
		(void) nanosleep(&pause, NULL);
		if (pause.tv_nsec < PAUSE_LAST_NS)
			pause.tv_nsec *= 2;
	}
	return 0;
}
