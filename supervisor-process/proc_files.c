#include "proc_files.h"
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>
#include "core_cleanup.h"
#include "core_fd.h"

#define TREE_DEPTH_MAX 128 /* directories below each other */

static const char *const reserved[] = { "/opt/openshell", "/etc/openshell", "/etc/openshell-tls",
	"/run/openshell", "/run/openshell-sidecar", "/run/netns", "/var/run/netns", "/proc", "/sys",
	"/dev" };

static bool contains(const char *outer, const char *inner)
{
	size_t n = strlen(outer);

	return strncmp(outer, inner, n) == 0 && (inner[n] == '\0' || inner[n] == '/');
}

static bool is_dots(const char *part, size_t n)
{
	return n == 0 || (n == 1 && part[0] == '.') || (n == 2 && memcmp(part, "..", 2) == 0);
}

static bool is_plain(const char *path)
{
	size_t len = strlen(path);

	if (path[0] != '/' || len >= PATH_MAX || path[len - 1] == ' ')
		return false;
	for (const char *p = path; *p;) {
		size_t n = strcspn(++p, "/");

		if (is_dots(p, n))
			return false;
		p += n;
	}
	for (const char *p = path; *p; p++)
		if ((unsigned char) *p < ' ' || *p == 0x7f)
			return false;
	return true;
}

int proc_files_check_workdir(const char *path, struct err *e)
{
	if (strcmp(path, "/") == 0)
		return err_set(e, EPERM,
			"workdir / would give the workload everything; start in a directory of its "
			"own");
	if (!is_plain(path))
		return err_set(e, EINVAL,
			"the workdir must be an absolute path without empty, . and .. parts, "
			"control characters and outer blanks; name it so");
	for (size_t i = 0; i < sizeof reserved / sizeof *reserved; i++)
		if (contains(reserved[i], path) || contains(path, reserved[i]))
			return err_set(e, EPERM,
				"workdir %s overlaps %s, which is reserved; start in another "
				"directory",
				path, reserved[i]);
	return 0;
}

static int open_plain(int at, const char *path, int flags)
{
	struct open_how how = { .flags = (uint64_t) flags | O_CLOEXEC,
		.resolve = RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS };

	return (int) syscall(SYS_openat2, at, path, &how, sizeof how);
}

/* ---- as the workload's identity, in a child ---- */

typedef int (*as_fn)(const char *path, struct err *e);

static void child_as(const struct confine_identity *id, as_fn try, const char *path, int out)
{
	struct err e = { 0 };

	if (confine_drop(id, &e) == 0)
		(void) try(path, &e);
	(void) !write(out, &e, sizeof e); /* less than PIPE_BUF: whole or not at all */
	_exit(0);
}

static int wait_answer(int in, pid_t pid, const char *path, struct err *e)
{
	struct pollfd p = { in, POLLIN, 0 };
	struct err answer;
	int status, r;

	do
		r = poll(&p, 1, PROC_FILES_CHILD_MS);
	while (r < 0 && errno == EINTR);
	if (r != 1)
		(void) kill(pid, SIGKILL);
	else if (read(in, &answer, sizeof answer) != sizeof answer)
		r = 0;
	while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	if (r != 1)
		return err_set(e, ETIMEDOUT,
			"directory %s could not be tried as the workload's user; choose another",
			path);
	answer.text[sizeof answer.text - 1] = '\0';
	return answer.code ? err_set(e, answer.code, "%s", answer.text) : 0;
}

static int try_as(const struct confine_identity *id, as_fn try, const char *path, struct err *e)
{
	int fds[2], r;
	pid_t pid;

	if (pipe2(fds, O_CLOEXEC) < 0)
		return err_set(e, errno, "pipe to try %s", path);
	pid = fork();
	if (pid == 0)
		child_as(id, try, path, fds[1]);
	(void) close(fds[1]);
	r = pid < 0 ? err_set(e, errno, "fork to try %s", path) : wait_answer(fds[0], pid, path, e);
	(void) close(fds[0]);
	return r;
}

static int enter(const char *path, struct err *e)
{
	if (chdir(path) == 0)
		return 0;
	return err_set(e, errno,
		"workdir %s can't be entered by uid %u (%s); choose another directory or user",
		path, (unsigned) getuid(), strerror(errno));
}

int proc_files_workdir(const char *path, const struct confine_identity *id, struct err *e)
{
	AUTO_CLOSE int fd = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
	char self[64], real[PATH_MAX];
	ssize_t n;

	if (fd < 0)
		return err_set(e, errno, "workdir %s (%s); make it, or name another with --workdir",
			path, strerror(errno));
	(void) snprintf(self, sizeof self, "/proc/self/fd/%d", fd);
	n = readlink(self, real, sizeof real - 1);
	if (n < 0)
		return err_set(e, errno, "see where workdir %s leads", path);
	real[n] = '\0';
	if (proc_files_check_workdir(real, e) < 0)
		return -e->code;
	return try_as(id, enter, path, e);
}

