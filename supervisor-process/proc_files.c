#include "proc_files.h"
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>
#include "core_cleanup.h"

#define TREE_DEPTH_MAX 128

static const char *const reserved[] = { "/opt/openshell", "/etc/openshell", "/etc/openshell-tls",
	"/run/openshell", "/run/openshell-sidecar", "/run/netns", "/var/run/netns", "/proc", "/sys",
	"/dev" };

static bool contains(const char *outer, const char *inner)
{
	size_t n = strlen(outer);

	return strncmp(outer, inner, n) == 0 && (inner[n] == '\0' || inner[n] == '/');
}

int proc_files_check_workdir(const char *path, struct err *e)
{
	if (path[0] != '/' || strstr(path, "//") || strstr(path, "/./") || strstr(path, "/../"))
		return err_set(e, EINVAL, "workdir %s must be an absolute, plain path", path);
	if (path[1] == '\0')
		return err_set(e, EPERM,
			"workdir / would give the workload everything; start in a directory of its "
			"own");
	for (const char *p = path; *p; p++)
		if ((unsigned char) *p < ' ' || *p == 0x7f)
			return err_set(e, EINVAL, "workdir holds a control character");
	for (size_t i = 0; i < sizeof reserved / sizeof *reserved; i++)
		if (contains(reserved[i], path) || contains(path, reserved[i]))
			return err_set(e, EPERM, "workdir %s overlaps %s, which is reserved", path,
				reserved[i]);
	return 0;
}

static int open_plain(int at, const char *path, int flags)
{
	struct open_how how = { .flags = (uint64_t) flags | O_CLOEXEC,
		.resolve = RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS };

	return (int) syscall(SYS_openat2, at, path, &how, sizeof how);
}

/* As the identity itself: permissions, ACLs and everything else are judged by the kernel. */
static int try_enter(const char *path, const struct confine_identity *id)
{
	struct err e = { 0 };

	if (confine_drop(id, &e) < 0)
		return e.code;
	return chdir(path) < 0 ? errno : 0;
}

int proc_files_workdir(const char *path, const struct confine_identity *id, struct err *e)
{
	AUTO_CLOSE int fd = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
	int status;
	pid_t pid;

	if (fd < 0)
		return err_set(e, errno, "workdir %s", path);
	pid = fork();
	if (pid == 0)
		_exit(try_enter(path, id));
	if (pid < 0 || waitpid(pid, &status, 0) != pid || !WIFEXITED(status))
		return err_set(e, EIO, "try workdir %s", path);
	if (WEXITSTATUS(status))
		return err_set(e, WEXITSTATUS(status),
			"workdir %s can't be entered by uid %u; choose another directory or user",
			path, id->uid);
	return 0;
}

static int make_components(const char *path, int *ret_fd, bool *ret_made, struct err *e)
{
	AUTO_CLOSE int fd = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);
	char part[NAME_MAX + 1];

	*ret_made = false;
	for (const char *p = path + 1; *p;) {
		size_t n = strcspn(p, "/");
		int next;

		if (n > NAME_MAX)
			return err_set(e, ENAMETOOLONG, "make %s", path);
		(void) snprintf(part, sizeof part, "%.*s", (int) n, p);
		if (mkdirat(fd, part, 0755) == 0)
			*ret_made = true;
		else if (errno != EEXIST)
			return err_set(e, errno, "make %s, which policy lists as read_write", path);
		next = open_plain(fd, part, O_PATH | O_DIRECTORY);
		if (next < 0)
			return err_set(
				e, errno, "make %s: a component is a link or no directory", path);
		(void) close(fd);
		fd = next;
		p += n + strspn(p + n, "/");
	}
	*ret_fd = TAKE_FD(fd);
	return 0;
}

int proc_files_make(const char *path, const struct confine_identity *id, struct err *e)
{
	AUTO_CLOSE int fd = -1;
	struct stat st;
	bool made;

	if (lstat(path, &st) == 0)
		return S_ISLNK(st.st_mode)
			? err_set(e, ELOOP,
				  "read_write path %s is a symbolic link; name its target instead",
				  path)
			: 0;
	if (errno != ENOENT)
		return 0; /* what it is, Landlock's rules will report */
	if (make_components(path, &fd, &made, e) < 0)
		return -e->code;
	if (made && fchownat(fd, "", id->uid, id->gid, AT_EMPTY_PATH) < 0)
		return err_set(e, errno, "give %s to the workload", path);
	return 0;
}

static int give(int at, const char *name, const struct confine_identity *id)
{
	return fchownat(at, name, id->uid, id->gid, AT_SYMLINK_NOFOLLOW) < 0 ? -errno : 0;
}

static int give_below(int dir, const struct confine_identity *id, int depth, size_t *seen)
{
	DIR *d = fdopendir(dir);
	int r = 0;

	if (!d) {
		(void) close(dir);
		return 0;
	}
	for (struct dirent *t; r == 0 && (t = readdir(d));) {
		struct stat st;
		int sub;

		if (strcmp(t->d_name, ".") == 0 || strcmp(t->d_name, "..") == 0)
			continue;
		if (++*seen > PROC_CHOWN_ENTRIES_MAX) {
			r = -E2BIG;
			break;
		}
		if (fstatat(dirfd(d), t->d_name, &st, AT_SYMLINK_NOFOLLOW) < 0 ||
			S_ISLNK(st.st_mode))
			continue;
		r = give(dirfd(d), t->d_name, id);
		if (r == -EROFS) {
			r = 0; /* a read-only mount: not below it either */
			continue;
		}
		if (r < 0 || !S_ISDIR(st.st_mode) || depth >= TREE_DEPTH_MAX)
			continue;
		sub = open_plain(dirfd(d), t->d_name, O_RDONLY | O_DIRECTORY);
		if (sub >= 0)
			r = give_below(sub, id, depth + 1, seen);
	}
	(void) closedir(d);
	return r;
}

int proc_files_give_tree(const char *root, const struct confine_identity *id, struct err *e)
{
	struct stat st;
	size_t seen = 0;
	int dir, r;

	if (lstat(root, &st) < 0)
		return 0;
	if (!S_ISDIR(st.st_mode))
		return err_set(e, ENOTDIR, "%s is not a directory", root);
	r = give(AT_FDCWD, root, id);
	dir = r < 0 ? -1 : open_plain(AT_FDCWD, root, O_RDONLY | O_DIRECTORY);
	if (r == 0 && dir >= 0)
		r = give_below(dir, id, 0, &seen);
	return r < 0 ? err_set(e, -r, "give %s to the workload", root) : 0;
}
