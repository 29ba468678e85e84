#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/seccomp.h>
#include <pthread.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <time.h>
#include "confine_child.h"
#include "core_confine.h"

#define HIGH (1ul << 32) /* the kernel cuts it off, a filter must do so too */
#define KILLED (1000 + SIGSYS)
#define PROTO_MPTCP 262

static int enter_workload(void)
{
	struct confine_filter *f = NULL;
	struct err e = { 0 };
	int r = confine_harden(&e);

	if (r == 0)
		r = confine_filter_workload(&f, &e);
	if (r == 0)
		r = confine_filter_install(f);
	confine_filter_free(f);
	return r;
}

static bool refused(long r)
{
	return r < 0 && errno == EPERM;
}

struct call {
	const char *name;
	long nr;
	long args[5];
};

/* Without the filter each of these gives something else than EPERM, or succeeds, for root. */
static const struct call forbidden[] = {
	{ "memfd_create", SYS_memfd_create, { 0 } },
	{ "memfd_secret", 447, { ~0L } },
	{ "open_by_handle_at", SYS_open_by_handle_at, { -1 } },
	{ "ptrace", SYS_ptrace, { PTRACE_TRACEME } },
	{ "process_vm_readv", SYS_process_vm_readv, { 0 } },
	{ "process_vm_writev", SYS_process_vm_writev, { 0 } },
	{ "process_madvise", 440, { -1 } },
	{ "pidfd_open", 434, { 1 } },
	{ "pidfd_getfd", 438, { -1 } },
	{ "pidfd_send_signal", 424, { -1 } },
	{ "kcmp", SYS_kcmp, { 1, 1, 99 } },
	{ "process_mrelease", 448, { -1 } },
	{ "bpf", SYS_bpf, { 999 } },
	{ "perf_event_open", SYS_perf_event_open, { 0 } },
	{ "userfaultfd", SYS_userfaultfd, { ~0L } },
	{ "io_uring_setup", 425, { 1 } },
	{ "io_uring_enter", 426, { -1 } },
	{ "io_uring_register", 427, { -1 } },
	{ "keyctl", SYS_keyctl, { 0, -3 } },
	{ "add_key", SYS_add_key, { 0 } },
	{ "request_key", SYS_request_key, { 0 } },
	{ "fanotify_init", SYS_fanotify_init, { ~0L } },
	{ "mount", SYS_mount, { 0 } },
	{ "umount2", SYS_umount2, { 0 } },
	{ "fsopen", 430, { 0 } },
	{ "fsconfig", 431, { -1 } },
	{ "fsmount", 432, { -1 } },
	{ "fspick", 433, { -1 } },
	{ "move_mount", 429, { -1 } },
	{ "open_tree", 428, { -1 } },
	{ "open_tree_attr", 467, { -1 } },
	{ "mount_setattr", 442, { -1 } },
	{ "pivot_root", SYS_pivot_root, { 0 } },
	{ "setns", SYS_setns, { -1 } },
	{ "chroot", SYS_chroot, { 0 } },
	{ "init_module", SYS_init_module, { 0 } },
	{ "finit_module", SYS_finit_module, { -1 } },
	{ "delete_module", SYS_delete_module, { 0 } },
	{ "kexec_load", SYS_kexec_load, { 0, 99 } },
	{ "kexec_file_load", 320, { -1 } },
	{ "reboot", SYS_reboot, { 0 } },
	{ "swapon", SYS_swapon, { 0 } },
	{ "swapoff", SYS_swapoff, { 0 } },
	{ "acct", SYS_acct, { 1 } },
	{ "quotactl", SYS_quotactl, { ~0L } },
	{ "settimeofday", SYS_settimeofday, { 1 } },
	{ "clock_settime", SYS_clock_settime, { 0, 0 } },
	{ "sethostname", SYS_sethostname, { 0, -1 } },
	{ "setdomainname", SYS_setdomainname, { 0, -1 } },
	{ "syslog", SYS_syslog, { 10 } },
	{ "execveat", SYS_execveat, { -1, (long) "", 0, 0, AT_EMPTY_PATH } },
	{ "execveat, high bits", SYS_execveat,
		{ -1, (long) "", 0, 0, (long) (HIGH | AT_EMPTY_PATH) } },
	{ "unshare user", SYS_unshare, { CLONE_NEWUSER } },
	{ "unshare net", SYS_unshare, { CLONE_NEWNET } },
	{ "unshare mount", SYS_unshare, { CLONE_NEWNS } },
	{ "unshare pid", SYS_unshare, { CLONE_NEWPID } },
	{ "unshare ipc", SYS_unshare, { CLONE_NEWIPC } },
	{ "unshare uts", SYS_unshare, { CLONE_NEWUTS } },
	{ "unshare cgroup", SYS_unshare, { CLONE_NEWCGROUP } },
	{ "unshare time", SYS_unshare, { 0x80 } },
	{ "unshare two", SYS_unshare, { CLONE_FILES | CLONE_NEWUSER } },
	{ "unshare, high bits", SYS_unshare, { (long) (HIGH | CLONE_NEWUSER) } },
	{ "clone user", SYS_clone, { CLONE_NEWUSER | SIGCHLD } },
	{ "clone net, high bits", SYS_clone, { (long) (HIGH | CLONE_NEWNET | SIGCHLD) } },
	{ "seccomp filter", SYS_seccomp, { SECCOMP_SET_MODE_FILTER } },
	{ "seccomp, high bits", SYS_seccomp, { (long) (HIGH | SECCOMP_SET_MODE_FILTER) } },
	{ "prctl seccomp", SYS_prctl, { PR_SET_SECCOMP, 2 } },
	{ "prctl mm", SYS_prctl, { PR_SET_MM, 99 } },
	{ "prctl, high bits", SYS_prctl, { (long) (HIGH | PR_SET_SECCOMP), 2 } },
	{ "ioctl TIOCSTI", SYS_ioctl, { -1, TIOCSTI } },
	{ "ioctl TIOCLINUX", SYS_ioctl, { -1, TIOCLINUX } },
	{ "ioctl TIOCSETD", SYS_ioctl, { -1, TIOCSETD } },
	{ "ioctl TIOCCONS", SYS_ioctl, { -1, TIOCCONS } },
	{ "ioctl TIOCSTI, high bits", SYS_ioctl, { -1, (long) (HIGH | TIOCSTI) } },
};

