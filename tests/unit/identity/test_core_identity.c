/* test_core_identity.c - who owns the other end of a connection; real sockets in a namespace of its own. */
#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <sched.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <net/if.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>
#include "core_identity.h"
#include "core_procfs.h"
#include "test.h"

struct lab {
	int netns, proc, listener;
	struct identity_finder *finder;
	struct sockaddr_in at;
};

static void lo_up(void)
{
	struct ifreq r = { .ifr_name = "lo", .ifr_flags = IFF_UP };
	int s = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	ASSERT(ioctl(s, SIOCSIFFLAGS, &r) == 0);
	(void) close(s);
}

/* This test process is the workload: it lives in the namespace, and is its own anchor. */
static void lab_init(struct lab *l)
{
	socklen_t len = sizeof l->at;
	struct err e = { 0 };

	ASSERT(unshare(CLONE_NEWNET) == 0);
	lo_up();
	l->netns = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);
	l->proc = open("/proc", O_PATH | O_DIRECTORY | O_CLOEXEC);
	ASSERT_OK(identity_finder_new(l->netns, l->proc, &l->finder, &e));
	identity_finder_set_anchor(l->finder, getpid());
	l->listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	l->at = (struct sockaddr_in){ .sin_family = AF_INET,
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	ASSERT(bind(l->listener, (struct sockaddr *) &l->at, sizeof l->at) == 0 &&
		listen(l->listener, 300) == 0 &&
		getsockname(l->listener, (struct sockaddr *) &l->at, &len) == 0);
}

static void lab_done(struct lab *l)
{
	identity_finder_free(l->finder);
	(void) close(l->listener);
	(void) close(l->netns);
	(void) close(l->proc);
}

static struct identity_question question(int accepted)
{
	struct sockaddr_storage a, b;
	socklen_t la = sizeof a, lb = sizeof b;
	struct identity_question q;

	ASSERT(getpeername(accepted, (struct sockaddr *) &a, &la) == 0 &&
		getsockname(accepted, (struct sockaddr *) &b, &lb) == 0);
	ASSERT_OK(addr_from_sockaddr((struct sockaddr *) &a, la, &q.peer, &q.peer_port));
	ASSERT_OK(addr_from_sockaddr((struct sockaddr *) &b, lb, &q.local, &q.local_port));
	return q;
}

static int dial(struct lab *l, int *ret_accepted)
{
	int s = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	ASSERT(connect(s, (struct sockaddr *) &l->at, sizeof l->at) == 0);
	*ret_accepted = accept4(l->listener, NULL, NULL, SOCK_CLOEXEC);
	ASSERT(*ret_accepted >= 0);
	return s;
}

static struct identity_answer ask(struct lab *l, int accepted)
{
	struct identity_question q = question(accepted);
	struct identity_answer a;

	identity_find(l->finder, &q, &a, 1);
	return a;
}

TEST(the_owner_is_found_with_program_and_hash)
{
	char self[PROCFS_PATH_MAX];
	struct lab l;
	struct identity_answer a;
	int peer, s;

	lab_init(&l);
	s = dial(&l, &peer);
	a = ask(&l, peer);
	ASSERT(readlink("/proc/self/exe", self, sizeof self) > 0);
	ASSERT_EQ(a.caller.assurance, IDENTITY_OBSERVED);
	ASSERT(strncmp(a.caller.exe, self, strlen(a.caller.exe)) == 0);
	ASSERT_EQ(strlen(a.caller.sha256), 64);
	ASSERT_EQ(a.caller.pid, getpid());
	ASSERT_EQ(a.caller.n_ancestors, 0);
	identity_answer_done(&a);
	(void) close(s);
	(void) close(peer);
	lab_done(&l);
}

TEST(a_closed_socket_has_no_owner)
{
	struct lab l;
	struct identity_answer a;
	int peer, s;

	lab_init(&l);
	s = dial(&l, &peer);
	(void) close(s);
	a = ask(&l, peer);
	ASSERT_EQ(a.caller.assurance, IDENTITY_NONE);
	ASSERT(a.caller.reason[0]);
	identity_answer_done(&a);
	(void) close(peer);
	lab_done(&l);
}

static pid_t sleeper(int keep_open)
{
	int ready[2];
	char byte;
	pid_t pid;

	/* The pipe ends when execve(2) has happened. */
	ASSERT(pipe2(ready, O_CLOEXEC) == 0);
	pid = fork();
	if (pid == 0) {
		(void) fcntl(keep_open, F_SETFD, 0);
		(void) execl("/bin/sleep", "sleep", "30", (char *) NULL);
		_exit(1);
	}
	(void) close(ready[1]);
	ASSERT(read(ready[0], &byte, 1) == 0);
	(void) close(ready[0]);
	return pid;
}

