#include "proc_paths.h"
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include "confine_child.h"

static struct err e;
static struct proc_warnings warnings;
static Openshell__Sandbox__V1__SandboxPolicy policy;
static Openshell__Sandbox__V1__FilesystemPolicy files;
static Openshell__Sandbox__V1__LandlockPolicy landlock;

static struct proc_paths_input begin(const char *compatibility, char **ro, size_t n_ro)
{
	memset(&warnings, 0, sizeof warnings);
	memset(&e, 0, sizeof e);
	openshell__sandbox__v1__sandbox_policy__init(&policy);
	openshell__sandbox__v1__filesystem_policy__init(&files);
	openshell__sandbox__v1__landlock_policy__init(&landlock);
	landlock.compatibility = (char *) (uintptr_t) compatibility;
	files.read_only = ro;
	files.n_read_only = n_ro;
	policy.filesystem = &files;
	policy.landlock = &landlock;
	return (struct proc_paths_input){
		.policy = &policy, .has_filesystem = true, .workdir = ""
	};
}

/* A root of our own: nothing of the baseline exists in it. */
static int bare_root(void)
{
	return unshare(CLONE_NEWNS) < 0 || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0 ||
		mount("tmpfs", "/mnt", "tmpfs", 0, NULL) < 0 || chroot("/mnt") < 0 ||
		chdir("/") < 0;
}

static int missing_paths(void *arg)
{
	char *ro[] = { (char *) "/here", (char *) "/not-here" };
	struct proc_paths_input in = begin("best_effort", ro, 2);
	struct proc_paths p;

	(void) arg;
	MUST(bare_root() == 0 && mkdir("/here", 0755) == 0);
	MUST(proc_paths_open(&in, &p, &warnings, &e) == 0);
	MUST(p.landlock && p.n_rules == 1);
	MUST(warnings.n == 1 && strstr(warnings.text[0], "/not-here"));
	proc_paths_done(&p);
	landlock.compatibility = (char *) "hard_requirement";
	MUST(proc_paths_open(&in, &p, &warnings, &e) == -ENOENT);
	MUST(strstr(e.text, "/not-here") && strstr(e.text, "best_effort"));
	return 0;
}

TEST(a_missing_path_costs_itself_or_the_start)
{
	ASSERT_EQ(in_child(missing_paths, NULL), 0);
}

static int reasons(void *arg)
{
	static char longname[4200];
	char *ro[] = { (char *) "/loop", (char *) "/file/below", longname, (char *) "/here" };
	struct proc_paths_input in = begin("", ro, 4);
	struct proc_paths p;

	(void) arg;
	memset(longname, 'x', sizeof longname - 1);
	longname[0] = '/';
	MUST(bare_root() == 0 && mkdir("/here", 0755) == 0 && symlink("/loop", "/loop") == 0);
	MUST(close(open("/file", O_CREAT | O_CLOEXEC | O_WRONLY, 0600)) == 0);
	MUST(proc_paths_open(&in, &p, &warnings, &e) == 0);
	MUST(p.n_rules == 1 && warnings.n == 3);
	MUST(strstr(warnings.text[0], strerror(ELOOP)) &&
		strstr(warnings.text[1], strerror(ENOTDIR)));
	proc_paths_done(&p);
	return 0;
}

TEST(each_reason_is_told_and_an_absent_section_is_best_effort)
{
	ASSERT_EQ(in_child(reasons, NULL), 0);
}

static int nothing_usable(void *arg)
{
	char *ro[] = { (char *) "/not-here" };
	struct proc_paths_input in = begin("best_effort", ro, 1);
	struct proc_paths p;

	(void) arg;
	MUST(bare_root() == 0);
	MUST(proc_paths_open(&in, &p, &warnings, &e) == 0);
	MUST(!p.landlock && p.abi == 0);
	MUST(warnings.n == 2 && strstr(warnings.text[1], "NOT confined"));
	return 0;
}