static int forbidden_calls(void *arg)
{
	(void) arg;
	MUST(enter_workload() == 0);
	for (size_t i = 0; i < sizeof forbidden / sizeof *forbidden; i++) {
		const long *a = forbidden[i].args;

		if (!refused(syscall(forbidden[i].nr, a[0], a[1], a[2], a[3], a[4]))) {
			fprintf(stderr, "%s: errno %d\n", forbidden[i].name, errno);
			return 1;
		}
	}
	return 0;
}

TEST(workload_is_refused_every_listed_call)
{
	ASSERT_EQ(in_child(forbidden_calls, NULL), 0);
}

static int forbidden_calls_unfiltered(void *arg)
{
	int n = 0;

	(void) arg;
	/* Calls that a running system would feel, even with bad arguments, are left out. */
	for (size_t i = 0; i < sizeof forbidden / sizeof *forbidden; i++) {
		const long *a = forbidden[i].args;
		long nr = forbidden[i].nr;

		if (nr != SYS_ioctl && nr != SYS_execveat && nr != SYS_memfd_create && nr != 425 &&
			nr != SYS_bpf && nr != SYS_setns && nr != 434 && nr != SYS_keyctl)
			continue;
		if (refused(syscall(nr, a[0], a[1], a[2], a[3], a[4])))
			return 1;
		n++;
	}
	return n > 10 ? 0 : 2;
}

TEST(without_the_filter_the_same_calls_give_other_answers)
{
	ASSERT_EQ(in_child(forbidden_calls_unfiltered, NULL), 0);
}

static void *second_thread(void *arg)
{
	*(int *) arg = 1;
	return NULL;
}