TEST(owners_of_different_programs_are_ambiguous)
{
	struct lab l;
	struct identity_answer a;
	int peer, s;
	pid_t pid;

	lab_init(&l);
	s = dial(&l, &peer);
	pid = sleeper(s);
	a = ask(&l, peer);
	ASSERT_EQ(a.caller.assurance, IDENTITY_NONE);
	ASSERT(strstr(a.caller.reason, "ambiguous shared socket ownership"));
	identity_answer_done(&a);
	(void) kill(pid, SIGKILL);
	(void) waitpid(pid, NULL, 0);
	a = ask(&l, peer);
	ASSERT_EQ(a.caller.assurance, IDENTITY_OBSERVED);
	identity_answer_done(&a);
	(void) close(s);
	(void) close(peer);
	lab_done(&l);
}

TEST(a_descendant_has_its_ancestors)
{
	struct lab l;
	struct identity_answer a;
	int peer, s;
	pid_t pid;

	lab_init(&l);
	s = dial(&l, &peer);
	pid = sleeper(s);
	(void) close(s);
	a = ask(&l, peer);
	ASSERT_EQ(a.caller.assurance, IDENTITY_OBSERVED);
	ASSERT(strstr(a.caller.exe, "sleep"));
	ASSERT_EQ(a.caller.n_ancestors, 1);
	ASSERT_EQ(a.caller.pid, pid);
	identity_answer_done(&a);
	(void) kill(pid, SIGKILL);
	(void) waitpid(pid, NULL, 0);
	(void) close(peer);
	lab_done(&l);
}

TEST(a_batch_is_answered_question_by_question)
{
	enum { N = 200 };
	static struct identity_question q[N];
	static struct identity_answer a[N];
	int s[N], peer[N];
	struct lab l;

	lab_init(&l);
	for (int i = 0; i < N; i++) {
		s[i] = dial(&l, &peer[i]);
		q[i] = question(peer[i]);
	}
	(void) close(s[7]);
	identity_find(l.finder, q, a, N);
	for (int i = 0; i < N; i++) {
		ASSERT_EQ(a[i].caller.assurance, i == 7 ? IDENTITY_NONE : IDENTITY_OBSERVED);
		identity_answer_done(&a[i]);
		if (i != 7)
			(void) close(s[i]);
		(void) close(peer[i]);
	}
	lab_done(&l);
}

TEST(without_an_entrypoint_nobody_is_known)
{
	struct lab l;
	struct identity_answer a;
	int peer, s;

	lab_init(&l);
	identity_finder_set_anchor(l.finder, 0);
	s = dial(&l, &peer);
	a = ask(&l, peer);
	ASSERT_EQ(a.caller.assurance, IDENTITY_NONE);
	ASSERT_STR(a.caller.reason, "entrypoint process not yet spawned");
	identity_answer_done(&a);
	(void) close(s);
	(void) close(peer);
	lab_done(&l);
}

TEST(a_command_name_can_not_forge_proc_stat)
{
	static const char line[] =
		"7 (x) R 1 2) S 42 1 1 0 -1 0 0 0 0 0 0 0 0 0 20 0 1 0 12345 1 1\n";
	struct procfs_stat s;

	ASSERT_OK(procfs_stat_parse(line, sizeof line - 1, &s));
	ASSERT_EQ(s.state, 'S');
	ASSERT_EQ(s.parent, 42);
	ASSERT_EQ(s.start, 12345);
	for (size_t n = 0; n < sizeof line - sizeof " 12345 1 1\n"; n++)
		ASSERT(procfs_stat_parse(line, n, &s) < 0);
}

TEST(links_are_followed_inside_the_entrypoints_root)
{
	char dir[] = "/tmp/test-identity.XXXXXX", path[128], target[4096], kernel[4096];
	struct err e = { 0 };
	struct lab l;

	lab_init(&l);
	ASSERT(mkdtemp(dir));
	(void) snprintf(path, sizeof path, "%s/link", dir);
	ASSERT(symlink("../bin/./x/../sh", path) == 0);
	/* /tmp/test-identity.X/../bin/sh: lexical, and not there. */
	ASSERT(identity_resolve(l.finder, path, target, &e) < 0);
	ASSERT(unlink(path) == 0 && symlink("/bin/true", path) == 0);
	ASSERT_OK(identity_resolve(l.finder, path, target, &e));
	ASSERT(realpath("/bin/true", kernel)); /* /bin is a link too */
	ASSERT_STR(target, kernel);
	ASSERT(unlink(path) == 0 && symlink(path, path) == 0);
	ASSERT(identity_resolve(l.finder, path, target, &e) < 0);
	(void) unlink(path);
	(void) rmdir(dir);
	lab_done(&l);
}
