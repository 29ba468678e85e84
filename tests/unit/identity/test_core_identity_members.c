/* test_core_identity_members.c - who lives in the namespace, listed no more often than needed. */
#include "core_identity_members.h"
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>
#include "core_identity_scan.h"
#include "test.h"

static uint64_t enter_namespace(int *ret_proc)
{
	struct stat st;

	ASSERT(unshare(CLONE_NEWNET) == 0);
	ASSERT(stat("/proc/self/ns/net", &st) == 0);
	*ret_proc = open("/proc", O_PATH | O_DIRECTORY | O_CLOEXEC);
	ASSERT(*ret_proc >= 0);
	return st.st_ino;
}

static bool has(const struct members *m, pid_t pid, pid_t tid)
{
	size_t n;
	const struct member *at = members_all(m, &n);

	for (size_t i = 0; i < n; i++)
		if (at[i].pid == pid && at[i].tid == tid)
			return true;
	return false;
}

static bool update(struct members *m)
{
	struct err e = { 0 };
	bool listed;

	ASSERT_OK(members_update(m, members_now_ms() + 10000, &listed, &e));
	return listed;
}

static pid_t fork_waiting(void)
{
	pid_t pid = fork();

	if (pid == 0) {
		(void) prctl(PR_SET_PDEATHSIG, SIGKILL);
		for (;;)
			(void) pause();
	}
	ASSERT(pid > 0);
	return pid;
}

static void end(pid_t pid)
{
	ASSERT(kill(pid, SIGKILL) == 0);
	ASSERT(waitpid(pid, NULL, 0) == pid);
}

TEST(a_process_born_after_a_listing_is_found)
{
	struct members *m;
	struct err e = { 0 };
	int proc;
	uint64_t netns = enter_namespace(&proc);
	pid_t child;

	ASSERT_OK(members_new(proc, netns, &m, &e));
	ASSERT(update(m));
	ASSERT(has(m, getpid(), getpid()));
	child = fork_waiting();
	ASSERT(update(m));
	ASSERT(has(m, child, child));
	end(child);
	members_free(m);
	(void) close(proc);
}

/* Elsewhere on the machine processes are made all the time: one pair without any is enough. */
TEST(where_nothing_was_born_nothing_is_listed_again)
{
	struct members *m;
	struct err e = { 0 };
	int proc, reused = 0;
	uint64_t netns = enter_namespace(&proc);

	ASSERT_OK(members_new(proc, netns, &m, &e));
	for (int i = 0; i < 10000 && !reused; i++) {
		(void) update(m);
		reused = !update(m);
	}
	ASSERT(reused);
	ASSERT(has(m, getpid(), getpid()));
	members_forget(m);
	ASSERT(update(m));
	members_free(m);
	(void) close(proc);
}

/* The leaf's child is seen outside first, and must not be taken for an outsider for good. */
static int finder(uint64_t netns, int proc, pid_t late, int go, int gone)
{
	struct members *m;
	struct err e = { 0 };
	char c = 'x';

	ASSERT_OK(members_new(proc, netns, &m, &e));
	ASSERT(update(m) && !has(m, late, late));
	ASSERT(write(go, &c, 1) == 1 && read(gone, &c, 1) == 1);
	ASSERT(update(m) && has(m, late, late));
	members_free(m);
	return 0;
}

TEST(a_child_of_the_leaf_that_enters_later_is_seen)
{
	int go[2], gone[2], proc, ns, status;
	uint64_t netns;
	pid_t late, f;
	char c;

	ASSERT(pipe2(go, O_CLOEXEC) == 0 && pipe2(gone, O_CLOEXEC) == 0);
	late = fork();
	if (late == 0) {
		char path[64];

		if (prctl(PR_SET_PDEATHSIG, SIGKILL) < 0 || read(go[0], &c, 1) != 1)
			_exit(1);
		(void) snprintf(path, sizeof path, "/proc/%d/ns/net", (int) getppid());
		ns = open(path, O_RDONLY | O_CLOEXEC);
		if (ns < 0 || setns(ns, CLONE_NEWNET) < 0 || write(gone[1], "x", 1) != 1)
			_exit(1);
		for (;;)
			(void) pause();
	}
	ASSERT(late > 0);
	netns = enter_namespace(&proc);
	f = fork();
	if (f == 0)
		_exit(finder(netns, proc, late, go[1], gone[0]));
	ASSERT(waitpid(f, &status, 0) == f && WIFEXITED(status) && WEXITSTATUS(status) == 0);
	end(late);
	for (int i = 0; i < 2; i++)
		(void) (close(go[i]), close(gone[i]));
	(void) close(proc);
}

struct keeper {
	int fd, go[2], done[2];
};

static void *keep_a_table(void *arg)
{
	struct keeper *k = arg;
	char c;

	if (unshare(CLONE_FILES) < 0 || write(k->done[1], "x", 1) != 1 ||
		read(k->go[0], &c, 1) != 1)
		abort();
	return NULL;
}

/* Nobody but a thread with a descriptor table of its own holds the socket. */
TEST(a_thread_with_its_own_table_is_an_owner)
{
	struct keeper k;
	struct scan_wanted wanted = { 0 };
	struct scan *s;
	struct err e = { 0 };
	struct stat st;
	pthread_t t;
	int proc;
	uint64_t netns = enter_namespace(&proc);
	char c;

	ASSERT(pipe2(k.go, O_CLOEXEC) == 0 && pipe2(k.done, O_CLOEXEC) == 0);
	k.fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	ASSERT(fstat(k.fd, &st) == 0);
	ASSERT(pthread_create(&t, NULL, keep_a_table, &k) == 0);
	ASSERT(read(k.done[0], &c, 1) == 1);
	ASSERT(close(k.fd) == 0);
	ASSERT_OK(scan_new(proc, netns, &s, &e));
	wanted.inode = st.st_ino;
	ASSERT_OK(scan_run(s, &wanted, 1, &e));
	ASSERT_EQ(wanted.n_owners, 1);
	ASSERT_EQ(wanted.owners[0], getpid());
	ASSERT(write(k.go[1], "x", 1) == 1);
	ASSERT(pthread_join(t, NULL) == 0);
	scan_free(s);
	for (int i = 0; i < 2; i++)
		(void) (close(k.go[i]), close(k.done[i]));
	(void) close(proc);
}
