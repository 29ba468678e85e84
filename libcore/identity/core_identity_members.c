#include "core_identity_members.h"
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>
#include "core_identity.h"
#include "core_procfs.h"
#include "core_fd.h"
#include "core_text.h"

#define KNOWN_SLOTS 16384 /* processes remembered as outside the namespace */
#define LIST_BYTES (32 * 1024)
#define LAST_PID_MAX 24	   /* bytes of ns_last_pid */
#define NEWBORN_SECONDS 10 /* a child of the leaf enters the namespace long before */

struct known {
	pid_t pid;
	ino64_t ino;
};

struct members {
	int proc_fd, list_fd; /* list_fd: /proc opened for reading, rewound for each listing */
	int last_pid_fd;      /* -1: the kernel does not tell */
	uint64_t netns_inode;
	pid_t spawner; /* whose children may enter the namespace after they were seen outside */
	struct known outside[KNOWN_SLOTS];
	struct member *at;
	size_t n, room;
	bool holds, newborn;
	uint64_t listed_ms;
	char last_pid[LAST_PID_MAX], list[LIST_BYTES];
};

struct linux_dirent64 {
	ino64_t ino;
	off64_t off;
	unsigned short reclen;
	unsigned char type;
	char name[];
};

uint64_t members_now_ms(void)
{
	struct timespec t;

	(void) clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t) t.tv_sec * 1000 + (uint64_t) t.tv_nsec / 1000000;
}

