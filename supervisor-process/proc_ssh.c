#include "proc_ssh.h"
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/close_range.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>
#include "core_channel.h"
#include "proc_limits.h"
#include "proc_ssh_fds.h"

#define SEALS (F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE)

enum key_state { KEY_NONE, KEY_BEING_MADE, KEY_READY };

struct proc_ssh {
	struct loop *loop;
	struct proc_ssh_config config;
	int program, listener;
	int peer; /* accepted and asked about; -1: nobody */
	struct loop_io *io;
	struct loop_timer *pause;
	enum key_state key_state;
	int key;
	pid_t key_pid;
	pid_t pids[PROC_SSH_CONNECTIONS_MAX];
	int waiting[PROC_SSH_WAITING_MAX]; /* connections until there is a key */
	size_t n_waiting;
	bool open;
	uint64_t refused_ms; /* when the last refused peer was reported */
	unsigned refused;    /* since then */
};

/* In the child: fds become 3, 4, ...; only raw calls. */
static void become(int program, const char *mode, const int *fds, int n)
{
	char *argv[] = { (char *) "openshell-supervisor-ssh", (char *) (uintptr_t) mode, NULL };
	char *env[] = { (char *) "PATH=/usr/bin:/bin", (char *) "LANG=C.UTF-8", NULL, NULL };
	struct sigaction dfl = { .sa_handler = SIG_DFL };
	int high[PROC_SSH_FDS_MAX];
	sigset_t none;

#ifdef __SANITIZE_ADDRESS__
	env[2] = (char *) "ASAN_OPTIONS=detect_leaks=0";
#endif
	for (int s = 1; s < NSIG; s++)
		(void) sigaction(s, &dfl, NULL);
	(void) sigemptyset(&none);
	(void) sigprocmask(SIG_SETMASK, &none, NULL);
	(void) setsid();
	program = fcntl(program, F_DUPFD_CLOEXEC, 20);
	for (int i = 0; i < n; i++)
		high[i] = fcntl(fds[i], F_DUPFD_CLOEXEC, 20);
	if (close_range(PROC_SSH_FIRST_FD, UINT_MAX, CLOSE_RANGE_CLOEXEC) < 0)
		_exit(126);
	for (int i = 0; i < n; i++)
		if (high[i] < 0 || dup2(high[i], PROC_SSH_FIRST_FD + i) < 0)
			_exit(126);
	(void) syscall(SYS_execveat, program, "", argv, env, AT_EMPTY_PATH);
	_exit(127);
}

static int run(const struct proc_ssh *s, const char *mode, const int *fds, int n, pid_t *ret,
	struct err *e)
{
	pid_t pid = fork();

	if (pid == 0)
		become(s->program, mode, fds, n);
	if (pid < 0)
		return err_set(e, errno, "fork the SSH session program");
	*ret = pid;
	return 0;
}

/* ---- connections ---- */

static pid_t *find_place(struct proc_ssh *s)
{
	for (size_t i = 0; i < PROC_SSH_CONNECTIONS_MAX; i++)
		if (!s->pids[i])
			return &s->pids[i];
	return NULL;
}

static int start_session(struct proc_ssh *s, int connection, struct err *e)
{
	pid_t *place = find_place(s);
	int pair[2], r;

	if (!place)
		return err_set(
			e, EUSERS, "%d SSH connections are open already", PROC_SSH_CONNECTIONS_MAX);
	if (channel_pair(pair, e) < 0)
		return -e->code;
	r = run(s, PROC_SSH_SERVE, (int[]){ connection, pair[1], s->key }, 3, place, e);
	(void) close(pair[1]);
	if (r < 0) {
		(void) close(pair[0]);
		return r;
	}
	return proc_shells_serve(s->config.shells, pair[0], e);
}