TEST(a_ruleset_is_never_empty)
{
	ASSERT_EQ(in_child(nothing_usable, NULL), 0);
}

static int device(void *arg)
{
	char *rw[] = { (char *) "/null", (char *) "/file", (char *) "/link" };
	struct proc_paths_input in = begin("hard_requirement", NULL, 0);
	struct proc_paths p;

	(void) arg;
	files.read_write = rw;
	files.n_read_write = 3;
	MUST(bare_root() == 0 && mknod("/null", S_IFCHR | 0666, 1 << 8 | 3) == 0);
	MUST(close(open("/file", O_CREAT | O_CLOEXEC | O_WRONLY, 0600)) == 0);
	MUST(symlink("/file", "/link") == 0);
	MUST(proc_paths_open(&in, &p, &warnings, &e) == 0);
	MUST(p.landlock && p.n_rules >= 2);
	proc_paths_done(&p);
	return 0;
}

TEST(files_devices_and_links_to_them_are_taken_even_when_required)
{
	ASSERT_EQ(in_child(device, NULL), 0);
}

TEST(an_old_kernel_is_refused_when_landlock_is_required)
{
	char *ro[] = { (char *) "/usr" };
	struct proc_paths_input in = begin("hard_requirement", ro, 1);
	struct proc_paths p;

	in.max_abi = 1;
	ASSERT_ERR(proc_paths_open(&in, &p, &warnings, &e), ENOTSUP);
	ASSERT(strstr(e.text, "ABI"));
	landlock.compatibility = (char *) "best_effort";
	ASSERT_OK(proc_paths_open(&in, &p, &warnings, &e));
	ASSERT_EQ(p.abi, 1);
	proc_paths_done(&p);
}

TEST(loopback_deny_needs_abi_4)
{
	char *ro[] = { (char *) "/usr" };
	struct proc_paths_input in = begin("", ro, 1);
	struct proc_paths p;

	in.loopback_deny = true;
	in.proxy_port = 3128;
	in.max_abi = 3;
	ASSERT_ERR(proc_paths_open(&in, &p, &warnings, &e), ENOTSUP);
}

/* Once opened, what root alone can reach is usable by the workload. */
static int private_directory(void *arg)
{
	struct confine_identity id = { .uid = 4242, .gid = 4242 };
	char *ro[] = { (char *) "/private/inside" };
	struct proc_paths_input in = begin("hard_requirement", ro, 1);
	struct proc_paths p;

	(void) arg;
	MUST(bare_root() == 0 && mkdir("/private", 0700) == 0 &&
		mkdir("/private/inside", 0755) == 0);
	MUST(proc_paths_open(&in, &p, &warnings, &e) == 0);
	MUST(confine_drop(&id, &e) == 0 && confine_harden(&e) == 0);
	MUST(confine_landlock_enforce(p.landlock) == 0);
	return 0;
}

TEST(a_path_that_only_root_reaches_is_opened_before_the_drop)
{
	ASSERT_EQ(in_child(private_directory, NULL), 0);
}

TEST(writable_paths_are_the_user_s_and_the_workdir_once)
{
	char *rw[] = { (char *) "/tmp", (char *) "/data" };
	struct proc_paths_input in = begin("", NULL, 0);
	const char *list[8];

	files.read_write = rw;
	files.n_read_write = 2;
	in.workdir = "/work";
	ASSERT_EQ(proc_paths_writable(&in, list, 8), 2); /* include_workdir: false */
	files.include_workdir = true;
	ASSERT_EQ(proc_paths_writable(&in, list, 8), 3);
	ASSERT_STR(list[2], "/work");
	in.has_filesystem = false;
	files.include_workdir = false;
	ASSERT_EQ(proc_paths_writable(&in, list, 8), 3); /* no section: the workdir is in */
	ASSERT_EQ(proc_paths_writable(&in, list, 1), 1);
}
