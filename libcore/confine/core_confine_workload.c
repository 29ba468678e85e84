/* core_confine_workload.c - the supervisor's prelude and the workload's filter.
 *
 * Deny-lists over a default of "allow", as a workload may be any program;
 * socket families are an allow-list.  Every argument test masks to the 32 bits
 * that the kernel reads, or a set high bit would hide the value from the filter.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/seccomp.h>
#include <netinet/in.h>
#include <sched.h>
#include <stdbool.h>
#include <seccomp.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include "core_confine.h"
#include "core_confine_seccomp.h"

#ifndef CLONE_NEWTIME
#define CLONE_NEWTIME 0x00000080
#endif
#define LOW32 0xffffffffull
#define SMALL_VALUES 32u      /* one rule each; larger ones by their bits */
#define SOCK_TYPE_BITS 0xfull /* without SOCK_CLOEXEC and SOCK_NONBLOCK */

static const char *const prelude[] = { "mount", "fsopen", "fsconfig", "fsmount", "fspick",
	"move_mount", "open_tree", "open_tree_attr", "mount_setattr", "pivot_root", "umount2",
	"bpf", "perf_event_open", "userfaultfd", "init_module", "finit_module", "delete_module",
	"kexec_load", "kexec_file_load", NULL };

static const char *const denied[] = {
	/* code from memory or by handle, where Landlock and identity see no path */
	"memfd_create", "memfd_secret", "open_by_handle_at",
	/* other processes */
	"ptrace", "process_vm_readv", "process_vm_writev", "process_madvise", "pidfd_open",
	"pidfd_getfd", "pidfd_send_signal", "kcmp", "process_mrelease",
	/* large kernel interfaces that a workload does not need */
	"bpf", "perf_event_open", "userfaultfd", "io_uring_setup", "io_uring_enter",
	"io_uring_register", "keyctl", "add_key", "request_key", "fanotify_init", "lookup_dcookie",
	/* mounts and namespaces */
	"mount", "umount2", "fsopen", "fsconfig", "fsmount", "fspick", "move_mount", "open_tree",
	"open_tree_attr", "mount_setattr", "pivot_root", "setns", "chroot",
	/* the machine */
	"init_module", "finit_module", "delete_module", "kexec_load", "kexec_file_load", "reboot",
	"swapon", "swapoff", "acct", "quotactl", "quotactl_fd", "settimeofday", "clock_settime",
	"sethostname", "setdomainname", "syslog", "vhangup", "nfsservctl", NULL
};

static int deny_if(scmp_filter_ctx ctx, int nr, struct scmp_arg_cmp test, struct err *e)
{
	int r = seccomp_rule_add(ctx, SCMP_ACT_ERRNO(EPERM), nr, 1, test);

	return r < 0 ? err_set(e, -r, "filter system call %d", nr) : 0;
}

static int deny_namespaces(scmp_filter_ctx ctx, struct err *e)
{
	static const uint64_t flags[] = { CLONE_NEWUSER, CLONE_NEWNET, CLONE_NEWNS, CLONE_NEWPID,
		CLONE_NEWIPC, CLONE_NEWUTS, CLONE_NEWCGROUP };
	int r;

	for (size_t i = 0; i < sizeof flags / sizeof *flags; i++) {
		struct scmp_arg_cmp set = SCMP_A0_64(SCMP_CMP_MASKED_EQ, flags[i], flags[i]);

		if (deny_if(ctx, SCMP_SYS(unshare), set, e) < 0 ||
			deny_if(ctx, SCMP_SYS(clone), set, e) < 0)
			return -e->code;
	}
	/* In clone(2) this bit belongs to the exit signal. */
	if (deny_if(ctx, SCMP_SYS(unshare),
		    SCMP_A0_64(SCMP_CMP_MASKED_EQ, CLONE_NEWTIME, CLONE_NEWTIME), e) < 0)
		return -e->code;
	/* Its flags are behind a pointer; libc falls back to clone(2) on ENOSYS only. */
	r = seccomp_rule_add(ctx, SCMP_ACT_ERRNO(ENOSYS), SCMP_SYS(clone3), 0);
	return r < 0 ? err_set(e, -r, "filter clone3") : 0;
}

/* Everything but the set bits of allowed, for one of the 32-bit arguments of socket(2): each small
 * value that is not in the list, and each bit that would make the value larger.  So a list of what
 * is allowed needs no upper bound on what the kernel may learn later. */
