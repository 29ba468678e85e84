#include "orch_janitor.h"
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/close_range.h>
#include <signal.h>
#include <unistd.h>
#include "orch_ctl_socket.h"
#include "orch_tls.h"

#define PIPE_FD 0

/* No signal for our group and no key reaches it. */
static void wait_and_clean(int take_pipe, const struct orch_janitor_paths *paths)
{
	sigset_t all;
	char byte;

	(void) sigfillset(&all);
	(void) sigprocmask(SIG_SETMASK, &all, NULL);
	(void) setsid();
	if (chdir("/") < 0 || dup2(take_pipe, PIPE_FD) < 0)
		_exit(1);
	(void) close_range(PIPE_FD + 1, UINT_MAX, 0);
	while (read(PIPE_FD, &byte, 1) < 0 && errno == EINTR)
		;
	orch_ctl_sweep();
	orch_ctl_remove_stale(paths->ctl_socket);
	orch_ctl_remove_stale(paths->ssh_socket);
	orch_tls_sweep();
	_exit(0);
}

int orch_janitor_start(const struct orch_janitor_paths *paths, int *ret_fd, struct err *e)
{
	int ends[2];
	pid_t pid;

	if (pipe2(ends, O_CLOEXEC) < 0)
		return err_set(e, errno, "make a pipe");
	pid = fork();
	if (pid == 0) {
		(void) close(ends[1]);
		wait_and_clean(ends[0], paths);
	}
	(void) close(ends[0]);
	if (pid < 0) {
		(void) close(ends[1]);
		return err_set(e, errno, "fork");
	}
	*ret_fd = ends[1];
	return 0;
}
