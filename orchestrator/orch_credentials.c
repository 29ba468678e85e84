#include "orch_credentials.h"
#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#include "core_credential.h"
#include "core_fd.h"
#include "core_secret.h"
#include "ipc_network.pb-c.h"
#include "orch_limits.h"

#define ARENA_MORE (256 * 1024) /* bytes beside the texts: structures of everything at its limit */
#define SENTENCE_BYTES 512

struct set {		       /* one reading */
	struct secret *memory; /* of everything behind m */
	Openshell__Ipc__NetCredentialsRead *m;
	char (*handles)[CREDENTIAL_HANDLE_LEN + 1];
};

struct capture {
	char *name;
	struct secret *value;
};

struct orch_credentials {
	struct loop *loop;
	struct orch_credential_source source;
	const struct orch_credentials_calls *calls;
	void *owner;
	struct set now;
	uint64_t revision;
	bool revoked;

	struct capture captures[CREDENTIAL_MAX];
	const char *captured[CREDENTIAL_MAX + 1]; /* their names, for the reader */
	size_t n_captures;

	char *watched[CREDENTIAL_MAX];
	size_t n_watched;
	struct stat seen; /* of the file, right before it was read */

	/* the reader, while there is one */
	pid_t pid; /* 0: none, or reaped */
	int fd;	   /* -1: none */
	struct loop_io *io;
	struct loop_timer *late;
	struct secret *answer;
	size_t n_answer;
	bool again; /* asked for meanwhile */
};

