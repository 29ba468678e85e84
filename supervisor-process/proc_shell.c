#include "proc_shell.h"
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include "core_channel.h"
#include "ipc_shell.h"
#include "ipc_shell.pb-c.h"
#include "proc_account.h"
#include "proc_job.h"
#include "proc_limits.h"

#define DEFAULT_TERM "xterm-256color"

struct shell { /* one channel */
	struct proc_shells *all;
	struct channel *channel;
	uint32_t state;
	unsigned n_jobs, n_reports;
};

struct entry {		     /* one job; it may outlive its channel until it has ended */
	struct shell *shell; /* NULL: nobody waits for it */
	uint32_t number;
	bool sftp;
	struct proc_job *job;
};

struct proc_shells {
	struct loop *loop;
	struct proc_shells_config config;
	struct shell *shells[PROC_SHELLS_MAX];
	struct entry jobs[PROC_JOBS_MAX];
};

/* ---- what is started ---- */

const char *proc_shell_choose(const char *account_shell)
{
	static const char *const others[] = { "/bin/bash", "/bin/sh" };
	const char *base = strrchr(account_shell, '/');

	if (base && strcmp(base, "/nologin") != 0 && strcmp(base, "/false") != 0 &&
		access(account_shell, X_OK) == 0)
		return account_shell;
	return access(others[0], X_OK) == 0 ? others[0] : others[1];
}

static const char *find_sftp_server(void)
{
	static const char *const places[] = { "/usr/lib/openssh/sftp-server",
		"/usr/libexec/openssh/sftp-server", "/usr/libexec/sftp-server",
		"/usr/lib/ssh/sftp-server" };

	for (size_t i = 0; i < sizeof places / sizeof *places; i++)
		if (access(places[i], X_OK) == 0)
			return places[i];
	return NULL;
}

static bool is_plain(const char *text, size_t max, const char *allowed)
{
	size_t len = strlen(text);

	return len > 0 && len <= max && strspn(text, allowed) == len;
}

#define LETTERS "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"

bool proc_shell_is_allowed_var(const char *name, const char *value)
{
	static const char *const names[] = { "LANG", "LANGUAGE", "COLORTERM", "NO_COLOR" };
	bool known = strncmp(name, "LC_", 3) == 0 &&
		is_plain(name, PROC_SHELL_VAR_NAME_MAX, "ABCDEFGHIJKLMNOPQRSTUVWXYZ_");

	for (size_t i = 0; i < sizeof names / sizeof *names; i++)
		known |= strcmp(name, names[i]) == 0;
	return known && is_plain(value, PROC_SHELL_VAR_VALUE_MAX, LETTERS "_.:@-,");
}

static const char *choose_term(const Openshell__Ipc__ShellStart *m)
{
	if (!m->tty)
		return "dumb";
	return is_plain(m->term, PROC_SHELL_TERM_MAX, LETTERS "+._-") ? m->term : DEFAULT_TERM;
}

static int build_env(struct proc_shells *s, const Openshell__Ipc__ShellStart *m, const char *shell,
	struct proc_env *ret, struct err *e)
{
	if (proc_env_copy(s->config.env, ret, e) < 0 || proc_env_set(ret, "SHELL", shell, e) < 0 ||
		proc_env_set(ret, "TERM", choose_term(m), e) < 0)
		return -e->code;
	for (size_t i = 0; i < m->n_env; i++)
		if (proc_shell_is_allowed_var(m->env[i]->name, m->env[i]->value) &&
			proc_env_set(ret, m->env[i]->name, m->env[i]->value, e) < 0)
			return -e->code;
	return 0;
}