static int normal_use(void *arg)
{
	pthread_t t;
	int ran = 0, pair[2];

	(void) arg;
	MUST(enter_workload() == 0);
	MUST(syscall(SYS_clone3, NULL, 0) < 0 && errno == ENOSYS);
	MUST(pthread_create(&t, NULL, second_thread, &ran) == 0 && pthread_join(t, NULL) == 0);
	MUST(ran == 1);
	MUST(pipe2(pair, O_CLOEXEC) == 0 && ioctl(pair[0], FIONREAD, &ran) == 0);
	MUST(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) == 0);
	MUST(unshare(CLONE_FILES) == 0);
	MUST(prctl(PR_SET_NAME, "workload", 0, 0, 0) == 0);
	MUST(syscall(SYS_execveat, AT_FDCWD, "/nonexistent", NULL, NULL, 0) < 0 && errno == ENOENT);
	MUST(syscall(SYS_seccomp, SECCOMP_GET_ACTION_AVAIL, 0, &(uint32_t){ SECCOMP_RET_ERRNO }) ==
		0);
	return 0;
}

TEST(workload_has_threads_pipes_and_ordinary_calls)
{
	ASSERT_EQ(in_child(normal_use, NULL), 0);
}

/* ---- sockets ---- */

static bool opens(unsigned long family, unsigned long type, unsigned long protocol)
{
	long fd = syscall(SYS_socket, family, type, protocol);

	if (fd < 0)
		return false;
	(void) close((int) fd);
	return true;
}