static int deny_all_but(scmp_filter_ctx ctx, unsigned arg, uint32_t allowed, struct err *e)
{
	for (unsigned value = 0; value < SMALL_VALUES; value++)
		if (!(allowed >> value & 1) &&
			deny_if(ctx, SCMP_SYS(socket),
				SCMP_CMP64(arg, SCMP_CMP_MASKED_EQ, LOW32, value), e) < 0)
			return -e->code;
	for (uint64_t bit = SMALL_VALUES; bit < LOW32; bit <<= 1)
		if (deny_if(ctx, SCMP_SYS(socket), SCMP_CMP64(arg, SCMP_CMP_MASKED_EQ, bit, bit),
			    e) < 0)
			return -e->code;
	return 0;
}

#define BIT(n) (1u << (n))

/* GAP-12.  The kernel's families above 31 fall under the bits. */
static int deny_families(scmp_filter_ctx ctx, struct err *e)
{
	uint32_t families = BIT(AF_UNIX) | BIT(AF_INET) | BIT(AF_INET6) | BIT(AF_NETLINK);
	int r;

	if (deny_all_but(ctx, 0, families, e) < 0)
		return -e->code;
	/* 64 bits in these two: stricter, never looser. */
	r = seccomp_rule_add(ctx, SCMP_ACT_ERRNO(EPERM), SCMP_SYS(socket), 2,
		SCMP_A0_64(SCMP_CMP_MASKED_EQ, LOW32, AF_NETLINK), SCMP_A2_64(SCMP_CMP_NE, 0));
	if (r == 0)
		r = seccomp_rule_add(ctx, SCMP_ACT_ERRNO(EPERM), SCMP_SYS(socketpair), 1,
			SCMP_A0_64(SCMP_CMP_NE, AF_UNIX));
	return r < 0 ? err_set(e, -r, "filter netlink and socket pairs") : 0;
}

static int deny_inet_only(
	scmp_filter_ctx ctx, unsigned arg, uint64_t mask, uint64_t value, struct err *e)
{
	static const uint64_t families[] = { AF_INET, AF_INET6 };
	int r = 0;

	for (size_t i = 0; r == 0 && i < sizeof families / sizeof *families; i++)
		r = seccomp_rule_add(ctx, SCMP_ACT_ERRNO(EPERM), SCMP_SYS(socket), 2,
			SCMP_A0_64(SCMP_CMP_MASKED_EQ, LOW32, families[i]),
			SCMP_CMP64(arg, SCMP_CMP_MASKED_EQ, mask, value));
	return r < 0 ? err_set(e, -r, "filter internet sockets") : 0;
}

/* Internet sockets are TCP and UDP.  No raw, packet or ping sockets; no SCTP, DCCP, UDP-Lite, L2TP,
 * SMC or MPTCP (whose owner the identity of a connection could not be asked for), and no module is
 * loaded because somebody named its protocol.  Unix sockets know protocol 0 and 1 (their own). */
static int deny_protocols(scmp_filter_ctx ctx, struct err *e)
{
	uint32_t protocols = BIT(0) | BIT(AF_UNIX) | BIT(IPPROTO_TCP) | BIT(IPPROTO_UDP);
	uint32_t types = BIT(SOCK_STREAM) | BIT(SOCK_DGRAM) | BIT(SOCK_RAW) | BIT(SOCK_SEQPACKET);

	for (unsigned type = 0; type <= SOCK_TYPE_BITS; type++)
		if (!(types >> type & 1) &&
			deny_if(ctx, SCMP_SYS(socket),
				SCMP_A1_64(SCMP_CMP_MASKED_EQ, SOCK_TYPE_BITS, type), e) < 0)
			return -e->code;
	if (deny_inet_only(ctx, 1, SOCK_TYPE_BITS, SOCK_RAW, e) < 0 ||
		deny_inet_only(ctx, 1, SOCK_TYPE_BITS, SOCK_SEQPACKET, e) < 0 ||
		deny_inet_only(ctx, 2, LOW32, IPPROTO_ICMP, e) < 0)
		return -e->code;
	return deny_all_but(ctx, 2, protocols, e);
}

/* The kernel lets a user change limits and priorities of all his processes, in the sandbox or not,
 * and Landlock has no say: a limit on processor time would end the operator's own programs. */
