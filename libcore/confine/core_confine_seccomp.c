#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <seccomp.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>
#include "core_confine.h"
#include "core_confine_seccomp.h"
#include "core_failure.h"

#if defined __SANITIZE_ADDRESS__
#define SANITISED 1
#elif defined __has_feature
#define SANITISED __has_feature(address_sanitizer)
#else
#define SANITISED 0
#endif
#define FILTER_BYTES_MAX (BPF_MAXINSNS * sizeof(struct sock_filter))

struct confine_filter {
	unsigned flags; /* of seccomp(2) */
	struct sock_fprog program;
	struct sock_filter code[];
};

static void ctx_free(void **ctx)
{
	if (*ctx)
		seccomp_release(*ctx);
}
#define AUTO_CTX __attribute__((cleanup(ctx_free)))

/* Foreign architectures die.  libseccomp treats x32 as one, too: its numbers carry a bit that no
 * rule of ours has (GAP-11). */
int confine_ctx_new(uint32_t fallback, scmp_filter_ctx *ret, struct err *e)
{
	scmp_filter_ctx ctx = seccomp_init(fallback);
	int r;

	if (!ctx)
		return err_set(e, ENOMEM, "system call filter");
	r = seccomp_attr_set(ctx, SCMP_FLTATR_ACT_BADARCH, SCMP_ACT_KILL_PROCESS);
	if (r == 0)
		r = seccomp_attr_set(ctx, SCMP_FLTATR_CTL_OPTIMIZE, 2); /* binary tree */
	if (r < 0) {
		seccomp_release(ctx);
		return err_set(e, -r, "prepare system call filter");
	}
	*ret = ctx;
	return 0;
}

/* -ENOENT for a name that neither the library nor our table of newer calls knows. */
static int call_number(const char *name)
{
	static const struct {
		const char *name;
		int number;
	} newer[] = {
		/* asm-generic numbers, the same on every 64-bit architecture since 424 */
		{ "futex_waitv", 449 },
		{ "cachestat", 451 },
		{ "fchmodat2", 452 },
		{ "map_shadow_stack", 453 },
		{ "futex_wake", 454 },
		{ "futex_wait", 455 },
		{ "futex_requeue", 456 },
		{ "statmount", 457 },
		{ "listmount", 458 },
		{ "lsm_get_self_attr", 459 },
		{ "lsm_set_self_attr", 460 },
		{ "lsm_list_modules", 461 },
		{ "mseal", 462 },
		{ "setxattrat", 463 },
		{ "open_tree_attr", 467 },
	};
	int nr = seccomp_syscall_resolve_name(name);

	for (size_t i = 0; nr == __NR_SCMP_ERROR && i < sizeof newer / sizeof *newer; i++)
		if (strcmp(newer[i].name, name) == 0)
			nr = newer[i].number;
	return nr == __NR_SCMP_ERROR ? -ENOENT : nr;
}

int confine_ctx_deny(scmp_filter_ctx ctx, const char *const *names, struct err *e)
{
	for (; *names; names++) {
		int nr = call_number(*names), r;

		if (nr == -ENOENT)
			return err_set(e, ENOENT, "system call %s has no number", *names);
		r = seccomp_rule_add(ctx, SCMP_ACT_ERRNO(EPERM), nr, 0);
		if (r < 0)
			return err_set(e, -r, "filter %s", *names);
	}
	return 0;
}

int confine_ctx_export(scmp_filter_ctx ctx, struct confine_filter **ret, struct err *e)
{
	AUTO_CLOSE int fd = memfd_create("filter", MFD_CLOEXEC);
	AUTO_FREE struct confine_filter *f = NULL;
	struct stat st;
	int r;

	if (fd < 0)
		return err_set(e, errno, "memory for a system call filter");
	r = seccomp_export_bpf(ctx, fd);
	if (r < 0 || fstat(fd, &st) < 0)
		return err_set(e, r < 0 ? -r : errno, "compile system call filter");
	if (st.st_size <= 0 || (size_t) st.st_size > FILTER_BYTES_MAX)
		return err_set(
			e, E2BIG, "system call filter of %lld bytes", (long long) st.st_size);
	f = calloc(1, sizeof *f + (size_t) st.st_size);
	if (!f)
		return err_set(e, ENOMEM, "system call filter");
	if (pread(fd, f->code, (size_t) st.st_size, 0) != st.st_size)
		return err_set(e, EIO, "read compiled filter");
	f->program.len = (unsigned short) ((size_t) st.st_size / sizeof *f->code);
	f->program.filter = f->code;
	*ret = TAKE_PTR(f);
	return 0;
}

void confine_filter_all_threads(struct confine_filter *f)
{
	f->flags = SECCOMP_FILTER_FLAG_TSYNC;
}

int confine_filter_install(const struct confine_filter *f)
{
	long r = syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, f->flags, &f->program);

	/* With TSYNC a positive answer is a thread that could not follow. */
	return r < 0 ? -errno : r > 0 ? -ESRCH : 0;
}

