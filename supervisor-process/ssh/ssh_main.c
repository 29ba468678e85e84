/* ssh_main.c - openshell-supervisor-ssh: parses one SSH connection, with nothing to lose.
 *
 * Started by the process leaf, as root with its capabilities, with the
 * descriptors of proc_ssh_fds.h.  Before it reads a byte it is nobody, without a
 * capability, may open no file and make no socket.  What a client asks for, it
 * asks the spawner in the leaf for.
 */
#include <errno.h>
#include <limits.h>
#include <linux/close_range.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
#include "core_confine.h"
#include "core_fd.h"
#include "core_log.h"
#include "core_loop.h"
#include "core_secret.h"
#include "proc_ssh_fds.h"
#include "ssh_key.h"
#include "ssh_limits.h"
#include "ssh_session.h"

#define NOBODY 65534u

/* Left out on purpose: openat, socket, connect, execve, clone, fork, kill, ptrace, ioctl, setuid and
 * its kin.  Descriptors come over the shell channel, or not at all. */
static const struct confine_call calls[] = {
	{ "epoll_wait", "loop" },
	{ "epoll_pwait", "loop" },
	{ "epoll_ctl", "loop" },
	{ "poll", "libssh looks at its own socket" },
	{ "recvmsg", "channels" },
	{ "sendmsg", "channels" },
	{ "recvfrom", "the connection" },
	{ "sendto", "the connection" },
	{ "read", "pipes and terminals of the workload" },
	{ "write", "the same; standard error" },
	{ "shutdown", "half a forwarded connection" },
	{ "close", "descriptors" },
	{ "fcntl:getfl", "libssh" },
	{ "fcntl:setfl", "libssh" },
	{ "fcntl:getfd", "channels" },
	{ "fcntl:dupfd", "a terminal's second descriptor" },
	{ "fstat", "standard input and output of the C library" },
	{ "newfstatat", "the same" },
	{ "getrandom", "keys" },
	{ "getpid", "OpenSSL's random numbers notice a fork" },
	{ "brk", "memory" },
	{ "mmap:data", "memory" },
	{ "mremap", "memory" },
	{ "munmap", "memory" },
	{ "mprotect:data", "memory" },
	{ "madvise", "memory" },
	{ "futex", "locks of libcrypto" },
	{ "clock_gettime", "where the vDSO is off" },
	{ "rt_sigaction", "end" },
	{ "rt_sigprocmask", "end" },
	{ "rt_sigreturn", "end" },
	{ "restart_syscall", "after a stop" },
	{ "exit", "end" },
	{ "exit_group", "end" },
	{ 0 },
};

static int confine(struct err *e)
{
	struct confine_identity id = { .uid = NOBODY, .gid = NOBODY };
	struct confine_identity as_we_are = { .uid = geteuid(),
		.gid = getegid(),
		.groups = { getegid() },
		.n_groups = 1,
		.keep_ids = true };

	/* In a user namespace of one uid there is no nobody; there are no capabilities to keep. */
	if (confine_drop(geteuid() == 0 ? &id : &as_we_are, e) < 0)
		return -e->code;
	e->code = 0;
	if (confine_landlock_nothing(true, e) < 0 && e->code != ENOSYS && e->code != EOPNOTSUPP)
		return -e->code;
	e->code = 0;
	return confine_seccomp_allow(calls, false, e);
}

static int read_key(int fd, char **ret, size_t *ret_len, struct err *e)
{
	const void *at;
	size_t len;

	if (fd_sealed_map(fd, SSH_KEY_BYTES_MAX, &at, &len, e) < 0)
		return err_wrap(e, "SSH host key");
	*ret = calloc(1, len + 1);
	if (*ret && len)
		(void) memcpy(*ret, at, len);
	*ret_len = len;
	fd_sealed_unmap(at, len);
	return *ret ? 0 : err_set(e, ENOMEM, "SSH: out of memory");
}

static int serve(struct err *e)
{
	AUTO(loop_free) struct loop *l = NULL;
	AUTO(ssh_conn_free) struct ssh_conn *c = NULL;
	char *key = NULL;
	size_t len = 0;
	int r;

	/* First: until then whoever has our uid, as the workload has without root, may look at us. */
	if (confine_harden(e) < 0)
		return -e->code;
	if (close_range(PROC_SSH_KEY_FD + 1, UINT_MAX, 0) < 0)
		return err_set(e, errno, "close descriptors");
	if (loop_new(&l, e) < 0 || read_key(PROC_SSH_KEY_FD, &key, &len, e) < 0)
		return -e->code;
	(void) close(PROC_SSH_KEY_FD);
	r = ssh_conn_new(l, PROC_SSH_CONNECTION_FD, PROC_SSH_SHELL_FD, key, &c, e);
	secret_wipe(key, len);
	free(key);
	if (r < 0 || (r = confine(e)) < 0 || (r = ssh_conn_start(c, e)) < 0)
		return r;
	return loop_run(l, e);
}

int main(int argc, char **argv)
{
	struct err e = { 0 };
	int r;

	log_open("openshell-supervisor-ssh");
	(void) signal(SIGPIPE, SIG_IGN);
	if (argc == 2 && strcmp(argv[1], PROC_SSH_KEY) == 0)
		r = ssh_key_make(PROC_SSH_FIRST_FD, &e);
	else if (argc == 2 && strcmp(argv[1], PROC_SSH_SERVE) == 0)
		r = serve(&e);
	else
		r = err_set(&e, EINVAL, "started by openshell-supervisor-process only");
	return r < 0 ? log_fatal(&e) : EXIT_SUCCESS;
}