static void sayf(const struct orch_credentials *c, bool serious, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

static void sayf(const struct orch_credentials *c, bool serious, const char *fmt, ...)
{
	char buf[SENTENCE_BYTES];
	va_list ap;

	va_start(ap, fmt);
	(void) vsnprintf(buf, sizeof buf, fmt, ap);
	va_end(ap);
	c->calls->say(c->owner, serious, buf);
}

static void set_done(struct set *s)
{
	secret_free(s->memory);
	free(s->handles);
	*s = (struct set){ 0 };
}

/* ---- variables of our own environment ---- */

static struct secret *capture_of(const struct orch_credentials *c, const char *name)
{
	for (size_t i = 0; i < c->n_captures; i++)
		if (strcmp(c->captures[i].name, name) == 0)
			return c->captures[i].value;
	return NULL;
}

bool orch_credentials_took(const struct orch_credentials *c, const char *name, size_t len)
{
	for (size_t i = 0; c && i < c->n_captures; i++)
		if (strlen(c->captures[i].name) == len &&
			memcmp(c->captures[i].name, name, len) == 0)
			return true;
	return false;
}

/* Gone from /proc/PID/environ and from what children inherit. */
static int capture(struct orch_credentials *c, const char *name, struct err *e)
{
	struct capture *to = &c->captures[c->n_captures];
	char *value = getenv(name);

	if (capture_of(c, name) || !value)
		return 0;
	if (c->n_captures == CREDENTIAL_MAX)
		return err_set(e, ENOSPC, "more than %d variables for credentials", CREDENTIAL_MAX);
	to->name = strdup(name);
	if (!to->name)
		return err_set(e, ENOMEM, "credentials");
	if (secret_new(value, strlen(value), &to->value, e) < 0) {
		free(TAKE_PTR(to->name));
		return -e->code;
	}
	c->captured[c->n_captures++] = to->name;
	secret_wipe(value, strlen(value));
	(void) unsetenv(name);
	return 0;
}

static int take_env(struct orch_credentials *c, Openshell__Ipc__NetCredentialRead *r, struct err *e)
{
	struct secret *value;

	if (!r->from_env[0] || r->problem[0])
		return 0;
	if (capture(c, r->from_env, e) < 0)
		return -e->code;
	value = capture_of(c, r->from_env);
	if (!value)
		return 0; /* the reader has said so */
	r->credential->has_value = true;
	r->credential->value.data = (uint8_t *) secret_edit(value);
	r->credential->value.len = secret_len(value);
	return 0;
}

/* ---- handles ---- */

static int new_handle(char ret[CREDENTIAL_HANDLE_LEN + 1], struct err *e)
{
	unsigned char bytes[CREDENTIAL_HANDLE_LEN / 2];

	if (getrandom(bytes, sizeof bytes, 0) != sizeof bytes)
		return err_set(e, errno, "random handle");
	for (size_t i = 0; i < sizeof bytes; i++)
		(void) snprintf(ret + 2 * i, 3, "%02x", bytes[i]);
	return 0;
}

static bool is_same(
	const Openshell__Ipc__NetCredentialRead *a, const Openshell__Ipc__NetCredentialRead *b)
{
	const Openshell__Ipc__NetCredential *x = a->credential, *y = b->credential;

	if (strcmp(x->identity, y->identity) != 0 || strcmp(a->prefix, b->prefix) != 0 ||
		x->n_endpoints != y->n_endpoints)
		return false;
	for (size_t i = 0; i < x->n_endpoints; i++)
		if (strcmp(x->endpoints[i]->host, y->endpoints[i]->host) != 0 ||
			x->endpoints[i]->port != y->endpoints[i]->port ||
			strcmp(x->endpoints[i]->path, y->endpoints[i]->path) != 0)
			return false;
	return true;
}

static int find(const struct set *s, const char *name)
{
	for (size_t i = 0; s->m && i < s->m->n_list; i++)
		if (strcmp(s->m->list[i]->credential->name, name) == 0)
			return (int) i;
	return -1;
}

static int give_handles(struct orch_credentials *c, struct set *s, struct err *e)
{
	s->handles = calloc(s->m->n_list + 1, sizeof *s->handles);
	if (!s->handles)
		return err_set(e, ENOMEM, "credentials");
	for (size_t i = 0; i < s->m->n_list; i++) {
		const char *name = s->m->list[i]->credential->name;
		int old = find(&c->now, name);

		if (old >= 0 && is_same(c->now.m->list[old], s->m->list[i])) {
			(void) memcpy(s->handles[i], c->now.handles[old], sizeof *s->handles);
			continue;
		}
		if (new_handle(s->handles[i], e) < 0)
			return -e->code;
		if (c->now.m)
			sayf(c, false,
				old < 0 ? "credential %s is new; start the command again to give "
					  "it its placeholder"
					: "credential %s: its source, endpoints or prefix changed, "
					  "so "
					  "its earlier placeholder is dead; start the command "
					  "again",
				name);
	}
	return 0;
}

/* ---- a reading ---- */

static int check_answer(const struct set *s, struct err *e)
{
	if (s->m->n_list > CREDENTIAL_MAX)
		return err_set(e, EBADMSG, "more than %d credentials", CREDENTIAL_MAX);
	for (size_t i = 0; i < s->m->n_list; i++)
		if (!s->m->list[i]->credential)
			return err_set(e, EBADMSG, "malformed answer of the reader");
	return 0;
}

/* 1: usable, and *ret is filled; 0: it was said why not. */
static int take_answer(struct orch_credentials *c, struct set *ret, struct err *e)
{
	struct secret_arena arena = { 0 };
	ProtobufCAllocator allocator = { secret_arena_take, secret_arena_give, &arena };
	struct set s = { 0 };
	int r;

	if (c->n_answer == 0)
		return err_set(e, EIO, "%s: the reader ended without an answer", c->source.file);
	if (secret_new_empty(c->n_answer + ARENA_MORE, &s.memory, e) < 0)
		return -e->code;
	arena.memory = s.memory;
	s.m = openshell__ipc__net_credentials_read__unpack(
		&allocator, c->n_answer, (const uint8_t *) secret_bytes(c->answer));
	r = s.m ? check_answer(&s, e) : err_set(e, EBADMSG, "malformed answer of the reader");
	if (r == 0 && s.m->problems[0])
		c->calls->say(c->owner, true, s.m->problems);
	for (size_t i = 0; r == 0 && i < s.m->n_list; i++)
		r = take_env(c, s.m->list[i], e);
	if (r == 0 && s.m->usable)
		r = give_handles(c, &s, e);
	if (r < 0 || !s.m->usable) {
		set_done(&s);
		return r;
	}
	*ret = s;
	return 1;
}

static void forget_reader(struct orch_credentials *c)
{
	loop_io_free(TAKE_PTR(c->io));
	loop_timer_free(TAKE_PTR(c->late));
	core_closep(&c->fd);
	c->fd = -1;
	/* Whatever a command left behind in its group; the leader is not reaped while we know it. */
	if (c->pid > 0)
		(void) kill(-c->pid, SIGKILL);
	secret_free(TAKE_PTR(c->answer));
	c->n_answer = 0;
}

static int begin(struct orch_credentials *c, struct err *e)
{
	if (secret_new_empty(ORCH_CREDENTIALS_BYTES_MAX + 1, &c->answer, e) < 0)
		return -e->code;
	c->n_answer = 0;
	c->source.captured = c->captured;
	(void) stat(c->source.file, &c->seen);
	return orch_credential_read(&c->source, &c->pid, &c->fd, e);
}

/* 1: there may be more, 0: the end, negative failed. */
static int read_some(struct orch_credentials *c, struct err *e)
{
	ssize_t n = read(
		c->fd, secret_edit(c->answer) + c->n_answer, secret_len(c->answer) - c->n_answer);

	if (n < 0)
		return errno == EAGAIN || errno == EINTR
			? 1
			: err_set(e, errno, "%s: read", c->source.file);
	c->n_answer += (size_t) n;
	if (c->n_answer == secret_len(c->answer))
		return err_set(
			e, EFBIG, "%s: the credentials are too large together", c->source.file);
	return n > 0;
}

/* ---- the first one: waits ---- */

static uint64_t now_ms(void)
{
	struct timespec t;

	(void) clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t) t.tv_sec * 1000 + (uint64_t) t.tv_nsec / 1000000;
}