/* ret has room for n_argv + 4 words. */
static int build_argv(
	const Openshell__Ipc__ShellStart *m, const char *shell, char **ret, struct err *e)
{
	size_t n = 0;

	switch (m->kind) {
	case OPENSHELL__IPC__SHELL_KIND__ARGV:
		if (m->n_argv == 0 || !m->argv[0][0])
			return err_set(e, EINVAL, "no command to run");
		for (; n < m->n_argv; n++)
			ret[n] = m->argv[n];
		return 0;
	case OPENSHELL__IPC__SHELL_KIND__SHELL:
		ret[n++] = (char *) (uintptr_t) shell;
		if (m->tty)
			ret[n++] = (char *) "-i";
		return 0;
	case OPENSHELL__IPC__SHELL_KIND__COMMAND:
		ret[n++] = (char *) (uintptr_t) shell;
		ret[n++] = (char *) "-lc";
		ret[n++] = m->n_argv ? m->argv[0] : (char *) "";
		return 0;
	case OPENSHELL__IPC__SHELL_KIND__SFTP:
		ret[n] = (char *) (uintptr_t) find_sftp_server();
		return ret[n] ? 0
			      : err_set(e, ENOENT,
					"sftp-server is not installed; install openssh-sftp-server "
					"in the image");
	case _OPENSHELL__IPC__SHELL_KIND_IS_INT_SIZE:
		break;
	}
	return err_set(e, EINVAL, "unknown kind of process");
}

static struct entry *find_free(struct shell *c, struct err *e)
{
	struct proc_shells *s = c->all;

	if (c->n_jobs >= PROC_SHELL_JOBS_MAX) {
		(void) err_set(e, EUSERS, "%d processes on one connection are enough",
			PROC_SHELL_JOBS_MAX);
		return NULL;
	}
	for (size_t i = 0; i < PROC_JOBS_MAX; i++)
		if (!s->jobs[i].job)
			return &s->jobs[i];
	(void) err_set(
		e, EUSERS, "%d processes were started beside the command already", PROC_JOBS_MAX);
	return NULL;
}

static struct entry *find_job(struct shell *c, uint32_t number)
{
	for (size_t i = 0; i < PROC_JOBS_MAX; i++) {
		struct entry *j = &c->all->jobs[i];

		if (j->job && j->shell == c && j->number == number)
			return j;
	}
	return NULL;
}

/* ---- answers ---- */

static void refuse(struct shell *c, uint32_t number, const struct err *why)
{
	Openshell__Ipc__ShellRefused m = OPENSHELL__IPC__SHELL_REFUSED__INIT;
	struct err ignored = { 0 };

	m.text = (char *) (uintptr_t) why->text;
	(void) channel_send(c->channel, SHELL_REFUSED, number, &m.base, &ignored);
}

static void tell_end(const struct entry *j, const struct proc_job_end *end)
{
	Openshell__Ipc__ShellEnded m = OPENSHELL__IPC__SHELL_ENDED__INIT;
	struct err ignored = { 0 };

	m.signalled = end->signalled;
	m.code = end->code;
	m.text = (char *) (uintptr_t) end->text;
	(void) channel_send(j->shell->channel, SHELL_ENDED, j->number, &m.base, &ignored);
}

static int send_started(struct shell *c, uint32_t number, bool tty, int fds[3], struct err *e)
{
	int r = channel_send_fds(c->channel, tty ? SHELL_STARTED_TTY : SHELL_STARTED, number, NULL,
		fds, tty ? 1 : 3, e);

	for (int i = 0; i < 3; i++)
		core_closep(&fds[i]);
	return r;
}

static int start(
	struct shell *c, uint32_t number, const Openshell__Ipc__ShellStart *m, struct err *e)
{
	struct proc_shells *s = c->all;
	const char *shell = proc_shell_choose(s->config.account_shell);
	AUTO_FREE char **argv = calloc(m->n_argv + 4, sizeof *argv);
	struct entry *place = find_free(c, e);
	struct proc_env env = { 0 };
	struct proc_job_plan plan = { .restrictions = s->config.restrictions,
		.workdir = s->config.workdir,
		.argv = argv,
		.tty = m->tty && m->kind != OPENSHELL__IPC__SHELL_KIND__SFTP,
		.look = { m->rows, m->columns, m->modes, m->n_modes } };
	int fds[3], r;