static int deny_other_processes(scmp_filter_ctx ctx, struct err *e)
{
	static const uint64_t whole_user[] = { 1 /* PGRP */, 2 /* USER */ };
	int r = seccomp_rule_add(
		ctx, SCMP_ACT_ERRNO(EPERM), SCMP_SYS(prlimit64), 1, SCMP_A0_64(SCMP_CMP_NE, 0));

	for (size_t i = 0; r == 0 && i < sizeof whole_user / sizeof *whole_user; i++) {
		r = seccomp_rule_add(ctx, SCMP_ACT_ERRNO(EPERM), SCMP_SYS(setpriority), 1,
			SCMP_A0_64(SCMP_CMP_MASKED_EQ, LOW32, whole_user[i]));
		/* IOPRIO_WHO_PROCESS is 1, so both are one more there. */
		if (r == 0)
			r = seccomp_rule_add(ctx, SCMP_ACT_ERRNO(EPERM), SCMP_SYS(ioprio_set), 1,
				SCMP_A0_64(SCMP_CMP_MASKED_EQ, LOW32, whole_user[i] + 1));
	}
	return r < 0 ? err_set(e, -r, "filter limits of other processes") : 0;
}

static int deny_arguments(scmp_filter_ctx ctx, struct err *e)
{
	static const uint64_t prctls[] = { PR_SET_SECCOMP, /* the older door to filters */
		PR_SET_MM /* could show another executable in /proc/PID/exe */ };
	static const uint64_t ioctls[] = { TIOCSTI, TIOCLINUX, TIOCSETD, TIOCCONS };

	for (size_t i = 0; i < sizeof ioctls / sizeof *ioctls; i++)
		if (deny_if(ctx, SCMP_SYS(ioctl), SCMP_A1_64(SCMP_CMP_MASKED_EQ, LOW32, ioctls[i]),
			    e) < 0)
			return -e->code;
	if (deny_if(ctx, SCMP_SYS(execveat),
		    SCMP_A4_64(SCMP_CMP_MASKED_EQ, AT_EMPTY_PATH, AT_EMPTY_PATH), e) < 0 ||
		deny_if(ctx, SCMP_SYS(seccomp),
			SCMP_A0_64(SCMP_CMP_MASKED_EQ, LOW32, SECCOMP_SET_MODE_FILTER), e) < 0)
		return -e->code;
	for (size_t i = 0; i < sizeof prctls / sizeof *prctls; i++)
		if (deny_if(ctx, SCMP_SYS(prctl), SCMP_A0_64(SCMP_CMP_MASKED_EQ, LOW32, prctls[i]),
			    e) < 0)
			return -e->code;
	return 0;
}

/* Single processes too: without root the supervisor has the workload's uid.  0 is the caller itself. */
static int deny_by_pid(scmp_filter_ctx ctx, struct err *e)
{
	if (deny_if(ctx, SCMP_SYS(setpriority), SCMP_A1_64(SCMP_CMP_NE, 0), e) < 0)
		return -e->code;
	return deny_if(ctx, SCMP_SYS(ioprio_set), SCMP_A1_64(SCMP_CMP_NE, 0), e);
}

int confine_filter_prelude(struct confine_filter **ret, struct err *e)
{
	scmp_filter_ctx ctx;
	int r;

	if (confine_ctx_new(SCMP_ACT_ALLOW, &ctx, e) < 0)
		return -e->code;
	r = confine_ctx_deny(ctx, prelude, e);
	if (r == 0)
		r = confine_ctx_export(ctx, ret, e);
	if (r == 0)
		confine_filter_all_threads(*ret);
	seccomp_release(ctx);
	return r;
}

int confine_filter_workload(struct confine_filter **ret, struct err *e)
{
	scmp_filter_ctx ctx;
	int r;

	if (confine_ctx_new(SCMP_ACT_ALLOW, &ctx, e) < 0)
		return -e->code;
	if ((r = confine_ctx_deny(ctx, denied, e)) == 0 && (r = deny_namespaces(ctx, e)) == 0 &&
		(r = deny_families(ctx, e)) == 0 && (r = deny_protocols(ctx, e)) == 0 &&
		(r = deny_other_processes(ctx, e)) == 0 && (r = deny_by_pid(ctx, e)) == 0)
		r = deny_arguments(ctx, e);
	if (r == 0)
		r = confine_ctx_export(ctx, ret, e);
	seccomp_release(ctx);
	return r;
}
