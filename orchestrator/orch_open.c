#include "orch_open.h"
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>
#include "core_cleanup.h"

struct walk {
	int dir;	     /* owned */
	char rest[PATH_MAX]; /* still to go, from dir */
	const struct orch_owners *owners;
	unsigned links;
};

static bool is_owner(const struct orch_owners *o, uid_t uid)
{
	for (size_t i = 0; i < o->n; i++)
		if (o->at[i] == uid)
			return true;
	return false;
}

static int check_folder(const struct walk *w, struct err *e)
{
	struct statvfs fs;
	struct stat st;

	if (fstat(w->dir, &st) < 0)
		return err_set(e, errno, "look at a folder: %s", strerror(errno));
	if (fstatvfs(w->dir, &fs) == 0 && (fs.f_flag & ST_RDONLY))
		return 0;
	if (is_owner(w->owners, st.st_uid) && !(st.st_mode & (S_IWGRP | S_IWOTH)))
		return 0;
	return err_set(e, EPERM,
		"is a symbolic link, and somebody else could change a folder on its way; give "
		"the path of the file itself");
}

/* The first component of rest, taken off. */
static void take_name(struct walk *w, char name[NAME_MAX + 1])
{
	const char *at = w->rest + strspn(w->rest, "/");
	size_t n = strcspn(at, "/");

	(void) snprintf(name, NAME_MAX + 1, "%.*s", (int) (n > NAME_MAX ? NAME_MAX : n), at);
	at += n;
	at += strspn(at, "/");
	(void) memmove(w->rest, at, strlen(at) + 1);
}

static int follow(struct walk *w, const char *name, const struct stat *st, struct err *e)
{
	char target[PATH_MAX], all[PATH_MAX];
	ssize_t n = readlinkat(w->dir, name, target, sizeof target - 1);

	if (n <= 0)
		return err_set(e, n < 0 ? errno : EINVAL, "follow a symbolic link");
	target[n] = '\0';
	if (!is_owner(w->owners, st->st_uid))
		return err_set(e, EPERM,
			"is a symbolic link of somebody else's; give the path of the file itself");
	if (++w->links > ORCH_OPEN_LINKS_MAX)
		return err_set(
			e, ELOOP, "goes through more than %d symbolic links", ORCH_OPEN_LINKS_MAX);
	if ((size_t) snprintf(all, sizeof all, "%s/%s", target, w->rest) >= sizeof all)
		return err_set(e, ENAMETOOLONG, "its symbolic links are too long");
	(void) memcpy(w->rest, all, strlen(all) + 1);
	if (target[0] != '/')
		return 0;
	core_closep(&w->dir);
	w->dir = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);
	return w->dir < 0 ? err_set(e, errno, "open the root folder") : 0;
}

static int descend(struct walk *w, const char *name, struct err *e)
{
	int next = openat(w->dir, name, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);

	if (next < 0)
		return err_set(e, errno, "%s", strerror(errno));
	core_closep(&w->dir);
	w->dir = next;
	return 0;
}

/* 1 when *ret_fd is the file. */
static int step(struct walk *w, int *ret_fd, struct err *e)
{
	char name[NAME_MAX + 1];
	struct stat st;

	if (check_folder(w, e) < 0)
		return -e->code;
	take_name(w, name);
	if (!name[0])
		return err_set(e, EISDIR, "is a folder");
	if (fstatat(w->dir, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return err_set(e, errno, "%s", strerror(errno));
	if (S_ISLNK(st.st_mode))
		return follow(w, name, &st, e);
	if (w->rest[0])
		return descend(w, name, e);
	*ret_fd = openat(w->dir, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY);
	return *ret_fd < 0 ? err_set(e, errno, "%s", strerror(errno)) : 1;
}

int orch_open_linked(
	int dir, const char *name, const struct orch_owners *owners, int *ret_fd, struct err *e)
{
	struct walk w = { .dir = openat(dir, ".", O_PATH | O_DIRECTORY | O_CLOEXEC),
		.owners = owners };
	int r;

	if (w.dir < 0)
		return err_set(e, errno, "%s", strerror(errno));
	(void) snprintf(w.rest, sizeof w.rest, "%s", name);
	do
		r = step(&w, ret_fd, e);
	while (r == 0);
	core_closep(&w.dir);
	return r < 0 ? r : 0;
}
