#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include "core_fd.h"
#include "core_policy_edit.h"
#include "core_text.h"
#include "orch_open.h"
#include "orch_policy.h"
#include "orch_policy_unbuilt.h"

#define SENTENCE_BYTES 1024

struct version {
	struct policy_doc *doc;
	uint8_t *bytes; /* encoded, to tell whether anything changed */
	size_t len;
	int fd; /* -1: none */
	uint64_t generation;
};

struct orch_policy {
	char *path;	  /* as given; NULL: embedded */
	const char *base; /* in path */
	int dir;
	bool linked;		  /* base is a link */
	struct policy_doc *first; /* what the process leaf enforces */
	struct version now, next;
	uint32_t owners[4];
	size_t n_owners;
	orch_say_fn say;
	void *owner;
};

static void version_done(struct version *v)
{
	policy_free(v->doc);
	free(v->bytes);
	if (v->fd >= 0)
		(void) close(v->fd);
	*v = (struct version){ .fd = -1 };
}

void orch_policy_free(struct orch_policy *p)
{
	if (!p)
		return;
	if (p->first != p->now.doc)
		policy_free(p->first);
	version_done(&p->now);
	version_done(&p->next);
	if (p->dir >= 0)
		(void) close(p->dir);
	free(p->path);
	free(p);
}

static void sayf(const struct orch_policy *p, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));

static void sayf(const struct orch_policy *p, const char *fmt, ...)
{
	char buf[SENTENCE_BYTES + PATH_MAX];
	va_list ap;

	va_start(ap, fmt);
	(void) vsnprintf(buf, sizeof buf, fmt, ap);
	va_end(ap);
	p->say(p->owner, buf);
}

/* ---- reading ---- */

static int check_owner(const struct orch_policy *p, int fd, struct err *e)
{
	struct stat st;

	if (fstat(fd, &st) < 0)
		return err_set(e, errno, "%s: %s", p->path, strerror(errno));
	if (!S_ISREG(st.st_mode))
		return err_set(e, EINVAL, "%s: not a regular file", p->path);
	if (st.st_mode & (S_IWGRP | S_IWOTH))
		return err_set(e, EPERM,
			"%s: writable by its group or by everybody, who could so change what the "
			"sandbox may do; chmod go-w it",
			p->path);
	for (size_t i = 0; i < p->n_owners; i++)
		if (st.st_uid == p->owners[i])
			return 0;
	return err_set(e, EPERM,
		"%s: owned by uid %u, neither root nor the caller; chown it to one of them",
		p->path, (unsigned) st.st_uid);
}

static int read_text(struct orch_policy *p, char **ret, size_t *ret_len, struct err *e)
{
	AUTO_CLOSE int fd =
		openat(p->dir, p->base, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY);
	int r;

	const struct orch_owners owners = { p->owners, p->n_owners };

	if (fd < 0 && errno != ELOOP)
		return err_set(e, errno, "%s: %s", p->path, strerror(errno));
	p->linked = fd < 0;
	if (p->linked && orch_open_linked(p->dir, p->base, &owners, &fd, e) < 0)
		return err_wrap(e, "%s", p->path);
	if ((r = check_owner(p, fd, e)) < 0)
		return r;
	r = fd_read_all(fd, POLICY_YAML_BYTES_MAX, ret, ret_len, e);
	return r < 0 ? err_wrap(e, "%s", p->path) : 0;
}

static void say_problems(
	const struct orch_policy *p, struct policy_report *report, const char *name)
{
	AUTO_FREE char *text = NULL;

	if (!report->n_errors && !report->n_warnings)
		return;
	policy_report_text(report, name, &text);
	if (text)
		p->say(p->owner, text);
}

static void say_left_out(const struct orch_policy *p, const struct policy_doc *d)
{
	char text[ERR_TEXT_MAX];

	orch_policy_left_out(d, text);
	if (*text)
		p->say(p->owner, text);
}

static bool is_same(const struct version *a, const struct version *b)
{
	return a->bytes && a->len == b->len && memcmp(a->bytes, b->bytes, b->len) == 0;
}

static int version_make(const struct orch_policy *p, const char *name, const char *text, size_t len,
	struct version *ret, struct err *e)
{
	struct policy_report report = { 0 };
	struct version v = { .fd = -1 };
	int r = policy_load_yaml(name, text, len, POLICY_AUTHOR, &report, &v.doc, e);

