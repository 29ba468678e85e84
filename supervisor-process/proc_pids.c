#include "proc_pids.h"
#include <fcntl.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>
#include "core_cleanup.h"
#include "core_text.h"

enum proc_pids proc_pids_parse(const char *text, size_t len)
{
	uint64_t value;

	while (len && (text[len - 1] == '\n' || text[len - 1] == ' '))
		len--;
	if (text_ieq(text, len, "max", 3))
		return PROC_PIDS_UNLIMITED;
	return text_to_u64(text, len, 0, UINT64_MAX, &value) == 0 ? PROC_PIDS_LIMITED
								  : PROC_PIDS_UNAVAILABLE;
}

static enum proc_pids read_file(const char *path)
{
	AUTO_CLOSE int fd = open(path, O_RDONLY | O_CLOEXEC);
	char text[64];
	ssize_t n = fd < 0 ? -1 : read(fd, text, sizeof text);

	return n <= 0 ? PROC_PIDS_UNAVAILABLE : proc_pids_parse(text, (size_t) n);
}

/* The limit of any group above counts as well; the first one that is found decides. */
static enum proc_pids look_up(const char *root, const char *group)
{
	enum proc_pids best = PROC_PIDS_UNAVAILABLE;
	char at[PATH_MAX / 2], path[PATH_MAX];

	(void) snprintf(at, sizeof at, "%s", group);
	for (;;) {
		enum proc_pids here;
		char *slash;

		(void) snprintf(path, sizeof path, "%s%s/pids.max", root, at);
		here = read_file(path);
		if (here == PROC_PIDS_LIMITED)
			return here;
		if (here == PROC_PIDS_UNLIMITED)
			best = here;
		slash = strrchr(at, '/');
		if (!slash)
			return best;
		*slash = '\0';
	}
}

/* "0::/path" (version 2), or "N:pids:/path" below its own folder. */
static bool group_of(char *line, const char **ret_folder, const char **ret_path)
{
	char *controllers = strchr(line, ':'),
	     *path = controllers ? strchr(controllers + 1, ':') : NULL;

	if (!path)
		return false;
	*path++ = '\0';
	controllers++;
	*ret_path = strcmp(path, "/") == 0 ? "" : path;
	*ret_folder = *controllers ? "/pids" : "";
	return !*controllers || strcmp(controllers, "pids") == 0;
}

enum proc_pids proc_pids_look(const char *cgroup, const char *root)
{
	AUTO_CLOSE int fd = open(cgroup, O_RDONLY | O_CLOEXEC);
	enum proc_pids best = PROC_PIDS_UNAVAILABLE;
	char text[PROC_PIDS_LINE_MAX], *save = NULL;
	ssize_t n = fd < 0 ? -1 : read(fd, text, sizeof text - 1);

	text[n > 0 ? n : 0] = '\0';
	for (char *line = strtok_r(text, "\n", &save); line; line = strtok_r(NULL, "\n", &save)) {
		const char *folder, *path;
		char base[PATH_MAX / 4];
		enum proc_pids here;

		if (!group_of(line, &folder, &path))
			continue;
		(void) snprintf(base, sizeof base, "%s%s", root, folder);
		here = look_up(base, path);
		if (here == PROC_PIDS_LIMITED)
			return here;
		if (here == PROC_PIDS_UNLIMITED)
			best = here;
	}
	return best;
}

const char *proc_pids_text(enum proc_pids p)
{
	return p == PROC_PIDS_LIMITED	   ? "limited"
		: p == PROC_PIDS_UNLIMITED ? "the number of processes is not limited"
					   : "no limit on the number of processes can be read";
}
