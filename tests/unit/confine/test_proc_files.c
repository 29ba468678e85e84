#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include "confine_child.h"
#include "proc_files.h"

#define USER 4242u
#define GROUP 4343u

static const struct confine_identity id = {
	.uid = USER, .gid = GROUP, .groups = { 55 }, .n_groups = 1
};
static struct err e;
static char top[] = "/tmp/files-XXXXXX";
static char path[256];

static const char *at(const char *name)
{
	(void) snprintf(path, sizeof path, "%s/%s", top, name);
	return path;
}

static void make_dir(const char *name, uid_t uid, gid_t gid, mode_t mode)
{
	ASSERT(mkdir(at(name), 0700) == 0 && chown(path, uid, gid) == 0 && chmod(path, mode) == 0);
}

static void make_file(const char *name)
{
	int fd = open(at(name), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);

	ASSERT(fd >= 0 && close(fd) == 0);
}

static uid_t owner(const char *name)
{
	struct stat st;

	ASSERT(lstat(at(name), &st) == 0);
	return st.st_uid;
}

static void begin(void)
{
	ASSERT(mkdtemp(top) && chmod(top, 0755) == 0);
	memset(&e, 0, sizeof e);
}

static void end(void)
{
	char command[64];
	pid_t pid = fork();

	(void) snprintf(command, sizeof command, "rm -rf %s", top);
	if (pid == 0) {
		(void) execl("/bin/sh", "sh", "-c", command, NULL);
		_exit(127);
	}
	ASSERT(waitpid(pid, NULL, 0) == pid);
}

/* ---- which directory ---- */

TEST(reserved_paths_are_refused_by_component)
{
	static const char *const bad[] = { "/", "/proc", "/proc/1", "/sys/fs", "/dev/shm", "/etc",
		"/etc/openshell", "/etc/openshell/x", "/etc/openshell-tls", "/run", "/run/netns/a",
		"/var", "/var/run", "/opt", "/opt/openshell/bin", "/run/openshell-sidecar" };
	static const char *const good[] = { "/home/a", "/etc/openshell-tlsx", "/opt/openshellx",
		"/procx", "/srv", "/work/..a", "/work/a b" };

	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
		ASSERT_ERR(proc_files_check_workdir(bad[i], &e), EPERM);
	for (size_t i = 0; i < sizeof good / sizeof *good; i++)
		ASSERT_OK(proc_files_check_workdir(good[i], &e));
}

TEST(paths_that_are_not_plain_are_refused)
{
	static const char *const bad[] = { "", "a", "./a", "//a", "/a//b", "/a/", "/a/.", "/a/..",
		"/a/./b", "/a/../b", "/..", " /a", "/a ", "/a\nb", "/a\x7f" };

	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
		ASSERT_ERR(proc_files_check_workdir(bad[i], &e), EINVAL);
}

TEST(workdir_must_be_a_directory_that_the_user_can_enter)
{
	begin();
	make_dir("open", 0, 0, 0755);
	make_dir("closed", 0, 0, 0700);
	make_dir("group", 0, 55, 0710);
	make_file("file");
	ASSERT_OK(proc_files_workdir(at("open"), &id, &e));
	ASSERT_OK(proc_files_workdir(at("group"), &id, &e));
	ASSERT_ERR(proc_files_workdir(at("closed"), &id, &e), EACCES);
	ASSERT(strstr(e.text, "closed") && strstr(e.text, "4242"));
	ASSERT_ERR(proc_files_workdir(at("file"), &id, &e), ENOTDIR);
	ASSERT_ERR(proc_files_workdir(at("none"), &id, &e), ENOENT);
	ASSERT_EQ(owner("open"), 0);
	end();
}

TEST(a_workdir_that_leads_to_a_reserved_path_is_refused)
{
	char link[300];

	begin();
	(void) snprintf(link, sizeof link, "%s", at("link"));
	ASSERT(symlink("/etc", link) == 0);
	ASSERT_ERR(proc_files_workdir(link, &id, &e), EPERM);
	ASSERT(unlink(link) == 0 && symlink("/", link) == 0);
	ASSERT_ERR(proc_files_workdir(link, &id, &e), EPERM);
	ASSERT(unlink(link) == 0 && symlink(top, link) == 0);
	ASSERT_OK(proc_files_workdir(link, &id, &e));
	end();
}

/* ---- read_write paths ---- */