static int read_first(struct orch_credentials *c, struct err *e)
{
	uint64_t until = now_ms() + ORCH_CREDENTIALS_READ_MS, now;
	struct pollfd p = { .fd = c->fd, .events = POLLIN };
	int r = 1;

	while (r > 0) {
		now = now_ms();
		if (now >= until || poll(&p, 1, (int) (until - now)) == 0)
			return err_set(e, ETIMEDOUT, "%s: its sources did not answer within %d s",
				c->source.file, ORCH_CREDENTIALS_READ_MS / 1000);
		r = read_some(c, e);
	}
	return r;
}

static int check_first(const struct set *s, const char *file, struct err *e)
{
	for (size_t i = 0; i < s->m->n_list; i++)
		if (!s->m->list[i]->credential->has_value)
			return err_set(e, EINVAL, "%s: not every credential could be had", file);
	return 0;
}

static int load_first(struct orch_credentials *c, struct err *e)
{
	int r;

	if ((r = begin(c, e)) == 0 && (r = read_first(c, e)) == 0)
		r = take_answer(c, &c->now, e);
	if (r == 0)
		r = err_set(e, EINVAL, "%s: can't be used", c->source.file);
	if (c->pid > 0) {
		(void) kill(-c->pid, SIGKILL);
		(void) waitpid(c->pid, NULL, 0);
		c->pid = 0;
	}
	forget_reader(c);
	return r < 0 ? r : check_first(&c->now, c->source.file, e);
}

int orch_credentials_new(struct loop *l, const struct orch_credential_source *source,
	const struct orch_credentials_calls *calls, void *owner, struct orch_credentials **ret,
	struct err *e)
{
	AUTO(orch_credentials_free) struct orch_credentials *c = calloc(1, sizeof *c);
	int r;

	if (!c)
		return err_set(e, ENOMEM, "credentials");
	c->loop = l;
	c->source = *source;
	c->calls = calls;
	c->owner = owner;
	c->fd = -1;
	if ((r = load_first(c, e)) < 0)
		return r;
	c->revision = 1;
	*ret = TAKE_PTR(c);
	return 0;
}

void orch_credentials_free(struct orch_credentials *c)
{
	if (!c)
		return;
	forget_reader(c);
	set_done(&c->now);
	for (size_t i = 0; i < c->n_captures; i++) {
		free(c->captures[i].name);
		secret_free(c->captures[i].value);
	}
	for (size_t i = 0; i < c->n_watched; i++)
		free(c->watched[i]);
	free(c);
}

/* ---- later ones ---- */