	if (r == 0)
		r = policy_encode(v.doc, &v.bytes, &v.len, e);
	/* Warnings about what is in force already were said then. */
	if (r < 0 || !is_same(&p->now, &v))
		say_problems(p, &report, name);
	if (r < 0 && report.n_errors)
		r = err_set(e, EINVAL, "%s: %zu problem%s, see above", name, report.n_errors,
			report.n_errors == 1 ? "" : "s");
	policy_report_done(&report);
	if (r == 0)
		r = orch_policy_unbuilt(v.doc, e);
	if (r == 0)
		r = fd_sealed_new("policy", v.bytes, v.len, &v.fd, e);
	if (r == 0 && !is_same(&p->now, &v))
		say_left_out(p, v.doc);
	if (r < 0)
		version_done(&v);
	else
		*ret = v;
	return r;
}

static int version_read(struct orch_policy *p, struct version *ret, struct err *e)
{
	AUTO_FREE char *text = NULL;
	size_t len;
	int r = read_text(p, &text, &len, e);

	return r < 0 ? r : version_make(p, p->path, text, len, ret, e);
}

static int version_embedded(struct orch_policy *p, struct version *ret, struct err *e)
{
	const char *text = policy_default_yaml();

	return version_make(p, "embedded default", text, strlen(text), ret, e);
}

/* ---- source ---- */

