#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>
#include "proc_user.h"
#include "test.h"

static const char passwd[] = "root:x:0:0::/root:/bin/sh\n"
			     "toor:x:0:7::/root:/bin/sh\n"
			     "sandbox:x:998:997::/sandbox:/bin/sh\n"
			     "alice:x:1000:100::/home/alice:/bin/zsh\n"
			     "app:x:101:102::/srv/app:/bin/sh\n"
			     "rooted:x:55:0::/:/bin/sh\n"
			     "member:x:56:56:::/bin/sh\n";
static const char group[] = "root:x:0:member\nsandbox:x:997:\nweb:x:33:alice,app\nzero:x:0:\n"
			    "audio:x:63:alice\ndocker:x:12:app,member\n";

struct files {
	char dir[64], passwd[96], group[96];
};

static void put(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0640);
	ssize_t n = (ssize_t) strlen(text);

	ASSERT(fd >= 0 && write(fd, text, (size_t) n) == n && close(fd) == 0);
}

static void files_init(struct files *f)
{
	(void) snprintf(f->dir, sizeof f->dir, "/tmp/user-XXXXXX");
	ASSERT(mkdtemp(f->dir));
	(void) snprintf(f->passwd, sizeof f->passwd, "%s/passwd", f->dir);
	(void) snprintf(f->group, sizeof f->group, "%s/group", f->dir);
	put(f->passwd, passwd);
	put(f->group, group);
}

static void files_done(const struct files *f)
{
	(void) unlink(f->passwd);
	(void) unlink(f->group);
	ASSERT(rmdir(f->dir) == 0); /* nothing is left beside them */
}

static int resolve(struct proc_user_input in, struct proc_user *u, struct err *e)
{
	struct files f;
	int r;

	files_init(&f);
	if (!in.passwd_path)
		in.passwd_path = f.passwd;
	if (!in.group_path)
		in.group_path = f.group;
	memset(e, 0, sizeof *e);
	r = proc_user_resolve(&in, u, e);
	files_done(&f);
	if (r < 0)
		ASSERT(e->text[0]);
	return r;
}

#define RESOLVE(u, ...) resolve((struct proc_user_input){ __VA_ARGS__ }, (u), &e)

static void is(const struct proc_user *u, uint32_t uid, uint32_t gid, const char *name)
{
	ASSERT_EQ(u->identity.uid, uid);
	ASSERT_EQ(u->identity.gid, gid);
	ASSERT_STR(u->name, name);
	ASSERT_STR(u->shell, "/bin/bash");
}

static void has_groups(const struct proc_user *u, const uint32_t *want, size_t n)
{
	ASSERT_EQ(u->identity.n_groups, n);
	for (size_t i = 0; i < n; i++)
		ASSERT_EQ(u->identity.groups[i], want[i]);
}
#define GROUPS(u, ...) \
	has_groups(u, (uint32_t[]){ __VA_ARGS__ }, \
		sizeof(uint32_t[]){ __VA_ARGS__ } / sizeof(uint32_t))

TEST(each_policy_field_has_precedence_of_its_own)
{
	struct proc_user u;
	struct err e;

	ASSERT_OK(RESOLVE(&u, .policy_user = "alice", .policy_group = "web"));
	is(&u, 1000, 33, "alice");
	ASSERT_STR(u.home, "/home/alice");
	GROUPS(&u, 33, 63);
	ASSERT_OK(RESOLVE(&u, .policy_user = "alice"));
	is(&u, 1000, 997, "alice");
	ASSERT_OK(RESOLVE(&u, .policy_group = "web"));
	is(&u, 998, 33, "sandbox");
	ASSERT_OK(RESOLVE(&u, .policy_user = "", .policy_group = ""));
	is(&u, 998, 997, "sandbox");
	ASSERT_STR(u.home, "/sandbox");
}