/* Down one component without following a link; the identity must be able to search what it gets. */
static int descend(int *fd, const char *part, const char *path, struct err *e)
{
	int next = openat(*fd, part, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);

	if (next < 0)
		return err_set(e, errno,
			"workspace %s: %s is missing, closed, a link or no directory (%s); make it "
			"in the image for the workload's user",
			path, part, strerror(errno));
	(void) close(*fd);
	*fd = next;
	if (faccessat(next, ".", X_OK, AT_EACCESS) < 0)
		return err_set(e, errno,
			"workspace %s: %s can't be searched by uid %u; change its mode in the "
			"image",
			path, part, (unsigned) getuid());
	return 0;
}

static int probe_by_name(int dir, const char *path, struct err *e)
{
	char name[64];
	int fd = -1;

	for (int i = 0; i < PROC_FILES_PROBE_NAMES_MAX && fd < 0; i++) {
		(void) snprintf(
			name, sizeof name, ".openshell-workdir-probe-%d-%d", (int) getpid(), i);
		fd = openat(dir, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
		if (fd < 0 && errno != EEXIST)
			break;
	}
	if (fd < 0)
		return err_set(e, errno,
			"workspace %s can't be written by uid %u (%s); give it to the workload's "
			"user in the image",
			path, (unsigned) getuid(), strerror(errno));
	(void) close(fd);
	return unlinkat(dir, name, 0) < 0 ? err_set(e, errno, "remove %s/%s", path, name) : 0;
}

static int probe_write(int dir, const char *path, struct err *e)
{
	int fd = openat(dir, ".", O_TMPFILE | O_WRONLY | O_CLOEXEC, 0600);

	if (fd >= 0) {
		(void) close(fd);
		return 0;
	}
	if (errno == EINVAL || errno == EISDIR || errno == EOPNOTSUPP)
		return probe_by_name(dir, path, e);
	return err_set(e, errno,
		"workspace %s can't be written by uid %u (%s); give it to the workload's user in "
		"the image",
		path, (unsigned) getuid(), strerror(errno));
}

int proc_files_use(const char *path, struct err *e)
{
	AUTO_CLOSE int fd = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);
	char part[NAME_MAX + 1];

	for (const char *p = path + 1; *p;) {
		size_t n = strcspn(p, "/");

		if (n > NAME_MAX)
			return err_set(e, ENAMETOOLONG, "workspace %s", path);
		(void) snprintf(part, sizeof part, "%.*s", (int) n, p);
		if (descend(&fd, part, path, e) < 0)
			return -e->code;
		p += n + strspn(p + n, "/");
	}
	return probe_write(fd, path, e);
}

int proc_files_validate(const char *path, const struct confine_identity *id, struct err *e)
{
	return try_as(id, proc_files_use, path, e);
}

/* ---- made by root ---- */

struct making {
	const char *path;
	const struct confine_identity *search; /* must be able to pass what exists, or NULL */
	int fd;				       /* the deepest directory so far */
	bool made;			       /* the last component did not exist */
};

static bool may_search(const struct stat *st, const struct confine_identity *id)
{
	bool in_group = st->st_gid == id->gid;

	for (size_t i = 0; i < id->n_groups; i++)
		in_group |= st->st_gid == id->groups[i];
	if (st->st_uid == id->uid)
		return st->st_mode & S_IXUSR;
	return st->st_mode & (in_group ? S_IXGRP : S_IXOTH);
}

static int make_one(struct making *m, const char *part, bool last, struct err *e)
{
	struct stat st;
	int next;

	m->made = mkdirat(m->fd, part, 0755) == 0;
	if (!m->made && errno != EEXIST)
		return err_set(e, errno, "make %s (%s)", m->path, strerror(errno));
	/* The supervisor's umask has no say. */
	if (m->made && fchmodat(m->fd, part, 0755, 0) < 0)
		return err_set(e, errno, "make %s", m->path);
	next = open_plain(m->fd, part, O_PATH | O_DIRECTORY);
	if (next < 0)
		return err_set(e, errno,
			"make %s: %s is a link or no directory; name the real path", m->path, part);
	(void) close(m->fd);
	m->fd = next;
	if (m->search && !last && (fstat(next, &st) < 0 || !may_search(&st, m->search)))
		return err_set(e, EACCES,
			"%s: uid %u may not pass %s; change its mode in the image", m->path,
			m->search->uid, part);
	return 0;
}

static int make_components(struct making *m, struct err *e)
{
	char part[NAME_MAX + 1];

	m->fd = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (m->fd < 0)
		return err_set(e, errno, "open /");
	for (const char *p = m->path + 1; *p;) {
		size_t n = strcspn(p, "/");
		bool last = p[n] == '\0';

		if (n > NAME_MAX)
			return err_set(e, ENAMETOOLONG, "make %s", m->path);
		(void) snprintf(part, sizeof part, "%.*s", (int) n, p);
		if (make_one(m, part, last, e) < 0)
			return -e->code;
		p += n + strspn(p + n, "/");
	}
	return 0;
}

