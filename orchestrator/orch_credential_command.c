#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#include "core_cleanup.h"
#include "orch_credential_read.h"
#include "orch_limits.h"

static uint64_t now_ms(void)
{
	struct timespec t;

	(void) clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t) t.tv_sec * 1000 + (uint64_t) t.tv_nsec / 1000000;
}

static int start(char *const *argv, int out, pid_t *ret)
{
	posix_spawn_file_actions_t a;
	int r;

	if (posix_spawn_file_actions_init(&a) != 0)
		return -ENOMEM;
	if ((r = posix_spawn_file_actions_addopen(&a, 0, "/dev/null", O_RDONLY, 0)) == 0 &&
		(r = posix_spawn_file_actions_adddup2(&a, out, 1)) == 0 &&
		(r = posix_spawn_file_actions_addopen(&a, 2, "/dev/null", O_WRONLY, 0)) == 0 &&
		(r = posix_spawn_file_actions_addclosefrom_np(&a, 3)) == 0)
		r = posix_spawn(ret, argv[0], &a, NULL, argv, environ);
	(void) posix_spawn_file_actions_destroy(&a);
	return -r;
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

static int explain(int r, int status, struct err *e)
{
	if (r == -ETIMEDOUT)
		return err_set(e, ETIMEDOUT, "the command did not end within %d s",
			ORCH_CREDENTIAL_COMMAND_MS / 1000);
	if (r == -EFBIG)
		return err_set(e, EFBIG, "the command wrote more than a credential may hold");
	if (r < 0)
		return err_set(e, -r, "the command could not be run: %s", strerror(-r));
	if (WIFSIGNALED(status))
		return err_set(e, EIO, "the command was ended by signal %d", WTERMSIG(status));
	return WEXITSTATUS(status)
		? err_set(e, EIO, "the command ended with status %d", WEXITSTATUS(status))
		: 0;
}

int orch_credential_command(
	char *const *argv, char *ret, size_t max, size_t *ret_len, struct err *e)
{
	uint64_t until_ms = now_ms() + ORCH_CREDENTIAL_COMMAND_MS;
	int ends[2], status = 0, r;
	pid_t pid;

	if (pipe2(ends, O_CLOEXEC) < 0)
		return err_set(e, errno, "the command could not be run: %s", strerror(errno));
	r = start(argv, ends[1], &pid);
	(void) close(ends[1]);
	if (r < 0) {
		(void) close(ends[0]);
		return explain(r, 0, e);
	}
	r = take_output(ends[0], ret, max, ret_len, until_ms);
	if (r == 0)
		r = wait_status(pid, until_ms, &status);
	if (r < 0) {
		(void) kill(pid, SIGKILL);
		(void) waitpid(pid, &status, 0);
	}
	(void) close(ends[0]);
	return explain(r, status, e);
}
