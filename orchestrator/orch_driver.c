#include "orch_driver.h"
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <unistd.h>
#include "core_cleanup.h"
#include "core_log.h"
#include "orch_spawn.h"

#define COPY_TURN (1 << 20) /* bytes */

static const char *base_name(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash ? slash + 1 : path;
}

static int make_parents(const char *path, struct err *e)
{
	char part[PATH_MAX];

	for (const char *p = strchr(path + 1, '/'); p; p = strchr(p + 1, '/')) {
		(void) snprintf(part, sizeof part, "%.*s", (int) (p - path), path);
		if (mkdir(part, 0755) < 0 && errno != EEXIST)
			return err_set(e, errno, "make %s: %s", part, strerror(errno));
	}
	return 0;
}

static int copy_bytes(int from, int to, const char *name, struct err *e)
{
	ssize_t n;

	do
		n = sendfile(to, from, NULL, COPY_TURN);
	while (n > 0);
	if (n < 0)
		return err_set(e, errno, "write %s: %s", name, strerror(errno));
	/* The umask has no say. */
	return fchmod(to, 0755) < 0 ? err_set(e, errno, "mode of %s", name) : 0;
}

/* A new file beside the old one, then renamed over it: a running program keeps its own. */
static int copy_file(const char *from, const char *to, struct err *e)
{
	AUTO_CLOSE int in = open(from, O_RDONLY | O_CLOEXEC), out = -1;
	char name[PATH_MAX];

	if (in < 0)
		return err_set(e, errno, "open %s: %s", from, strerror(errno));
	if (snprintf(name, sizeof name, "%s.new", to) >= (int) sizeof name)
		return err_set(e, ENAMETOOLONG, "%.80s: too long", to);
	(void) unlink(name);
	out = open(name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0755);
	if (out < 0)
		return err_set(e, errno, "make %s: %s", name, strerror(errno));
	if (copy_bytes(in, out, name, e) < 0 || rename(name, to) < 0) {
		int code = e->code ? e->code : errno;

		(void) unlink(name);
		return e->code ? -code : err_set(e, code, "make %s: %s", to, strerror(code));
	}
	return 0;
}

static int copy_leaf(const char *self, const char *leaf, const char *dir, struct err *e)
{
	struct orch_places places = { .self = self, .libexec = OPENSHELL_LIBEXEC };
	AUTO_FREE char *path = NULL;
	char to[PATH_MAX];

	if (orch_spawn_find(&places, leaf, &path, e) < 0)
		return -e->code;
	if (snprintf(to, sizeof to, "%s/%s", dir, leaf) >= (int) sizeof to)
		return err_set(e, ENAMETOOLONG, "%.80s: too long", dir);
	return copy_file(path, to, e);
}

static int copy_all(const char *dest, struct err *e)
{
	AUTO_FREE char *self = NULL;
	char to[PATH_MAX], dir[PATH_MAX];
	struct stat st;
	bool is_dir = stat(dest, &st) == 0 && S_ISDIR(st.st_mode);
	char *slash;
	int n;

	if (orch_spawn_self(&self, e) < 0 || make_parents(dest, e) < 0)
		return -e->code;
	n = is_dir ? snprintf(to, sizeof to, "%s/%s", dest, base_name(self))
		   : snprintf(to, sizeof to, "%s", dest);
	if (n >= (int) sizeof to)
		return err_set(e, ENAMETOOLONG, "%.80s: too long", dest);
	(void) snprintf(dir, sizeof dir, "%s", to);
	slash = strrchr(dir, '/');
	if (slash)
		*slash = '\0';
	else
		(void) snprintf(dir, sizeof dir, ".");
	if (copy_file(self, to, e) < 0 || copy_leaf(self, ORCH_LEAF_PROCESS, dir, e) < 0)
		return -e->code;
	return copy_leaf(self, ORCH_LEAF_NETWORK, dir, e);
}

int orch_driver_copy(int argc, char **argv)
{
	struct err e = { 0 };

	if (argc != 1 || !argv[0][0])
		(void) err_set(&e, EINVAL, "usage: openshell-supervisor copy-self DEST");
	else
		(void) copy_all(argv[0], &e);
	if (!e.code)
		return 0;
	(void) log_fatal(&e);
	return e.code == EINVAL ? 2 : 1;
}

/* The process leaf knows how; this name is the one that drivers call.  argv[0] is the word. */
int orch_driver_validate(char **argv)
{
	struct orch_places places = { .libexec = OPENSHELL_LIBEXEC };
	AUTO_FREE char *self = NULL, *path = NULL;
	struct err e = { 0 };

	if (orch_spawn_self(&self, &e) < 0)
		return log_fatal(&e);
	places.self = self;
	if (orch_spawn_find(&places, ORCH_LEAF_PROCESS, &path, &e) < 0)
		return log_fatal(&e);
	/* argv[-1] is our own name, whose place the leaf's takes. */
	argv[-1] = path;
	(void) execv(path, argv - 1);
	(void) err_set(&e, errno, "%s", path);
	return log_fatal(&e);
}