TEST(a_missing_path_is_made_and_only_its_leaf_is_given)
{
	struct stat st;

	begin();
	(void) umask(077);
	ASSERT_OK(proc_files_make(at("a/b/c"), &id, &e));
	ASSERT_EQ(owner("a"), 0);
	ASSERT_EQ(owner("a/b"), 0);
	ASSERT_EQ(owner("a/b/c"), USER);
	ASSERT(stat(at("a/b"), &st) == 0);
	ASSERT_EQ(st.st_mode & 07777, 0755);
	end();
}

TEST(an_existing_path_keeps_its_owner)
{
	begin();
	make_dir("d", 7, 7, 0700);
	make_file("f");
	ASSERT_OK(proc_files_make(at("d"), &id, &e));
	ASSERT_OK(proc_files_make(at("f"), &id, &e));
	ASSERT_EQ(owner("d"), 7);
	ASSERT_EQ(owner("f"), 0);
	end();
}

TEST(a_linked_path_or_component_is_refused)
{
	char target[64];

	begin();
	make_dir("d", 0, 0, 0755);
	(void) snprintf(target, sizeof target, "%s/d", top);
	ASSERT(symlink(target, at("link")) == 0);
	ASSERT(symlink("/nonexistent", at("dangling")) == 0);
	ASSERT_ERR(proc_files_make(at("link"), &id, &e), ELOOP);
	ASSERT_ERR(proc_files_make(at("dangling"), &id, &e), ELOOP);
	ASSERT(proc_files_make(at("link/new"), &id, &e) < 0);
	ASSERT(access(at("d/new"), F_OK) < 0);
	end();
}

TEST(nothing_is_made_below_the_kernel_s_file_systems)
{
	ASSERT_OK(proc_files_make("/dev/nvidia-not-there", &id, &e));
	ASSERT(access("/dev/nvidia-not-there", F_OK) < 0);
	ASSERT_OK(proc_files_make("/proc/none", &id, &e));
}

/* ---- the tree of a numbered identity ---- */

TEST(a_tree_is_given_without_following_links)
{
	begin();
	make_dir("t", 0, 0, 0755);
	make_dir("t/sub", 0, 0, 0755);
	make_file("t/sub/f");
	make_file("outside");
	ASSERT(symlink("../outside", at("t/link")) == 0);
	ASSERT_OK(proc_files_give_tree(at("t"), &id, &e));
	ASSERT_EQ(owner("t"), USER);
	ASSERT_EQ(owner("t/sub"), USER);
	ASSERT_EQ(owner("t/sub/f"), USER);
	ASSERT_EQ(owner("t/link"), 0);
	ASSERT_EQ(owner("outside"), 0);
	ASSERT_OK(proc_files_give_tree(at("none"), &id, &e));
	end();
}

TEST(a_tree_that_is_a_link_or_too_deep_is_an_error)
{
	int fd, next;

	begin();
	make_dir("t", 0, 0, 0755);
	ASSERT(symlink("t", at("link")) == 0);
	ASSERT_ERR(proc_files_give_tree(at("link"), &id, &e), ENOTDIR);
	fd = open(at("t"), O_PATH | O_DIRECTORY | O_CLOEXEC);
	for (int i = 0; i < 140; i++) {
		ASSERT(mkdirat(fd, "d", 0755) == 0);
		next = openat(fd, "d", O_PATH | O_DIRECTORY | O_CLOEXEC);
		ASSERT(next >= 0 && close(fd) == 0);
		fd = next;
	}
	(void) close(fd);
	ASSERT_ERR(proc_files_give_tree(at("t"), &id, &e), ELOOP);
	end();
}

static int tree_with_mounts(void *arg)
{
	(void) arg;
	MUST(unshare(CLONE_NEWNS) == 0 && mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0);
	MUST(mount("t", at("t/ro"), "tmpfs", 0, NULL) == 0);
	make_dir("t/ro/below", 0, 0, 0755);
	MUST(mount(NULL, at("t/ro"), NULL, MS_REMOUNT | MS_BIND | MS_RDONLY, NULL) == 0);
	MUST(mount("t", at("t/volume"), "tmpfs", 0, NULL) == 0);
	make_file("t/volume/f");
	MUST(proc_files_give_tree(at("t"), &id, &e) == 0);
	MUST(owner("t/ro") == 0 && owner("t/ro/below") == 0);
	MUST(owner("t/volume") == USER && owner("t/volume/f") == USER);
	MUST(owner("t/z") == USER);
	/* the root itself must be given */
	MUST(proc_files_give_tree(at("t/ro"), &id, &e) == -EROFS);
	return 0;
}