void confine_filter_free(struct confine_filter *f)
{
	free(f);
}

struct qualified { /* "call:what": only this form of the call */
	const char *name, *call;
	unsigned arg;
	uint64_t mask, value;
};

/* The forms that an allow-list row may name.  Comparisons are masked to the 32 bits that the
 * kernel looks at. */
static const struct qualified forms[] = {
	{ "socket:inet", "socket", 0, 0xffffffff, AF_INET },
	{ "socket:inet-stream", "socket", 0, 0xffffffff, AF_INET }, /* the same: DNS needs both */
	{ "socket:inet6", "socket", 0, 0xffffffff, AF_INET6 },
	{ "socket:unix", "socket", 0, 0xffffffff, AF_UNIX },
	{ "prctl:name", "prctl", 0, 0xffffffff, PR_SET_NAME },
	{ "prctl:dumpable", "prctl", 0, 0xffffffff, PR_GET_DUMPABLE },
	{ "prctl:seccomp", "prctl", 0, 0xffffffff, PR_SET_NO_NEW_PRIVS },
	{ "ioctl:fionread", "ioctl", 1, 0xffffffff, FIONREAD },
	{ "ioctl:fionbio", "ioctl", 1, 0xffffffff, FIONBIO },
	{ "fcntl:getfd", "fcntl", 1, 0xffffffff, F_GETFD },
	{ "fcntl:setfd", "fcntl", 1, 0xffffffff, F_SETFD },
	{ "fcntl:getfl", "fcntl", 1, 0xffffffff, F_GETFL },
	{ "fcntl:setfl", "fcntl", 1, 0xffffffff, F_SETFL },
	{ "fcntl:dupfd", "fcntl", 1, 0xffffffff, F_DUPFD_CLOEXEC },
	{ "fcntl:pipe-size", "fcntl", 1, 0xffffffff, F_SETPIPE_SZ },
	{ "fcntl:seals", "fcntl", 1, 0xffffffff, F_GET_SEALS },
	/* none of O_WRONLY, O_RDWR, O_CREAT, O_TRUNC, O_TMPFILE */
	{ "openat:read", "openat", 2, 0x400243, 0 },
	/* no PROT_EXEC (4) */
	{ "mmap:data", "mmap", 2, 0x4, 0 },
	{ "mprotect:data", "mprotect", 2, 0x4, 0 },
};

static int allow_row(scmp_filter_ctx ctx, const char *name, struct err *e)
{
	int nr, r;

	if (!strchr(name, ':')) {
		nr = call_number(name);
		if (nr == -ENOENT)
			return err_set(e, ENOENT, "system call %s has no number", name);
		r = seccomp_rule_add(ctx, SCMP_ACT_ALLOW, nr, 0);
		return r < 0 ? err_set(e, -r, "allow %s", name) : 0;
	}
	for (size_t i = 0; i < sizeof forms / sizeof *forms; i++) {
		if (strcmp(forms[i].name, name) != 0)
			continue;
		r = seccomp_rule_add(ctx, SCMP_ACT_ALLOW, call_number(forms[i].call), 1,
			SCMP_CMP64(
				forms[i].arg, SCMP_CMP_MASKED_EQ, forms[i].mask, forms[i].value));
		return r < 0 ? err_set(e, -r, "allow %s", name) : 0;
	}
	return err_set(e, ENOENT, "no form of a call is named %s", name);
}

int confine_seccomp_allow(const struct confine_call *allowed, bool fatal, struct err *e)
{
	AUTO_CTX scmp_filter_ctx ctx = NULL;
	AUTO(confine_filter_free) struct confine_filter *f = NULL;
	int r;

	if (confine_ctx_new(fatal ? SCMP_ACT_KILL_PROCESS : SCMP_ACT_ERRNO(EPERM), &ctx, e) < 0)
		return -e->code;
	for (; allowed->name; allowed++)
		if (allow_row(ctx, allowed->name, e) < 0)
			return -e->code;
#if SANITISED
	/* A sanitised build's own run-time support; never in a release. */
	static const char *const sanitiser[] = { "sigaltstack", "madvise", "mmap", "mprotect",
		"munmap", "sched_yield", "gettid", "tgkill", "readlink", "mremap", "futex", NULL };

	for (const char *const *s = sanitiser; *s; s++)
		if (allow_row(ctx, *s, e) < 0)
			return -e->code;
#endif
	if (confine_ctx_export(ctx, &f, e) < 0)
		return -e->code;
	confine_filter_all_threads(f);
	r = prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 ? -errno : confine_filter_install(f);
	if (r < 0 && !failure_is_tolerated(FAILURE_SUPERVISOR_SECCOMP, -r))
		return err_set(e, -r,
			"install system call filter: %s; --delegate supervisor-seccomp goes on "
			"without, where the host filters",
			strerror(-r));
	return 0;
}
