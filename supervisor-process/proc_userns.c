#include "proc_userns.h"
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>
#include "core_cleanup.h"
#include "core_fd.h"

#define SETTING_BYTES 32

/* The value of a file in /proc/sys; -1 when there is no such setting. */
static int setting(const char *path)
{
	AUTO_CLOSE int fd = open(path, O_RDONLY | O_CLOEXEC);
	char text[SETTING_BYTES];
	ssize_t n = fd < 0 ? -1 : read(fd, text, sizeof text);

	return n < 1 ? -1 : n == 2 && text[1] == '\n' ? text[0] - '0' : 1;
}

static const char *remedy(void)
{
	if (setting("/proc/sys/kernel/unprivileged_userns_clone") == 0)
		return "sysctl -w kernel.unprivileged_userns_clone=1 allows it";
	if (setting("/proc/sys/user/max_user_namespaces") == 0)
		return "sysctl -w user.max_user_namespaces=1000 allows it";
	if (setting("/proc/sys/kernel/apparmor_restrict_unprivileged_userns") > 0)
		return "sysctl -w kernel.apparmor_restrict_unprivileged_userns=0, or an AppArmor "
		       "profile with 'userns' for this program, allows it";
	return "an outer sandbox or a security module forbids it; let that allow unshare(2) of "
	       "user "
	       "namespaces";
}

static int refused(int code, const char *what, struct err *e)
{
	return err_set(e, code,
		"without root a user namespace is needed, and this host refuses it (%s: %s): %s, "
		"or "
		"start as root",
		what, strerror(code), remedy());
}

static int write_proc(const char *path, const char *text, struct err *e)
{
	AUTO_CLOSE int fd = open(path, O_WRONLY | O_CLOEXEC);

	if (fd < 0 || write(fd, text, strlen(text)) != (ssize_t) strlen(text))
		return refused(errno, path, e);
	return 0;
}

static int map_ids(uid_t uid, gid_t gid, struct err *e)
{
	char uids[64], gids[64];

	(void) snprintf(uids, sizeof uids, "%u %u 1\n", uid, uid);
	(void) snprintf(gids, sizeof gids, "%u %u 1\n", gid, gid);
	/* "deny" comes first: an unprivileged gid_map is refused otherwise (CVE-2014-8989). */
	if (write_proc("/proc/self/setgroups", "deny", e) < 0 ||
		write_proc("/proc/self/uid_map", uids, e) < 0)
		return -e->code;
	return write_proc("/proc/self/gid_map", gids, e);
}

int proc_userns_enter(struct err *e)
{
	uid_t uid = geteuid();
	gid_t gid = getegid();
	int r;

	if (unshare(CLONE_NEWUSER) < 0)
		return refused(errno, "unshare", e);
	/* Files in /proc of a process that is not dumpable belong to the host's root. */
	if (prctl(PR_SET_DUMPABLE, 1, 0, 0, 0) < 0)
		return err_set(e, errno, "prepare the user namespace");
	r = map_ids(uid, gid, e);
	if (prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) < 0)
		return err_set(e, errno, "make the process not dumpable");
	return r;
}

int proc_userns_user(
	const char *passwd_path, const char *group_path, struct proc_user *ret, struct err *e)
{
	struct proc_user_input in = { .policy_user = "",
		.policy_group = "",
		.has_invoker = true,
		.invoker_uid = geteuid(),
		.invoker_gid = getegid(),
		.passwd_path = passwd_path,
		.group_path = group_path };

	if (proc_user_resolve(&in, ret, e) < 0)
		return -e->code;
	ret->identity.keep_ids = true;
	ret->identity.n_groups = 0; /* setgroups(2) is not ours to call; they stay */
	return 0;
}