static void revoke_all(struct orch_credentials *c, const char *why)
{
	c->revoked = true;
	sayf(c, true,
		"credentials are revoked: %s; no placeholder resolves until the file can be read "
		"again",
		why);
}

static size_t count_values(const struct orch_credentials *c)
{
	size_t n = 0;

	for (size_t i = 0; i < c->now.m->n_list; i++)
		n += c->now.m->list[i]->credential->has_value;
	return n;
}

static void finish(struct orch_credentials *c, int r, struct err *e)
{
	struct set next = { 0 };

	if (r == 0)
		r = take_answer(c, &next, e);
	forget_reader(c);
	c->revision++;
	if (r <= 0) {
		revoke_all(c, r < 0 ? e->text : c->source.file);
	} else {
		set_done(&c->now);
		c->now = next;
		c->revoked = false;
		sayf(c, false,
			"credentials of %s are in force: %zu of %zu have a value (revision %llu)",
			c->source.file, count_values(c), c->now.m->n_list,
			(unsigned long long) c->revision);
	}
	c->calls->changed(c->owner);
	if (c->again) {
		c->again = false;
		orch_credentials_reload(c);
	}
}

static void on_answer(void *owner, int fd, unsigned ready)
{
	struct orch_credentials *c = owner;
	struct err e = { 0 };
	int r;

	(void) fd;
	(void) ready;
	r = read_some(c, &e);
	if (r <= 0)
		finish(c, r, &e);
}

static void on_late(void *owner)
{
	struct orch_credentials *c = owner;
	struct err e = { 0 };

	finish(c,
		err_set(&e, ETIMEDOUT, "the sources did not answer within %d s",
			ORCH_CREDENTIALS_READ_MS / 1000),
		&e);
}

void orch_credentials_reload(struct orch_credentials *c)
{
	struct err e = { 0 };

	if (c->fd >= 0) {
		c->again = true;
		return;
	}
	if (begin(c, &e) < 0 || fd_set_nonblock(c->fd, &e) < 0 ||
		loop_io_new(c->loop, c->fd, on_answer, c, &c->io, &e) < 0 ||
		loop_timer_new(c->loop, on_late, c, &c->late, &e) < 0 ||
		loop_io_watch(c->io, LOOP_READ) < 0 ||
		loop_timer_start(c->late, ORCH_CREDENTIALS_READ_MS) < 0)
		finish(c, e.code ? -e.code : err_set(&e, EIO, "no timer"), &e);
}

bool orch_credentials_reaped(struct orch_credentials *c, pid_t pid)
{
	if (!c || pid != c->pid || pid <= 0)
		return false;
	c->pid = 0;
	return true;
}

/* ---- what others get ---- */

static int add_var(struct orch_vars *v, size_t max, const char *name, const char *value)
{
	struct orch_var *to = &v->at[v->n];

	if (v->n == max)
		return -ENOSPC;
	*to = (struct orch_var){ strdup(name), strdup(value) };
	v->n++;
	return to->name && to->value ? 0 : -ENOMEM;
}

int orch_credentials_env(const struct orch_credentials *c, struct orch_vars *ret, struct err *e)
{
	size_t n = c->now.m->n_list;

	*ret = (struct orch_vars){ .at = calloc(n + 1, sizeof *ret->at) };
	if (!ret->at)
		return err_set(e, ENOMEM, "environment");
	for (size_t i = 0; i < n; i++) {
		const Openshell__Ipc__NetCredentialRead *r = c->now.m->list[i];
		const struct credential_spec spec = {
			.name = r->credential->name,
			.handle = c->now.handles[i],
		};
		char placeholder[CREDENTIAL_PLACEHOLDER_MAX];
		struct text t;

		text_init(&t, placeholder, sizeof placeholder);
		credential_placeholder(&spec, 0, r->prefix, &t);
		if (t.cut || add_var(ret, n, spec.name, placeholder) < 0)
			return err_set(e, ENOMEM, "environment");
	}
	return 0;
}

