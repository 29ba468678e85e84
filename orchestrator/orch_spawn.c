#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include "core_channel.h"
#include "core_cleanup.h"
#include "ipc_common.h"
#include "orch_spawn.h"

#define PATH_BYTES 4096

int orch_spawn_self(char **ret, struct err *e)
{
	char path[PATH_BYTES];
	ssize_t n = readlink("/proc/self/exe", path, sizeof path - 1);

	if (n < 0)
		return err_set(
			e, errno, "read /proc/self/exe; is /proc mounted?: %s", strerror(errno));
	path[n] = '\0';
	*ret = strdup(path);
	return *ret ? 0 : err_set(e, ENOMEM, "out of memory");
}

static int check_file(const char *path, const struct orch_places *p, struct err *e)
{
	struct stat st, self = { 0 };

	if (stat(path, &st) < 0)
		return err_set(e, errno, "%s: %s", path, strerror(errno));
	if (!S_ISREG(st.st_mode) || access(path, X_OK) < 0)
		return err_set(e, EACCES, "%s: not an executable file", path);
	if (st.st_mode & (S_IWGRP | S_IWOTH))
		return err_set(
			e, EPERM, "%s: writable by its group or by everybody; chmod go-w it", path);
	if (p->self)
		(void) stat(p->self, &self); /* stays root when it can't be read */
	if (st.st_uid != 0 && st.st_uid != getuid() && st.st_uid != self.st_uid)
		return err_set(e, EPERM,
			"%s: owned by uid %u, who could replace it; it must belong to root or to "
			"the owner of this program",
			path, (unsigned) st.st_uid);
	return 0;
}

/* build/orchestrator/openshell-supervisor -> build/supervisor-process/NAME; the SSH session program
 * is a part of the process leaf. */
static int beside(const char *self, const char *name, char *ret, size_t size)
{
	const char *slash = strrchr(self, '/');
	const char *leaf = strcmp(name, ORCH_SSH_PROGRAM) == 0 ? ORCH_LEAF_PROCESS : name;
	const char *folder = leaf + strlen("openshell-");
	int n;

	if (!slash)
		return -ENOENT;
	n = snprintf(ret, size, "%.*s/../%s/%s", (int) (slash - self), self, folder, name);
	return n > 0 && (size_t) n < size ? 0 : -ENAMETOOLONG;
}

/* Next to our executable, as copy-self leaves it. */
static int with(const char *self, const char *name, char *ret, size_t size)
{
	const char *slash = strrchr(self, '/');
	int n = slash ? snprintf(ret, size, "%.*s/%s", (int) (slash - self), self, name) : -1;

	return n > 0 && (size_t) n < size ? 0 : -ENAMETOOLONG;
}

static int in_dir(const char *dir, const char *name, char *ret, size_t size)
{
	int n = snprintf(ret, size, "%s/%s", dir, name);

	return n > 0 && (size_t) n < size ? 0 : -ENAMETOOLONG;
}

static int take(const char *path, const struct orch_places *p, char **ret, struct err *e)
{
	int r = check_file(path, p, e);

	if (r < 0)
		return r;
	*ret = strdup(path);
	return *ret ? 0 : err_set(e, ENOMEM, "out of memory");
}

int orch_spawn_find(const struct orch_places *p, const char *name, char **ret, struct err *e)
{
	char path[PATH_BYTES];

	if (p->leaf_dir) {
		if (in_dir(p->leaf_dir, name, path, sizeof path) < 0)
			return err_set(e, ENAMETOOLONG, "--leaf-dir is too long");
		if (take(path, p, ret, e) < 0)
			return err_wrap(e, "--leaf-dir");
		return 0;
	}
	if (beside(p->self, name, path, sizeof path) == 0 && access(path, F_OK) == 0)
		return take(path, p, ret, e);
	if (with(p->self, name, path, sizeof path) == 0 && access(path, F_OK) == 0)
		return take(path, p, ret, e);
	if (in_dir(p->libexec, name, path, sizeof path) == 0 && access(path, F_OK) == 0)
		return take(path, p, ret, e);
	return err_set(e, ENOENT,
		"%s is neither beside %s, as a build or copy-self leaves it, nor in %s; install it "
		"or give its "
		"folder with --leaf-dir",
		name, p->self, p->libexec);
}

