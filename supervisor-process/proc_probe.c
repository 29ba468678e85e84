#include "proc_probe.h"
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <netinet/in.h>
#include <poll.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>
#include "core_cleanup.h"
#include "proc_limits.h"

#define TCP_PORT 443
#define UDP_PORT 53
#define CHILD_SECONDS 10 /* alarm: a probe that hangs ends itself */

const char *proc_check_name(enum proc_check c)
{
	static const char *const names[] = { "direct-tcp", "direct-tcp6", "direct-udp",
		"direct-icmp", "proxy", "denied-path", "denied-syscall", "denied-namespace",
		"capabilities", "identity" };

	return (unsigned) c < PROC_CHECK_MAX ? names[c] : "unknown";
}

void proc_check_detail(const struct proc_evidence *v, char *buf, size_t size)
{
	if (v->held == 2)
		(void) snprintf(buf, size, "does not apply");
	else if (v->held)
		(void) snprintf(buf, size, "%s", v->code ? strerror(v->code) : "as it must be");
	else
		(void) snprintf(buf, size, "%s", v->code ? strerror(v->code) : "it was possible");
}

/* 0 connected, or a positive errno; ETIMEDOUT when nothing answered in time. */
static int try_connect(int family, const char *address, uint16_t port)
{
	struct sockaddr_in a4 = { .sin_family = AF_INET, .sin_port = htons(port) };
	struct sockaddr_in6 a6 = { .sin6_family = AF_INET6, .sin6_port = htons(port) };
	bool v4 = family == AF_INET;
	AUTO_CLOSE int fd = socket(family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	struct pollfd p = { fd, POLLOUT, 0 };
	socklen_t len = sizeof(int);
	int code = 0;

	if (fd < 0)
		return errno;
	if (inet_pton(family, address, v4 ? (void *) &a4.sin_addr : (void *) &a6.sin6_addr) != 1)
		return EINVAL;
	if (connect(fd, v4 ? (struct sockaddr *) &a4 : (struct sockaddr *) &a6,
		    v4 ? sizeof a4 : sizeof a6) == 0)
		return 0;
	if (errno != EINPROGRESS)
		return errno;
	if (poll(&p, 1, PROC_PROBE_CONNECT_MS) != 1)
		return ETIMEDOUT;
	if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &code, &len) < 0)
		return errno;
	return code;
}

/* A send that is refused at once, by the fence; a hang would be a hole in its rules. */
static void check_tcp(struct proc_evidence *v, int family, const char *address)
{
	v->code = try_connect(family, address, TCP_PORT);
	v->held = v->code != 0 && v->code != ETIMEDOUT;
}

static void check_udp(struct proc_evidence *v)
{
	struct sockaddr_in a = { .sin_family = AF_INET, .sin_port = htons(UDP_PORT) };
	AUTO_CLOSE int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	(void) inet_pton(AF_INET, PROC_PROBE_OUTSIDE4, &a.sin_addr);
	v->code = fd < 0 || sendto(fd, "x", 1, 0, (struct sockaddr *) &a, sizeof a) < 0 ? errno : 0;
	v->held = v->code != 0;
}

static void check_icmp(struct proc_evidence *v, const struct proc_restrictions *r)
{
	AUTO_CLOSE int raw = socket(AF_INET, SOCK_RAW | SOCK_CLOEXEC, IPPROTO_ICMP);

	v->code = errno;
	AUTO_CLOSE int ping = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, IPPROTO_ICMP);
	AUTO_CLOSE int ping6 = socket(AF_INET6, SOCK_DGRAM | SOCK_CLOEXEC, IPPROTO_ICMPV6);

	v->held = raw < 0 && ping < 0 && ping6 < 0;
	if (!v->held && !r->filter)
		v->held = 2;
}