static void making_done(struct making *m)
{
	if (m->fd >= 0)
		(void) close(m->fd);
}
#define AUTO_MAKING __attribute__((cleanup(making_done)))

int proc_files_managed(const char *path, const struct confine_identity *id, struct err *e)
{
	AUTO_MAKING struct making m = { .path = path, .search = id, .fd = -1 };
	char self[64];
	struct stat st;

	if (make_components(&m, e) < 0)
		return err_wrap(e, "workspace");
	if (fchownat(m.fd, "", id->uid, id->gid, AT_EMPTY_PATH) < 0 || fstat(m.fd, &st) < 0)
		return err_set(e, errno, "give workspace %s to the workload", path);
	(void) snprintf(self, sizeof self, "/proc/self/fd/%d", m.fd);
	if ((st.st_mode & (S_IWUSR | S_IXUSR)) != (S_IWUSR | S_IXUSR) &&
		chmod(self, (st.st_mode & 07777) | S_IWUSR | S_IXUSR) < 0)
		return err_set(e, errno, "make workspace %s writable", path);
	return 0;
}

int proc_files_image_workdir(
	const char *asked, const struct confine_identity *id, const char **ret, struct err *e)
{
	bool managed =
		!asked[0] || strcmp(asked, "/") == 0 || strcmp(asked, PROC_FILES_MANAGED) == 0;
	const char *path = managed ? PROC_FILES_MANAGED : asked;

	if (proc_files_check_workdir(path, e) < 0)
		return -e->code;
	if ((managed ? proc_files_managed : proc_files_validate)(path, id, e) < 0)
		return -e->code;
	*ret = path;
	return 0;
}

static bool is_kernel_s(const char *path)
{
	return contains("/proc", path) || contains("/sys", path) || contains("/dev", path);
}

int proc_files_make(const char *path, const struct confine_identity *id, struct err *e)
{
	AUTO_MAKING struct making m = { .path = path, .fd = -1 };
	struct stat st;

	if (lstat(path, &st) == 0)
		return S_ISLNK(st.st_mode)
			? err_set(e, ELOOP,
				  "read_write path %s is a symbolic link; name its target instead",
				  path)
			: 0;
	/* Other failures, and devices that are not there, Landlock's rules will report. */
	if (errno != ENOENT || is_kernel_s(path))
		return 0;
	if (make_components(&m, e) < 0)
		return err_wrap(e, "read_write path");
	if (m.made && fchownat(m.fd, "", id->uid, id->gid, AT_EMPTY_PATH) < 0)
		return err_set(e, errno, "give %s to the workload", path);
	return 0;
}

struct giving {
	const struct confine_identity *id;
	size_t seen;
};

static int give_below(struct giving *g, DIR *take_dir, int depth);

/* One entry, and what is below it.  A read-only mount is left out whole: what is below an entry that
 * could not be given might be exchanged for a link. */
static int give_entry(struct giving *g, int dir, const char *name, int depth)
{
	AUTO_CLOSE int fd = openat(dir, name, O_PATH | O_NOFOLLOW | O_CLOEXEC);
	struct stat st;
	DIR *sub;

	if (++g->seen > PROC_CHOWN_ENTRIES_MAX)
		return -E2BIG;
	if (fd < 0)
		return errno == ENOENT ? 0 : -errno;
	if (fstat(fd, &st) < 0)
		return -errno;
	if (S_ISLNK(st.st_mode))
		return 0;
	if (fchownat(fd, "", g->id->uid, g->id->gid, AT_EMPTY_PATH) < 0)
		return errno == EROFS && depth ? 0 : -errno;
	if (!S_ISDIR(st.st_mode))
		return 0;
	if (depth >= TREE_DEPTH_MAX)
		return -ELOOP;
	sub = fd_list(fd, ".");
	if (!sub)
		return errno == EACCES || errno == EPERM ? 0 : -errno;
	return give_below(g, sub, depth + 1);
}

static int give_below(struct giving *g, DIR *take_dir, int depth)
{
	DIR *d = take_dir;
	int r = 0;

	for (;;) {
		struct dirent *t;

		errno = 0;
		t = readdir(d);
		if (!t) {
			r = -errno;
			break;
		}
		if (is_dots(t->d_name, strlen(t->d_name)))
			continue;
		r = give_entry(g, dirfd(d), t->d_name, depth);
		if (r < 0)
			break;
	}
	(void) closedir(d);
	return r;
}

int proc_files_give_tree(const char *root, const struct confine_identity *id, struct err *e)
{
	struct giving g = { .id = id };
	struct stat st;
	int r;

	if (lstat(root, &st) < 0)
		return errno == ENOENT ? 0 : err_set(e, errno, "look at %s", root);
	if (!S_ISDIR(st.st_mode))
		return err_set(e, ENOTDIR,
			"%s is a link or no directory; make it a directory in the image", root);
	r = give_entry(&g, AT_FDCWD, root, 0);
	return r < 0 ? err_set(e, -r, "give %s and what is below it to the workload (%s)", root,
			       strerror(-r))
		     : 0;
}
