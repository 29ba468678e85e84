#include "proc_account.h"
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <string.h>
#include <sys/stat.h>
#include "core_cleanup.h"
#include "core_fd.h"
#include "core_text.h"

#define FIELDS_MAX 8
#define NAME_QUOTE_MAX 64 /* bytes of a name that a message repeats */

struct line {
	const char *field[FIELDS_MAX];
	size_t len[FIELDS_MAX];
	size_t n; /* FIELDS_MAX: that many or more */
};

int proc_account_read(const char *path, char **ret, size_t *ret_len, struct err *e)
{
	AUTO_CLOSE int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
	struct stat st;

	if (fd < 0)
		return err_set(e, errno, "open %s", path);
	if (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode))
		return err_set(e, EINVAL, "%s is not a regular file", path);
	if (fd_read_all(fd, PROC_ACCOUNT_BYTES_MAX, ret, ret_len, e) < 0)
		return err_wrap(e, "%s", path);
	if (!text_is_utf8(*ret, *ret_len) || memchr(*ret, '\0', *ret_len)) {
		free(TAKE_PTR(*ret));
		return err_set(e, EINVAL, "%s is not text", path);
	}
	return 0;
}

static int split(const char *at, size_t len, struct line *ret, struct err *e)
{
	ret->n = 0;
	if (len > PROC_ACCOUNT_LINE_MAX)
		return err_set(
			e, EINVAL, "account line of more than %d bytes", PROC_ACCOUNT_LINE_MAX);
	for (const char *end = at + len; ret->n < FIELDS_MAX; at++) {
		const char *colon = memchr(at, ':', (size_t) (end - at));
		const char *stop = colon ? colon : end;

		if (stop - at > PROC_ACCOUNT_FIELD_MAX)
			return err_set(e, EINVAL, "account field of more than %d bytes",
				PROC_ACCOUNT_FIELD_MAX);
		ret->field[ret->n] = at;
		ret->len[ret->n++] = (size_t) (stop - at);
		if (!colon)
			break;
		at = colon;
	}
	return 0;
}

/* The next line that is neither empty nor a comment; false at the end. */
static bool next_line(const char **at, const char *end, const char **ret, size_t *ret_len)
{
	while (*at < end) {
		const char *line = *at;
		const char *stop = memchr(line, '\n', (size_t) (end - line));

		if (!stop)
			stop = end;
		*at = stop < end ? stop + 1 : end;
		if (stop == line || *line == '#')
			continue;
		*ret = line;
		*ret_len = (size_t) (stop - line);
		return true;
	}
	return false;
}

static bool field_is(const struct line *l, size_t i, const char *name)
{
	return l->len[i] == strlen(name) && memcmp(l->field[i], name, l->len[i]) == 0;
}

/* A name out of the file, fit for a message. */
static const char *name_of(const struct line *l, char buf[NAME_QUOTE_MAX + 8])
{
	struct text t;

	text_init(&t, buf, NAME_QUOTE_MAX + 8);
	text_add_quoted(&t, l->field[0], l->len[0], NAME_QUOTE_MAX);
	return buf;
}

static int number(const struct line *l, size_t i, uint32_t *ret, struct err *e)
{
	char name[NAME_QUOTE_MAX + 8];
	uint64_t v;

	if (text_to_u64(l->field[i], l->len[i], 0, UINT32_MAX - 1, &v) < 0)
		return err_set(e, EINVAL, "account of %s has a malformed number; correct the file",
			name_of(l, name));
	*ret = (uint32_t) v;
	return 0;
}

/* split() has compared the length. */
static void copy(const struct line *l, size_t i, char ret[PROC_ACCOUNT_FIELD_MAX + 1])
{
	(void) memcpy(ret, l->field[i], l->len[i]);
	ret[l->len[i]] = '\0';
}

static int fill(const struct line *l, struct proc_passwd *ret, struct err *e)
{
	char name[NAME_QUOTE_MAX + 8];

	if (l->n != 7)
		return err_set(e, EINVAL,
			"account of %s has %zu fields instead of 7; correct the file",
			name_of(l, name), l->n);
	if (number(l, 2, &ret->uid, e) < 0 || number(l, 3, &ret->gid, e) < 0)
		return -e->code;
	copy(l, 0, ret->name);
	copy(l, 5, ret->home);
	copy(l, 6, ret->shell);
	return 0;
}

