#include "core_procfs.h"
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include "core_cleanup.h"
#include "core_fd.h"
#include "core_text.h"

#define STAT_TEXT_MAX 1024 /* bytes of /proc/PID/stat; the kernel writes about 330 */
#define CHILDREN_TEXT_MAX 65536
#define STATUS_TEXT_MAX 4096
#define DELETED " (deleted)"

/* One read(2) of a small proc file; returns its length. */
static ssize_t read_file(int proc_fd, pid_t pid, const char *name, char *buf, size_t size)
{
	char path[64];
	ssize_t n;

	(void) snprintf(path, sizeof path, "%d/%s", (int) pid, name);
	AUTO_CLOSE int fd = openat(proc_fd, path, O_RDONLY | O_CLOEXEC);

	if (fd < 0)
		return -errno;
	n = read(fd, buf, size - 1);
	if (n < 0)
		return -errno;
	buf[n] = '\0';
	return n;
}

/* comm may hold blanks and parentheses, so the fields are counted from the last ')'. */
int procfs_stat_parse(const char *text, size_t len, struct procfs_stat *ret)
{
	const char *p = memrchr(text, ')', len), *end = text + len;
	uint64_t value, parent = 0;
	char state = 0;

	if (!p)
		return -EBADMSG;
	p++;
	for (int field = 3; field <= 22; field++) {
		const char *word;

		while (p < end && *p == ' ')
			p++;
		word = p;
		while (p < end && *p != ' ' && *p != '\n')
			p++;
		if (word == p)
			return -EBADMSG;
		if (field == 3)
			state = *word;
		if (field == 4 && text_to_u64(word, (size_t) (p - word), 0, INT32_MAX, &parent) < 0)
			return -EBADMSG;
		if (field == 22) {
			if (text_to_u64(word, (size_t) (p - word), 0, UINT64_MAX, &value) < 0)
				return -EBADMSG;
			*ret = (struct procfs_stat){ (pid_t) parent, value, state };
			return 0;
		}
	}
	return -EBADMSG;
}

int procfs_stat(int proc_fd, pid_t pid, struct procfs_stat *ret, struct err *e)
{
	char text[STAT_TEXT_MAX];
	ssize_t n = read_file(proc_fd, pid, "stat", text, sizeof text);

	if (n < 0)
		return err_set(e, (int) -n, "read stat of process %d", (int) pid);
	if (procfs_stat_parse(text, (size_t) n, ret) < 0)
		return err_set(e, EBADMSG, "stat of process %d is malformed", (int) pid);
	return 0;
}

int procfs_exe(int proc_fd, pid_t pid, char ret[PROCFS_PATH_MAX], struct err *e)
{
	size_t mark = sizeof DELETED - 1;
	struct stat st;
	char path[64];
	ssize_t n;

	(void) snprintf(path, sizeof path, "%d/exe", (int) pid);
	n = readlinkat(proc_fd, path, ret, PROCFS_PATH_MAX);
	if (n < 0)
		return err_set(e, errno, "read the executable of process %d", (int) pid);
	if (n >= PROCFS_PATH_MAX)
		return err_set(e, ENAMETOOLONG, "path of the executable of process %d", (int) pid);
	ret[n] = '\0';
	if ((size_t) n > mark && strcmp(ret + n - mark, DELETED) == 0 && lstat(ret, &st) < 0)
		ret[(size_t) n - mark] = '\0';
	return 0;
}

static int add_children(char *text, pid_t *ret, size_t max, int n)
{
	char *p = text;

	while (*p) {
		size_t digits = strspn(p, "0123456789");
		uint64_t value;

		if (digits == 0) {
			p++;
			continue;
		}
		if (text_to_u64(p, digits, 1, INT32_MAX, &value) == 0 && (size_t) n < max)
			ret[n++] = (pid_t) value;
		p += digits;
	}
	return n;
}

int procfs_children(int proc_fd, pid_t pid, pid_t *ret, size_t max, struct err *e)
{
	AUTO_FREE char *text = malloc(CHILDREN_TEXT_MAX);
	char path[64];
	DIR *d;
	int n = 0;

	if (!text)
		return err_set(e, ENOMEM, "children");
	(void) snprintf(path, sizeof path, "%d/task", (int) pid);
	d = fd_list(proc_fd, path);
	if (!d)
		return err_set(e, errno, "list threads of process %d", (int) pid);
	for (struct dirent *t; (t = readdir(d));) {
		char name[300];

		if (t->d_name[0] < '0' || t->d_name[0] > '9')
			continue;
		(void) snprintf(name, sizeof name, "task/%.16s/children", t->d_name);
		if (read_file(proc_fd, pid, name, text, CHILDREN_TEXT_MAX) > 0)
			n = add_children(text, ret, max, n);
	}
	(void) closedir(d);
	return n;
}

int procfs_uid(int proc_fd, pid_t pid, uint32_t *ret, struct err *e)
{
	char path[32];
	struct stat st;

	(void) snprintf(path, sizeof path, "%d/task", (int) pid);
	if (fstatat(proc_fd, path, &st, 0) < 0)
		return err_set(e, errno, "look at process %d", (int) pid);
	*ret = st.st_uid;
	return 0;
}

int procfs_cmdline_paths(
	int proc_fd, pid_t pid, char *ret, size_t max, size_t *ret_len, struct err *e)
{
	char text[PROCFS_CMDLINE_MAX];
	ssize_t n = read_file(proc_fd, pid, "cmdline", text, sizeof text);
	size_t used = 0;

	if (n < 0)
		return err_set(e, (int) -n, "read command line of process %d", (int) pid);
	for (char *p = text; p < text + n; p += strlen(p) + 1) {
		size_t len = strlen(p);

		if (p[0] != '/' || used + len + 1 > max)
			continue;
		(void) memcpy(ret + used, p, len + 1);
		used += len + 1;
	}
	*ret_len = used;
	return 0;
}
