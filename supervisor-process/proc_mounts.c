#include "proc_mounts.h"
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <sched.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include "core_cleanup.h"
#include "core_fd.h"

#define PROC_MOUNTS_COLUMNS 7 /* before the path: Num RefCount Protocol Flags Type St Inode */

static const char *const run_directories[] = { "/run", "/var/run", "/tmp/.X11-unix",
	"/tmp/.ICE-unix" };

const char *proc_mounts_next_socket(const char **at, const char *end, size_t *ret_len)
{
	while (*at < end) {
		const char *line = *at, *p = line;
		const char *stop = memchr(line, '\n', (size_t) (end - line));

		if (!stop)
			stop = end;
		*at = stop < end ? stop + 1 : end;
		for (int i = 0; i < PROC_MOUNTS_COLUMNS && p < stop; i++) {
			p = memchr(p, ' ', (size_t) (stop - p));
			if (!p)
				break;
			while (p < stop && *p == ' ')
				p++;
		}
		if (!p || p >= stop || *p != '/')
			continue;
		*ret_len = (size_t) (stop - p);
		return p;
	}
	return NULL;
}

static bool lies_in(const char *path, const char *directory)
{
	size_t n = strlen(directory);

	return strncmp(path, directory, n) == 0 && path[n] == '/';
}

static bool is_covered(const char *path)
{
	for (size_t i = 0; i < sizeof run_directories / sizeof *run_directories; i++)
		if (lies_in(path, run_directories[i]))
			return true;
	return false;
}

static bool is_kept(const char *path, const char *const *keep, size_t n_keep)
{
	for (size_t i = 0; i < n_keep; i++)
		if (strcmp(path, keep[i]) == 0)
			return true;
	return false;
}

/* The kept path gets an inode of its own kind in the new tmpfs, to bind upon. */
static int make_target(const char *path, bool is_dir, struct err *e)
{
	char part[PATH_MAX];

	for (const char *p = strchr(path + 1, '/'); p; p = strchr(p + 1, '/')) {
		(void) snprintf(part, sizeof part, "%.*s", (int) (p - path), path);
		if (mkdir(part, 0755) < 0 && errno != EEXIST)
			return err_set(e, errno, "make %s for the workload", part);
	}
	if (is_dir)
		return mkdir(path, 0755) < 0 && errno != EEXIST
			? err_set(e, errno, "make %s for the workload", path)
			: 0;
	AUTO_CLOSE int fd = open(path, O_CREAT | O_RDONLY | O_CLOEXEC | O_NOFOLLOW, 0600);

	return fd < 0 && errno != EEXIST ? err_set(e, errno, "make %s for the workload", path) : 0;
}

struct kept {
	const char *path;
	int fd; /* O_PATH, opened before its directory was covered */
	bool is_dir;
};

static int put_back(const struct kept *kept, size_t n, const char *directory, struct err *e)
{
	for (size_t i = 0; i < n; i++) {
		char from[64];

		if (kept[i].fd < 0 || !lies_in(kept[i].path, directory))
			continue;
		(void) snprintf(from, sizeof from, "/proc/self/fd/%d", kept[i].fd);
		if (make_target(kept[i].path, kept[i].is_dir, e) < 0)
			return -e->code;
		if (mount(from, kept[i].path, NULL, MS_BIND | MS_REC, NULL) < 0)
			return err_set(e, errno, "keep %s, which policy names", kept[i].path);
	}
	return 0;
}

static int cover(const char *directory, const struct kept *kept, size_t n_kept,
	struct proc_mounts_result *ret, struct err *e)
{
	struct stat st;

