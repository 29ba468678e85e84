#include "orch_janitor.h"
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/close_range.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>
#include "orch_ctl_socket.h"
#include "orch_tls.h"

#define PIPE_FD 0

/* Out of the environment, which is about to be wiped. */
static void keep(char ret[ORCH_SOCKET_PATH_MAX], const char *path)
{
	(void) snprintf(ret, ORCH_SOCKET_PATH_MAX, "%s", path ? path : "");
}

/* Some variable may hold a credential (from_env), which nobody but its owner shall keep. */
static void forget_environment(void)
{
	for (char **p = environ; *p; p++)
		explicit_bzero(*p, strlen(*p));
}

/* No signal for our group and no key reaches it. */
static void wait_and_clean(int take_pipe, const struct orch_janitor_paths *paths)
{
	char byte, folder[ORCH_SOCKET_PATH_MAX], ctl[ORCH_SOCKET_PATH_MAX],
		ssh[ORCH_SOCKET_PATH_MAX];
	struct err ignored = { 0 };
	sigset_t all;

	if (orch_ctl_folder(folder, &ignored) < 0)
		folder[0] = '\0';
	keep(ctl, paths->ctl_socket);
	keep(ssh, paths->ssh_socket);
	forget_environment();
	(void) sigfillset(&all);
	(void) sigprocmask(SIG_SETMASK, &all, NULL);
	(void) setsid();
	if (chdir("/") < 0 || dup2(take_pipe, PIPE_FD) < 0)
		_exit(1);
	(void) close_range(PIPE_FD + 1, UINT_MAX, 0);
	while (read(PIPE_FD, &byte, 1) < 0 && errno == EINTR)
		;
	orch_ctl_sweep(folder);
	orch_ctl_remove_stale(ctl);
	orch_ctl_remove_stale(ssh);
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
