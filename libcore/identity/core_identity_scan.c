#include "core_identity_scan.h"
#include <errno.h>
#include <fcntl.h>
#include <linux/kcmp.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>
#include "core_identity_members.h"
#include "core_text.h"

#define LIST_BYTES (32 * 1024)

struct scan {
	int proc_fd;
	struct members *members;
	size_t fds_seen;
	uint64_t deadline_ms;
	char list[LIST_BYTES];
};

struct linux_dirent64 {
	ino64_t ino;
	off64_t off;
	unsigned short reclen;
	unsigned char type;
	char name[];
};

int scan_new(int proc_fd, uint64_t netns_inode, struct scan **ret, struct err *e)
{
	AUTO(scan_free) struct scan *s = calloc(1, sizeof *s);

	if (!s)
		return err_set(e, ENOMEM, "process scan");
	s->proc_fd = proc_fd;
	if (members_new(proc_fd, netns_inode, &s->members, e) < 0)
		return -e->code;
	*ret = TAKE_PTR(s);
	return 0;
}

void scan_free(struct scan *s)
{
	if (!s)
		return;
	members_free(s->members);
	free(s);
}

bool scan_is_inside(const struct scan *s, pid_t pid)
{
	return members_is_inside(s->members, pid);
}

static bool is_noted(const struct scan_wanted *w, pid_t pid)
{
	for (size_t i = 0; i < w->n_owners && i < SCAN_OWNERS_MAX; i++)
		if (w->owners[i] == pid)
			return true;
	return false;
}

static void note_owner(struct scan_wanted *w, pid_t pid)
{
	if (is_noted(w, pid))
		return;
	if (w->n_owners < SCAN_OWNERS_MAX)
		w->owners[w->n_owners] = pid;
	if (w->n_owners <= SCAN_OWNERS_MAX)
		w->n_owners++;
}

/* Nothing more can be learnt about this process: it holds every socket that is wanted. */
static bool holds_all(const struct scan_wanted *wanted, size_t n, pid_t pid)
{
	for (size_t i = 0; i < n; i++)
		if (wanted[i].inode && !is_noted(&wanted[i], pid))
			return false;
	return true;
}

/* true when it is one of the wanted. */
static bool look_at_fd(int dir, const char *name, pid_t pid, struct scan_wanted *wanted, size_t n)
{
	char link[64];
	ssize_t len = readlinkat(dir, name, link, sizeof link - 1);
	bool found = false;
	uint64_t inode;

	if (len < 10 || memcmp(link, "socket:[", 8) != 0 || link[len - 1] != ']')
		return false;
	if (text_to_u64(link + 8, (size_t) len - 9, 1, UINT64_MAX, &inode) < 0)
		return false;
	for (size_t i = 0; i < n; i++)
		if (wanted[i].inode == inode) {
			note_owner(&wanted[i], pid);
			found = true;
		}
	return found;
}

static int look_at_table(
	struct scan *s, const char *path, pid_t pid, struct scan_wanted *wanted, size_t n)
{
	AUTO_CLOSE int dir = openat(s->proc_fd, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	long got;

	if (dir < 0)
		return 0; /* it has ended: it holds nothing any more */
	while ((got = syscall(SYS_getdents64, dir, s->list, sizeof s->list)) > 0) {
		for (long at = 0; at < got;) {
			struct linux_dirent64 *d =
				(struct linux_dirent64 *) (void *) (s->list + at);

			at += d->reclen;
			if (d->name[0] == '.')
				continue;
			if (++s->fds_seen > IDENTITY_FDS_MAX)
				return -E2BIG;
			if (look_at_fd(dir, d->name, pid, wanted, n) && holds_all(wanted, n, pid))
				return 0;
		}
		if (members_now_ms() > s->deadline_ms)
			return -ETIME;
	}
	return 0;
}

/* A thread may have a descriptor table of its own (clone without CLONE_FILES, unshare(2)); where
 * kcmp(2) does not say that it shares the process' table, it is looked at. */
static int look_at_member(
	struct scan *s, const struct member *m, struct scan_wanted *wanted, size_t n)
{
	char path[64];

	if (m->tid == m->pid) {
		(void) snprintf(path, sizeof path, "%d/fd", (int) m->pid);
	} else {
		if (syscall(SYS_kcmp, m->pid, m->tid, KCMP_FILES, 0, 0) == 0)
			return 0;
		(void) snprintf(path, sizeof path, "%d/task/%d/fd", (int) m->pid, (int) m->tid);
	}
	return look_at_table(s, path, m->pid, wanted, n);
}

static int look_at_all(struct scan *s, struct scan_wanted *wanted, size_t n, struct err *e)
{
	size_t n_members;
	const struct member *m = members_all(s->members, &n_members);

	s->fds_seen = 0;
	for (size_t i = 0; i < n_members; i++) {
		int r = look_at_member(s, &m[i], wanted, n);

		if (r < 0)
			return err_set(e, -r, "%s",
				r == -ETIME ? "finding the caller took too long"
					    : "too many descriptors to find the caller among");
	}
	return 0;
}

static bool all_found(const struct scan_wanted *wanted, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (wanted[i].inode && wanted[i].n_owners == 0)
			return false;
	return true;
}

int scan_run(struct scan *s, struct scan_wanted *wanted, size_t n, struct err *e)
{
	bool listed;

	s->deadline_ms = members_now_ms() + IDENTITY_SCAN_MS;
	do {
		if (members_update(s->members, s->deadline_ms, &listed, e) < 0 ||
			look_at_all(s, wanted, n, e) < 0)
			return -e->code;
		if (listed || all_found(wanted, n))
			return 0;
		members_forget(s->members); /* once more, with a listing of now */
	} while (true);
}
