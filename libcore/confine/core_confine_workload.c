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
#define SMALL_VALUES_BITS 27  /* bits 5 to 31: above the values 0 to 31 */
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

/* Everything but the set bits of allowed, for one of the 32-bit arguments of a call: each small
 * value that is not in the list, and each bit that would make the value larger.  So a list of what
 * is allowed needs no upper bound on what the kernel may learn later.  also: one more test that must
 * hold, or NULL. */
static int deny_all_but(scmp_filter_ctx ctx, int nr, unsigned arg, uint32_t allowed,
	const struct scmp_arg_cmp *also, struct err *e)
{
	unsigned n = also ? 2 : 1;

	for (unsigned i = 0; i < 32 + SMALL_VALUES_BITS; i++) {
		bool is_bit = i >= 32;
		uint64_t bit = 1ull << (is_bit ? i - 32 + 5 : 0);
		struct scmp_arg_cmp tests[2] = { SCMP_CMP64(
			arg, SCMP_CMP_MASKED_EQ, is_bit ? bit : LOW32, is_bit ? bit : i) };
		int r;

		if (!is_bit && (allowed >> i & 1))
			continue;
		if (also)
			tests[1] = *also;
		r = seccomp_rule_add_array(ctx, SCMP_ACT_ERRNO(EPERM), nr, n, tests);
		if (r < 0)
			return err_set(e, -r, "filter argument %u of system call %d", arg, nr);
	}
	return 0;
}

#define BIT(n) (1u << (n))

/* GAP-12.  The kernel's families above 31 fall under the bits. */
static int deny_families(scmp_filter_ctx ctx, struct err *e)
{
	uint32_t some = BIT(AF_UNIX) | BIT(AF_INET) | BIT(AF_INET6) | BIT(AF_NETLINK);
	int r;

	if (deny_all_but(ctx, SCMP_SYS(socket), 0, some, NULL, e) < 0 ||
		deny_all_but(ctx, SCMP_SYS(socketpair), 0, BIT(AF_UNIX), NULL, e) < 0)
		return -e->code;
	r = seccomp_rule_add(ctx, SCMP_ACT_ERRNO(EPERM), SCMP_SYS(socket), 2,
		SCMP_A0_64(SCMP_CMP_MASKED_EQ, LOW32, AF_NETLINK),
		SCMP_A2_64(SCMP_CMP_NE, 0)); /* 64 bits: stricter, never looser */
	return r < 0 ? err_set(e, -r, "filter netlink") : 0;
}

/* Internet sockets are TCP and UDP.  No raw, packet or ping sockets; no SCTP, DCCP, UDP-Lite, L2TP,
 * SMC or MPTCP (whose owner the identity of a connection could not be asked for), and no module is
 * loaded because somebody named its protocol. */
static int deny_inet(scmp_filter_ctx ctx, uint64_t family, struct err *e)
{
	uint32_t protocols = BIT(0) | BIT(IPPROTO_TCP) | BIT(IPPROTO_UDP);
	struct scmp_arg_cmp is = SCMP_A0_64(SCMP_CMP_MASKED_EQ, LOW32, family);
	int r = 0;

	for (uint64_t type = 0; r == 0 && type <= SOCK_TYPE_BITS; type++)
		if (type != SOCK_STREAM && type != SOCK_DGRAM)
			r = seccomp_rule_add(ctx, SCMP_ACT_ERRNO(EPERM), SCMP_SYS(socket), 2, is,
				SCMP_A1_64(SCMP_CMP_MASKED_EQ, SOCK_TYPE_BITS, type));
	if (r < 0)
		return err_set(e, -r, "filter types of internet sockets");
	return deny_all_but(ctx, SCMP_SYS(socket), 2, protocols, &is, e);
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

int confine_filter_prelude(struct confine_filter **ret, struct err *e)
{
	scmp_filter_ctx ctx;
	int r;

	if (confine_ctx_new(SCMP_ACT_ALLOW, &ctx, e) < 0)
		return -e->code;
	r = confine_ctx_deny(ctx, prelude, e);
	if (r == 0)
		r = confine_ctx_export(ctx, ret, e);
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
		(r = deny_families(ctx, e)) == 0 && (r = deny_inet(ctx, AF_INET, e)) == 0 &&
		(r = deny_inet(ctx, AF_INET6, e)) == 0)
		r = deny_arguments(ctx, e);
	if (r == 0)
		r = confine_ctx_export(ctx, ret, e);
	seccomp_release(ctx);
	return r;
}