TEST(numbers_need_no_account_and_no_account_file)
{
	struct proc_user u;
	struct err e;

	ASSERT_OK(RESOLVE(&u, .policy_user = "1234", .policy_group = "1235", .passwd_path = "/etc",
		.group_path = "/etc"));
	is(&u, 1234, 1235, "1234");
	ASSERT_STR(u.home, "/sandbox");
	ASSERT_EQ(u.identity.n_groups, 0);
	ASSERT_OK(RESOLVE(&u, .policy_user = "4000000000", .policy_group = "4294967294"));
	is(&u, 4000000000u, 4294967294u, "4000000000");
	ASSERT_ERR(RESOLVE(&u, .policy_user = "4294967295", .policy_group = "1"), EINVAL);
	ASSERT_ERR(RESOLVE(&u, .policy_user = "1", .policy_group = "4294967295"), EINVAL);
}

TEST(root_is_refused_under_every_spelling)
{
	static const struct {
		const char *user, *group;
	} bad[] = { { "root", "web" }, { "0", "5" }, { "000", "5" }, { "toor", "web" },
		{ "alice", "root" }, { "alice", "0" }, { "alice", "00" }, { "alice", "zero" },
		{ "5", "zero" } };
	struct proc_user u;
	struct err e;

	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
		ASSERT_ERR(RESOLVE(&u, .policy_user = bad[i].user, .policy_group = bad[i].group),
			EPERM);
		ASSERT(strstr(e.text, "process.run_as_user"));
	}
	ASSERT_ERR(RESOLVE(&u, .image_user = "root"), EPERM);
	ASSERT_ERR(RESOLVE(&u, .image_user = "0:5"), EPERM);
	ASSERT_ERR(RESOLVE(&u, .image_user = "5:0"), EPERM);
	ASSERT_ERR(RESOLVE(&u, .image_user = "toor"), EPERM);
	ASSERT_ERR(RESOLVE(&u, .image_user = "rooted"), EPERM);
	ASSERT_ERR(RESOLVE(&u, .image_user = "rooted:web"), EPERM);
}

TEST(unknown_names_are_refused)
{
	struct proc_user u;
	struct err e;

	ASSERT_ERR(RESOLVE(&u, .policy_user = "nobody-here"), ENOENT);
	ASSERT_ERR(RESOLVE(&u, .policy_user = "alice", .policy_group = "nogroup"), ENOENT);
	ASSERT_ERR(RESOLVE(&u, .passwd_path = "/nonexistent"), ENOENT);
	ASSERT(strstr(e.text, "run_as_user") && strstr(e.text, "sudo"));
}

TEST(driver_numbers_override_policy)
{
	struct proc_user u;
	struct err e;

	ASSERT_OK(RESOLVE(&u, .policy_user = "alice", .policy_group = "web", .sandbox_uid = "2000",
		.sandbox_gid = "2001", .image_user = ""));
	is(&u, 2000, 2001, "2000");
	ASSERT(u.from_driver && u.identity.n_groups == 0);
}

TEST(driver_conflicts_and_halves_are_errors)
{
	struct proc_user u;
	struct err e;

	ASSERT_ERR(RESOLVE(&u, .sandbox_uid = "5"), EINVAL);
	ASSERT_ERR(RESOLVE(&u, .sandbox_gid = "5"), EINVAL);
	ASSERT_ERR(RESOLVE(&u, .sandbox_uid = "5", .sandbox_gid = ""), EINVAL);
	ASSERT_ERR(
		RESOLVE(&u, .sandbox_uid = "5", .sandbox_gid = "5", .image_user = "app"), EINVAL);
	ASSERT_ERR(RESOLVE(&u, .sandbox_gid = "5", .image_user = "app"), EINVAL);
	ASSERT_ERR(RESOLVE(&u, .sandbox_uid = "0", .sandbox_gid = "5"), EINVAL);
	ASSERT_ERR(RESOLVE(&u, .sandbox_uid = "5", .sandbox_gid = "0"), EINVAL);
	ASSERT_ERR(RESOLVE(&u, .sandbox_uid = "4294967295", .sandbox_gid = "5"), EINVAL);
	ASSERT_ERR(RESOLVE(&u, .sandbox_uid = "alice", .sandbox_gid = "5"), EINVAL);
}

