#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/capability.h>
#include <linux/securebits.h>
#include <sched.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include "confine_child.h"
#include "core_confine.h"

#define USER 4242u
#define GROUP 4343u
#define CAP(c) (1ull << (c))

static bool status_has(const char *line)
{
	char text[8192] = { 0 };
	int fd = open("/proc/self/status", O_RDONLY | O_CLOEXEC);
	ssize_t n = read(fd, text, sizeof text - 1);

	(void) close(fd);
	return n > 0 && strstr(text, line);
}

static int drops_everything(void *arg)
{
	const struct confine_identity *id = arg;
	struct err e = { 0 };
	gid_t groups[8];
	uid_t r, f, s;

	MUST(confine_drop(id, &e) == 0);
	MUST(getresuid(&r, &f, &s) == 0 && r == USER && f == USER && s == USER);
	MUST(getresgid(&r, &f, &s) == 0 && r == GROUP && f == GROUP && s == GROUP);
	MUST(getgroups(8, groups) == (int) id->n_groups);
	MUST(status_has("CapInh:\t0000000000000000\nCapPrm:\t0000000000000000\n"
			"CapEff:\t0000000000000000\nCapBnd:\t0000000000000000\n"
			"CapAmb:\t0000000000000000\n"));
	MUST(setuid(0) < 0 && setgid(0) < 0 && setgroups(0, NULL) < 0);
	MUST(open("/etc/shadow", O_RDONLY | O_CLOEXEC) < 0 && errno == EACCES);
	return 0;
}

TEST(drop_leaves_no_id_no_group_and_no_capability)
{
	struct confine_identity id = {
		.uid = USER, .gid = GROUP, .groups = { 77, 55 }, .n_groups = 2
	};

	ASSERT_EQ(in_child(drops_everything, &id), 0);
}

TEST(drop_without_groups_empties_the_list)
{
	struct confine_identity id = { .uid = USER, .gid = GROUP };

	ASSERT_EQ(in_child(drops_everything, &id), 0);
}

static int drops_twice(void *arg)
{
	struct err e = { 0 };

	MUST(confine_drop(arg, &e) == 0);
	MUST(confine_drop(arg, &e) == 0);
	return e.code;
}

TEST(drop_again_without_privilege_succeeds)
{
	/* not in ascending order: the kernel hands them back sorted */
	struct confine_identity id = {
		.uid = USER, .gid = GROUP, .groups = { 77, 55 }, .n_groups = 2
	};

	ASSERT_EQ(in_child(drops_twice, &id), 0);
}

static int fails_with(void *arg)
{
	struct err e = { 0 };

	return confine_drop(arg, &e) == 0 ? 0 : e.code;
}

TEST(root_is_refused_as_user_group_or_further_group)
{
	struct confine_identity user = { .uid = 0, .gid = GROUP };
	struct confine_identity group = { .uid = USER, .gid = 0 };
	struct confine_identity further = {
		.uid = USER, .gid = GROUP, .groups = { 5, 0 }, .n_groups = 2
	};

	ASSERT_EQ(in_child(fails_with, &user), EPERM);
	ASSERT_EQ(in_child(fails_with, &group), EPERM);
	ASSERT_EQ(in_child(fails_with, &further), EPERM);
}

static int group_zero_is_there_already(void *arg)
{
	gid_t zero = 0;

	MUST(setgroups(1, &zero) == 0);
	return fails_with(arg);
}

TEST(group_0_is_refused_even_when_it_is_already_the_list)
{
	struct confine_identity id = { .uid = USER, .gid = GROUP, .groups = { 0 }, .n_groups = 1 };

	ASSERT_EQ(in_child(group_zero_is_there_already, &id), EPERM);
}

static int becomes_another_first(void *arg)
{
	MUST(setgroups(0, NULL) == 0 && setresgid(GROUP, GROUP, GROUP) == 0);
	MUST(setresuid(USER + 1, USER + 1, USER + 1) == 0);
	return fails_with(arg);
}

TEST(an_id_that_can_not_be_set_is_an_error)
{
	struct confine_identity id = { .uid = USER, .gid = GROUP };

	ASSERT_EQ(in_child(becomes_another_first, &id), EPERM);
}

static int keeps_saved_root(void *arg)
{
	MUST(setresgid(GROUP, GROUP, 0) == 0 && setresuid(USER, USER, 0) == 0);
	MUST(confine_drop(arg, &(struct err){ 0 }) != 0 || (setuid(0) < 0 && setgid(0) < 0));
	return 0;
}

TEST(a_saved_root_id_is_never_a_way_back)
{
	struct confine_identity id = { .uid = USER, .gid = GROUP };

	ASSERT_EQ(in_child(keeps_saved_root, &id), 0);
}

static int keeps_two(void *arg)
{
	struct __user_cap_header_struct h = { _LINUX_CAPABILITY_VERSION_3, 0 };
	struct __user_cap_data_struct d[2];
	struct err e = { 0 };
	uint64_t keep = ((struct confine_identity *) arg)->keep_caps;

	MUST(confine_drop(arg, &e) == 0);
	MUST(syscall(SYS_capget, &h, d) == 0);
	MUST((d[0].effective | (uint64_t) d[1].effective << 32) == keep);
	MUST((d[0].permitted | (uint64_t) d[1].permitted << 32) == keep);
	MUST(d[0].inheritable == 0 && d[1].inheritable == 0);
	for (int cap = 0; prctl(PR_CAPBSET_READ, cap, 0, 0, 0) >= 0; cap++)
		MUST(prctl(PR_CAPBSET_READ, cap, 0, 0, 0) == (int) (keep >> cap & 1));
	MUST(prctl(PR_GET_KEEPCAPS, 0, 0, 0, 0) == 0);
	return 0;
}

