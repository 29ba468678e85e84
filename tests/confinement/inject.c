/* inject.c - make a running process try one system call, and print what the kernel said.
 *
 * inject PID NUMBER [ARG]...   an ARG is a number, or @text for a pointer to that text
 *
 * The process is stopped inside a system call of its own (ptrace(2)); its
 * registers are saved, the call is made from the very same instruction, and
 * everything is put back.  So a leaf's seccomp filter, Landlock domain, ids and
 * capabilities are tried on the real leaf and not on a copy of them.  Prints
 * the result (negative errno), or "killed SIGNAL".  x86-64 only.
 */
#include <errno.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/uio.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <time.h>

#define ARGS_MAX 6
#define TRIES 2000
#define SCRATCH_BELOW_STACK 4096 /* bytes: far under the red zone */

static int fail(const char *what)
{
	perror(what);
	return 2;
}

/* Text goes to the scratch area, next to what is already there. */
static int put_text(pid_t pid, const char *text, unsigned long long *at, unsigned long long *ret)
{
	struct iovec from = { (void *) (uintptr_t) text, strlen(text) + 1 };
	struct iovec to = { (void *) (uintptr_t) *at, strlen(text) + 1 };

	if (process_vm_writev(pid, &from, 1, &to, 1, 0) != (ssize_t) from.iov_len)
		return -1;
	*ret = *at;
	*at += (from.iov_len + 15) & ~15ull;
	return 0;
}

static int wait_stopped(pid_t pid, int *status)
{
	return waitpid(pid, status, __WALL) == pid ? 0 : -1;
}

/* A process that computes is not in a system call; it will be, soon. */
static int stop_in_call(pid_t pid, struct user_regs_struct *ret)
{
	const struct timespec pause = { 0, 1000000 };
	int status;

	for (int i = 0; i < TRIES; i++) {
		if (ptrace(PTRACE_INTERRUPT, pid, 0, 0) < 0 || wait_stopped(pid, &status) < 0 ||
			ptrace(PTRACE_GETREGS, pid, 0, ret) < 0)
			return -1;
		if ((long long) ret->orig_rax >= 0)
			return 0;
		if (ptrace(PTRACE_CONT, pid, 0, 0) < 0)
			return -1;
		(void) nanosleep(&pause, NULL);
	}
	errno = ETIMEDOUT;
	return -1;
}

static int print_end(int status)
{
	if (WIFSIGNALED(status))
		printf("killed %d\n", WTERMSIG(status));
	else
		printf("exited %d\n", WEXITSTATUS(status));
	return 0;
}

static int call(pid_t pid, const struct user_regs_struct *saved, struct user_regs_struct *r)
{
	int status;

	r->rip = saved->rip - 2; /* the syscall instruction that it is stopped in */
	r->orig_rax = (unsigned long long) -1;
	if (ptrace(PTRACE_SETREGS, pid, 0, r) < 0)
		return fail("set registers");
	if (ptrace(PTRACE_SINGLESTEP, pid, 0, 0) < 0 || wait_stopped(pid, &status) < 0)
		return fail("step");
	if (WIFSIGNALED(status) || WIFEXITED(status))
		return print_end(status);
	if (WSTOPSIG(status) == SIGSYS) {
		(void) ptrace(PTRACE_CONT, pid, 0, SIGSYS);
		return wait_stopped(pid, &status) < 0 ? fail("end") : print_end(status);
	}
	if (ptrace(PTRACE_GETREGS, pid, 0, r) < 0)
		return fail("get registers");
	printf("%lld\n", (long long) r->rax);
	if (ptrace(PTRACE_SETREGS, pid, 0, saved) < 0 || ptrace(PTRACE_DETACH, pid, 0, 0) < 0)
		return fail("put back");
	return 0;
}

int main(int argc, char **argv)
{
	struct user_regs_struct saved, r;
	unsigned long long args[ARGS_MAX] = { 0 }, at;
	pid_t pid;

	if (argc < 3 || argc > 3 + ARGS_MAX) {
		fprintf(stderr, "usage: inject PID NUMBER [ARG]...\n");
		return 2;
	}
	pid = (pid_t) strtoull(argv[1], NULL, 0);
	if (ptrace(PTRACE_SEIZE, pid, 0, 0) < 0 || stop_in_call(pid, &saved) < 0)
		return fail("attach");
	r = saved;
	at = saved.rsp - SCRATCH_BELOW_STACK;
	for (int i = 3; i < argc; i++) {
		if (argv[i][0] != '@')
			args[i - 3] = strtoull(argv[i], NULL, 0);
		else if (put_text(pid, argv[i] + 1, &at, &args[i - 3]) < 0)
			return fail("write text");
	}
	r.rax = strtoull(argv[2], NULL, 0);
	r.rdi = args[0];
	r.rsi = args[1];
	r.rdx = args[2];
	r.r10 = args[3];
	r.r8 = args[4];
	r.r9 = args[5];
	return call(pid, &saved, &r);
}