TEST(image_fills_only_what_policy_leaves_out)
{
	struct proc_user u;
	struct err e;

	ASSERT_OK(RESOLVE(&u, .image_user = "app"));
	is(&u, 101, 102, "app");
	ASSERT(u.from_image);
	GROUPS(&u, 12, 33, 102);
	ASSERT_OK(RESOLVE(&u, .image_user = "101:102"));
	is(&u, 101, 102, "101");
	ASSERT_EQ(u.identity.n_groups, 0);
	ASSERT_OK(RESOLVE(&u, .image_user = "app:web"));
	is(&u, 101, 33, "app");
	ASSERT_OK(RESOLVE(&u, .image_user = "101"));
	is(&u, 101, 102, "101");
	/* the group of the image's user, although policy names another user */
	ASSERT_OK(RESOLVE(&u, .policy_user = "alice", .image_user = "app"));
	is(&u, 1000, 102, "alice");
	ASSERT_OK(RESOLVE(&u, .policy_group = "web", .image_user = "app:nogroup"));
	is(&u, 101, 33, "app");
	/* both named by policy: not even looked at */
	ASSERT_OK(RESOLVE(
		&u, .policy_user = "alice", .policy_group = "web", .image_user = "root::x"));
	is(&u, 1000, 33, "alice");
	ASSERT(!u.from_image);
}

TEST(image_users_that_can_not_be_are_errors)
{
	static const char *const bad[] = { "", ":", ":web", "app:", " app", "app ", "ap\tp",
		"a:b:c", "missing", "77", "member" };
	struct proc_user u;
	struct err e;

	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
		ASSERT(RESOLVE(&u, .image_user = bad[i]) < 0);
	ASSERT_ERR(RESOLVE(&u, .policy_user = "alice", .image_user = ""), EINVAL);
}

TEST(the_person_who_ran_sudo_is_the_user_when_nobody_is_named)
{
	struct proc_user u;
	struct err e;

	ASSERT_OK(RESOLVE(&u, .has_invoker = true, .invoker_uid = 1000, .invoker_gid = 100));
	is(&u, 1000, 100, "alice");
	ASSERT(u.from_invoker);
	ASSERT_STR(u.home, "/home/alice");
	GROUPS(&u, 33, 63, 100);
	/* without a local account: the number alone */
	ASSERT_OK(RESOLVE(&u, .has_invoker = true, .invoker_uid = 7777, .invoker_gid = 7778));
	is(&u, 7777, 7778, "7777");
	ASSERT_EQ(u.identity.n_groups, 0);
	/* group 0 is left out of the list, and refused as the primary one */
	ASSERT_OK(RESOLVE(&u, .has_invoker = true, .invoker_uid = 56, .invoker_gid = 56));
	GROUPS(&u, 12, 56);
	ASSERT_STR(u.home, "/home/member");
	ASSERT_ERR(RESOLVE(&u, .has_invoker = true, .invoker_uid = 1000, .invoker_gid = 0), EPERM);
}

TEST(policy_driver_and_image_go_before_the_person_who_ran_sudo)
{
	struct proc_user u;
	struct err e;

	ASSERT_OK(RESOLVE(&u, .policy_user = "app", .has_invoker = true, .invoker_uid = 1000,
		.invoker_gid = 100));
	is(&u, 101, 997, "app");
	ASSERT_OK(RESOLVE(&u, .image_user = "app", .has_invoker = true, .invoker_uid = 1000,
		.invoker_gid = 1));
	is(&u, 101, 102, "app");
	/* sudo from root names nobody */
	ASSERT_OK(RESOLVE(&u, .has_invoker = true, .invoker_uid = 0, .invoker_gid = 0));
	is(&u, 998, 997, "sandbox");
}

TEST(a_default_group_that_does_not_exist_is_the_primary_group)
{
	struct proc_user u;
	struct err e;

	ASSERT_OK(RESOLVE(&u, .policy_user = "alice", .group_path = "/nonexistent"));
	is(&u, 1000, 100, "alice");
	ASSERT_ERR(RESOLVE(&u, .policy_user = "7777", .group_path = "/nonexistent"), ENOENT);
}

