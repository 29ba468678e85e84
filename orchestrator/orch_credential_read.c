#include "orch_credential_read.h"
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <unistd.h>
#include "core_cleanup.h"
#include "core_credential_file.h"
#include "core_fd.h"
#include "ipc_network.pb-c.h"
#include "orch_limits.h"

#define VALUE_READ_MAX (CREDENTIAL_VALUE_MAX + 2) /* with a line end */

struct item {
	Openshell__Ipc__NetCredentialRead read;
	Openshell__Ipc__NetCredential credential;
	Openshell__Ipc__NetCredentialEndpoint *endpoints, **endpoint_list;
	char identity[64], problem[ERR_TEXT_MAX];
	char *value;
	size_t len;
};

/* ---- the file ---- */

static int check_file(const struct orch_credential_source *s, int fd, struct err *e)
{
	struct stat st;

	if (fstat(fd, &st) < 0)
		return err_set(e, errno, "%s: %s", s->file, strerror(errno));
	if (!S_ISREG(st.st_mode))
		return err_set(e, EINVAL, "%s: not a regular file", s->file);
	if (st.st_mode & 07177)
		return err_set(e, EPERM,
			"%s: mode %04o lets others at the credentials; chmod 600 it", s->file,
			(unsigned) st.st_mode & 07777);
	for (size_t i = 0; i < s->n_owners; i++)
		if (st.st_uid == s->owners[i])
			return 0;
	return err_set(e, EPERM, "%s: owned by uid %u, not by the caller; chown it to uid %u",
		s->file, (unsigned) st.st_uid, s->owners[0]);
}

static int read_text(
	const struct orch_credential_source *s, char **ret, size_t *ret_len, struct err *e)
{
	AUTO_CLOSE int fd =
		open(s->file, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY);

	if (fd < 0 && errno == ELOOP)
		return err_set(e, ELOOP,
			"%s: is a symbolic link, which could be pointed elsewhere; give the path "
			"of the file itself",
			s->file);
	if (fd < 0)
		return err_set(e, errno, "%s: %s", s->file, strerror(errno));
	if (check_file(s, fd, e) < 0)
		return -e->code;
	return fd_read_all(fd, CREDENTIAL_FILE_BYTES_MAX, ret, ret_len, e) < 0
		? err_wrap(e, "%s", s->file)
		: 0;
}

/* ---- values ---- */

static int check_value(const char *value, size_t len, struct err *e)
{
	if (len == 0)
		return err_set(e, EINVAL, "the value is empty");
	if (len > CREDENTIAL_VALUE_MAX)
		return err_set(e, EFBIG, "the value is longer than %d bytes", CREDENTIAL_VALUE_MAX);
	if (memchr(value, '\n', len) || memchr(value, '\r', len) || memchr(value, '\0', len))
		return err_set(e, EINVAL,
			"the value holds a line break or a NUL byte, which no request head can "
			"carry");
	if (credential_has_marker(value, len))
		return err_set(e, EINVAL, "the value is itself a placeholder");
	return 0;
}

/* Files and commands end their text with a line end; it is no part of the value. */
static size_t strip(const char *value, size_t len)
{
	if (len && value[len - 1] == '\n')
		len--;
	if (len && value[len - 1] == '\r')
		len--;
	return len;
}

static int value_of_file(const char *path, struct item *it, struct err *e)
{
	AUTO_CLOSE int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	struct stat st;

	it->read.from_file = (char *) (uintptr_t) path;
	if (fd < 0 || fstat(fd, &st) < 0)
		return err_set(e, errno, "the file can't be read: %s", strerror(errno));
	if (!S_ISREG(st.st_mode))
		return err_set(e, EINVAL, "it is not a regular file");
	if (st.st_mode & (S_IWGRP | S_IRWXO))
		return err_set(e, EPERM,
			"the file's mode %04o lets others at it; chmod 600 it, or 640 for a group "
			"that the command is not in",
			(unsigned) st.st_mode & 07777);
	return fd_read_all(fd, VALUE_READ_MAX, &it->value, &it->len, e);
}

static bool is_captured(const struct orch_credential_source *s, const char *name)
{
	for (const char *const *c = s->captured; *c; c++)
		if (strcmp(*c, name) == 0)
			return true;
	return false;
}

