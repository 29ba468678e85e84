#include "proc_pids.h"
#include <fcntl.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>
#include "test.h"

static char top[] = "/tmp/pids-XXXXXX";
static char root[64], cgroup[64];

static void put(const char *path, const char *text)
{
	char full[256];
	int fd;

	(void) snprintf(full, sizeof full, "%s/%s", top, path);
	fd = open(full, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	ASSERT(fd >= 0 && write(fd, text, strlen(text)) == (ssize_t) strlen(text));
	ASSERT(close(fd) == 0);
}

static void dir(const char *path)
{
	char full[256];

	(void) snprintf(full, sizeof full, "%s/%s", top, path);
	ASSERT(mkdir(full, 0700) == 0);
}

static void begin(const char *groups)
{
	ASSERT(unshare(CLONE_NEWNS) == 0 && mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0);
	ASSERT(mount("tmpfs", "/tmp", "tmpfs", 0, NULL) == 0); /* goes with this process */
	ASSERT(mkdtemp(top));
	(void) snprintf(root, sizeof root, "%s/fs", top);
	(void) snprintf(cgroup, sizeof cgroup, "%s/cgroup", top);
	dir("fs");
	put("cgroup", groups);
}

TEST(texts)
{
	ASSERT_EQ(proc_pids_parse("2048\n", 5), PROC_PIDS_LIMITED);
	ASSERT_EQ(proc_pids_parse("max\n", 4), PROC_PIDS_UNLIMITED);
	ASSERT_EQ(proc_pids_parse("MAX", 3), PROC_PIDS_UNLIMITED);
	ASSERT_EQ(proc_pids_parse("", 0), PROC_PIDS_UNAVAILABLE);
	ASSERT_EQ(proc_pids_parse("-1\n", 3), PROC_PIDS_UNAVAILABLE);
	ASSERT_EQ(proc_pids_parse("lots\n", 5), PROC_PIDS_UNAVAILABLE);
}

TEST(limit_of_the_own_group_of_version_2)
{
	begin("0::/a/b\n");
	dir("fs/a");
	dir("fs/a/b");
	ASSERT_EQ(proc_pids_look(cgroup, root), PROC_PIDS_UNAVAILABLE);
	put("fs/a/b/pids.max", "max\n");
	ASSERT_EQ(proc_pids_look(cgroup, root), PROC_PIDS_UNLIMITED);
	put("fs/a/b/pids.max", "2048\n");
	ASSERT_EQ(proc_pids_look(cgroup, root), PROC_PIDS_LIMITED);
}

TEST(limit_of_a_group_above_counts)
{
	begin("0::/a/b\n");
	dir("fs/a");
	dir("fs/a/b");
	put("fs/a/b/pids.max", "max\n");
	put("fs/a/pids.max", "100\n");
	ASSERT_EQ(proc_pids_look(cgroup, root), PROC_PIDS_LIMITED);
}

TEST(container_that_sees_its_group_as_the_root)
{
	begin("0::/\n");
	put("fs/pids.max", "4096\n");
	ASSERT_EQ(proc_pids_look(cgroup, root), PROC_PIDS_LIMITED);
}

TEST(version_1_has_a_folder_of_its_own)
{
	begin("8:cpu:/x\n7:pids:/y\n0::/\n");
	dir("fs/pids");
	dir("fs/pids/y");
	put("fs/pids/y/pids.max", "77\n");
	ASSERT_EQ(proc_pids_look(cgroup, root), PROC_PIDS_LIMITED);
}

TEST(nothing_to_read_is_unavailable)
{
	ASSERT_EQ(proc_pids_look("/nonexistent", "/nonexistent"), PROC_PIDS_UNAVAILABLE);
	begin("garbage\n::\n");
	ASSERT_EQ(proc_pids_look(cgroup, root), PROC_PIDS_UNAVAILABLE);
}
