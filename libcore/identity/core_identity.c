#include "core_identity.h"
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include "core_exe.h"
#include "core_identity_scan.h"
#include "core_procfs.h"
#include "core_sockdiag.h"
#include "core_text.h"

#define CMDLINES_MAX 16 /* paths that are reported */
#define LINK_HOPS_MAX 40

struct profile { /* a process as policy sees it; strings follow each other in text */
	pid_t pid;
	uint64_t start;
	char text[IDENTITY_TEXT_MAX];
	size_t used;
	size_t exe, ancestors[IDENTITY_ANCESTORS_MAX], n_ancestors;
	size_t cmdline[CMDLINES_MAX], n_cmdline;
	char hash[IDENTITY_HASH_TEXT];
	struct err failure; /* code 0: good */
};

struct identity_finder {
	int proc_fd;
	pid_t anchor;
	bool share_root;
	struct sockdiag *diag;
	struct scan *scan;
	struct exe_table *exes;
	struct profile *memo; /* of this batch */
	size_t n_memo;
	struct scan_wanted *wanted;
};

int identity_finder_new(int netns_fd, int proc_fd, struct identity_finder **ret, struct err *e)
{
	AUTO(identity_finder_free) struct identity_finder *f = calloc(1, sizeof *f);
	struct stat st;

	if (!f)
		return err_set(e, ENOMEM, "identity");
	f->proc_fd = proc_fd;
	f->memo = calloc(SCAN_OWNERS_MAX, sizeof *f->memo);
	f->wanted = calloc(IDENTITY_BATCH_MAX, sizeof *f->wanted);
	if (!f->memo || !f->wanted)
		return err_set(e, ENOMEM, "identity");
	if (fstat(netns_fd, &st) < 0)
		return err_set(e, errno, "look at the network namespace");
	if (sockdiag_new(netns_fd, &f->diag, e) < 0 ||
		scan_new(proc_fd, st.st_ino, &f->scan, e) < 0 || exe_table_new(&f->exes, e) < 0)
		return -e->code;
	*ret = TAKE_PTR(f);
	return 0;
}

void identity_finder_free(struct identity_finder *f)
{
	if (!f)
		return;
	sockdiag_free(f->diag);
	scan_free(f->scan);
	exe_table_free(f->exes);
	free(f->memo);
	free(f->wanted);
	free(f);
}

void identity_finder_share_root(struct identity_finder *f)
{
	f->share_root = true;
}

void identity_finder_set_anchor(struct identity_finder *f, pid_t anchor)
{
	f->anchor = anchor;
}

static int add_text(struct profile *p, const char *s, size_t *ret_at, struct err *e)
{
	size_t len = strlen(s) + 1;

	if (p->used + len > sizeof p->text)
		return err_set(e, E2BIG, "paths of the caller and its ancestors are too long");
	(void) memcpy(p->text + p->used, s, len);
	*ret_at = p->used;
	p->used += len;
	return 0;
}

