#include <errno.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <unistd.h>
#include "orch_limits.h"
#include "orch_watch.h"

#define EVENTS_MASK (IN_CLOSE_WRITE | IN_MOVED_TO | IN_ONLYDIR)
#define READ_BYTES 16384

struct file {
	int wd;
	bool itself; /* the file is watched, not its folder */
	char name[NAME_MAX + 1];
	orch_watch_fn fn;
	void *owner;
	bool touched;
};

struct orch_watch {
	int fd;
	struct loop_io *io;
	struct file files[ORCH_WATCHED_MAX];
	size_t n;
};

static bool is_about(const struct inotify_event *ev, const struct file *f)
{
	if (f->itself)
		return ev->len == 0;
	return ev->len && (!f->name[0] || strcmp(ev->name, f->name) == 0);
}

static void touch(struct orch_watch *w, const struct inotify_event *ev)
{
	for (size_t i = 0; i < w->n; i++) {
		struct file *f = &w->files[i];

		/* An overflow may have swallowed anything. */
		if ((ev->mask & IN_Q_OVERFLOW) || (ev->wd == f->wd && is_about(ev, f)))
			f->touched = true;
	}
}

static void read_events(struct orch_watch *w)
{
	char buf[READ_BYTES] __attribute__((aligned(__alignof__(struct inotify_event))));
	ssize_t n;

	while ((n = read(w->fd, buf, sizeof buf)) > 0)
		for (ssize_t at = 0; at < n;) {
			const struct inotify_event *ev = (const void *) (buf + at);

			touch(w, ev);
			at += (ssize_t) (sizeof *ev + ev->len);
		}
}

static void on_ready(void *owner, int fd, unsigned ready)
{
	struct orch_watch *w = owner;

	(void) fd;
	(void) ready;
	read_events(w);
	for (size_t i = 0; i < w->n; i++) {
		struct file *f = &w->files[i];

		if (!f->touched)
			continue;
		/* A link and its target report once. */
		for (size_t j = i; j < w->n; j++)
			if (w->files[j].fn == f->fn && w->files[j].owner == f->owner)
				w->files[j].touched = false;
		f->fn(f->owner);
	}
}

int orch_watch_new(struct loop *l, struct orch_watch **ret, struct err *e)
{
	AUTO(orch_watch_free) struct orch_watch *w = calloc(1, sizeof *w);
	int r;

	if (!w)
		return err_set(e, ENOMEM, "watch files: out of memory");
	w->fd = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
	if (w->fd < 0)
		return err_set(e, errno, "watch files: inotify: %s", strerror(errno));
	if ((r = loop_io_new(l, w->fd, on_ready, w, &w->io, e)) < 0)
		return r;
	if (loop_io_watch(w->io, LOOP_READ) < 0)
		return err_set(e, EIO, "watch files: the event loop refused the descriptor");
	*ret = TAKE_PTR(w);
	return 0;
}

static int add_one(struct orch_watch *w, const char *dir, const char *name, const struct file *like,
	struct err *e)
{
	struct file *f = &w->files[w->n];

	if (w->n == ORCH_WATCHED_MAX)
		return err_set(e, ENOSPC, "watch %s: too many files", name);
	if (strlen(name) > NAME_MAX)
		return err_set(e, ENAMETOOLONG, "watch %.80s: name too long", name);
	*f = *like;
	(void) snprintf(f->name, sizeof f->name, "%s", name);
	f->wd = inotify_add_watch(w->fd, dir, EVENTS_MASK);
	if (f->wd < 0)
		return err_set(e, errno, "watch %s: %s", dir, strerror(errno));
	w->n++;
	return 0;
}

/* Written in place through another name: a container's resolv.conf, hosts and often its policy are
 * single files mounted from the host, of which their folder here learns nothing. */
static int add_itself(
	struct orch_watch *w, const char *path, const struct file *like, struct err *e)
{
	struct file *f = &w->files[w->n];
	int wd = inotify_add_watch(w->fd, path, IN_CLOSE_WRITE);

	if (wd < 0)
		return 0; /* it does not exist yet */
	if (w->n == ORCH_WATCHED_MAX)
		return err_set(e, ENOSPC, "watch %s: too many files", path);
	*f = *like;
	f->wd = wd;
	f->itself = true;
	w->n++;
	return 0;
}

int orch_watch_add(struct orch_watch *w, int dir_fd, const char *path, orch_watch_fn fn,
	void *owner, struct err *e)
{
	const struct file like = { .fn = fn, .owner = owner };
	const char *slash = strrchr(path, '/'), *name = slash ? slash + 1 : path;
	char dir[PATH_MAX], target[PATH_MAX];
	char *end;
	int r;

	if (dir_fd >= 0)
		(void) snprintf(dir, sizeof dir, "/proc/self/fd/%d", dir_fd);
	else
		(void) snprintf(dir, sizeof dir, "%.*s", slash ? (int) (slash - path) : 1,
			slash ? path : ".");
	if ((r = add_one(w, *dir ? dir : "/", name, &like, e)) < 0)
		return r;
	(void) snprintf(
		target, sizeof target, "%.*s/%s", (int) (sizeof target - NAME_MAX - 2), dir, name);
	if (*name && (r = add_itself(w, dir_fd >= 0 ? target : path, &like, e)) < 0)
		return r;
	if (dir_fd >= 0)
		return 0;
	if (!realpath(path, target) || strcmp(target, path) == 0 || !(end = strrchr(target, '/')))
		return 0;
	*end = '\0';
	return add_one(w, *target ? target : "/", end + 1, &like, e);
}

void orch_watch_free(struct orch_watch *w)
{
	if (!w)
		return;
	loop_io_free(w->io);
	if (w->fd >= 0)
		(void) close(w->fd);
	free(w);
}