static int set_path(struct orch_policy *p, const char *path, struct err *e)
{
	const char *slash = strrchr(path, '/');
	AUTO_FREE char *dir = NULL;

	p->path = strdup(path);
	dir = slash ? strndup(path, slash == path ? 1 : (size_t) (slash - path)) : strdup(".");
	if (!p->path || !dir)
		return err_set(e, ENOMEM, "policy: out of memory");
	p->base = slash ? p->path + (slash - path) + 1 : p->path;
	p->dir = open(dir, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (p->dir < 0)
		return err_set(e, errno, "%s: %s", path, strerror(errno));
	return 0;
}

static int load_installed(struct orch_policy *p, const struct orch_policy_source *s, struct err *e)
{
	const char *const places[] = { s->installed, s->legacy };
	struct err why = { 0 };

	for (int i = 0; i < 2; i++) {
		struct stat st;

		if (!places[i] || lstat(places[i], &st) < 0)
			continue;
		if (i == 1)
			sayf(p, "policy: %s does not exist, using the older place %s", places[0],
				places[1]);
		if (set_path(p, places[i], &why) == 0 && version_read(p, &p->now, &why) == 0)
			return 0;
		sayf(p, "policy: %s; the embedded default is used instead, which allows no network",
			why.text);
		break;
	}
	return version_embedded(p, &p->now, e);
}

int orch_policy_new(const struct orch_policy_source *s, orch_say_fn say, void *owner,
	struct orch_policy **ret, struct err *e)
{
	AUTO(orch_policy_free) struct orch_policy *p = calloc(1, sizeof *p);
	int r;

	if (!p)
		return err_set(e, ENOMEM, "policy: out of memory");
	p->dir = p->now.fd = p->next.fd = -1;
	p->say = say;
	p->owner = owner;
	p->owners[p->n_owners++] = 0;
	for (size_t i = 0; i < s->n_callers && i < 2; i++)
		p->owners[p->n_owners++] = s->callers[i];
	if (s->file)
		r = (r = set_path(p, s->file, e)) < 0 ? r : version_read(p, &p->now, e);
	else
		r = load_installed(p, s, e);
	if (r < 0)
		return r;
	p->now.generation = 1;
	p->first = p->now.doc;
	*ret = TAKE_PTR(p);
	return 0;
}

const char *orch_policy_name(const struct orch_policy *p)
{
	return policy_name(p->first);
}

bool orch_policy_has_file(const struct orch_policy *p)
{
	return p->path != NULL;
}

int orch_policy_dir(const struct orch_policy *p)
{
	return p->dir;
}

bool orch_policy_is_linked(const struct orch_policy *p)
{
	return p->linked;
}

const struct policy_doc *orch_policy_doc(const struct orch_policy *p)
{
	return p->first;
}

int orch_policy_fd(const struct orch_policy *p)
{
	return p->now.fd;
}

uint64_t orch_policy_generation(const struct orch_policy *p)
{
	return p->now.generation;
}

/* ---- reload ---- */

/* The file is the operator's: its network sections are taken over whatever else has changed. */
static void say_static(const struct orch_policy *p, const struct policy_doc *next)
{
	char why[SENTENCE_BYTES];
	struct text t;

	text_init(&t, why, sizeof why);
	switch (policy_live_compare(p->first, p->now.doc, next, &t)) {
	case POLICY_LIVE_SAME:
	case POLICY_LIVE_HOT:
		break;
	case POLICY_LIVE_NEXT_START:
		sayf(p, "policy %s: %s", p->path, why);
		break;
	case POLICY_LIVE_REFUSED:
		sayf(p,
			"policy %s: %s; its network sections alone are taken over now, the rest "
			"takes effect at next start",
			p->path, why);
		break;
	}
}

enum orch_reload orch_policy_reload(struct orch_policy *p)
{
	struct version v = { .fd = -1 };
	struct err why = { 0 };

	if (!p->path) {
		p->say(p->owner,
			"policy: the embedded default is in use, there is no file to reload");
		return ORCH_RELOAD_SAME;
	}
	if (version_read(p, &v, &why) < 0) {
		sayf(p, "policy not reloaded: %s; the previous policy (generation %llu) stays",
			why.text, (unsigned long long) p->now.generation);
		return ORCH_RELOAD_REFUSED;
	}
	if (is_same(&p->now, &v)) {
		version_done(&v);
		return ORCH_RELOAD_SAME;
	}
	say_static(p, v.doc);
	version_done(&p->next);
	v.generation = p->now.generation + 1;
	p->next = v;
	return ORCH_RELOAD_NEW;
}

int orch_policy_candidate_fd(const struct orch_policy *p)
{
	return p->next.fd;
}

uint64_t orch_policy_candidate_generation(const struct orch_policy *p)
{
	return p->next.generation;
}

void orch_policy_commit(struct orch_policy *p)
{
	if (p->next.fd < 0)
		return;
	if (p->first == p->now.doc)
		p->now.doc = NULL; /* kept as first */
	version_done(&p->now);
	p->now = p->next;
	p->next = (struct version){ .fd = -1 };
}

/* The refused generation's number is not used again: the next candidate gets it only if the leaf
 * never saw it as loaded, which is so here. */
void orch_policy_drop(struct orch_policy *p)
{
	version_done(&p->next);
}

/* ---- could the workload write it? ---- */

static bool may_write(const struct stat *st, uint32_t uid, uint32_t gid)
{
	if (st->st_uid == uid)
		return true; /* the mode is the owner's to change */
	return (st->st_gid == gid && (st->st_mode & S_IWGRP)) || (st->st_mode & S_IWOTH);
}

static bool is_beneath(const char *file, const char *dir)
{
	char real[PATH_MAX];
	size_t n;

	if (!*dir || !realpath(dir, real))
		return false;
	n = strlen(real);
	return n == 1 || (strncmp(file, real, n) == 0 && (file[n] == '/' || !file[n]));
}

static bool is_in_writable(const struct orch_policy *p, const char *dir, const char *workdir)
{
	const Openshell__Sandbox__V1__FilesystemPolicy *f = policy_message(p->first)->filesystem;

	if (!f)
		return true; /* nothing restricts files then */
	if (f->include_workdir && is_beneath(dir, workdir))
		return true;
	for (size_t i = 0; i < f->n_read_write; i++)
		if (is_beneath(dir, f->read_write[i]))
			return true;
	return false;
}

static bool is_file_exposed(
	const struct orch_policy *p, int dir_fd, const char *name, const struct orch_process_id *id)
{
	char link[64], dir[PATH_MAX];
	struct stat st;
	ssize_t n;

	(void) snprintf(link, sizeof link, "/proc/self/fd/%d", dir_fd);
	n = readlink(link, dir, sizeof dir - 1);
	if (n < 0)
		return true;
	dir[n] = '\0';
	if (!is_in_writable(p, dir, id->workdir))
		return false;
	return fstat(dir_fd, &st) < 0 || may_write(&st, id->uid, id->gid) ||
		fstatat(dir_fd, name, &st, AT_SYMLINK_NOFOLLOW) < 0 ||
		may_write(&st, id->uid, id->gid);
}

static bool is_target_exposed(const struct orch_policy *p, const struct orch_process_id *id)
{
	char link[64 + NAME_MAX], target[PATH_MAX], *name;

	(void) snprintf(link, sizeof link, "/proc/self/fd/%d/%.255s", p->dir, p->base);
	if (!realpath(link, target))
		return true;
	name = strrchr(target, '/');
	*name++ = '\0';
	AUTO_CLOSE int dir = open(*target ? target : "/", O_PATH | O_DIRECTORY | O_CLOEXEC);

	return dir < 0 || is_file_exposed(p, dir, name, id);
}

bool orch_policy_is_exposed(const struct orch_policy *p, const struct orch_process_id *id)
{
	if (!p->path)
		return false;
	return is_file_exposed(p, p->dir, p->base, id) || (p->linked && is_target_exposed(p, id));
}