int proc_account_user(
	const char *text, size_t len, const char *name, struct proc_passwd *ret, struct err *e)
{
	const char *at = text, *line;
	bool found = false;
	struct line l;
	size_t n;

	while (next_line(&at, text + len, &line, &n)) {
		if (split(line, n, &l, e) < 0)
			return -e->code;
		if (!field_is(&l, 0, name))
			continue;
		if (found)
			return err_set(e, EEXIST, "user %s has two accounts", name);
		if (fill(&l, ret, e) < 0)
			return -e->code;
		found = true;
	}
	return found ? 0 : err_set(e, ENOENT, "user %s has no account", name);
}

int proc_account_uid(
	const char *text, size_t len, uint32_t uid, struct proc_passwd *ret, struct err *e)
{
	const char *at = text, *line;
	struct proc_passwd other;
	bool found = false;
	struct line l;
	uint64_t v;
	size_t n;

	while (next_line(&at, text + len, &line, &n)) {
		if (split(line, n, &l, e) < 0)
			return -e->code;
		if (l.n != 7 || text_to_u64(l.field[2], l.len[2], 0, UINT32_MAX, &v) < 0 ||
			v != uid)
			continue;
		if (fill(&l, found ? &other : ret, e) < 0)
			return -e->code;
		if (found && other.gid != ret->gid)
			return err_set(e, EEXIST,
				"uid %u has two accounts with different groups; name the group",
				uid);
		found = true;
	}
	return found ? 0 : err_set(e, ENOENT, "uid %u has no account", uid);
}

int proc_account_group(
	const char *text, size_t len, const char *name, uint32_t *ret_gid, struct err *e)
{
	const char *at = text, *line;
	bool found = false;
	struct line l;
	size_t n;

	while (next_line(&at, text + len, &line, &n)) {
		if (split(line, n, &l, e) < 0)
			return -e->code;
		if (!field_is(&l, 0, name))
			continue;
		if (found)
			return err_set(e, EEXIST, "group %s is there twice", name);
		if (l.n != 4)
			return err_set(
				e, EINVAL, "group %s has %zu fields instead of 4", name, l.n);
		if (number(&l, 2, ret_gid, e) < 0)
			return -e->code;
		found = true;
	}
	return found ? 0 : err_set(e, ENOENT, "group %s does not exist", name);
}

static bool lists(const struct line *l, const char *name)
{
	const char *p = l->field[3], *end = p + l->len[3];
	size_t want = strlen(name);

	while (p < end) {
		const char *comma = memchr(p, ',', (size_t) (end - p));
		const char *stop = comma ? comma : end;

		if ((size_t) (stop - p) == want && memcmp(p, name, want) == 0)
			return true;
		p = stop + 1;
	}
	return false;
}

static int add_group(struct proc_groups *g, uint32_t gid, const char *name, struct err *e)
{
	for (size_t i = 0; i < g->n; i++)
		if (g->gid[i] == gid)
			return 0;
	if (g->n == PROC_ACCOUNT_GROUPS_MAX)
		return err_set(e, E2BIG,
			"user %s is in more than %d groups; run the workload as another user", name,
			PROC_ACCOUNT_GROUPS_MAX);
	g->gid[g->n++] = gid;
	return 0;
}

int proc_account_groups(
	const char *text, size_t len, const char *name, struct proc_groups *ret, struct err *e)
{
	const char *at = text, *line;
	char quoted[NAME_QUOTE_MAX + 8];
	struct line l;
	uint32_t gid;
	size_t n;

	while (next_line(&at, text + len, &line, &n)) {
		if (split(line, n, &l, e) < 0)
			return -e->code;
		if (l.n != 4)
			return err_set(e, EINVAL,
				"group %s has %zu fields instead of 4; correct the file",
				name_of(&l, quoted), l.n);
		if (!lists(&l, name))
			continue;
		if (number(&l, 2, &gid, e) < 0)
			return -e->code;
		if (gid == 0)
			ret->in_root = true;
		else if (add_group(ret, gid, name, e) < 0)
			return -e->code;
	}
	return 0;
}
