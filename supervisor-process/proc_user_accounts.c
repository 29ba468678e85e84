/* proc_user_accounts.c - rewriting of the account "sandbox" (spec/process 7.3, GAP-19). */
#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include "core_cleanup.h"
#include "core_fd.h"
#include "proc_user.h"

#define PREFIX "sandbox:"

#define GROWTH_MAX 32 /* bytes that new numbers may add to a line */

struct rewrite {
	char *out;
	size_t len, size;
	bool found; /* a line of that name, well formed or not */
};

static size_t count_colons(const char *line, size_t len)
{
	size_t n = 0;

	for (size_t i = 0; i < len; i++)
		n += line[i] == ':';
	return n;
}

/* rewrite_file() has made room for every line at its longest. */
static void add(struct rewrite *r, const char *s, size_t len)
{
	assert(r->len + len <= r->size);
	(void) memcpy(r->out + r->len, s, len);
	r->len += len;
}

/* name:x:OLD:OLD:rest with new numbers; n_numbers is 2 for passwd, 1 for group. */
static void add_renumbered(
	struct rewrite *r, const char *line, size_t len, const char *numbers, size_t n_numbers)
{
	const char *end = line + len, *p = line;

	for (size_t colons = 0; colons < 2 && p < end; p++)
		colons += *p == ':';
	add(r, line, (size_t) (p - line));
	add(r, numbers, strlen(numbers));
	for (size_t colons = 0; p < end; p++) {
		colons += *p == ':';
		if (colons == n_numbers) {
			add(r, p, (size_t) (end - p));
			return;
		}
	}
}

static void rewrite_lines(
	struct rewrite *r, const char *text, size_t len, const char *numbers, bool passwd)
{
	const char *at = text, *end = text + len;

	while (at < end) {
		const char *stop = memchr(at, '\n', (size_t) (end - at));
		size_t n = (size_t) ((stop ? stop + 1 : end) - at);
		bool ours = n > sizeof PREFIX - 1 && memcmp(at, PREFIX, sizeof PREFIX - 1) == 0;

		if (ours && count_colons(at, n) >= (passwd ? 6u : 3u))
			add_renumbered(r, at, n, numbers, passwd ? 2 : 1);
		else
			add(r, at, n);
		r->found |= ours;
		at += n;
	}
}

static int write_new(
	const char *path, const struct stat *old, const char *text, size_t len, struct err *e)
{
	AUTO_CLOSE int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);

	if (fd < 0)
		return err_set(e, errno, "write %s", path);
	if (fd_write_all(fd, text, len, e) < 0)
		return err_wrap(e, "write %s", path);
	if (fchmod(fd, old->st_mode & 07777) < 0 || fchown(fd, old->st_uid, old->st_gid) < 0 ||
		fsync(fd) < 0)
		return err_set(e, errno, "write %s", path);
	return 0;
}

/* A file that a runtime has mounted by itself can't be renamed over.  No untrusted process runs
 * yet, so writing it in place is safe, only not atomic. */
static int write_in_place(const char *path, const char *text, size_t len, struct err *e)
{
	AUTO_CLOSE int fd = open(path, O_WRONLY | O_TRUNC | O_NOFOLLOW | O_CLOEXEC);

	if (fd < 0)
		return err_set(e, errno, "write %s", path);
	return fd_write_all(fd, text, len, e);
}

static int replace(const char *path, const char *text, size_t len, struct err *e)
{
	char temporary[PATH_MAX];
	struct stat st;
	int code;

	if (lstat(path, &st) < 0 || !S_ISREG(st.st_mode))
		return err_set(e, EINVAL, "%s is not a regular file; it is left alone", path);
	(void) snprintf(temporary, sizeof temporary, "%s.openshell-new", path);
	(void) unlink(temporary);
	if (write_new(temporary, &st, text, len, e) < 0) {
		(void) unlink(temporary);
		return -e->code;
	}
	if (rename(temporary, path) == 0)
		return 0;
	code = errno;
	(void) unlink(temporary);
	return code == EBUSY ? write_in_place(path, text, len, e)
			     : err_set(e, code, "replace %s", path);
}

static size_t count_lines(const char *text, size_t len)
{
	size_t n = 1;

	for (size_t i = 0; i < len; i++)
		n += text[i] == '\n';
	return n;
}

static int rewrite_file(
	const char *path, const char *numbers, const char *fresh, bool passwd, struct err *e)
{
	AUTO_FREE char *text = NULL, *out = NULL;
	struct rewrite r = { 0 };
	size_t len;

	if (proc_account_read(path, &text, &len, e) < 0)
		return -e->code;
	r.size = len + count_lines(text, len) * GROWTH_MAX + strlen(fresh) + 1;
	r.out = out = malloc(r.size);
	if (!out)
		return err_set(e, ENOMEM, "rewrite %s", path);
	rewrite_lines(&r, text, len, numbers, passwd);
	if (!r.found) {
		if (r.len && r.out[r.len - 1] != '\n')
			add(&r, "\n", 1);
		add(&r, fresh, strlen(fresh));
	}
	if (r.len == len && memcmp(r.out, text, len) == 0)
		return 0;
	return replace(path, r.out, r.len, e);
}

int proc_user_rewrite_accounts(
	const char *passwd_path, const char *group_path, uint32_t uid, uint32_t gid, struct err *e)
{
	char numbers[32], fresh[128];

	(void) snprintf(numbers, sizeof numbers, "%u:%u", uid, gid);
	(void) snprintf(fresh, sizeof fresh, "sandbox:x:%u:%u::/sandbox:/bin/sh\n", uid, gid);
	if (rewrite_file(passwd_path, numbers, fresh, true, e) < 0)
		return -e->code;
	(void) snprintf(numbers, sizeof numbers, "%u", gid);
	(void) snprintf(fresh, sizeof fresh, "sandbox:x:%u:\n", gid);
	return rewrite_file(group_path, numbers, fresh, false, e);
}