static int pack(const Openshell__Ipc__NetCredentials *m, int *ret, struct err *e)
{
	size_t len = openshell__ipc__net_credentials__get_packed_size(m);
	AUTO(secret_free) struct secret *bytes = NULL;

	if (len > CREDENTIAL_BUNDLE_MAX)
		return err_set(e, EFBIG, "the credentials are too large together");
	if (secret_new_empty(len, &bytes, e) < 0)
		return -e->code;
	(void) openshell__ipc__net_credentials__pack(m, (uint8_t *) secret_edit(bytes));
	return fd_sealed_new("credentials", secret_bytes(bytes), len, ret, e);
}

int orch_credentials_fd(const struct orch_credentials *c, int *ret, struct err *e)
{
	Openshell__Ipc__NetCredentials m = OPENSHELL__IPC__NET_CREDENTIALS__INIT;
	size_t n = c->now.m->n_list;
	AUTO_FREE Openshell__Ipc__NetCredential **list = calloc(n + 1, sizeof *list);
	AUTO_FREE Openshell__Ipc__NetCredential *copies = calloc(n + 1, sizeof *copies);

	if (!list || !copies)
		return err_set(e, ENOMEM, "credentials");
	for (size_t i = 0; i < n; i++) {
		copies[i] = *c->now.m->list[i]->credential;
		copies[i].handle = c->now.handles[i];
		copies[i].has_value &= !c->revoked;
		if (!copies[i].has_value)
			copies[i].value = (ProtobufCBinaryData){ 0, NULL };
		list[i] = &copies[i];
	}
	m.revision = c->revision;
	m.credentials = list;
	m.n_credentials = n;
	return pack(&m, ret, e);
}

static bool is_beneath(const char *file, const char *dir)
{
	char real[PATH_MAX];
	size_t len;

	if (!realpath(dir, real))
		return false;
	len = strlen(real);
	return len == 1 || (strncmp(file, real, len) == 0 && (file[len] == '/' || !file[len]));
}

static bool is_open_to(const char *path, const struct orch_credentials_reach *to)
{
	char file[PATH_MAX];
	struct stat st;

	if (!realpath(path, file) || stat(file, &st) < 0)
		return true;
	if (st.st_uid != to->uid && !(st.st_gid == to->gid && (st.st_mode & S_IRGRP)) &&
		!(st.st_mode & S_IROTH))
		return false;
	for (size_t i = 0; i < to->n_dirs; i++)
		if (is_beneath(file, to->dirs[i]))
			return true;
	return false;
}

const char *orch_credentials_exposed(
	const struct orch_credentials *c, const struct orch_credentials_reach *reach)
{
	if (is_open_to(c->source.file, reach))
		return c->source.file;
	for (size_t i = 0; i < c->now.m->n_list; i++) {
		const char *file = c->now.m->list[i]->from_file;

		if (file[0] && is_open_to(file, reach))
			return file;
	}
	return NULL;
}

/* ---- watching ---- */

static void on_change(void *owner)
{
	orch_credentials_reload(owner);
}

static bool is_watched(const struct orch_credentials *c, const char *path)
{
	for (size_t i = 0; i < c->n_watched; i++)
		if (strcmp(c->watched[i], path) == 0)
			return true;
	return false;
}

static void watch_one(struct orch_credentials *c, struct orch_watch *w, const char *path)
{
	struct err e = { 0 };
	char *name;

	if (!path[0] || is_watched(c, path) || c->n_watched == CREDENTIAL_MAX)
		return;
	name = strdup(path);
	if (!name)
		return;
	c->watched[c->n_watched++] = name;
	if (orch_watch_add(w, -1, path, on_change, c, &e) < 0)
		sayf(c, false, "changes of %s are not noticed (%.200s); use SIGHUP", path, e.text);
}

void orch_credentials_watch(struct orch_credentials *c, struct orch_watch *w)
{
	watch_one(c, w, c->source.file);
	for (size_t i = 0; i < c->now.m->n_list; i++)
		watch_one(c, w, c->now.m->list[i]->from_file);
}

bool orch_credentials_is_stale(const struct orch_credentials *c)
{
	struct stat st;

	return stat(c->source.file, &st) < 0 || st.st_ino != c->seen.st_ino ||
		st.st_size != c->seen.st_size || st.st_mtim.tv_sec != c->seen.st_mtim.tv_sec ||
		st.st_mtim.tv_nsec != c->seen.st_mtim.tv_nsec;
}