TEST(a_linked_account_file_is_refused)
{
	struct proc_user u;
	struct files f;
	struct err e;
	char link[96];

	files_init(&f);
	(void) snprintf(link, sizeof link, "%s/link", f.dir);
	ASSERT(symlink("passwd", link) == 0);
	ASSERT_ERR(RESOLVE(&u, .policy_user = "alice", .passwd_path = link), ELOOP);
	ASSERT(unlink(link) == 0);
	files_done(&f);
}

TEST(overlong_policy_names_are_refused_not_cut)
{
	char name[PROC_ACCOUNT_FIELD_MAX + 2] = { 0 };
	struct proc_user u;
	struct err e;

	memset(name, '1', sizeof name - 1);
	ASSERT_ERR(RESOLVE(&u, .policy_user = name), EINVAL);
}

/* ---- rewriting ---- */

static void rewritten(const char *before, const char *after, bool is_group)
{
	struct files f;
	struct err e = { 0 };
	char text[4096] = { 0 };
	struct stat st;
	int fd;

	files_init(&f);
	put(is_group ? f.group : f.passwd, before);
	ASSERT_OK(proc_user_rewrite_accounts(f.passwd, f.group, 2000, 3000, &e));
	fd = open(is_group ? f.group : f.passwd, O_RDONLY | O_CLOEXEC);
	ASSERT(read(fd, text, sizeof text - 1) >= 0 && fstat(fd, &st) == 0 && close(fd) == 0);
	ASSERT_STR(text, after);
	ASSERT_EQ(st.st_mode & 07777, 0640);
	files_done(&f);
}

TEST(rewriting_changes_the_numbers_and_nothing_else)
{
	rewritten("root:x:0:0:::\nsandbox:x:1:2:The:/s:/sh\nlast:x:3:3::/:/s",
		"root:x:0:0:::\nsandbox:x:2000:3000:The:/s:/sh\nlast:x:3:3::/:/s", false);
	rewritten("a:x:1:\nsandbox:x:5:m,n\n", "a:x:1:\nsandbox:x:3000:m,n\n", true);
}

TEST(rewriting_appends_a_missing_account)
{
	rewritten("root:x:0:0:::", "root:x:0:0:::\nsandbox:x:2000:3000::/sandbox:/bin/sh\n", false);
	rewritten("", "sandbox:x:3000:\n", true);
}

TEST(rewriting_leaves_malformed_lines_alone)
{
	rewritten("sandbox:x:1\nsandboxer:x:1:1:::\n", "sandbox:x:1\nsandboxer:x:1:1:::\n", false);
	rewritten("sandbox:\n", "sandbox:\n", true);
}

TEST(rewriting_many_lines_loses_none)
{
	static char before[4096], after[8192];
	size_t b = 0, a = 0;

	for (int i = 0; i < 150; i++) {
		b += (size_t) snprintf(before + b, sizeof before - b, "sandbox:x:1:\n");
		a += (size_t) snprintf(after + a, sizeof after - a, "sandbox:x:3000:\n");
	}
	rewritten(before, after, true);
}

TEST(rewriting_refuses_a_link)
{
	struct files f;
	struct err e = { 0 };
	char real[128];

	files_init(&f);
	(void) snprintf(real, sizeof real, "%s/real", f.dir);
	ASSERT(rename(f.passwd, real) == 0 && symlink("real", f.passwd) == 0);
	ASSERT(proc_user_rewrite_accounts(f.passwd, f.group, 2000, 3000, &e) < 0);
	ASSERT(unlink(real) == 0);
	files_done(&f);
}

TEST(a_file_that_is_right_already_is_not_touched)
{
	struct files f;
	struct err e = { 0 };
	struct stat a, b;

	files_init(&f);
	ASSERT_OK(proc_user_rewrite_accounts(f.passwd, f.group, 2000, 3000, &e));
	ASSERT(stat(f.passwd, &a) == 0);
	ASSERT_OK(proc_user_rewrite_accounts(f.passwd, f.group, 2000, 3000, &e));
	ASSERT(stat(f.passwd, &b) == 0 && a.st_ino == b.st_ino);
	files_done(&f);
}