	/* /var/run is a link to /run nearly everywhere. */
	if (lstat(directory, &st) < 0 || !S_ISDIR(st.st_mode))
		return 0;
	if (mount("tmpfs", directory, "tmpfs", MS_NOSUID | MS_NODEV | MS_NOEXEC,
		    "mode=0755,size=64k,nr_inodes=1k") < 0)
		return err_set(e, errno, "cover %s", directory);
	if (put_back(kept, n_kept, directory, e) < 0)
		return -e->code;
	if (mount(NULL, directory, NULL,
		    MS_REMOUNT | MS_BIND | MS_RDONLY | MS_NOSUID | MS_NODEV | MS_NOEXEC, NULL) < 0)
		return err_set(e, errno, "make %s read-only", directory);
	ret->n_directories++;
	return 0;
}

static int cover_socket(const char *path, struct proc_mounts_result *ret, struct err *e)
{
	struct stat st;

	if (lstat(path, &st) < 0 || !S_ISSOCK(st.st_mode))
		return 0; /* gone, or a name in another mount namespace */
	if (ret->n_sockets >= PROC_MOUNTS_SOCKETS_MAX)
		return err_set(e, E2BIG,
			"more than %d Unix sockets are bound on this host; run the sandbox where "
			"there are fewer",
			PROC_MOUNTS_SOCKETS_MAX);
	if (mount("/dev/null", path, NULL, MS_BIND, NULL) < 0)
		return err_set(e, errno, "cover the socket %s", path);
	ret->n_sockets++;
	return 0;
}

static int cover_sockets(int fd, const char *const *keep, size_t n_keep,
	struct proc_mounts_result *ret, struct err *e)
{
	AUTO_FREE char *text = NULL;
	const char *at, *path;
	size_t len, n;

	if (fd_read_all(fd, PROC_MOUNTS_LIST_MAX, &text, &len, e) < 0)
		return err_wrap(e, "/proc/net/unix");
	at = text;
	while ((path = proc_mounts_next_socket(&at, text + len, &n))) {
		char name[PATH_MAX];

		if (n >= sizeof name)
			continue;
		(void) snprintf(name, sizeof name, "%.*s", (int) n, path);
		if (!is_covered(name) && !is_kept(name, keep, n_keep) &&
			cover_socket(name, ret, e) < 0)
			return -e->code;
	}
	return 0;
}

static void open_kept(struct kept *kept, const char *const *keep, size_t n_keep)
{
	for (size_t i = 0; i < n_keep; i++) {
		struct stat st;

		kept[i] = (struct kept){ keep[i], -1, false };
		if (!is_covered(keep[i]))
			continue;
		/* A missing one is the Landlock rules' business to report. */
		kept[i].fd = open(keep[i], O_PATH | O_CLOEXEC);
		if (kept[i].fd >= 0 && fstat(kept[i].fd, &st) == 0)
			kept[i].is_dir = S_ISDIR(st.st_mode);
	}
}

/* A terminal file system of our own: with the operator's uid the workload could open the
 * operator's terminals in the host's. */
static int cover_terminals(struct err *e)
{
	struct stat st;

	if (stat("/dev/pts", &st) < 0 || !S_ISDIR(st.st_mode))
		return 0;
	if (mount("devpts", "/dev/pts", "devpts", MS_NOSUID | MS_NOEXEC,
		    "newinstance,ptmxmode=0666,mode=0620") < 0)
		return err_set(e, errno, "make a terminal file system for the workload");
	if (stat("/dev/ptmx", &st) == 0 &&
		mount("/dev/pts/ptmx", "/dev/ptmx", NULL, MS_BIND, NULL) < 0)
		return err_set(e, errno, "cover /dev/ptmx");
	return 0;
}

static int hide(int sockets_fd, const char *const *keep, size_t n_keep, struct kept *kept,
	struct proc_mounts_result *ret, struct err *e)
{
	open_kept(kept, keep, n_keep);
	for (size_t i = 0; i < sizeof run_directories / sizeof *run_directories; i++)
		if (cover(run_directories[i], kept, n_keep, ret, e) < 0)
			return -e->code;
	if (cover_terminals(e) < 0)
		return -e->code;
	return cover_sockets(sockets_fd, keep, n_keep, ret, e);
}