	if (!argv)
		return err_set(e, ENOMEM, "out of memory");
	if (!place || build_argv(m, shell, argv, e) < 0)
		return -e->code;
	r = build_env(s, m, shell, &env, e);
	plan.env = env.at;
	if (r == 0)
		r = proc_job_start(s->loop, &plan, &place->job, fds, e);
	proc_env_done(&env);
	if (r < 0)
		return r;
	place->shell = c;
	place->number = number;
	place->sftp = m->kind == OPENSHELL__IPC__SHELL_KIND__SFTP;
	c->n_jobs++;
	return send_started(c, number, plan.tty, fds, e);
}

static int on_SHELL_START(void *owner, const struct channel_msg *m, int *fds, struct err *e)
{
	struct shell *c = owner;
	Openshell__Ipc__ShellStart *s;
	struct err why = { 0 };
	ProtobufCMessage *base;

	(void) fds;
	if (channel_unpack(m, &openshell__ipc__shell_start__descriptor, &base, e) < 0)
		return -e->code;
	s = (Openshell__Ipc__ShellStart *) base;
	if (s->n_argv > PROC_COMMAND_WORDS_MAX || s->n_env > PROC_SHELL_VARS_MAX ||
		s->n_modes > 2 * PROC_SHELL_MODES_MAX)
		(void) err_set(&why, E2BIG, "more than %d words, %d variables or %d terminal modes",
			PROC_COMMAND_WORDS_MAX, PROC_SHELL_VARS_MAX, PROC_SHELL_MODES_MAX);
	else if (find_job(c, m->request))
		(void) err_set(&why, EEXIST, "job %u is running", m->request);
	else
		(void) start(c, m->request, s, &why);
	protobuf_c_message_free_unpacked(base, NULL);
	if (why.code)
		refuse(c, m->request, &why);
	return 0;
}

static int on_SHELL_SIGNAL(void *owner, const struct channel_msg *m, int *fds, struct err *e)
{
	struct entry *j = find_job(owner, m->request);
	ProtobufCMessage *base;
	uint32_t signo;

	(void) fds;
	if (channel_unpack(m, &openshell__ipc__shell_signal__descriptor, &base, e) < 0)
		return -e->code;
	signo = ((Openshell__Ipc__ShellSignal *) base)->signo;
	protobuf_c_message_free_unpacked(base, NULL);
	if (signo == 0 || signo >= (uint32_t) SIGRTMIN)
		return err_set(e, EBADMSG, "signal %u", signo);
	if (j) /* it may have ended meanwhile */
		proc_job_signal(j->job, (int) signo);
	return 0;
}

static int on_SHELL_RESIZE(void *owner, const struct channel_msg *m, int *fds, struct err *e)
{
	struct entry *j = find_job(owner, m->request);
	Openshell__Ipc__ShellResize *size;
	ProtobufCMessage *base;

	(void) fds;
	if (channel_unpack(m, &openshell__ipc__shell_resize__descriptor, &base, e) < 0)
		return -e->code;
	size = (Openshell__Ipc__ShellResize *) base;
	if (j)
		proc_job_resize(j->job, size->rows, size->columns);
	protobuf_c_message_free_unpacked(base, NULL);
	return 0;
}

static int on_SHELL_HANGUP(void *owner, const struct channel_msg *m, int *fds, struct err *e)
{
	struct entry *j = find_job(owner, m->request);

	(void) fds;
	(void) e;
	if (j)
		proc_job_hang_up(j->job);
	return 0;
}

/* ---- connections ---- */

static bool is_loopback(const uint8_t a[16])
{
	static const uint8_t mapped[12] = { 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff };
	static const uint8_t six[16] = { [15] = 1 };

	return (memcmp(a, mapped, 12) == 0 && a[12] == 127) || memcmp(a, six, 16) == 0;
}