/* The value stays where it is: the orchestrator takes it from its own environment. */
static int value_of_env(
	const struct orch_credential_source *from, const char *name, struct item *it, struct err *e)
{
	const char *v = getenv(name);

	it->read.from_env = (char *) (uintptr_t) name;
	if (is_captured(from, name))
		return 0;
	if (!v)
		return err_set(e, ENOENT, "the variable is not set where the supervisor starts");
	return check_value(v, strlen(v), e);
}

static int value_of(const struct orch_credential_source *from, const struct credential_source *s,
	struct item *it, struct err *e)
{
	switch (s->origin) {
	case CREDENTIAL_ENV:
		return value_of_env(from, s->text, it, e);
	case CREDENTIAL_INLINE:
		it->len = strlen(s->text);
		it->value = strdup(s->text);
		break;
	case CREDENTIAL_FROM_FILE:
		if (value_of_file(s->text, it, e) < 0)
			return -e->code;
		it->len = strip(it->value, it->len);
		break;
	case CREDENTIAL_COMMAND:
		it->value = malloc(VALUE_READ_MAX + 1);
		if (it->value &&
			orch_credential_command(s->argv, ORCH_CREDENTIAL_COMMAND_MS, it->value,
				VALUE_READ_MAX, &it->len, e) < 0)
			return -e->code;
		it->len = strip(it->value, it->len);
		break;
	}
	if (!it->value)
		return err_set(e, ENOMEM, "out of memory");
	return check_value(it->value, it->len, e);
}

/* ---- the answer ---- */

static uint64_t mix(uint64_t h, const char *s)
{
	for (; *s; s++)
		h = (h ^ (unsigned char) *s) * 1099511628211u;
	return (h ^ 0xff) * 1099511628211u;
}

/* Another source is another credential, even under the same name: what was handed out for the old
 * one must not open the new one. An inline value may change: that is a rotation. */
static void set_identity(const struct credential_source *s, struct item *it)
{
	static const char *const kinds[] = { "value", "env", "file", "command" };
	uint64_t h = 14695981039346656037u;

	if (s->origin != CREDENTIAL_INLINE && s->text)
		h = mix(h, s->text);
	for (size_t i = 0; s->argv && s->argv[i]; i++)
		h = mix(h, s->argv[i]);
	(void) snprintf(it->identity, sizeof it->identity, "%s:%016llx", kinds[s->origin],
		(unsigned long long) h);
	it->credential.identity = it->identity;
}

static int set_endpoints(const struct credential_source *s, struct item *it)
{
	it->endpoints = calloc(s->n_endpoints, sizeof *it->endpoints);
	it->endpoint_list = calloc(s->n_endpoints, sizeof *it->endpoint_list);
	if (!it->endpoints || !it->endpoint_list)
		return -ENOMEM;
	for (size_t i = 0; i < s->n_endpoints; i++) {
		Openshell__Ipc__NetCredentialEndpoint *ep = &it->endpoints[i];

		openshell__ipc__net_credential_endpoint__init(ep);
		ep->host = (char *) (uintptr_t) s->endpoints[i].host;
		ep->port = s->endpoints[i].port;
		ep->path = (char *) (uintptr_t) s->endpoints[i].path;
		it->endpoint_list[i] = ep;
	}
	it->credential.endpoints = it->endpoint_list;
	it->credential.n_endpoints = s->n_endpoints;
	return 0;
}

static void fill(const struct orch_credential_source *from, const struct credential_source *s,
	struct policy_report *report, struct item *it)
{
	struct err e = { 0 };

	openshell__ipc__net_credential_read__init(&it->read);
	openshell__ipc__net_credential__init(&it->credential);
	it->read.credential = &it->credential;
	it->read.prefix = s->prefix;
	it->credential.name = s->name;
	it->credential.expires_at_ms = s->expires_at_ms;
	it->credential.require = s->require;
	set_identity(s, it);
	if (set_endpoints(s, it) < 0)
		(void) err_set(&e, ENOMEM, "out of memory");
	else if (value_of(from, s, it, &e) == 0 && it->value) {
		it->credential.has_value = true;
		it->credential.value.data = (uint8_t *) it->value;
		it->credential.value.len = it->len;
	}
	if (!e.code)
		return;
	(void) snprintf(it->problem, sizeof it->problem, "%s", e.text);
	it->read.problem = it->problem;
	credential_file_problem(s, report, it->problem);
}