/* What an outer sandbox pretends to have done would be mounted over the host's own folders. */
static int leave_mounts_of_host(struct err *e)
{
	struct stat before, after;

	if (stat("/proc/self/ns/mnt", &before) < 0)
		return err_set(e, errno, "look at the mount namespace");
	/* System V and POSIX message queues, semaphores and shared memory of the host are out of sight
	 * too. */
	if (unshare(CLONE_NEWNS | CLONE_NEWIPC) < 0)
		return err_set(e, errno, "make a private mount namespace");
	if (stat("/proc/self/ns/mnt", &after) < 0)
		return err_set(e, errno, "look at the mount namespace");
	if (before.st_dev == after.st_dev && before.st_ino == after.st_ino)
		return err_set(e, ENOSYS,
			"this host only pretends to make mount namespaces, so nothing is started");
	if (mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0)
		return err_set(e, errno, "make the mounts private");
	return 0;
}

int proc_mounts_hide(int sockets_fd, const char *const *keep, size_t n_keep,
	struct proc_mounts_result *ret, struct err *e)
{
	AUTO_FREE struct kept *kept = NULL;
	int r;

	*ret = (struct proc_mounts_result){ 0 };
	if (n_keep > PROC_MOUNTS_KEEP_MAX)
		return err_set(e, E2BIG, "policy names %zu paths, more than %d", n_keep,
			PROC_MOUNTS_KEEP_MAX);
	kept = calloc(n_keep + 1, sizeof *kept);
	if (!kept)
		return err_set(e, ENOMEM, "mounts");
	r = leave_mounts_of_host(e);
	if (r == -EPERM || r == -EACCES) {
		ret->refused = -r;
		return 0;
	}
	if (r < 0)
		return r;
	r = hide(sockets_fd, keep, n_keep, kept, ret, e);
	for (size_t i = 0; i < n_keep; i++)
		core_closep(&kept[i].fd);
	if (r == -EPERM || r == -EACCES) {
		ret->refused = -r;
		return 0;
	}
	return r;
}

int proc_mounts_spiffe_parent(const char *value, char ret[PROC_MOUNTS_PATH_MAX], struct err *e)
{
	static const char *const shared[] = { "/run", "/var", "/var/run", "/tmp", "/etc" };
	char *slash;

	value += strspn(value, " \t");
	if (!*value)
		return 0;
	if (strncmp(value, "unix:", 5) == 0)
		value += 5;
	while (value[0] == '/' && value[1] == '/')
		value++;
	if (value[0] != '/' || strstr(value, "/../") || strstr(value, "//") ||
		strlen(value) >= PROC_MOUNTS_PATH_MAX)
		return err_set(e, EINVAL,
			"OPENSHELL_PROVIDER_SPIFFE_WORKLOAD_API_SOCKET must be unix: and an "
			"absolute "
			"path, not %.80s",
			value);
	(void) snprintf(ret, PROC_MOUNTS_PATH_MAX, "%s", value);
	slash = strrchr(ret, '/');
	*slash = '\0';
	for (size_t i = 0; i < sizeof shared / sizeof *shared; i++)
		if (slash == ret || strcmp(ret, shared[i]) == 0)
			return err_set(e, EINVAL,
				"the SPIFFE socket %.80s lies in %s with much else, which hiding "
				"it "
				"would hide too; give it a directory of its own",
				value, slash == ret ? "/" : ret);
	return 1;
}

int proc_mounts_hide_directory(const char *path, struct err *e)
{
	struct stat st;

	if (lstat(path, &st) < 0 && errno == ENOENT)
		return 0;
	if (mount("tmpfs", path, "tmpfs", MS_NOSUID | MS_NODEV | MS_NOEXEC | MS_RDONLY,
		    "mode=0555,size=4k") < 0)
		return err_set(e, errno, "hide %s from the workload: %s", path, strerror(errno));
	return 0;
}