static int connect_inside(int fd, const uint8_t a[16], uint16_t port)
{
	struct sockaddr_in a4 = { .sin_family = AF_INET, .sin_port = htons(port) };
	struct sockaddr_in6 a6 = { .sin6_family = AF_INET6, .sin6_port = htons(port) };

	if (a[15] == 1 && a[12] != 127) {
		(void) memcpy(&a6.sin6_addr, a, 16);
		return connect(fd, (struct sockaddr *) &a6, sizeof a6);
	}
	(void) memcpy(&a4.sin_addr, a + 12, 4);
	return connect(fd, (struct sockaddr *) &a4, sizeof a4);
}

static int dial(
	const struct proc_netns *n, const uint8_t a[16], uint16_t port, int *ret_fd, struct err *e)
{
	bool six = a[12] != 127;
	int on = 1;
	AUTO_CLOSE int fd = -1;
	int r;

	if (proc_netns_enter(n, e) < 0)
		return -e->code;
	fd = socket(six ? AF_INET6 : AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	/* What comes in small pieces is meant to go on in them: somebody types. */
	r = fd < 0 || setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on) < 0 ? errno : 0;
	if (proc_netns_leave(n, e) < 0)
		return -e->code;
	if (r)
		return err_set(e, r, "make a socket: %s", strerror(r));
	/* A socket stays in the namespace that it was made in. */
	if (connect_inside(fd, a, port) < 0 && errno != EINPROGRESS)
		return err_set(e, errno, "connect to port %u: %s", port, strerror(errno));
	*ret_fd = TAKE_FD(fd);
	return 0;
}

static int on_SHELL_DIAL(void *owner, const struct channel_msg *m, int *fds, struct err *e)
{
	struct shell *c = owner;
	AUTO_CLOSE int fd = -1;
	Openshell__Ipc__ShellDial *d;
	struct err why = { 0 };
	ProtobufCMessage *base;
	bool good;

	(void) fds;
	if (channel_unpack(m, &openshell__ipc__shell_dial__descriptor, &base, e) < 0)
		return -e->code;
	d = (Openshell__Ipc__ShellDial *) base;
	good = d->address.len == 16 && d->port > 0 && d->port <= UINT16_MAX &&
		is_loopback(d->address.data);
	if (good)
		(void) dial(c->all->config.restrictions->netns, d->address.data, (uint16_t) d->port,
			&fd, &why);
	protobuf_c_message_free_unpacked(base, NULL);
	if (!good)
		return err_set(e, EBADMSG, "an address that is not the sandbox's loopback");
	if (fd < 0) {
		refuse(c, m->request, &why);
		return 0;
	}
	return channel_send_fds(c->channel, SHELL_DIALLED, m->request, NULL, &fd, 1, e);
}

static int on_SHELL_MAIN(void *owner, const struct channel_msg *m, int *fds, struct err *e)
{
	struct shell *c = owner;
	struct err why = { 0 };
	int pair[2], r;

	(void) fds;
	if (channel_pair(pair, e) < 0)
		return -e->code;
	r = c->all->config.attach_main(c->all->config.owner, pair[0], &why);
	if (r < 0)
		refuse(c, m->request, &why);
	else
		r = channel_send_fds(c->channel, SHELL_ATTACHED, m->request, NULL, &pair[1], 1, e);
	(void) close(pair[0]);
	(void) close(pair[1]);
	return why.code ? 0 : r;
}

static int on_SHELL_REPORT(void *owner, const struct channel_msg *m, int *fds, struct err *e)
{
	struct shell *c = owner;
	ProtobufCMessage *base;

	(void) fds;
	if (channel_unpack(m, &openshell__ipc__shell_report__descriptor, &base, e) < 0)
		return -e->code;
	if (c->n_reports++ < PROC_SHELL_REPORTS_MAX)
		c->all->config.report(
			c->all->config.owner, ((Openshell__Ipc__ShellReport *) base)->what);
	protobuf_c_message_free_unpacked(base, NULL);
	return 0;
}

#define X(n, num, lo, hi, fds, st) { #n, (num), (lo), (hi), (fds), (st), on_##n },
static const struct channel_rule shell_rules[] = { SHELL_REQUESTS(X){ 0 } };
#undef X

/* ---- life ---- */