TEST(named_capabilities_survive_and_no_other)
{
	struct confine_identity stay = { .keep_uid = true,
		.keep_caps = CAP(CAP_SYS_PTRACE) | CAP(CAP_DAC_READ_SEARCH) };
	struct confine_identity leave = {
		.uid = USER, .gid = GROUP, .keep_caps = CAP(CAP_NET_ADMIN)
	};

	ASSERT_EQ(in_child(keeps_two, &stay), 0);
	ASSERT_EQ(in_child(keeps_two, &leave), 0);
}

static int has_ambient(void *arg)
{
	struct __user_cap_header_struct h = { _LINUX_CAPABILITY_VERSION_3, 0 };
	struct __user_cap_data_struct d[2];

	MUST(syscall(SYS_capget, &h, d) == 0);
	d[0].inheritable = d[0].permitted;
	MUST(syscall(SYS_capset, &h, d) == 0);
	MUST(prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, CAP_NET_RAW, 0, 0) == 0);
	return drops_everything(arg);
}

TEST(inheritable_and_ambient_capabilities_are_cleared)
{
	struct confine_identity id = { .uid = USER, .gid = GROUP };

	ASSERT_EQ(in_child(has_ambient, &id), 0);
}

static int cannot_clear_bounding(void *arg)
{
	struct __user_cap_header_struct h = { _LINUX_CAPABILITY_VERSION_3, 0 };
	struct __user_cap_data_struct d[2];

	MUST(syscall(SYS_capget, &h, d) == 0);
	d[0].effective &= ~(1u << CAP_SETPCAP);
	d[0].permitted &= ~(1u << CAP_SETPCAP);
	MUST(syscall(SYS_capset, &h, d) == 0);
	return fails_with(arg);
}

TEST(a_bounding_set_that_can_not_be_emptied_is_fatal)
{
	struct confine_identity id = { .uid = USER, .gid = GROUP };

	ASSERT_EQ(in_child(cannot_clear_bounding, &id), EPERM);
}

static int hardened(void *arg)
{
	struct err e = { 0 };
	struct rlimit l;

	(void) arg;
	MUST(confine_harden(&e) == 0);
	MUST(prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) == 1);
	MUST(prctl(PR_GET_DUMPABLE, 0, 0, 0, 0) == 0);
	MUST(getrlimit(RLIMIT_CORE, &l) == 0 && l.rlim_cur == 0 && l.rlim_max == 0);
	return 0;
}

TEST(harden_forbids_core_dumps_tracing_and_new_privileges)
{
	ASSERT_EQ(in_child(hardened, NULL), 0);
}

static int keeps_ids(void *arg)
{
	struct confine_identity id = { .uid = USER, .gid = GROUP, .keep_ids = true };
	struct confine_identity other = { .uid = USER + 1, .gid = GROUP, .keep_ids = true };
	gid_t groups[] = { 77, 55 };
	struct err e = { 0 };

	(void) arg;
	/* An ordinary user, with groups that nobody could take away. */
	MUST(setgroups(2, groups) == 0 && setresgid(GROUP, GROUP, GROUP) == 0 &&
		setresuid(USER, USER, USER) == 0);
	MUST(confine_drop(&id, &e) == 0);
	MUST(getgroups(2, groups) == 2);
	MUST(confine_drop(&other, &e) < 0);
	return 0;
}

TEST(without_root_the_own_ids_are_verified_and_groups_stay)
{
	ASSERT_EQ(in_child(keeps_ids, NULL), 0);
}

static int drops_in_user_namespace(void *arg)
{
	struct confine_identity id = { .uid = 65534, .gid = 65534, .keep_ids = true };
	struct err e = { 0 };

	(void) arg;
	MUST(unshare(CLONE_NEWUSER) == 0); /* unmapped: the overflow ids, and every capability */
	MUST(confine_drop(&id, &e) == 0);
	MUST(status_has("CapEff:\t0000000000000000\nCapBnd:\t0000000000000000\n"));
	return 0;
}

TEST(bounding_set_is_emptied_in_a_user_namespace_too)
{
	ASSERT_EQ(in_child(drops_in_user_namespace, NULL), 0);
}

static int locks_securebits(void *arg)
{
	struct confine_identity id = { .uid = USER, .gid = GROUP };
	struct err e = { 0 };
	int want = SECBIT_NOROOT | SECBIT_NOROOT_LOCKED | SECBIT_KEEP_CAPS_LOCKED |
		SECBIT_NO_CAP_AMBIENT_RAISE | SECBIT_NO_CAP_AMBIENT_RAISE_LOCKED |
		SECBIT_NO_SETUID_FIXUP_LOCKED;

	(void) arg;
	MUST(confine_drop(&id, &e) == 0);
	MUST(prctl(PR_GET_SECUREBITS, 0, 0, 0, 0) == want);
	MUST(prctl(PR_SET_KEEPCAPS, 1, 0, 0, 0) < 0);
	return 0;
}

TEST(securebits_are_locked)
{
	ASSERT_EQ(in_child(locks_securebits, NULL), 0);
}