static int make_key(struct proc_ssh *s, struct err *e)
{
	if (s->program < 0)
		return err_set(e, ENOENT, "no SSH session program was given");
	s->key = memfd_create("ssh-host-key", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	if (s->key < 0)
		return err_set(e, errno, "memory for the SSH host key");
	if (run(s, PROC_SSH_KEY, &s->key, 1, &s->key_pid, e) < 0)
		return -e->code;
	s->key_state = KEY_BEING_MADE;
	return 0;
}

int proc_ssh_serve(struct proc_ssh *s, int take_fd, struct err *e)
{
	AUTO_CLOSE int fd = take_fd;

	if (s->key_state == KEY_READY)
		return start_session(s, fd, e);
	if (s->n_waiting == PROC_SSH_WAITING_MAX)
		return err_set(e, EUSERS, "%d SSH connections wait already", PROC_SSH_WAITING_MAX);
	if (s->key_state == KEY_NONE && make_key(s, e) < 0)
		return -e->code;
	s->waiting[s->n_waiting++] = TAKE_FD(fd);
	return 0;
}

static void key_was_made(struct proc_ssh *s, int status)
{
	bool good = status == 0 && fcntl(s->key, F_ADD_SEALS, SEALS) == 0;

	s->key_pid = 0;
	s->key_state = good ? KEY_READY : KEY_NONE;
	if (!good) {
		core_closep(&s->key);
		s->key = -1;
		s->config.report(s->config.owner, "the SSH host key could not be made");
	}
	for (size_t i = 0; i < s->n_waiting; i++) {
		struct err e = { 0 };

		if (good && start_session(s, s->waiting[i], &e) < 0)
			s->config.report(s->config.owner, e.text);
		(void) close(s->waiting[i]);
	}
	s->n_waiting = 0;
}

bool proc_ssh_reaped(struct proc_ssh *s, pid_t pid, int status)
{
	if (pid == s->key_pid) {
		key_was_made(s, status);
		return true;
	}
	for (size_t i = 0; i < PROC_SSH_CONNECTIONS_MAX; i++) {
		if (s->pids[i] != pid)
			continue;
		s->pids[i] = 0;
		if (s->open && s->io)
			(void) loop_io_watch(s->io, LOOP_READ); /* there is room again */
		return true;
	}
	return false;
}

size_t proc_ssh_pids(const struct proc_ssh *s, pid_t *ret)
{
	size_t n = 0;

	for (size_t i = 0; i < PROC_SSH_CONNECTIONS_MAX; i++)
		if (s->pids[i])
			ret[n++] = s->pids[i];
	return n;
}

/* ---- the listener ---- */

static void pause_accepting(struct proc_ssh *s)
{
	(void) loop_io_watch(s->io, 0);
	(void) loop_timer_start(s->pause, PROC_ACCEPT_PAUSE_MS);
}

/* An abstract socket is open to every user of the machine: he may knock, but not fill the channel on
 * which more important things are told. */
static void report_refused(struct proc_ssh *s, const char *why)
{
	uint64_t now = loop_now_ms(s->loop);
	char text[ERR_TEXT_MAX + 64];

	s->refused++;
	if (s->refused_ms && now - s->refused_ms < PROC_SSH_REFUSED_MS)
		return;
	(void) snprintf(text, sizeof text, "%s (%u refused)", why, s->refused);
	s->refused_ms = now;
	s->refused = 0;
	s->config.report(s->config.owner, text);
}

static void on_connect(void *owner, int fd, unsigned ready)
{
	struct proc_ssh *s = owner;
	struct err e = { 0 };
	int peer;

	(void) ready;
	/* They wait in the backlog until one ends, or is judged. */
	if (s->peer >= 0 || !find_place(s)) {
		(void) loop_io_watch(s->io, 0);
		return;
	}
	peer = accept4(fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
	if (peer < 0) {
		/* GAP-27: whatever it was, the next one may do. */
		if (errno != EAGAIN && errno != EINTR && errno != ECONNABORTED)
			pause_accepting(s);
		return;
	}
	if (s->config.ask(s->config.owner, peer, &e) < 0) {
		(void) close(peer);
		s->config.report(s->config.owner, e.text);
		return;
	}
	s->peer = peer;
	(void) loop_io_watch(s->io, 0);
}

int proc_ssh_verdict(struct proc_ssh *s, const char *refused, struct err *e)
{
	struct err why = { 0 };

	if (s->peer < 0)
		return err_set(e, EPROTO, "a verdict on an SSH peer that nobody asked about");
	if (*refused)
		report_refused(s, refused);
	else if (s->open && proc_ssh_serve(s, TAKE_FD(s->peer), &why) < 0)
		s->config.report(s->config.owner, why.text);
	core_closep(&s->peer);
	s->peer = -1;
	if (s->open)
		(void) loop_io_watch(s->io, LOOP_READ);
	return 0;
}

static void on_pause_over(void *owner)
{
	struct proc_ssh *s = owner;

	if (s->open && s->io)
		(void) loop_io_watch(s->io, LOOP_READ);
}

int proc_ssh_new(
	struct loop *l, const struct proc_ssh_config *c, struct proc_ssh **ret, struct err *e)
{
	AUTO(proc_ssh_free) struct proc_ssh *s = calloc(1, sizeof *s);

	if (!s)
		return err_set(e, ENOMEM, "SSH: out of memory");
	s->loop = l;
	s->config = *c;
	s->program = s->listener = s->key = s->peer = -1;
	if (loop_timer_new(l, on_pause_over, s, &s->pause, e) < 0)
		return -e->code;
	*ret = TAKE_PTR(s);
	return 0;
}

void proc_ssh_set_program(struct proc_ssh *s, int take_fd)
{
	core_closep(&s->program);
	s->program = take_fd;
}

int proc_ssh_listen(struct proc_ssh *s, int take_fd, struct err *e)
{
	if (s->listener >= 0) {
		(void) close(take_fd);
		return err_set(e, EALREADY, "there is an SSH listener already");
	}
	s->listener = take_fd;
	/* The key takes a few milliseconds; nobody should wait for them. */
	if (make_key(s, e) < 0)
		return -e->code;
	return loop_io_new(s->loop, s->listener, on_connect, s, &s->io, e);
}

void proc_ssh_open(struct proc_ssh *s)
{
	s->open = true;
	if (s->io)
		(void) loop_io_watch(s->io, LOOP_READ);
}

void proc_ssh_close(struct proc_ssh *s)
{
	s->open = false;
	if (s->io)
		(void) loop_io_watch(s->io, 0);
}

void proc_ssh_free(struct proc_ssh *s)
{
	if (!s)
		return;
	loop_io_free(s->io);
	loop_timer_free(s->pause);
	for (size_t i = 0; i < s->n_waiting; i++)
		(void) close(s->waiting[i]);
	core_closep(&s->program);
	core_closep(&s->peer);
	core_closep(&s->listener);
	core_closep(&s->key);
	free(s);
}