int members_new(int proc_fd, uint64_t netns_inode, struct members **ret, struct err *e)
{
	AUTO(members_free) struct members *m = calloc(1, sizeof *m);

	if (!m)
		return err_set(e, ENOMEM, "list of processes");
	m->proc_fd = proc_fd;
	m->netns_inode = netns_inode;
	m->spawner = getppid();
	m->last_pid_fd = openat(proc_fd, "sys/kernel/ns_last_pid", O_RDONLY | O_CLOEXEC);
	m->list_fd = openat(proc_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (m->list_fd < 0)
		return err_set(e, errno, "list /proc");
	*ret = TAKE_PTR(m);
	return 0;
}

void members_free(struct members *m)
{
	if (!m)
		return;
	core_closep(&m->list_fd);
	core_closep(&m->last_pid_fd);
	free(m->at);
	free(m);
}

void members_forget(struct members *m)
{
	m->holds = false;
}

const struct member *members_all(const struct members *m, size_t *ret_n)
{
	*ret_n = m->n;
	return m->at;
}

/* 1 inside, 0 outside, -1 it has none any more. */
static int is_there(const struct members *m, const char *path)
{
	struct stat st;

	if (fstatat(m->proc_fd, path, &st, 0) < 0)
		return -1;
	return st.st_ino == m->netns_inode;
}

static int is_leader_there(const struct members *m, pid_t pid)
{
	char path[32];

	(void) snprintf(path, sizeof path, "%d/ns/net", (int) pid);
	return is_there(m, path);
}

/* NULL and *ret_gone when the process has ended; NULL without it: it can't be looked at. */
static DIR *open_threads(const struct members *m, pid_t pid, bool *ret_gone)
{
	char path[32];
	DIR *d;

	(void) snprintf(path, sizeof path, "%d/task", (int) pid);
	d = fd_list(m->proc_fd, path);
	*ret_gone = !d && errno == ENOENT;
	return d;
}

/* The next thread, or 0. */
static pid_t next_thread(DIR *d)
{
	struct dirent *t;
	uint64_t tid;

	while ((t = readdir(d)))
		if (text_to_u64(t->d_name, strlen(t->d_name), 1, INT32_MAX, &tid) == 0)
			return (pid_t) tid;
	return 0;
}

/* A process whose first thread has ended lives on in the others; only these still have a
 * namespace. */
static bool some_thread_is_there(const struct members *m, pid_t pid)
{
	bool found = false, gone;
	DIR *d = open_threads(m, pid, &gone);
	char path[64];
	pid_t tid;

	if (!d)
		return !gone; /* taken for one of the workload's */
	while (!found && (tid = next_thread(d))) {
		(void) snprintf(path, sizeof path, "%d/task/%d/ns/net", (int) pid, (int) tid);
		found = is_there(m, path) == 1;
	}
	(void) closedir(d);
	return found;
}

bool members_is_inside(const struct members *m, pid_t pid)
{
	int r = is_leader_there(m, pid);

	return r < 0 ? some_thread_is_there(m, pid) : r == 1;
}

static bool is_known_outside(const struct members *m, pid_t pid, ino64_t ino)
{
	const struct known *k = &m->outside[(size_t) pid % KNOWN_SLOTS];

	return k->pid == pid && k->ino == ino;
}

static bool is_newborn(uint64_t start_ticks)
{
	long ticks = sysconf(_SC_CLK_TCK);
	struct timespec now;

	return ticks <= 0 || clock_gettime(CLOCK_BOOTTIME, &now) < 0 ||
		(uint64_t) now.tv_sec < start_ticks / (uint64_t) ticks + NEWBORN_SECONDS;
}

/* The workload has no setns(2), so a process outside stays there, except one: what the leaf forks
 * enters the namespace a moment later.  Such a child is looked at again each time until it is old. */
static void note_outside(struct members *m, pid_t pid, ino64_t ino)
{
	struct err ignored = { 0 };
	struct procfs_stat s;

	if (procfs_stat(m->proc_fd, pid, &s, &ignored) < 0)
		return;
	if (s.parent == m->spawner && pid != getpid() && is_newborn(s.start)) {
		m->newborn = true;
		return;
	}
	m->outside[(size_t) pid % KNOWN_SLOTS] = (struct known){ pid, ino };
}

static int add(struct members *m, pid_t pid, pid_t tid)
{
	if (m->n == MEMBERS_MAX)
		return -E2BIG;
	if (m->n == m->room) {
		size_t room = m->room ? 2 * m->room : 64;
		struct member *at = realloc(m->at, room * sizeof *at);

		if (!at)
			return -ENOMEM;
		m->at = at;
		m->room = room;
	}
	m->at[m->n++] = (struct member){ pid, tid };
	return 0;
}

static int add_threads(struct members *m, pid_t pid)
{
	char path[32];
	struct stat st;
	bool gone;
	pid_t tid;
	int r = 0;
	DIR *d;

	(void) snprintf(path, sizeof path, "%d/task", (int) pid);
	if (fstatat(m->proc_fd, path, &st, 0) < 0 || st.st_nlink <= 3)
		return 0; /* it has ended, or has one thread */
	d = open_threads(m, pid, &gone);
	if (!d)
		return gone ? 0 : -EMFILE;
	while (r == 0 && (tid = next_thread(d)))
		if (tid != pid)
			r = add(m, pid, tid);
	(void) closedir(d);
	return r;
}

static int take_entry(struct members *m, const struct linux_dirent64 *d)
{
	uint64_t value;
	pid_t pid;
	int r;

	if (text_to_u64(d->name, strlen(d->name), 1, INT32_MAX, &value) < 0)
		return 0;
	pid = (pid_t) value;
	if (is_known_outside(m, pid, d->ino))
		return 0;
	r = is_leader_there(m, pid);
	if (r == 0)
		note_outside(m, pid, d->ino);
	/* Nothing is remembered about a process that could not be looked at. */
	if (r == 0 || (r < 0 && !some_thread_is_there(m, pid)))
		return 0;
	r = add(m, pid, pid);
	return r < 0 ? r : add_threads(m, pid);
}

static int list(struct members *m, uint64_t deadline_ms)
{
	size_t seen = 0;
	long got;
	int r;

	m->n = 0;
	m->newborn = false;
	if (lseek(m->list_fd, 0, SEEK_SET) < 0)
		return -errno;
	while ((got = syscall(SYS_getdents64, m->list_fd, m->list, sizeof m->list)) > 0) {
		for (long at = 0; at < got;) {
			struct linux_dirent64 *d =
				(struct linux_dirent64 *) (void *) (m->list + at);

			at += d->reclen;
			if (++seen > IDENTITY_PROCESSES_MAX)
				return -E2BIG;
			if ((r = take_entry(m, d)) < 0)
				return r;
		}
		if (members_now_ms() > deadline_ms)
			return -ETIME;
	}
	return got < 0 ? -errno : 0;
}

/* "" when the kernel does not tell. */
static void read_last_pid(const struct members *m, char ret[LAST_PID_MAX])
{
	ssize_t n = m->last_pid_fd < 0 ? -1 : pread(m->last_pid_fd, ret, LAST_PID_MAX - 1, 0);

	ret[n > 0 ? n : 0] = '\0';
}

int members_update(struct members *m, uint64_t deadline_ms, bool *ret_listed, struct err *e)
{
	uint64_t now = members_now_ms();
	char last_pid[LAST_PID_MAX];
	int r;

	read_last_pid(m, last_pid);
	*ret_listed = false;
	if (m->holds && last_pid[0] && strcmp(last_pid, m->last_pid) == 0 &&
		now - m->listed_ms < MEMBERS_FRESH_MS)
		return 0;
	*ret_listed = true;
	m->holds = false;
	if ((r = list(m, deadline_ms)) < 0)
		return err_set(e, -r, "%s",
			r == -ETIME	      ? "finding the caller took too long"
				: r == -E2BIG ? "too many processes to find the caller among"
					      : "list /proc");
	/* What came to life during the listing has changed the number, and is listed next time. */
	(void) memcpy(m->last_pid, last_pid, sizeof last_pid);
	m->listed_ms = now;
	m->holds = !m->newborn;
	return 0;
}