TEST(read_only_mounts_are_left_out_and_volumes_are_given)
{
	begin();
	make_dir("t", 0, 0, 0755);
	make_dir("t/ro", 0, 0, 0755);
	make_dir("t/volume", 0, 0, 0755);
	make_file("t/z");
	ASSERT_EQ(in_child(tree_with_mounts, NULL), 0);
	end();
}

/* ---- workspace of an image ---- */

TEST(a_managed_workspace_is_made_and_given_without_its_children)
{
	struct stat st;

	begin();
	ASSERT_OK(proc_files_managed(at("p/w"), &id, &e));
	ASSERT_EQ(owner("p"), 0);
	ASSERT_EQ(owner("p/w"), USER);
	make_file("p/w/f");
	ASSERT(chmod(at("p/w"), 0555) == 0);
	ASSERT_OK(proc_files_managed(at("p/w"), &id, &e));
	ASSERT(stat(at("p/w"), &st) == 0);
	ASSERT_EQ(st.st_mode & 0777, 0755);
	ASSERT_EQ(owner("p/w/f"), 0);
	end();
}

TEST(a_managed_workspace_behind_a_link_a_file_or_a_closed_parent_is_refused)
{
	begin();
	make_dir("closed", 0, 0, 0700);
	make_dir("group", 0, 55, 0710);
	make_file("file");
	ASSERT(symlink("group", at("link")) == 0);
	ASSERT_ERR(proc_files_managed(at("closed/w"), &id, &e), EACCES);
	ASSERT_OK(proc_files_managed(at("group/w"), &id, &e));
	ASSERT(proc_files_managed(at("link/w"), &id, &e) < 0);
	ASSERT(proc_files_managed(at("link"), &id, &e) < 0);
	ASSERT(proc_files_managed(at("file"), &id, &e) < 0);
	end();
}

TEST(an_image_workspace_must_be_writable_already)
{
	begin();
	make_dir("own", USER, 0, 0700);
	make_dir("group", 0, 55, 0770);
	make_dir("other", 0, 0, 0755);
	make_dir("closed", 0, 0, 0700);
	make_dir("closed/own", USER, 0, 0700);
	make_file("file");
	ASSERT(symlink("own", at("link")) == 0);
	ASSERT_OK(proc_files_validate(at("own"), &id, &e));
	ASSERT_OK(proc_files_validate(at("group"), &id, &e));
	ASSERT_ERR(proc_files_validate(at("other"), &id, &e), EACCES);
	ASSERT(strstr(e.text, "other"));
	ASSERT_ERR(proc_files_validate(at("closed/own"), &id, &e), EACCES);
	ASSERT(proc_files_validate(at("link"), &id, &e) < 0);
	ASSERT(proc_files_validate(at("file"), &id, &e) < 0);
	ASSERT_ERR(proc_files_validate(at("none"), &id, &e), ENOENT);
	ASSERT_EQ(owner("group"), 0);
	ASSERT(rmdir(at("own")) == 0 && rmdir(at("group")) == 0); /* no probe is left */
	end();
}

TEST(an_image_workspace_is_checked_before_it_is_touched)
{
	const char *got = NULL;

	begin();
	ASSERT_ERR(proc_files_image_workdir("/etc/openshell/w", &id, &got, &e), EPERM);
	ASSERT_ERR(proc_files_image_workdir("relative", &id, &got, &e), EINVAL);
	ASSERT_ERR(proc_files_image_workdir("/a/../b", &id, &got, &e), EINVAL);
	make_dir("own", USER, 0, 0700);
	ASSERT_OK(proc_files_image_workdir(at("own"), &id, &got, &e));
	ASSERT_STR(got, path);
	end();
}

static int empty_workdir(void *arg)
{
	const char *got = NULL;
	struct stat st;

	(void) arg;
	MUST(unshare(CLONE_NEWNS) == 0 && mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0);
	MUST(chroot(top) == 0 && chdir("/") == 0 && mkdir("/proc", 0755) == 0);
	MUST(mount("proc", "/proc", "proc", 0, NULL) == 0);
	MUST(proc_files_image_workdir("/", &id, &got, &e) == 0);
	MUST(strcmp(got, "/sandbox") == 0 && stat("/sandbox", &st) == 0 && st.st_uid == USER);
	MUST(proc_files_image_workdir("", &id, &got, &e) == 0 && strcmp(got, "/sandbox") == 0);
	return 0;
}

TEST(an_image_without_workdir_gets_the_managed_one)
{
	begin();
	ASSERT_EQ(in_child(empty_workdir, NULL), 0);
	end();
}
