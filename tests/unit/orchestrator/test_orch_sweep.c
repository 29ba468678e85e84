#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>
#include "core_cleanup.h"
#include "orch_sweep.h"
#include "test.h"

#define LIMIT_MS 20000
#define HOLD_S 30 /* a test that failed leaves nobody behind for longer */

static void hold(int fd)
{
	char byte = 1;

	(void) alarm(HOLD_S);
	if (write(fd, &byte, 1) != 1)
		_exit(1);
	for (;;)
		(void) pause();
}

/* A child, its child, and an orphan with a session of its own; each holds the pipe. */
static int family(void)
{
	char byte;
	int ends[2];
	pid_t between;

	ASSERT_EQ(prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0), 0);
	ASSERT_EQ(pipe2(ends, O_CLOEXEC), 0);
	if (fork() == 0) {
		if (fork() == 0)
			hold(ends[1]);
		between = fork();
		if (between == 0) {
			(void) setsid();
			if (fork() == 0)
				hold(ends[1]);
			_exit(0);
		}
		/* While it ends, its child is handed over, and one look may miss that. */
		if (waitpid(between, NULL, 0) != between)
			_exit(1);
		hold(ends[1]);
	}
	(void) close(ends[1]);
	for (int i = 0; i < 3; i++)
		ASSERT_EQ(read(ends[0], &byte, 1), 1);
	return ends[0];
}

static void expect_gone(int fd)
{
	char byte;

	ASSERT_EQ(read(fd, &byte, 1), 0); /* nobody holds it any more */
	ASSERT_EQ(waitpid(-1, NULL, WNOHANG), -1);
	ASSERT_EQ(errno, ECHILD);
	(void) close(fd);
}

TEST(whole_families_are_ended_and_reaped)
{
	struct err e = { 0 };
	int fd = family();

	ASSERT_OK(orch_sweep_kill(LIMIT_MS, &e));
	expect_gone(fd);
}

TEST(without_children_there_is_nothing_to_do)
{
	struct err e = { 0 };

	ASSERT_OK(orch_sweep_kill(0, &e));
}

TEST(zombies_alone_are_reaped)
{
	struct err e = { 0 };
	siginfo_t info;

	for (int i = 0; i < 3; i++)
		if (fork() == 0)
			_exit(0);
	ASSERT_EQ(waitid(P_ALL, 0, &info, WEXITED | WNOWAIT), 0);
	ASSERT_OK(orch_sweep_kill(LIMIT_MS, &e));
	ASSERT_EQ(waitpid(-1, NULL, WNOHANG), -1);
}

TEST(stopped_and_deaf_ones_are_ended)
{
	struct err e = { 0 };
	int ends[2];
	char byte;
	pid_t pid;

	ASSERT_EQ(pipe2(ends, O_CLOEXEC), 0);
	pid = fork();
	if (pid == 0) {
		for (int i = 1; i < 32; i++)
			(void) signal(i, SIG_IGN);
		hold(ends[1]);
	}
	(void) close(ends[1]);
	ASSERT_EQ(read(ends[0], &byte, 1), 1);
	ASSERT_EQ(kill(pid, SIGSTOP), 0);
	ASSERT_OK(orch_sweep_kill(LIMIT_MS, &e));
	expect_gone(ends[0]);
}

static bool has(const pid_t *pids, size_t n, pid_t pid)
{
	for (size_t i = 0; i < n; i++)
		if (pids[i] == pid)
			return true;
	return false;
}

TEST(both_ways_find_the_same_and_keep_to_their_room)
{
	AUTO_CLOSE int proc_fd = open("/proc", O_PATH | O_DIRECTORY | O_CLOEXEC);
	pid_t list[16], scan[16];
	struct err e = { 0 };
	size_t n, m;
	int fd;

	fd = family();
	n = orch_sweep_list(proc_fd, list, 16);
	m = orch_sweep_scan(scan, 16);
	ASSERT_EQ((long long) m, 3);
	ASSERT_EQ((long long) n, 3);
	for (size_t i = 0; i < m; i++)
		ASSERT(has(list, n, scan[i]));
	ASSERT_EQ((long long) orch_sweep_list(proc_fd, list, 2), 2);
	ASSERT_EQ((long long) orch_sweep_scan(scan, 2), 2);
	ASSERT_OK(orch_sweep_kill(LIMIT_MS, &e));
	expect_gone(fd);
}
