#include "core_identity_scan.h"
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>
#include "core_procfs.h"
#include "core_text.h"

#define KNOWN_SLOTS 16384 /* processes remembered as outside the namespace */
#define LIST_BYTES (32 * 1024)

struct known {
	pid_t pid;
	ino64_t ino;
};

struct scan {
	int proc_fd, list_fd; /* list_fd: /proc opened for reading, rewound for each scan */
	uint64_t netns_inode;
	pid_t leaf; /* our parent: its new children may be on their way in */
	struct known outside[KNOWN_SLOTS];
	size_t fds_seen;
	uint64_t deadline_ms;
	char list[LIST_BYTES], inner[LIST_BYTES];
};

struct linux_dirent64 {
	ino64_t ino;
	off64_t off;
	unsigned short reclen;
	unsigned char type;
	char name[];
};

static uint64_t now_ms(void)
{
	struct timespec t;

	(void) clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t) t.tv_sec * 1000 + (uint64_t) t.tv_nsec / 1000000;
}

int scan_new(int proc_fd, uint64_t netns_inode, struct scan **ret, struct err *e)
{
	AUTO_FREE struct scan *s = calloc(1, sizeof *s);

	if (!s)
		return err_set(e, ENOMEM, "process scan");
	s->proc_fd = proc_fd;
	s->netns_inode = netns_inode;
	s->leaf = getppid();
	s->list_fd = openat(proc_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (s->list_fd < 0)
		return err_set(e, errno, "list /proc");
	*ret = TAKE_PTR(s);
	return 0;
}

void scan_free(struct scan *s)
{
	if (!s)
		return;
	(void) close(s->list_fd);
	free(s);
}

static bool in_namespace(const struct scan *s, pid_t pid)
{
	char path[32];
	struct stat st;

	(void) snprintf(path, sizeof path, "%d/ns/net", (int) pid);
	return fstatat(s->proc_fd, path, &st, 0) == 0 && st.st_ino == s->netns_inode;
}

bool scan_is_inside(const struct scan *s, pid_t pid)
{
	return in_namespace(s, pid);
}

/* A process outside cannot come in: the workload has no setns(2).  Only a child of the process leaf
 * does, before it runs anything of the workload's; so nothing is remembered about those. */
static bool is_outside(struct scan *s, pid_t pid, ino64_t ino)
{
	struct known *k = &s->outside[(size_t) pid % KNOWN_SLOTS];

	return k->pid == pid && k->ino == ino;
}

static void remember_outside(struct scan *s, pid_t pid, ino64_t ino)
{
	struct err ignored = { 0 };
	uint64_t start;
	char path[32];
	struct stat st;
	pid_t parent;

	/* Nothing is remembered about a process that could not be looked at. */
	(void) snprintf(path, sizeof path, "%d/ns/net", (int) pid);
	if (procfs_stat(s->proc_fd, pid, &parent, &start, &ignored) < 0 || parent == s->leaf)
		return;
	if (fstatat(s->proc_fd, path, &st, 0) == 0)
		s->outside[(size_t) pid % KNOWN_SLOTS] = (struct known){ pid, ino };
}

static void note_owner(struct scan_wanted *w, pid_t pid)
{
	for (size_t i = 0; i < w->n_owners && i < SCAN_OWNERS_MAX; i++)
		if (w->owners[i] == pid)
			return;
	if (w->n_owners < SCAN_OWNERS_MAX)
		w->owners[w->n_owners] = pid;
	if (w->n_owners <= SCAN_OWNERS_MAX)
		w->n_owners++;
}

static void look_at_fd(int dir, const char *name, pid_t pid, struct scan_wanted *wanted, size_t n)
{
	char link[64];
	ssize_t len = readlinkat(dir, name, link, sizeof link - 1);
	uint64_t inode;

	if (len < 10 || memcmp(link, "socket:[", 8) != 0 || link[len - 1] != ']')
		return;
	if (text_to_u64(link + 8, (size_t) len - 9, 1, UINT64_MAX, &inode) < 0)
		return;
	for (size_t i = 0; i < n; i++)
		if (wanted[i].inode == inode)
			note_owner(&wanted[i], pid);
}

static int look_at_table(
	struct scan *s, const char *path, pid_t pid, struct scan_wanted *wanted, size_t n)
{
	AUTO_CLOSE int dir = openat(s->proc_fd, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	long got;

	if (dir < 0)
		return 0; /* it has ended: it holds nothing any more */
	while ((got = syscall(SYS_getdents64, dir, s->inner, sizeof s->inner)) > 0) {
		for (long at = 0; at < got;) {
			struct linux_dirent64 *d =
				(struct linux_dirent64 *) (void *) (s->inner + at);

			at += d->reclen;
			if (d->name[0] == '.')
				continue;
			if (++s->fds_seen > IDENTITY_FDS_MAX)
				return -E2BIG;
			look_at_fd(dir, d->name, pid, wanted, n);
		}
		if (now_ms() > s->deadline_ms)
			return -ETIME;
	}
	return 0;
}

/* A thread may have a descriptor table of its own (clone without CLONE_FILES): when there are
 * several threads, each is looked at. */
static int look_at_process(struct scan *s, pid_t pid, struct scan_wanted *wanted, size_t n)
{
	char path[64];
	struct stat st;
	int r;

	(void) snprintf(path, sizeof path, "%d/fd", (int) pid);
	r = look_at_table(s, path, pid, wanted, n);
	if (r < 0)
		return r;
	(void) snprintf(path, sizeof path, "%d/task", (int) pid);
	if (fstatat(s->proc_fd, path, &st, 0) < 0 || st.st_nlink <= 3)
		return 0;
	AUTO_CLOSE int tasks = openat(s->proc_fd, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *d = tasks < 0 ? NULL : fdopendir(dup(tasks));

	for (struct dirent *t; d && r == 0 && (t = readdir(d));) {
		if (t->d_name[0] < '0' || t->d_name[0] > '9')
			continue;
		(void) snprintf(path, sizeof path, "%d/task/%.16s/fd", (int) pid, t->d_name);
		r = look_at_table(s, path, pid, wanted, n);
	}
	if (d)
		(void) closedir(d);
	return r;
}

static int look_at_entry(
	struct scan *s, const struct linux_dirent64 *d, struct scan_wanted *wanted, size_t n)
{
	uint64_t pid;

	if (text_to_u64(d->name, strlen(d->name), 1, INT32_MAX, &pid) < 0)
		return 0;
	if (is_outside(s, (pid_t) pid, d->ino))
		return 0;
	if (!in_namespace(s, (pid_t) pid)) {
		remember_outside(s, (pid_t) pid, d->ino);
		return 0;
	}
	return look_at_process(s, (pid_t) pid, wanted, n);
}

int scan_run(struct scan *s, struct scan_wanted *wanted, size_t n, struct err *e)
{
	size_t seen = 0;
	long got;
	int r;

	s->fds_seen = 0;
	s->deadline_ms = now_ms() + IDENTITY_SCAN_MS;
	if (lseek(s->list_fd, 0, SEEK_SET) < 0)
		return err_set(e, errno, "rewind /proc");
	while ((got = syscall(SYS_getdents64, s->list_fd, s->list, sizeof s->list)) > 0) {
		for (long at = 0; at < got;) {
			struct linux_dirent64 *d =
				(struct linux_dirent64 *) (void *) (s->list + at);

			at += d->reclen;
			if (++seen > IDENTITY_PROCESSES_MAX)
				return err_set(
					e, E2BIG, "too many processes to find the caller among");
			r = look_at_entry(s, d, wanted, n);
			if (r < 0)
				return err_set(e, -r, "%s",
					r == -ETIME
						? "finding the caller took too long"
						: "too many descriptors to find the caller among");
		}
	}
	return got < 0 ? err_set(e, errno, "list /proc") : 0;
}
