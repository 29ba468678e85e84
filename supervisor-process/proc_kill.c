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

#define PASS_PAUSE_NS 500000 /* lets killed processes become zombies before the next pass */

struct spared {
	const pid_t *pids;
	size_t n;
};

static bool is_spared(const struct spared *s, pid_t pid)
{
	for (size_t i = 0; i < s->n; i++)
		if (s->pids[i] == pid)
			return true;
	return false;
}

static size_t list(int proc_fd, pid_t *pids, const struct spared *keep)
{
	struct err ignored = { 0 };
	size_t n = 0, next = 0;
	pid_t at = getpid();

	for (;;) {
		int got = procfs_children(proc_fd, at, pids + n, PROC_KILL_PIDS_MAX - n, &ignored);

		size_t end = n + (got > 0 ? (size_t) got : 0);

		for (size_t i = n; i < end; i++)
			if (!is_spared(keep, pids[i]))
				pids[n++] = pids[i];
		if (next >= n)
			return n;
		at = pids[next++];
	}
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

int proc_kill_but(const pid_t *keep, size_t n_keep, struct err *e)
{
	const struct spared spared = { keep, n_keep };
	AUTO_CLOSE int proc_fd = open("/proc", O_PATH | O_DIRECTORY | O_CLOEXEC);
	AUTO_FREE pid_t *pids = calloc(PROC_KILL_PIDS_MAX, sizeof *pids);
	struct timespec pause = { 0, PASS_PAUSE_NS };

	if (proc_fd < 0 || !pids)
		return err_set(e, pids ? errno : ENOMEM, "list descendants");
	for (int pass = 0; pass < PROC_KILL_PASSES_MAX; pass++) {
		size_t n;

		if (!reap())
			return 0;
		n = list(proc_fd, pids, &spared);
		if (n == 0)
			return 0;
		for (size_t i = 0; i < n; i++)
			(void) kill(pids[i], SIGSTOP);
		for (size_t i = 0; i < n; i++)
			(void) kill(pids[i], SIGKILL);
		(void) nanosleep(&pause, NULL);
	}
	return err_set(e, ETIME, "some processes of the workload could not be ended");
}

int proc_kill_all(pid_t keep, struct err *e)
{
	return proc_kill_but(&keep, 1, e);
}