static int allowed_sockets(void *arg)
{
	(void) arg;
	MUST(enter_workload() == 0);
	MUST(opens(AF_UNIX, SOCK_STREAM, 0) && opens(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK, 0));
	MUST(opens(AF_UNIX, SOCK_SEQPACKET, 0));
	MUST(opens(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
	MUST(opens(AF_INET, SOCK_STREAM, IPPROTO_TCP) && opens(AF_INET6, SOCK_STREAM, 0));
	MUST(opens(AF_INET, SOCK_DGRAM, IPPROTO_UDP) && opens(AF_INET6, SOCK_DGRAM, 0));
	MUST(opens(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, 0));
	return 0;
}

TEST(unix_tcp_udp_and_route_netlink_sockets_open)
{
	ASSERT_EQ(in_child(allowed_sockets, NULL), 0);
}

static int families(void *arg)
{
	(void) arg;
	MUST(enter_workload() == 0);
	for (unsigned long f = 0; f < 300; f++) {
		int pair[2];

		if (f == AF_UNIX || f == AF_INET || f == AF_INET6 || f == AF_NETLINK)
			continue;
		for (unsigned long type = 0; type < 16; type++)
			MUST(refused(syscall(SYS_socket, f, type, 0)));
		MUST(refused(syscall(SYS_socket, HIGH | f, SOCK_STREAM, 0)));
		MUST(refused(syscall(SYS_socketpair, f, SOCK_STREAM, 0, pair)));
	}
	MUST(refused(syscall(SYS_socket, 0x100000011ul, SOCK_RAW, 0)));
	MUST(refused(syscall(SYS_socket, 0x80000000ul, SOCK_STREAM, 0)));
	return 0;
}

TEST(every_other_family_is_refused_whatever_the_high_bits)
{
	ASSERT_EQ(in_child(families, NULL), 0);
}

static int netlink(void *arg)
{
	(void) arg;
	MUST(enter_workload() == 0);
	for (unsigned long protocol = 1; protocol < 40; protocol++)
		MUST(refused(syscall(SYS_socket, AF_NETLINK, SOCK_RAW, protocol)));
	MUST(refused(syscall(SYS_socket, HIGH | AF_NETLINK, SOCK_RAW, 4)));
	return 0;
}

TEST(netlink_other_than_route_is_refused)
{
	ASSERT_EQ(in_child(netlink, NULL), 0);
}

static int inet(void *arg)
{
	unsigned long f = *(unsigned long *) arg;

	MUST(enter_workload() == 0);
	for (unsigned long type = 0; type < 16; type++)
		if (type != SOCK_STREAM && type != SOCK_DGRAM) {
			MUST(refused(syscall(SYS_socket, f, type, 0)));
			MUST(refused(syscall(SYS_socket, f, type | SOCK_CLOEXEC, IPPROTO_TCP)));
			MUST(refused(syscall(SYS_socket, HIGH | f, HIGH | type, 0)));
		}
	for (unsigned long protocol = 1; protocol < 300; protocol++)
		if (protocol != IPPROTO_TCP && protocol != IPPROTO_UDP) {
			MUST(refused(syscall(SYS_socket, f, SOCK_STREAM, protocol)));
			MUST(refused(syscall(SYS_socket, f, SOCK_DGRAM, HIGH | protocol)));
		}
	MUST(refused(syscall(SYS_socket, f, SOCK_STREAM, PROTO_MPTCP)));
	return 0;
}

TEST(raw_packet_ping_sctp_and_other_internet_sockets_are_refused)
{
	unsigned long v4 = AF_INET, v6 = AF_INET6;

	ASSERT_EQ(in_child(inet, &v4), 0);
	ASSERT_EQ(in_child(inet, &v6), 0);
}

/* ---- terminals ---- */

static int terminal(void *arg)
{
	int master = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC), rows[2] = { 0 };
	char c = 'x';

	(void) arg;
	MUST(master >= 0 && enter_workload() == 0);
	MUST(ioctl(master, TIOCGWINSZ, rows) == 0);
	MUST(refused(ioctl(master, TIOCSTI, &c)));
	MUST(refused(syscall(SYS_ioctl, master, HIGH | TIOCSTI, &c)));
	return 0;
}

TEST(typing_into_a_terminal_is_refused_and_its_size_can_be_read)
{
	ASSERT_EQ(in_child(terminal, NULL), 0);
}

/* ---- architectures ---- */

#ifdef __x86_64__
static int x32(void *arg)
{
	(void) arg;
	MUST(enter_workload() == 0);
	(void) syscall(0x40000000 + SYS_getpid);
	return 0;
}

static int i386(void *arg)
{
	long r;

	(void) arg;
	MUST(enter_workload() == 0);
	__asm__ volatile("int $0x80" : "=a"(r) : "a"(20 /* getpid */) : "memory");
	return r > 0 ? 0 : 1;
}

TEST(x32_and_32_bit_calls_kill)
{
	int r;

	ASSERT_EQ(in_child(x32, NULL), KILLED);
	r = in_child(i386, NULL);
	/* a kernel without 32-bit calls refuses the instruction itself */
	ASSERT(r == KILLED || r == 1000 + SIGSEGV);
}
#endif

/* ---- prelude ---- */

static int prelude(void *arg)
{
	struct confine_filter *f = NULL;
	struct err e = { 0 };
	pid_t pid;

	(void) arg;
	MUST(confine_harden(&e) == 0 && confine_filter_prelude(&f, &e) == 0);
	MUST(confine_filter_install(f) == 0);
	confine_filter_free(f);
	MUST(refused(syscall(SYS_mount, "none", "/nonexistent", "tmpfs", 0, NULL)));
	MUST(refused(syscall(SYS_umount2, "/nonexistent", 0)));
	MUST(refused(syscall(SYS_bpf, 999, 0, 0)) && refused(syscall(467, -1, 0, 0)));
	MUST(refused(syscall(SYS_init_module, 0, 0, 0)) && refused(syscall(442, -1, 0, 0)));
	/* what the leaf itself still needs */
	MUST(syscall(SYS_setns, -1, 0) < 0 && errno == EBADF);
	MUST(syscall(SYS_unshare, CLONE_NEWNET) == 0);
	pid = fork();
	if (pid == 0)
		_exit(ptrace(PTRACE_TRACEME, 0, NULL, NULL) < 0);
	int status;

	MUST(waitpid(pid, &status, 0) == pid && status == 0);
	/* and the workload's filter goes on top of it */
	return forbidden_calls(NULL);
}

TEST(prelude_leaves_namespaces_and_tracing_and_the_filter_goes_on_top)
{
	ASSERT_EQ(in_child(prelude, NULL), 0);
}

static int third_filter(void *arg)
{
	(void) arg;
	MUST(enter_workload() == 0);
	return -enter_workload();
}

TEST(no_filter_can_be_installed_after_the_workload_s)
{
	ASSERT_EQ(in_child(third_filter, NULL), EPERM);
}

TEST(filters_compile_fast_and_small)
{
	struct timespec a, b;
	struct confine_filter *f = NULL;
	struct err e = { 0 };

	(void) clock_gettime(CLOCK_MONOTONIC, &a);
	ASSERT_OK(confine_filter_workload(&f, &e));
	(void) clock_gettime(CLOCK_MONOTONIC, &b);
	printf("workload filter: %ld us\n",
		(b.tv_sec - a.tv_sec) * 1000000 + (b.tv_nsec - a.tv_nsec) / 1000);
	confine_filter_free(f);
}

/* ---- allow-list of a leaf ---- */

#define BASE \
	{ "write", "t" }, { "exit_group", "t" }, \
	{ \
		"exit", "t" \
	}

static int allow_list(void *arg)
{
	static const struct confine_call calls[] = { BASE, { "getpid", "t" },
		{ "socket:inet", "t" }, { "openat:read", "t" }, { "close", "t" },
		{ "mmap:data", "t" }, { "munmap", "t" }, { 0 } };
	struct err e = { 0 };

	MUST(confine_seccomp_allow(calls, *(bool *) arg, &e) == 0);
	MUST(getpid() > 0);
	MUST(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0) >= 0);
	MUST(open("/proc/self/status", O_RDONLY | O_CLOEXEC) >= 0);
	MUST(mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) !=
		MAP_FAILED);
	(void) syscall(SYS_getppid);
	MUST(errno == EPERM);
	MUST(refused(socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0)));
	MUST(refused(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0)));
	MUST(refused(open("/dev/null", O_WRONLY | O_CLOEXEC)));
	MUST(refused(open("/tmp", O_RDWR | O_TMPFILE | O_CLOEXEC, 0600)));
