#include "proc_skill.h"
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>
#include "test.h"

#define SKILLS "etc/openshell/skills"

static char top[] = "/tmp/skill-XXXXXX";
static char path[256];
static struct err e;

static const char *at(const char *name)
{
	(void) snprintf(path, sizeof path, "%s/%s", top, name);
	return path;
}

static void begin(void)
{
	ASSERT(unshare(CLONE_NEWNS) == 0 && mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0);
	ASSERT(mount("tmpfs", "/tmp", "tmpfs", 0, NULL) == 0); /* goes with this process */
	ASSERT(mkdtemp(top));
	memset(&e, 0, sizeof e);
}

static void read_start(const char *name, char *buf, size_t size)
{
	int fd = open(at(name), O_RDONLY | O_CLOEXEC);
	ssize_t n = read(fd, buf, size - 1);

	ASSERT(fd >= 0 && n > 0);
	buf[n] = '\0';
	(void) close(fd);
}

TEST(pages_are_written_read_only_whatever_the_umask)
{
	char text[8192];
	struct stat st;

	begin();
	(void) umask(077);
	ASSERT_OK(proc_skill_install(top, &e));
	ASSERT(stat(at(SKILLS "/policy_advisor.md"), &st) == 0 && (st.st_mode & 07777) == 0444);
	ASSERT(stat(at(SKILLS "/policy-advisor/SKILL.md"), &st) == 0 &&
		(st.st_mode & 07777) == 0444);
	read_start(SKILLS "/policy-advisor/SKILL.md", text, sizeof text);
	ASSERT(strncmp(text, "---\nname: policy-advisor\n", 25) == 0);
	ASSERT(strstr(text, "policy_denied") && strstr(text, "NODE_USE_ENV_PROXY=1"));
	read_start("AGENTS.md", text, sizeof text);
	ASSERT(strstr(text, "/etc/openshell/skills/policy-advisor/SKILL.md"));
}

TEST(an_older_page_is_replaced)
{
	char text[64];
	int fd;

	begin();
	ASSERT_OK(proc_skill_install(top, &e));
	ASSERT(unlink(at(SKILLS "/policy_advisor.md")) == 0);
	fd = open(at(SKILLS "/policy_advisor.md"), O_WRONLY | O_CREAT | O_CLOEXEC, 0644);
	ASSERT(fd >= 0 && write(fd, "old", 3) == 3 && close(fd) == 0);
	ASSERT_OK(proc_skill_install(top, &e));
	read_start(SKILLS "/policy_advisor.md", text, sizeof text);
	ASSERT(strncmp(text, "# You run", 9) == 0);
}

TEST(no_link_is_followed)
{
	char target[256], text[64];
	int fd;

	begin();
	(void) snprintf(target, sizeof target, "%s/elsewhere", top);
	ASSERT(mkdir(target, 0755) == 0 && mkdir(at("etc"), 0755) == 0);
	ASSERT(symlink(target, at("etc/openshell")) == 0);
	ASSERT(proc_skill_install(top, &e) < 0);
	ASSERT(access(at("elsewhere/skills"), F_OK) < 0);
	/* The page itself a link: replaced, its target untouched. */
	ASSERT(unlink(at("etc/openshell")) == 0 && mkdir(at("etc/openshell"), 0755) == 0 &&
		mkdir(at(SKILLS), 0755) == 0);
	(void) snprintf(target, sizeof target, "%s/victim", top);
	fd = open(target, O_WRONLY | O_CREAT | O_CLOEXEC, 0644);
	ASSERT(fd >= 0 && write(fd, "mine", 4) == 4 && close(fd) == 0);
	ASSERT(symlink(target, at(SKILLS "/policy_advisor.md")) == 0);
	ASSERT_OK(proc_skill_install(top, &e));
	read_start("victim", text, sizeof text);
	ASSERT_STR(text, "mine");
}

TEST(agents_page_of_somebody_else_stays)
{
	char text[64];
	struct stat st;
	int fd;

	begin();
	fd = open(at("AGENTS.md"), O_WRONLY | O_CREAT | O_CLOEXEC, 0644);
	ASSERT(fd >= 0 && write(fd, "theirs", 6) == 6 && close(fd) == 0);
	ASSERT_OK(proc_skill_install(top, &e));
	read_start("AGENTS.md", text, sizeof text);
	ASSERT_STR(text, "theirs");
	ASSERT(unlink(at("AGENTS.md")) == 0 && symlink("/nonexistent/x", at("AGENTS.md")) == 0);
	ASSERT_OK(proc_skill_install(top, &e));
	ASSERT(lstat(at("AGENTS.md"), &st) == 0 && S_ISLNK(st.st_mode));
}
