#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/close_range.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#include "core_cleanup.h"
#include "orch_credential_read.h"

static uint64_t now_ms(void)
{
	struct timespec t;

	(void) clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t) t.tv_sec * 1000 + (uint64_t) t.tv_nsec / 1000000;
}

/* In the child: only raw calls.  failure: what could not be done goes there; it ends with exec. */
static void become(char *const *argv, int out, int failure, pid_t reader)
{
	int null = open("/dev/null", O_RDWR | O_CLOEXEC);
	int code;

	/* The reader may be killed, and then nobody else knows of the command. */
	(void) prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
	if (getppid() != reader)
		_exit(127);
	(void) signal(SIGTERM, SIG_DFL);
	if (null >= 0 && dup2(null, 0) == 0 && dup2(out, 1) == 1 && dup2(null, 2) == 2 &&
		close_range(3, UINT_MAX, CLOSE_RANGE_CLOEXEC) == 0)
		(void) execve(argv[0], argv, environ);
	code = errno;
	(void) !write(failure, &code, sizeof code);
	_exit(127);
}

/* How far it came: 0 once it has become the command. */
static int learn(int failure)
{
	int code = 0;
	ssize_t n;

	do
		n = read(failure, &code, sizeof code);
	while (n < 0 && errno == EINTR);
	return n == sizeof code ? -code : 0;
}

static int start(char *const *argv, int out, pid_t *ret)
{
	pid_t reader = getpid(), pid;
	int failure[2], r;

	if (pipe2(failure, O_CLOEXEC) < 0)
		return -errno;
	pid = fork();
	if (pid == 0)
		become(argv, out, failure[1], reader);
	r = pid < 0 ? -errno : 0;
	(void) close(failure[1]);
	if (r == 0 && (r = learn(failure[0])) < 0)
		(void) waitpid(pid, NULL, 0);
	(void) close(failure[0]);
	*ret = pid;
	return r;
}

/* 0 when fd is ready before the time is over. */
static int await(int fd, uint64_t until_ms)
{
	struct pollfd p = { .fd = fd, .events = POLLIN };
	uint64_t now = now_ms();
	int n = now < until_ms ? poll(&p, 1, (int) (until_ms - now)) : 0;

	return n > 0 ? 0 : n == 0 ? -ETIMEDOUT : -errno;
}

static int take_output(int fd, char *ret, size_t max, size_t *ret_len, uint64_t until_ms)
{
	ssize_t n;

	*ret_len = 0;
	for (;;) {
		int r = await(fd, until_ms);

		if (r < 0)
			return r;
		n = read(fd, ret + *ret_len, max + 1 - *ret_len);
		if (n <= 0)
			return n < 0 ? -errno : 0;
		*ret_len += (size_t) n;
		if (*ret_len > max)
			return -EFBIG;
	}
}

static int wait_status(pid_t pid, uint64_t until_ms, int *ret)
{
	AUTO_CLOSE int fd = (int) syscall(SYS_pidfd_open, pid, 0);
	int r = fd < 0 ? -errno : await(fd, until_ms);

	if (r < 0)
		return r;
	return waitpid(pid, ret, 0) == pid ? 0 : -errno;
}

struct outcome {
	int r, status;
	uint64_t limit_ms;
	bool ended; /* the command did, but not its output */
};

static int explain(const struct outcome *o, size_t max, struct err *e)
{
	unsigned long long s = o->limit_ms / 1000;

	if (o->r == -ETIMEDOUT && o->ended)
		return err_set(e, ETIMEDOUT,
			"the command ended, but a program that it started kept its output open for "
			"%llu s, so that the end of the value is not known; redirect the output of "
			"that program",
			s);
	if (o->r == -ETIMEDOUT)
		return err_set(e, ETIMEDOUT, "the command did not end within %llu s", s);
	if (o->r == -EFBIG)
		return err_set(e, EFBIG,
			"the command wrote more than %zu bytes, a credential and its line end",
			max);
	if (o->r < 0)
		return err_set(e, -o->r, "the command could not be run: %s", strerror(-o->r));
	if (WIFSIGNALED(o->status))
		return err_set(e, EIO, "the command was ended by signal %d", WTERMSIG(o->status));
	return WEXITSTATUS(o->status)
		? err_set(e, EIO, "the command ended with status %d; run it by hand to see why",
			  WEXITSTATUS(o->status))
		: 0;
}

/* What it started may live on: those are in the reader's process group, and end with it. */
static void finish(pid_t pid, struct outcome *o)
{
	o->ended = waitpid(pid, &o->status, WNOHANG) == pid;
	if (o->ended)
		return;
	(void) kill(pid, SIGKILL);
	(void) waitpid(pid, &o->status, 0);
}

int orch_credential_command(
	char *const *argv, uint64_t limit_ms, char *ret, size_t max, size_t *ret_len, struct err *e)
{
	struct outcome o = { .limit_ms = limit_ms };
	uint64_t until_ms = now_ms() + limit_ms;
	int ends[2];
	pid_t pid;

	if (pipe2(ends, O_CLOEXEC) < 0)
		return err_set(e, errno, "the command could not be run: %s", strerror(errno));
	o.r = start(argv, ends[1], &pid);
	(void) close(ends[1]);
	if (o.r == 0) {
		o.r = take_output(ends[0], ret, max, ret_len, until_ms);
		if (o.r == 0)
			o.r = wait_status(pid, until_ms, &o.status);
		if (o.r < 0)
			finish(pid, &o);
	}
	(void) close(ends[0]);
	return explain(&o, max, e);
}