static int hash_exe(struct identity_finder *f, pid_t pid, const char *path,
	char hash[IDENTITY_HASH_TEXT], struct err *e)
{
	AUTO_CLOSE int fd = -1;
	char name[32];

	(void) snprintf(name, sizeof name, "%d/exe", (int) pid);
	if (exe_table_knows(f->exes, f->proc_fd, name, path, hash))
		return 0;
	fd = openat(f->proc_fd, name, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return err_set(e, errno, "open the executable of process %d", (int) pid);
	return exe_table_check(f->exes, fd, path, hash, e);
}

/* Path and hash of one process' image. */
static int read_exe(struct identity_finder *f, pid_t pid, struct profile *p, size_t *ret_at,
	char hash[IDENTITY_HASH_TEXT], struct err *e)
{
	char path[PROCFS_PATH_MAX], again[PROCFS_PATH_MAX];

	if (procfs_exe(f->proc_fd, pid, path, e) < 0 || hash_exe(f, pid, path, hash, e) < 0)
		return -e->code;
	/* An exec between the two would pair one program's name with another's content. */
	if (procfs_exe(f->proc_fd, pid, again, e) < 0)
		return -e->code;
	if (strcmp(path, again) != 0)
		return err_set(e, EAGAIN, "process %d changed its program meanwhile", (int) pid);
	return add_text(p, path, ret_at, e);
}

/* Parents up to and including the entrypoint; a parent outside the namespace is not the workload. */
static int read_ancestors(struct identity_finder *f, struct profile *p, pid_t parent, struct err *e)
{
	char hash[IDENTITY_HASH_TEXT];
	pid_t pid = parent;

	while (p->pid != f->anchor && pid > 1 && p->n_ancestors < IDENTITY_ANCESTORS_MAX) {
		struct procfs_stat before, after;

		if (!scan_is_inside(f->scan, pid))
			return 0;
		if (procfs_stat(f->proc_fd, pid, &before, e) < 0 ||
			read_exe(f, pid, p, &p->ancestors[p->n_ancestors], hash, e) < 0 ||
			procfs_stat(f->proc_fd, pid, &after, e) < 0)
			return err_wrap(e, "ancestor integrity check failed");
		if (before.start != after.start)
			return err_set(e, EAGAIN, "ancestor %d ended meanwhile", (int) pid);
		p->n_ancestors++;
		if (pid == f->anchor)
			return 0;
		pid = before.parent;
	}
	return 0;
}

static void read_cmdline(struct identity_finder *f, struct profile *p)
{
	char paths[PROCFS_CMDLINE_MAX];
	struct err ignored = { 0 };
	size_t len = 0;

	/* For logs only: its absence changes nothing. */
	if (procfs_cmdline_paths(f->proc_fd, p->pid, paths, sizeof paths, &len, &ignored) < 0)
		return;
	for (size_t at = 0; at < len && p->n_cmdline < CMDLINES_MAX; at += strlen(paths + at) + 1)
		if (strcmp(paths + at, p->text + p->exe) != 0 &&
			add_text(p, paths + at, &p->cmdline[p->n_cmdline], &ignored) == 0)
			p->n_cmdline++;
}

static int read_profile(struct identity_finder *f, struct profile *p, struct err *e)
{
	struct procfs_stat before, after;

	if (procfs_stat(f->proc_fd, p->pid, &before, e) < 0)
		return err_wrap(e, "failed to resolve peer binary");
	p->start = before.start;
	if (read_exe(f, p->pid, p, &p->exe, p->hash, e) < 0)
		return err_wrap(e, "binary integrity check failed");
	if (read_ancestors(f, p, before.parent, e) < 0)
		return -e->code;
	read_cmdline(f, p);
	if (procfs_stat(f->proc_fd, p->pid, &after, e) < 0)
		return err_wrap(e, "failed to resolve peer binary");
	if (after.start != before.start || after.parent != before.parent)
		return err_set(e, EAGAIN,
			"failed to resolve peer binary: process %d changed meanwhile",
			(int) p->pid);
	return 0;
}

/* Read once per process and batch; NULL when too many different processes are involved. */
static const struct profile *profile_of(struct identity_finder *f, pid_t pid)
{
	struct profile *p;

	for (size_t i = 0; i < f->n_memo; i++)
		if (f->memo[i].pid == pid)
			return &f->memo[i];
	if (f->n_memo == SCAN_OWNERS_MAX)
		f->n_memo = 0; /* the oldest answers are already copied out */
	p = &f->memo[f->n_memo++];
	p->pid = pid;
	p->used = p->n_ancestors = p->n_cmdline = 0;
	p->failure = (struct err){ 0 };
	(void) read_profile(f, p, &p->failure);
	return p;
}

static bool has_path(const struct profile *p, const char *path)
{
	if (strcmp(p->text + p->exe, path) == 0)
		return true;
	for (size_t i = 0; i < p->n_ancestors; i++)
		if (strcmp(p->text + p->ancestors[i], path) == 0)
			return true;
	return false;
}

static bool covers(const struct profile *a, const struct profile *b)
{
	if (!has_path(a, b->text + b->exe))
		return false;
	for (size_t i = 0; i < b->n_ancestors; i++)
		if (!has_path(a, b->text + b->ancestors[i]))
			return false;
	return true;
}

/* Policy asks whether any of the programs is listed, so the set of them is what must be equal: a
 * forked child has its parent as one ancestor more, of the same program. */
static bool same_identity(const struct profile *a, const struct profile *b)
{
	return strcmp(a->text + a->exe, b->text + b->exe) == 0 && strcmp(a->hash, b->hash) == 0 &&
		covers(a, b) && covers(b, a);
}

static int deny(struct identity_answer *a, const char *reason)
{
	*a = (struct identity_answer){ 0 };
	a->strings = strdup(reason);
	a->caller.exe = a->caller.sha256 = "";
	a->caller.reason = a->strings ? a->strings : "out of memory";
	return -1;
}

static int fill(struct identity_answer *a, const struct profile *p, uint32_t uid)
{
	size_t n = p->n_ancestors + p->n_cmdline, hash_at = p->used;

	*a = (struct identity_answer){ 0 };
	a->strings = malloc(p->used + IDENTITY_HASH_TEXT);
	a->pointers = calloc(n + 1, sizeof *a->pointers);
	if (!a->strings || !a->pointers) {
		identity_answer_done(a);
		return deny(a, "out of memory");
	}
	(void) memcpy(a->strings, p->text, p->used);
	(void) memcpy(a->strings + hash_at, p->hash, IDENTITY_HASH_TEXT);
	for (size_t i = 0; i < p->n_ancestors; i++)
		a->pointers[i] = a->strings + p->ancestors[i];
	for (size_t i = 0; i < p->n_cmdline; i++)
		a->pointers[p->n_ancestors + i] = a->strings + p->cmdline[i];
	a->caller = (struct identity_caller){
		.assurance = IDENTITY_OBSERVED,
		.exe = a->strings + p->exe,
		.sha256 = a->strings + hash_at,
		.ancestors = (const char *const *) a->pointers,
		.n_ancestors = p->n_ancestors,
		.cmdline_paths = (const char *const *) (a->pointers + p->n_ancestors),
		.n_cmdline_paths = p->n_cmdline,
		.pid = p->pid,
		.uid = uid,
		.reason = "",
	};
	return 0;
}

static void answer_ambiguous(struct identity_answer *a, const struct scan_wanted *w)
{
	char reason[512];
	struct text t;

	text_init(&t, reason, sizeof reason);
	text_addf(&t, "ambiguous shared socket ownership: inode %llu is held by PIDs [",
		(unsigned long long) w->inode);
	for (size_t i = 0; i < w->n_owners && i < 8; i++)
		text_addf(&t, "%s%d", i ? ", " : "", (int) w->owners[i]);
	text_add(&t, w->n_owners > 8 ? ", ...]" : "]");
	text_add(&t,
		" with different policy identities; close the socket in the others "
		"(close-on-exec)");
	(void) deny(a, reason);
}

static void answer_one(struct identity_finder *f, const struct scan_wanted *w, uint32_t uid,
	struct identity_answer *a)
{
	static struct profile first; /* the process has no threads; too large for a stack */
	pid_t lowest = w->n_owners ? w->owners[0] : 0;
	const struct profile *p;

	if (w->n_owners == 0) {
		(void) deny(a,
			"failed to resolve peer binary: no process holds the calling socket any "
			"more");
		return;
	}
	if (w->n_owners > SCAN_OWNERS_MAX) {
		(void) deny(a,
			"failed to resolve peer binary: too many processes share the calling "
			"socket");
		return;
	}
	for (size_t i = 1; i < w->n_owners; i++)
		if (w->owners[i] < lowest)
			lowest = w->owners[i];
	p = profile_of(f, lowest);
	if (p->failure.code) {
		(void) deny(a, p->failure.text);
		return;
	}
	first = *p;
	for (size_t i = 0; i < w->n_owners; i++) {
		p = profile_of(f, w->owners[i]);
		if (p->failure.code || !same_identity(&first, p)) {
			answer_ambiguous(a, w);
			return;
		}
	}
	(void) fill(a, &first, uid);
}

static void find_some(struct identity_finder *f, const struct identity_question *q,
	struct identity_answer *ret, size_t n)
{
	uint32_t uids[IDENTITY_BATCH_MAX] = { 0 };
	struct err e = { 0 }, why[IDENTITY_BATCH_MAX];
	int r;

	f->n_memo = 0;
	for (size_t i = 0; i < n; i++) {
		f->wanted[i].inode = f->wanted[i].n_owners = 0;
		why[i].code = 0;
		if (sockdiag_find(f->diag, &q[i], &f->wanted[i].inode, &uids[i], &why[i]) < 0)
			f->wanted[i].inode = 0;
	}
	r = scan_run(f->scan, f->wanted, n, &e);
	for (size_t i = 0; i < n; i++) {
		if (f->wanted[i].inode == 0 || r < 0) {
			(void) err_wrap(r < 0 ? &e : &why[i], "failed to resolve peer binary");
			(void) deny(&ret[i], r < 0 ? e.text : why[i].text);
			continue;
		}
		answer_one(f, &f->wanted[i], uids[i], &ret[i]);
	}
}

void identity_find(struct identity_finder *f, const struct identity_question *q,
	struct identity_answer *ret, size_t n)
{
	for (size_t i = 0; f->anchor == 0 && i < n; i++)
		(void) deny(&ret[i], "entrypoint process not yet spawned");
	for (size_t at = 0; f->anchor != 0 && at < n; at += IDENTITY_BATCH_MAX)
		find_some(f, q + at, ret + at,
			n - at < IDENTITY_BATCH_MAX ? n - at : IDENTITY_BATCH_MAX);
}

void identity_answer_done(struct identity_answer *a)
{
	free(a->strings);
	free(a->pointers);
	*a = (struct identity_answer){ 0 };
}

/* Lexical: "." and ".." of target are resolved against the directory of at, without the disk. */
static int join(char at[4096], const char *target, struct err *e)
{
	char full[2 * 4096];
	size_t n = 0;

	if (target[0] == '/')
		at[0] = '\0';
	else if (strrchr(at, '/'))
		*strrchr(at, '/') = '\0';
	(void) snprintf(full, sizeof full, "%s/%s", at, target);
	for (char *p = full; *p;) {
		size_t len;

		p += strspn(p, "/");
		len = strcspn(p, "/");
		if (len == 2 && p[0] == '.' && p[1] == '.') {
			while (n > 0 && at[--n] != '/')
				;
		} else if (len > 0 && !(len == 1 && p[0] == '.')) {
			if (n + len + 2 > 4096)
				return err_set(e, ENAMETOOLONG, "link target is too long");
			at[n++] = '/';
			(void) memcpy(at + n, p, len);
			n += len;
		}
		p += len;
	}
	at[n] = '\0';
	return 0;
}

static void whole_path(const struct identity_finder *f, int fd, char at[4096])
{
	char name[32], path[4096];
	ssize_t n;

	(void) snprintf(name, sizeof name, "self/fd/%d", fd);
	n = readlinkat(f->proc_fd, name, path, sizeof path - 1);
	if (n <= 0 || path[0] != '/')
		return;
	path[n] = '\0';
	(void) memcpy(at, path, (size_t) n + 1);
}

int identity_resolve(struct identity_finder *f, const char *path, char ret[4096], struct err *e)
{
	char at[4096], link[4096], full[4096 + 64], hash[IDENTITY_HASH_TEXT];
	ssize_t n;

	if (f->anchor == 0)
		return err_set(e, EAGAIN, "entrypoint process not yet spawned");
	if (snprintf(at, sizeof at, "%s", path) >= (int) sizeof at)
		return err_set(e, ENAMETOOLONG, "path is too long");
	for (int hops = 0;; hops++) {
		if (f->share_root)
			(void) snprintf(full, sizeof full, "self/root%s", at);
		else
			(void) snprintf(full, sizeof full, "%d/root%s", (int) f->anchor, at);
		n = readlinkat(f->proc_fd, full, link, sizeof link - 1);
		if (n < 0 && errno == EINVAL)
			break; /* no link */
		if (n < 0)
			return err_set(e, errno, "follow %s", at);
		if (hops >= LINK_HOPS_MAX)
			return err_set(
				e, ELOOP, "follow %s: more than %d links", path, LINK_HOPS_MAX);
		link[n] = '\0';
		if (join(at, link, e) < 0)
			return -e->code;
	}
	AUTO_CLOSE int fd =
		openat(f->proc_fd, full, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
	struct stat st;
	struct err ignored = { 0 };

	/* As the kernel will name it: a directory on the way may be a link too (/bin/bash). */
	if (fd >= 0)
		whole_path(f, fd, at);
	(void) snprintf(ret, 4096, "%s", at);

	/* Ahead of need only: what can't be hashed now is judged when it calls. */
	if (fd >= 0 && fstat(fd, &st) == 0 && S_ISREG(st.st_mode))
		(void) exe_table_check(f->exes, fd, at, hash, &ignored);
	return 0;
}