static void shell_free(struct shell *c)
{
	if (!c)
		return;
	for (size_t i = 0; i < PROC_SHELLS_MAX; i++)
		if (c->all->shells[i] == c)
			c->all->shells[i] = NULL;
	for (size_t i = 0; i < PROC_JOBS_MAX; i++) {
		struct entry *j = &c->all->jobs[i];

		if (!j->job || j->shell != c)
			continue;
		j->shell = NULL;
		proc_job_hang_up(j->job);
	}
	channel_free(c->channel);
	free(c);
}

static void on_end(void *owner, const struct err *why)
{
	struct shell *c = owner;

	if (why->code)
		c->all->config.report(c->all->config.owner, why->text);
	shell_free(c);
}

int proc_shells_new(struct loop *l, const struct proc_shells_config *config,
	struct proc_shells **ret, struct err *e)
{
	struct proc_shells *s = calloc(1, sizeof *s);

	if (!s)
		return err_set(e, ENOMEM, "spawner: out of memory");
	s->loop = l;
	s->config = *config;
	*ret = s;
	return 0;
}

int proc_shells_serve(struct proc_shells *s, int take_fd, struct err *e)
{
	AUTO_CLOSE int fd = take_fd;
	AUTO_FREE struct shell *c = calloc(1, sizeof *c);
	size_t i = 0;

	if (!c)
		return err_set(e, ENOMEM, "spawner: out of memory");
	while (i < PROC_SHELLS_MAX && s->shells[i])
		i++;
	if (i == PROC_SHELLS_MAX)
		return err_set(
			e, EUSERS, "%d connections for shells are open already", PROC_SHELLS_MAX);
	c->all = s;
	c->state = SHELL_OPEN;
	if (channel_open(s->loop, TAKE_FD(fd),
		    &(struct channel_user){ shell_rules, &c->state, on_end, c }, &c->channel,
		    e) < 0)
		return -e->code;
	s->shells[i] = TAKE_PTR(c);
	return 0;
}

/* It wants to know its user's home folder, and says so in words that help nobody. */
static void explain_sftp(const struct proc_shells *s, struct proc_job_end *end)
{
	uint32_t uid = s->config.restrictions->identity->uid;
	AUTO_FREE char *text = NULL;
	struct err ignored = { 0 };
	struct proc_passwd p;
	size_t len;

	if (end->signalled || end->code == 0 || end->text[0] ||
		proc_account_read("/etc/passwd", &text, &len, &ignored) < 0 ||
		proc_account_uid(text, len, uid, &p, &ignored) != -ENOENT)
		return;
	(void) snprintf(end->text, sizeof end->text,
		"sftp and scp need an account, and /etc/passwd has none for uid %u; run the "
		"sandbox as a "
		"user that has one (run_as_user), or copy with rsync, or with tar through ssh",
		uid);
}

static void finish(struct entry *j, int status)
{
	struct proc_job_end end;

	proc_job_ended(j->job, status, &end);
	if (j->shell) {
		if (j->sftp)
			explain_sftp(j->shell->all, &end);
		tell_end(j, &end);
		j->shell->n_jobs--;
	}
	proc_job_free(j->job);
	*j = (struct entry){ 0 };
}

bool proc_shells_reaped(struct proc_shells *s, pid_t pid, int status)
{
	for (size_t i = 0; i < PROC_JOBS_MAX; i++) {
		if (!s->jobs[i].job || proc_job_pid(s->jobs[i].job) != pid)
			continue;
		finish(&s->jobs[i], status);
		return true;
	}
	return false;
}

void proc_shells_all_killed(struct proc_shells *s)
{
	for (size_t i = 0; i < PROC_JOBS_MAX; i++)
		if (s->jobs[i].job)
			finish(&s->jobs[i], SIGKILL);
}

void proc_shells_free(struct proc_shells *s)
{
	if (!s)
		return;
	for (size_t i = 0; i < PROC_SHELLS_MAX; i++)
		shell_free(s->shells[i]);
	for (size_t i = 0; i < PROC_JOBS_MAX; i++)
		proc_job_free(s->jobs[i].job);
	free(s);
}
