#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#include "core_cleanup.h"
#include "core_procfs.h"
#include "core_text.h"
#include "orch_limits.h"
#include "orch_sweep.h"

#define STAT_BYTES 512
#define STOP_PASSES 8 /* new forks that slip through are found by the next pass */
#define PAUSE_FIRST_NS 50000
#define PAUSE_LAST_NS 1000000

struct process {
	pid_t pid, parent;
	bool ours, dead;
};

struct table {
	struct process *at;
	size_t n, room;
};

/* "pid (comm) S ppid ..."; comm may contain anything, so look for the last ')'. */
static bool read_stat(const char *name, struct process *ret)
{
	char path[64], buf[STAT_BYTES];
	const char *p;
	uint64_t pid, parent;
	ssize_t n;
	int fd;

	if (text_to_u64(name, strlen(name), 1, INT32_MAX, &pid) < 0)
		return false;
	(void) snprintf(path, sizeof path, "/proc/%s/stat", name);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return false;
	n = read(fd, buf, sizeof buf - 1);
	(void) close(fd);
	if (n <= 0)
		return false;
	buf[n] = '\0';
	p = strrchr(buf, ')');
	if (!p || strlen(p) < 5 ||
		text_to_u64(p + 4, strcspn(p + 4, " "), 0, INT32_MAX, &parent) < 0)
		return false;
	*ret = (struct process){ (pid_t) pid, (pid_t) parent, false, p[2] == 'Z' || p[2] == 'X' };
	return true;
}

static void read_all(struct table *t)
{
	DIR *dir = opendir("/proc");
	const struct dirent *d;

	t->n = 0;
	while (dir && (d = readdir(dir))) {
		struct process p;

		if (d->d_name[0] < '1' || d->d_name[0] > '9' || !read_stat(d->d_name, &p))
			continue;
		if (t->n == ORCH_SWEEP_PIDS_MAX)
			break;
		if (t->n == t->room) {
			size_t room = t->room ? t->room * 2 : 1024;
			struct process *grown = reallocarray(t->at, room, sizeof *grown);

			if (!grown)
				break;
			t->at = grown;
			t->room = room;
		}
		t->at[t->n++] = p;
	}
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

static size_t find(int proc_fd, pid_t *pids)
{
	size_t n = orch_sweep_list(proc_fd, pids, ORCH_SWEEP_PIDS_MAX);

	return n ? n : orch_sweep_scan(pids, ORCH_SWEEP_PIDS_MAX);
}

static size_t stop_all(int proc_fd, pid_t *pids)
{
	size_t n = 0, before;

	for (int pass = 0; pass < STOP_PASSES; pass++) {
		before = n;
		n = find(proc_fd, pids);
		for (size_t i = 0; i < n; i++)
			(void) kill(pids[i], SIGSTOP);
		if (n <= before)
			break;
	}
	return n;
}

int orch_sweep_kill(uint64_t limit_ms, struct err *e)
{
	AUTO_CLOSE int proc_fd = open("/proc", O_PATH | O_DIRECTORY | O_CLOEXEC);
	AUTO_FREE pid_t *pids = calloc(ORCH_SWEEP_PIDS_MAX, sizeof *pids);
	struct timespec pause = { .tv_nsec = PAUSE_FIRST_NS };
	uint64_t end = now_ms() + limit_ms;
	size_t n;

	if (!pids)
		return err_set(e, ENOMEM, "end the workload: out of memory");
	while (reap()) {
		n = stop_all(proc_fd, pids);
		for (size_t i = 0; i < n; i++)
			(void) kill(pids[i], SIGKILL);
		if (now_ms() > end)
			return err_set(e, ETIMEDOUT,
				"%zu processes of the workload could not be killed, the first is "
				"pid %d; look what keeps them in the kernel",
				n, (int) (n ? pids[0] : 0));
		/* The dying need a moment; there is nothing else to wait on for grandchildren. */
		(void) nanosleep(&pause, NULL);
		if (pause.tv_nsec < PAUSE_LAST_NS)
			pause.tv_nsec *= 2;
	}
	return 0;
}
