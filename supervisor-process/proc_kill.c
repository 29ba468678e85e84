#include "proc_kill.h"
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#include "core_cleanup.h"
#include "core_procfs.h"
#include "proc_limits.h"

/* Lets killed processes become zombies before the next pass; mostly one is all there is. */
#define PASS_PAUSE_FIRST_NS 50000
#define PASS_PAUSE_NS 500000

/* As the workload's own user, in a child.  Its exit status is the first errno that was met. */
static int signal_as(
	const struct confine_identity *id, const pid_t *targets, size_t n, const int signals[2])
{
	pid_t pid = fork();
	int status, code = 0;

	if (pid == 0) {
		struct err e = { 0 };

		if (confine_drop(id, &e) < 0)
			_exit(e.code);
		for (int s = 0; s < 2; s++)
			for (size_t i = 0; signals[s] && i < n; i++)
				if (kill(targets[i], signals[s]) < 0 && !code)
					code = errno;
		_exit(code);
	}
	if (pid < 0)
		return -errno;
	while (waitpid(pid, &status, 0) < 0)
		if (errno != EINTR)
			return -errno;
	return WIFEXITED(status) ? -WEXITSTATUS(status) : -ESRCH;
}

int proc_kill(const struct proc_killer *k, pid_t target, int signo)
{
	if (kill(target, signo) == 0)
		return 0;
	if (errno != EPERM || !k->workload)
		return -errno;
	return signal_as(k->workload, &target, 1, (int[]){ signo, 0 });
}

static bool is_kept(const struct proc_killer *k, pid_t pid)
{
	for (size_t i = 0; i < k->n_keep; i++)
		if (k->keep[i] == pid)
			return true;
	return false;
}

static size_t list(int proc_fd, pid_t *pids, const struct proc_killer *k)
{
	struct err ignored = { 0 };
	size_t n = 0, next = 0;
	pid_t at = getpid();

	for (;;) {
		int got = procfs_children(proc_fd, at, pids + n, PROC_KILL_PIDS_MAX - n, &ignored);

		size_t end = n + (got > 0 ? (size_t) got : 0);

		for (size_t i = n; i < end; i++)
			if (!is_kept(k, pids[i]))
				pids[n++] = pids[i];
		if (next >= n)
			return n;
		at = pids[next++];
	}
}

static void stop_and_kill(const struct proc_killer *k, const pid_t *pids, size_t n)
{
	bool refused = false;

	for (size_t i = 0; i < n; i++)
		refused |= kill(pids[i], SIGSTOP) < 0 && errno == EPERM;
	for (size_t i = 0; i < n; i++)
		(void) kill(pids[i], SIGKILL);
	if (refused && k->workload)
		(void) signal_as(k->workload, pids, n, (int[]){ SIGSTOP, SIGKILL });
}

/* Children that have ended; false when there is nobody left but keep. */
static bool reap(void)
{
	siginfo_t info;

	for (;;) {
		info.si_pid = 0;
		if (waitid(P_ALL, 0, &info, WEXITED | WNOHANG | WNOWAIT) < 0)
			return false; /* ECHILD */
		if (info.si_pid == 0)
			return true;
		(void) waitpid(info.si_pid, NULL, WNOHANG);
	}
}

int proc_kill_all(const struct proc_killer *k, struct err *e)
{
	AUTO_CLOSE int proc_fd = open("/proc", O_PATH | O_DIRECTORY | O_CLOEXEC);
	AUTO_FREE pid_t *pids = calloc(PROC_KILL_PIDS_MAX, sizeof *pids);
	struct timespec pause = { 0, PASS_PAUSE_FIRST_NS };

	if (proc_fd < 0 || !pids)
		return err_set(e, pids ? errno : ENOMEM, "list descendants");
	for (int pass = 0; pass < PROC_KILL_PASSES_MAX; pass++) {
		size_t n;

		if (!reap())
			return 0;
		n = list(proc_fd, pids, k);
		if (n == 0)
			return 0;
		stop_and_kill(k, pids, n);
		(void) nanosleep(&pause, NULL);
		if (pause.tv_nsec < PASS_PAUSE_NS)
			pause.tv_nsec *= 2;
	}
	return err_set(e, ETIME, "some processes of the workload could not be ended");
}