static int send_answer(const Openshell__Ipc__NetCredentialsRead *m, int to, struct err *e)
{
	size_t len = openshell__ipc__net_credentials_read__get_packed_size(m);
	AUTO_FREE uint8_t *bytes = NULL;

	if (len > ORCH_CREDENTIALS_BYTES_MAX)
		return err_set(e, EFBIG, "the credentials are too large together");
	bytes = malloc(len + 1);
	if (!bytes)
		return err_set(e, ENOMEM, "out of memory");
	(void) openshell__ipc__net_credentials_read__pack(m, bytes);
	return fd_write_all(to, bytes, len, e);
}

static int answer(const struct orch_credential_source *s, const struct credential_file *f,
	struct policy_report *report, int to, struct err *e)
{
	Openshell__Ipc__NetCredentialsRead m = OPENSHELL__IPC__NET_CREDENTIALS_READ__INIT;
	struct item *items = calloc(f->n + 1, sizeof *items);
	Openshell__Ipc__NetCredentialRead **list = calloc(f->n + 1, sizeof *list);
	AUTO_FREE char *problems = NULL;

	if (!items || !list)
		return err_set(e, ENOMEM, "out of memory");
	for (size_t i = 0; i < f->n; i++) {
		fill(s, &f->at[i], report, &items[i]);
		list[i] = &items[i].read;
	}
	policy_report_text(report, s->file, &problems);
	if (problems && strlen(problems) > ORCH_CREDENTIALS_PROBLEMS_MAX)
		problems[text_utf8_cut(problems, strlen(problems), ORCH_CREDENTIALS_PROBLEMS_MAX)] =
			'\0';
	m.usable = true;
	m.problems = problems ? problems : m.problems;
	m.list = list;
	m.n_list = f->n;
	return send_answer(&m, to, e); /* the process ends: nothing is freed */
}

static int refuse(const char *problems, int to, struct err *e)
{
	Openshell__Ipc__NetCredentialsRead m = OPENSHELL__IPC__NET_CREDENTIALS_READ__INIT;

	m.problems = (char *) (uintptr_t) problems;
	return send_answer(&m, to, e);
}

static int work(const struct orch_credential_source *s, int to, struct err *e)
{
	struct policy_report report = { 0 };
	struct credential_file file = { 0 };
	char *text, *problems = NULL;
	struct err why = { 0 };
	size_t len;

	if (read_text(s, &text, &len, &why) < 0)
		return refuse(why.text, to, e);
	if (credential_file_parse(text, len, &report, &file, &why) == 0)
		return answer(s, &file, &report, to, e);
	policy_report_text(&report, s->file, &problems);
	if (problems && strlen(problems) > ORCH_CREDENTIALS_PROBLEMS_MAX)
		problems[text_utf8_cut(problems, strlen(problems), ORCH_CREDENTIALS_PROBLEMS_MAX)] =
			'\0';
	return refuse(problems ? problems : why.text, to, e);
}

/* The orchestrator is gone, killed perhaps: so goes everything that a command started. */
static void end_group(int signo)
{
	(void) signo;
	(void) kill(0, SIGKILL);
}

static void child(const struct orch_credential_source *s, int to, pid_t orchestrator)
{
	struct err e = { 0 };
	sigset_t none;

	for (int i = 1; i < NSIG; i++)
		(void) signal(i, SIG_DFL);
	(void) sigemptyset(&none);
	(void) sigprocmask(SIG_SETMASK, &none, NULL);
	(void) setpgid(0, 0);
	(void) signal(SIGTERM, end_group);
	(void) prctl(PR_SET_PDEATHSIG, SIGTERM, 0, 0, 0);
	if (getppid() != orchestrator)
		_exit(1);
	if (fd_close_all_but(to, &e) < 0 || work(s, to, &e) < 0)
		_exit(1);
	_exit(0);
}

int orch_credential_read(
	const struct orch_credential_source *s, pid_t *ret_pid, int *ret_fd, struct err *e)
{
	pid_t orchestrator = getpid(), pid;
	int ends[2];

	if (pipe2(ends, O_CLOEXEC) < 0)
		return err_set(e, errno, "read %s: %s", s->file, strerror(errno));
	pid = fork();
	if (pid == 0)
		child(s, ends[1], orchestrator);
	(void) close(ends[1]);
	if (pid < 0) {
		(void) close(ends[0]);
		return err_set(e, errno, "read %s: %s", s->file, strerror(errno));
	}
	(void) setpgid(pid, pid);
	*ret_pid = pid;
	*ret_fd = ends[0];
	return 0;
}
