#include "orch_ctl_socket.h"
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>
#include "core_fd.h"
#include "core_text.h"
#include "orch_limits.h"

#define ROOT_FOLDER "/run/openshell"
#define SUFFIX ".ctl"
#define BACKLOG 64
#define LOCK_PAUSE_MS 5
#define OWNER_ONLY 0600
#define GROUP_TOO 0660

int orch_ctl_folder(char ret[ORCH_SOCKET_PATH_MAX], struct err *e)
{
	const char *run = getenv("XDG_RUNTIME_DIR");
	int n;

	if (geteuid() == 0) {
		(void) snprintf(ret, ORCH_SOCKET_PATH_MAX, ROOT_FOLDER);
		return 0;
	}
	if (!run || run[0] != '/')
		return err_set(e, ENOENT,
			"XDG_RUNTIME_DIR is not set, so there is no folder for control sockets; "
			"give a path with --ctl-socket");
	n = snprintf(ret, ORCH_SOCKET_PATH_MAX, "%s/openshell", run);
	return n > 0 && n < ORCH_SOCKET_PATH_MAX
		? 0
		: err_set(e, ENAMETOOLONG, "XDG_RUNTIME_DIR is too long");
}

bool orch_ctl_is_name(const char *name)
{
	static const char allowed[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
				      "0123456789._-";
	size_t len = strlen(name);

	return len > 0 && len <= ORCH_CTL_NAME_MAX && name[0] != '.' &&
		strspn(name, allowed) == len;
}

static int fill_address(
	const char *path, struct sockaddr_un *ret, socklen_t *ret_len, struct err *e)
{
	size_t len = strlen(path);

	*ret = (struct sockaddr_un){ .sun_family = AF_UNIX };
	if (len < 2 || len >= sizeof ret->sun_path)
		return err_set(e, ENAMETOOLONG, "%.40s...: a socket path has 2 to %zu bytes", path,
			sizeof ret->sun_path - 1);
	(void) memcpy(ret->sun_path, path, len);
	*ret_len = (socklen_t) (offsetof(struct sockaddr_un, sun_path) + len);
	if (path[0] == '@')
		ret->sun_path[0] = '\0';
	else
		*ret_len += 1;
	return 0;
}

int orch_ctl_connect(const char *path, int *ret_fd, struct err *e)
{
	AUTO_CLOSE int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	struct sockaddr_un a;
	socklen_t len;

	if (fd < 0)
		return err_set(e, errno, "make a socket: %s", strerror(errno));
	if (fill_address(path, &a, &len, e) < 0)
		return -e->code;
	/* A stream socket of the same name would refuse with EPROTOTYPE: it lives all the same. */
	if (connect(fd, (struct sockaddr *) &a, len) < 0)
		return err_set(e, errno, "connect to %s: %s", path, strerror(errno));
	*ret_fd = TAKE_FD(fd);
	return 0;
}

static int stem_len(const char *file)
{
	size_t len = strlen(file), suffix = sizeof SUFFIX - 1;

	return len > suffix && strcmp(file + len - suffix, SUFFIX) == 0 ? (int) (len - suffix) : 0;
}

/* true: a file that a dead sandbox left. */
static bool is_stale(const char *path)
{
	AUTO_CLOSE int fd = -1;
	struct err ignored = { 0 };
	int r = orch_ctl_connect(path, &fd, &ignored);

	return r == -ECONNREFUSED;
}

/* What sandboxes left that were killed; under the lock, so that nobody is between bind and listen. */
static void sweep(int folder, const char *path)
{
	DIR *d = fd_list(folder, ".");
	struct dirent *entry;
	int looked = 0;

	while (d && (entry = readdir(d)) && looked++ < ORCH_CTL_SANDBOXES_MAX) {
		char file[ORCH_SOCKET_PATH_MAX + sizeof entry->d_name];

		(void) snprintf(file, sizeof file, "%s/%s", path, entry->d_name);
		if (stem_len(entry->d_name) > 0 && strlen(file) < ORCH_SOCKET_PATH_MAX &&
			is_stale(file))
			(void) unlinkat(folder, entry->d_name, 0);
	}
	if (d)
		(void) closedir(d);
}

static int bind_file(int fd, const char *path, mode_t mode, struct err *e)
{
	struct sockaddr_un a;
	struct stat st;
	socklen_t len;
	mode_t mask;
	int r;

	if (fill_address(path, &a, &len, e) < 0)
		return -e->code;
	if (path[0] != '@' && lstat(path, &st) == 0) {
		if (!S_ISSOCK(st.st_mode))
			return err_set(e, EEXIST, "%s: is there already, and is no socket", path);
		if (!is_stale(path))
			return err_set(e, EADDRINUSE, "%s: somebody listens there already", path);
		(void) unlink(path);
	}
	mask = umask(0777 & ~mode);
	r = bind(fd, (struct sockaddr *) &a, len) < 0 ? errno : 0;
	(void) umask(mask);
	return r ? err_set(e, r, "bind %s: %s", path, strerror(r)) : 0;
}

static int lock_folder(int folder, const char *path, struct err *e)
{
	struct timespec pause = { 0, LOCK_PAUSE_MS * 1000000L };

	for (int waited = 0; flock(folder, LOCK_EX | LOCK_NB) < 0; waited += LOCK_PAUSE_MS) {
		if (errno != EWOULDBLOCK || waited > ORCH_CTL_LOCK_MS)
			return err_set(e, errno, "lock %s: %s", path, strerror(errno));
		(void) nanosleep(&pause, NULL);
	}
	return 0;
}

/* Ours alone: whoever could write it could put his own sockets there.  A folder that is named for us
 * (spec/process 10.1) is closed; one that others may use is refused. */
static int check_folder(int folder, const char *path, struct err *e)
{
	const char *base = strrchr(path, '/');
	struct stat st;

	if (fstat(folder, &st) < 0)
		return err_set(e, errno, "%s: %s", path, strerror(errno));
	if (base && strncmp(base + 1, "openshell", 9) == 0 && st.st_uid == geteuid() &&
		fchmod(folder, 0700) == 0)
		return 0;
	if (st.st_uid != geteuid() || (st.st_mode & 0077))
		return err_set(e, EPERM,
			"%s: must belong to uid %u with mode 0700; it has uid %u and mode %04o",
			path, (unsigned) geteuid(), (unsigned) st.st_uid,
			(unsigned) (st.st_mode & 07777));
	return 0;
}

static int open_folder(const char *path, int *ret_fd, struct err *e)
{
	AUTO_CLOSE int fd = -1;

	(void) mkdir(path, 0700); /* what fails shows when it is opened */
	fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
	if (fd < 0)
		return err_set(e, errno, "folder of control sockets %s: %s", path, strerror(errno));
	if (lock_folder(fd, path, e) < 0)
		return -e->code;
	*ret_fd = TAKE_FD(fd);
	return 0;
}

static int listen_in(
	const char *folder, const char *path, int type, struct orch_ctl_socket *ret, struct err *e)
{
	AUTO_CLOSE int lock = -1, fd = -1;

	if (open_folder(folder, &lock, e) < 0 || check_folder(lock, folder, e) < 0)
		return -e->code;
	sweep(lock, folder);
	fd = socket(AF_UNIX, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return err_set(e, errno, "make a socket: %s", strerror(errno));
	if (bind_file(fd, path, OWNER_ONLY, e) < 0)
		return -e->code;
	if (listen(fd, BACKLOG) < 0)
		return err_set(e, errno, "listen on %s: %s", path, strerror(errno));
	(void) snprintf(ret->path, sizeof ret->path, "%s", path);
	ret->fd = TAKE_FD(fd);
	return 0;
}

int orch_ctl_listen(const char *name, struct orch_ctl_socket *ret, struct err *e)
{
	char folder[ORCH_SOCKET_PATH_MAX], path[ORCH_SOCKET_PATH_MAX + sizeof SUFFIX];
	int n, r;

	*ret = (struct orch_ctl_socket){ .fd = -1 };
	if (orch_ctl_folder(folder, e) < 0)
		return -e->code;
	n = snprintf(path, sizeof path, "%s/%s" SUFFIX, folder, name);
	if (n < 0 || (size_t) n >= sizeof path)
		return err_set(
			e, ENAMETOOLONG, "control socket in %s: the path is too long", folder);
	/* Whoever ends takes the empty folder away: once more, then. */
	for (int i = 0; i < 3; i++) {
		r = listen_in(folder, path, SOCK_SEQPACKET, ret, e);
		if (r != -ENOENT)
			break;
	}
	if (r == -EADDRINUSE)
		return err_set(e, EADDRINUSE,
			"a sandbox named %s is running already; choose another --name", name);
	return r;
}

static int parent_of(const char *path, char ret[ORCH_SOCKET_PATH_MAX], struct err *e)
{
	const char *slash = strrchr(path, '/');

	if (path[0] != '/' || strlen(path) >= ORCH_SOCKET_PATH_MAX || slash == path)
		return err_set(e, EINVAL,
			"socket %.80s: needs an absolute path in a folder of its own, or @name",
			path);
	(void) snprintf(ret, ORCH_SOCKET_PATH_MAX, "%.*s", (int) (slash - path), path);
	return 0;
}

static void make_parents(const char *folder)
{
	char part[ORCH_SOCKET_PATH_MAX];

	for (const char *p = strchr(folder + 1, '/'); p; p = strchr(p + 1, '/')) {
		(void) snprintf(part, sizeof part, "%.*s", (int) (p - folder), folder);
		(void) mkdir(part, 0755); /* what fails shows when the folder is opened */
	}
}

/* In a folder as it is, or without one. */
static int listen_plain(
	const char *path, int type, mode_t mode, struct orch_ctl_socket *ret, struct err *e)
{
	AUTO_CLOSE int fd = socket(AF_UNIX, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	if (fd < 0)
		return err_set(e, errno, "make a socket: %s", strerror(errno));
	if (bind_file(fd, path, mode, e) < 0)
		return -e->code;
	if (listen(fd, BACKLOG) < 0)
		return err_set(e, errno, "listen on %s: %s", path, strerror(errno));
	ret->fd = TAKE_FD(fd);
	return 0;
}

int orch_ctl_listen_at(const char *path, int type, struct orch_ctl_socket *ret, struct err *e)
{
	char folder[ORCH_SOCKET_PATH_MAX];

	*ret = (struct orch_ctl_socket){ .fd = -1 };
	if (path[0] == '@')
		return listen_plain(path, type, OWNER_ONLY, ret, e);
	if (parent_of(path, folder, e) < 0)
		return -e->code;
	make_parents(folder);
	return listen_in(folder, path, type, ret, e);
}

int orch_ctl_listen_shared(const char *path, int type, struct orch_ctl_socket *ret, struct err *e)
{
	char folder[ORCH_SOCKET_PATH_MAX];

	*ret = (struct orch_ctl_socket){ .fd = -1, .shared = true };
	if (path[0] != '@') {
		if (parent_of(path, folder, e) < 0)
			return -e->code;
		make_parents(path);
	}
	if (listen_plain(path, type, GROUP_TOO, ret, e) < 0)
		return -e->code;
	if (path[0] != '@')
		(void) snprintf(ret->path, sizeof ret->path, "%s", path);
	return 0;
}

void orch_ctl_socket_done(struct orch_ctl_socket *s)
{
	char folder[ORCH_SOCKET_PATH_MAX];
	struct err ignored = { 0 };

	if (s->fd < 0)
		return;
	(void) close(s->fd);
	s->fd = -1;
	if (!s->path[0])
		return;
	(void) unlink(s->path);
	/* Not while another sandbox uses it: then it is not empty. */
	if (!s->shared && parent_of(s->path, folder, &ignored) == 0)
		(void) rmdir(folder);
}

void orch_ctl_sweep(const char *path)
{
	struct err ignored = { 0 };
	AUTO_CLOSE int folder = -1;

	folder = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
	if (folder < 0 || lock_folder(folder, path, &ignored) < 0)
		return;
	sweep(folder, path);
	(void) rmdir(path); /* fails while it is not empty */
}

void orch_ctl_remove_stale(const char *path)
{
	struct stat st;

	if (path && path[0] == '/' && strlen(path) < ORCH_SOCKET_PATH_MAX &&
		lstat(path, &st) == 0 && S_ISSOCK(st.st_mode) && is_stale(path))
		(void) unlink(path);
}

/* One name that is alive goes to *ret; the rest only to the list. */
static int look(DIR *d, const char *folder, char *ret, struct text *list)
{
	struct dirent *entry;
	int n = 0, looked = 0;

	while ((entry = readdir(d)) && looked++ < ORCH_CTL_SANDBOXES_MAX) {
		char path[ORCH_SOCKET_PATH_MAX + sizeof entry->d_name];
		AUTO_CLOSE int fd = -1;
		struct err ignored = { 0 };
		int len = stem_len(entry->d_name);

		(void) snprintf(path, sizeof path, "%s/%s", folder, entry->d_name);
		if (len == 0 || strlen(path) >= ORCH_SOCKET_PATH_MAX ||
			orch_ctl_connect(path, &fd, &ignored) < 0)
			continue;
		if (n++ == 0)
			(void) memcpy(ret, path, strlen(path) + 1);
		text_addf(list, "%s%.*s", n > 1 ? ", " : "", len, entry->d_name);
	}
	return n;
}

static int find_only(const char *folder, char ret[ORCH_SOCKET_PATH_MAX], struct err *e)
{
	char names[256];
	struct text list;
	DIR *d = opendir(folder);
	int n = 0;

	text_init(&list, names, sizeof names);
	if (d) {
		n = look(d, folder, ret, &list);
		(void) closedir(d);
	} else if (errno == EACCES) {
		return err_set(e, EACCES, "%s: %s; run this as the user who started the sandbox",
			folder, strerror(errno));
	}
	if (n == 0)
		return err_set(e, ENOENT,
			"no sandbox of this user is running (looked in %s); use sudo for one that "
			"root started, --socket for one elsewhere",
			folder);
	if (n > 1)
		return err_set(e, EINVAL,
			"several sandboxes are running; say which with --name: %s", names);
	return 0;
}

int orch_ctl_find(const char *name, char ret[ORCH_SOCKET_PATH_MAX], struct err *e)
{
	char folder[ORCH_SOCKET_PATH_MAX];
	int n;

	if (orch_ctl_folder(folder, e) < 0)
		return -e->code;
	if (!name)
		return find_only(folder, ret, e);
	if (!orch_ctl_is_name(name))
		return err_set(e, EINVAL, "'%.80s' is no name of a sandbox", name);
	n = snprintf(ret, ORCH_SOCKET_PATH_MAX, "%s/%s" SUFFIX, folder, name);
	return n > 0 && n < ORCH_SOCKET_PATH_MAX ? 0 : err_set(e, ENAMETOOLONG, "%s", name);
}