static void check_path(struct proc_evidence *v, const struct proc_probe_input *in)
{
	AUTO_CLOSE int fd = -1;

	if (!in->restrictions->landlock || in->everything_readable) {
		v->held = 2;
		return;
	}
	/* Everybody may list "/", so only Landlock can refuse it. */
	fd = open("/", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	v->code = fd < 0 ? errno : 0;
	v->held = v->code == EACCES;
}

static void check_syscall(struct proc_evidence *v)
{
	long r = syscall(SYS_keyctl, 0, -3, 0);

	v->code = r < 0 ? errno : 0;
	v->held = v->code == EPERM && ptrace(PTRACE_TRACEME, 0, 0, 0) < 0 && errno == EPERM &&
		syscall(SYS_io_uring_setup, 1, 0) < 0 && errno == EPERM;
}

static void check_namespace(struct proc_evidence *v)
{
	v->code = unshare(CLONE_NEWUSER) < 0 ? errno : 0;
	v->held = v->code == EPERM;
}

static void check_capabilities(struct proc_evidence *v)
{
	struct __user_cap_header_struct h = { _LINUX_CAPABILITY_VERSION_3, 0 };
	struct __user_cap_data_struct d[2] = { 0 };
	bool none = syscall(SYS_capget, &h, d) == 0;

	for (int i = 0; i < 2; i++)
		none &= !d[i].effective && !d[i].permitted && !d[i].inheritable;
	for (int cap = 0; none; cap++) {
		int in = prctl(PR_CAPBSET_READ, cap, 0, 0, 0);

		if (in < 0)
			break;
		none = in == 0;
	}
	v->held = none && prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) == 1;
}

static void check_identity(struct proc_evidence *v, const struct confine_identity *id)
{
	uid_t r, f, s;

	v->held = getresuid(&r, &f, &s) == 0 && r == id->uid && f == id->uid && s == id->uid &&
		r != 0 && setuid(0) < 0;
	v->code = v->held ? errno : 0;
}

/* What the host does in our place can't be tried here. */
static bool is_delegated(const struct proc_restrictions *r, enum proc_check c)
{
	if (r->netns->refused &&
		(c == PROC_CHECK_TCP || c == PROC_CHECK_TCP6 || c == PROC_CHECK_UDP))
		return true;
	return !r->filter && (c == PROC_CHECK_SYSCALL || c == PROC_CHECK_NAMESPACE);
}

static void check(const struct proc_probe_input *in, enum proc_check c, struct proc_evidence *v)
{
	switch (c) {
	case PROC_CHECK_TCP:
		check_tcp(v, AF_INET, PROC_PROBE_OUTSIDE4);
		break;
	case PROC_CHECK_TCP6:
		check_tcp(v, AF_INET6, PROC_PROBE_OUTSIDE6);
		break;
	case PROC_CHECK_UDP:
		check_udp(v);
		break;
	case PROC_CHECK_ICMP:
		check_icmp(v, in->restrictions);
		break;
	case PROC_CHECK_PROXY:
		v->code = try_connect(
			AF_INET, in->restrictions->netns->proxy_address, in->proxy_port);
		v->held = v->code == 0;
		break;
	case PROC_CHECK_PATH:
		check_path(v, in);
		break;
	case PROC_CHECK_SYSCALL:
		check_syscall(v);
		break;
	case PROC_CHECK_NAMESPACE:
		check_namespace(v);
		break;
	case PROC_CHECK_CAPABILITIES:
		check_capabilities(v);
		break;
	case PROC_CHECK_IDENTITY:
		check_identity(v, in->restrictions->identity);
		break;
	case PROC_CHECK_MAX:
		break;
	}
}

static void probe(const struct proc_probe_input *in, pid_t parent, int out)
{
	struct proc_failure f = { 0 };

	(void) alarm(CHILD_SECONDS);
	if (proc_spawn_restrict(in->restrictions, parent, &f) < 0) {
		struct proc_evidence v = { -f.stage, 0, f.code };

		(void) !write(out, &v, sizeof v);
		return;
	}
	for (int c = 0; c < PROC_CHECK_MAX; c++) {
		struct proc_evidence v = { c, 0, 0 };

		if (is_delegated(in->restrictions, (enum proc_check) c))
			v.held = 2;
		else
			check(in, (enum proc_check) c, &v);
		if (write(out, &v, sizeof v) != sizeof v)
			return;
	}
}

int proc_probe_start(const struct proc_probe_input *in, pid_t *ret_pid, int *ret_fd, struct err *e)
{
	pid_t parent = getpid(), pid;
	int fds[2];

	if (pipe2(fds, O_CLOEXEC) < 0)
		return err_set(e, errno, "pipe for the probe");
	pid = fork();
	if (pid == 0) {
		(void) close(fds[0]);
		probe(in, parent, fds[1]);
		_exit(0);
	}
	(void) close(fds[1]);
	if (pid < 0) {
		(void) close(fds[0]);
		return err_set(e, errno, "fork the probe");
	}
	*ret_pid = pid;
	*ret_fd = fds[0];
	return 0;
}