#ifndef __SANITIZE_ADDRESS__
	MUST(mmap(NULL, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) ==
			MAP_FAILED &&
		errno == EPERM);
#endif
	return 0;
}

TEST(allow_list_lets_its_rows_and_their_forms_pass_only)
{
	bool fatal = false;

	ASSERT_EQ(in_child(allow_list, &fatal), 0);
}

TEST(fatal_allow_list_kills)
{
	bool fatal = true;

	ASSERT_EQ(in_child(allow_list, &fatal), KILLED);
}

static int unknown_row(void *arg)
{
	const struct confine_call calls[] = { BASE, { arg, "t" }, { 0 } };
	struct err e = { 0 };

	return confine_seccomp_allow(calls, true, &e) < 0 ? e.code : 0;
}

TEST(a_row_without_a_number_or_form_is_an_error)
{
	ASSERT_EQ(in_child(unknown_row, (char[]){ "no_such_call" }), ENOENT);
	ASSERT_EQ(in_child(unknown_row, (char[]){ "socket:no-such-form" }), ENOENT);
	ASSERT_EQ(in_child(unknown_row, (char[]){ "mseal" }), 0);
}

/* ---- programs ---- */

static int program(void *arg)
{
	char *argv[] = { (char[]){ "sh" }, (char[]){ "-c" }, arg, NULL };

	MUST(enter_workload() == 0);
	(void) execv("/bin/sh", argv);
	return 126;
}

TEST(ordinary_programs_run)
{
	static const char *const needs[] = { "/bin/bash", "/usr/bin/python3", "/usr/bin/git",
		"/usr/bin/curl", "/usr/bin/perl", "/usr/bin/node" };
	static const char *const commands[] = { "/bin/bash -c 'set -e; for i in 1 2 3; do echo $i; "
						"done | sort -r | head -1 | grep -q 3'",
		"/usr/bin/python3 -c 'import threading, subprocess, socket, tempfile, asyncio\n"
		"t = threading.Thread(target=lambda: None); t.start(); t.join()\n"
		"assert subprocess.run([\"/bin/echo\", \"a\"], capture_output=True).stdout == "
		"b\"a\\n\"\n"
		"asyncio.run(asyncio.sleep(0)); socket.socketpair(); tempfile.TemporaryFile()'",
		"/usr/bin/git --version >/dev/null", "/usr/bin/curl --version >/dev/null",
		"/usr/bin/perl -e 'fork // die; wait' ",
		"/usr/bin/node -e 'const c=require(\"child_process\");"
		"if(c.execSync(\"echo a\").toString()!==\"a\\n\")process.exit(1);"
		"require(\"os\").networkInterfaces()'" };

	for (size_t i = 0; i < sizeof needs / sizeof *needs; i++) {
		char command[1024];

		if (access(needs[i], X_OK) < 0)
			continue;
		(void) snprintf(command, sizeof command, "%s", commands[i]);
		if (in_child(program, command) != 0)
			FAIL_("%s does not run under the filter", needs[i]);
	}
}