static int actions_fill(posix_spawn_file_actions_t *a, int end)
{
	int r;

	/* dup2 onto itself would keep close-on-exec; posix_spawn(3) clears it then. */
	if ((r = posix_spawn_file_actions_addopen(a, 0, "/dev/null", O_RDONLY, 0)) ||
		(r = posix_spawn_file_actions_addopen(a, 1, "/dev/null", O_WRONLY, 0)) ||
		(r = posix_spawn_file_actions_adddup2(a, end, IPC_FD)))
		return -r;
	return -posix_spawn_file_actions_addclosefrom_np(a, IPC_FD + 1);
}

static int attributes_fill(posix_spawnattr_t *a)
{
	sigset_t none, all;
	int r;

	(void) sigemptyset(&none);
	(void) sigfillset(&all);
	if ((r = posix_spawnattr_setflags(
		     a, POSIX_SPAWN_SETSID | POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF)) ||
		(r = posix_spawnattr_setsigmask(a, &none)))
		return -r;
	return -posix_spawnattr_setsigdefault(a, &all);
}

static int spawn(const struct orch_program *p, int end, char *const *environment, pid_t *ret)
{
	posix_spawn_file_actions_t actions;
	posix_spawnattr_t attributes;
	char *argv[ORCH_LEAF_ARGS_MAX + 2] = { strrchr(p->path, '/') + 1 };
	int r;

	if (posix_spawn_file_actions_init(&actions) != 0)
		return -ENOMEM;
	if (posix_spawnattr_init(&attributes) != 0) {
		(void) posix_spawn_file_actions_destroy(&actions);
		return -ENOMEM;
	}
	for (int i = 0; i < ORCH_LEAF_ARGS_MAX; i++)
		argv[i + 1] = (char *) (uintptr_t) p->args[i];
	r = actions_fill(&actions, end);
	if (r == 0)
		r = attributes_fill(&attributes);
	if (r == 0)
		r = -posix_spawn(ret, p->path, &actions, &attributes, argv, environment);
	(void) posix_spawnattr_destroy(&attributes);
	(void) posix_spawn_file_actions_destroy(&actions);
	return r;
}

int orch_spawn_leaf_at(const struct orch_program *p, enum log_level level, int end, pid_t *ret_pid)
{
	static const char *const levels[] = { "error", "warn", "info", "debug" };
	char level_var[64], path_var[] = "PATH=/usr/sbin:/usr/bin:/sbin:/bin",
			    lang[] = "LANG=C.UTF-8";
	char *environment[] = { path_var, lang, level_var, NULL, NULL };

#ifdef __SANITIZE_ADDRESS__
	/* A leaf is not dumpable, which the leak checker takes for a debugger. */
	char asan[] = "ASAN_OPTIONS=detect_leaks=0";
	environment[3] = asan;
#endif
	(void) snprintf(level_var, sizeof level_var, "OPENSHELL_LOG_LEVEL=%s", levels[level]);
	return spawn(p, end, environment, ret_pid);
}

int orch_spawn_leaf(const struct orch_program *p, enum log_level level, pid_t *ret_pid, int *ret_fd,
	struct err *e)
{
	int pair[2], r;

	if ((r = channel_pair(pair, e)) < 0)
		return err_wrap(e, "start %s", p->path);
	r = orch_spawn_leaf_at(p, level, pair[1], ret_pid);
	(void) close(pair[1]);
	if (r < 0) {
		(void) close(pair[0]);
		return err_set(e, -r, "start %s: %s", p->path, strerror(-r));
	}
	*ret_fd = pair[0];
	return 0;
}
