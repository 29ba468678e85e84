#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>
#include "proc_account.h"
#include "test.h"

static const char passwd[] = "root:x:0:0:root:/root:/bin/bash\n"
			     "# a comment\n"
			     "\n"
			     "alice:x:1000:100:Alice,,,:/home/alice:/bin/zsh\n"
			     "alias:x:1000:100::/:/bin/sh\n"
			     "bob:x:1001:101::/home/bob:/bin/sh\n"
			     "bobby:x:1001:102::/home/bob:/bin/sh\n"
			     "short:x:5:5:\n"
			     "last:x:9:9::/:/bin/sh";
static const char group[] = "root:x:0:\nwheel:x:10:alice,bob\ndup:x:10:alice\naudio:x:63:alice\n"
			    "alice:x:100:\nboth:x:5:bobby\nalices:x:6:aliceb,balice\n";

static int user(const char *name, struct proc_passwd *p)
{
	struct err e = { 0 };

	return proc_account_user(passwd, sizeof passwd - 1, name, p, &e);
}

TEST(user_is_found_by_its_whole_name)
{
	struct proc_passwd p;

	ASSERT_OK(user("alice", &p));
	ASSERT_EQ(p.uid, 1000);
	ASSERT_EQ(p.gid, 100);
	ASSERT_STR(p.home, "/home/alice");
	ASSERT_STR(p.shell, "/bin/zsh");
	ASSERT_OK(user("last", &p));
	ASSERT_EQ(p.uid, 9);
	ASSERT_ERR(user("alic", &p), ENOENT);
	ASSERT_ERR(user("alicee", &p), ENOENT);
	ASSERT_ERR(user("# a comment", &p), ENOENT);
	ASSERT_ERR(user("short", &p), EINVAL);
}

TEST(two_accounts_of_a_name_are_ambiguous)
{
	static const char text[] = "a:x:1:1::/:/s\na:x:1:1::/:/s\n";
	static const char groups[] = "a:x:1:\na:x:2:\n";
	struct proc_passwd p;
	struct err e = { 0 };
	uint32_t gid;

	ASSERT_ERR(proc_account_user(text, sizeof text - 1, "a", &p, &e), EEXIST);
	ASSERT_ERR(proc_account_group(groups, sizeof groups - 1, "a", &gid, &e), EEXIST);
}

TEST(uid_takes_the_first_name_unless_groups_differ)
{
	struct proc_passwd p;
	struct err e = { 0 };

	ASSERT_OK(proc_account_uid(passwd, sizeof passwd - 1, 1000, &p, &e));
	ASSERT_STR(p.name, "alice");
	ASSERT_ERR(proc_account_uid(passwd, sizeof passwd - 1, 1001, &p, &e), EEXIST);
	ASSERT_ERR(proc_account_uid(passwd, sizeof passwd - 1, 77, &p, &e), ENOENT);
}

TEST(groups_of_a_member_are_listed_once_and_never_by_prefix)
{
	struct proc_groups g = { .n = 0 };
	struct err e = { 0 };

	ASSERT_OK(proc_account_groups(group, sizeof group - 1, "alice", &g, &e));
	ASSERT_EQ(g.n, 2);
	ASSERT_EQ(g.gid[0], 10);
	ASSERT_EQ(g.gid[1], 63);
	ASSERT(!g.in_root);
}

TEST(membership_of_group_0_is_told_and_left_out)
{
	static const char text[] = "root:x:0:alice\nother:x:7:alice\n";
	struct proc_groups g = { .n = 0 };
	struct err e = { 0 };

	ASSERT_OK(proc_account_groups(text, sizeof text - 1, "alice", &g, &e));
	ASSERT_EQ(g.n, 1);
	ASSERT(g.in_root);
}

TEST(a_malformed_group_line_is_an_error_when_memberships_are_asked)
{
	static const char text[] = "a:x:1:m\nbroken:x:2\n";
	struct proc_groups g = { .n = 0 };
	struct err e = { 0 };

	ASSERT_ERR(proc_account_groups(text, sizeof text - 1, "m", &g, &e), EINVAL);
}

TEST(numbers_end_below_the_invalid_id)
{
	static const char *const bad[] = { "u:x:4294967295:1::/:/s", "u:x:-1:1::/:/s",
		"u:x::1::/:/s", "u:x:1:0x1::/:/s", "u:x: 1:1::/:/s", "u:x:99999999999:1::/:/s" };
	struct proc_passwd p;
	struct err e = { 0 };

	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
		ASSERT_ERR(proc_account_user(bad[i], strlen(bad[i]), "u", &p, &e), EINVAL);
	ASSERT_OK(proc_account_user("u:x:4294967294:1::/:/s", 22, "u", &p, &e));
	ASSERT_EQ(p.uid, 4294967294LL);
}

/* ---- limits ---- */

static int with_field(size_t field_len)
{
	char text[PROC_ACCOUNT_LINE_MAX];
	struct proc_passwd p;
	struct err e = { 0 };
	size_t n = 0;

	n += (size_t) snprintf(text, sizeof text, "u:x:1:1::/");
	memset(text + n, 'h', field_len - 1);
	n += field_len - 1;
	n += (size_t) snprintf(text + n, sizeof text - n, ":/s\n");
	return proc_account_user(text, n, "u", &p, &e);
}

static int with_line(size_t line_len)
{
	static char text[PROC_ACCOUNT_LINE_MAX + 32];
	struct proc_passwd p;
	struct err e = { 0 };

	memset(text, 'c', sizeof text);
	for (size_t i = 500; i < line_len; i += 500)
		text[i] = ':';
	text[line_len] = '\n';
	memcpy(text + line_len + 1, "u:x:1:1::/:/s", 13);
	return proc_account_user(text, line_len + 14, "u", &p, &e);
}

TEST(field_and_line_limits_hold_at_the_limit_and_one_above)
{
	ASSERT_OK(with_field(PROC_ACCOUNT_FIELD_MAX));
	ASSERT_ERR(with_field(PROC_ACCOUNT_FIELD_MAX + 1), EINVAL);
	ASSERT_OK(with_line(PROC_ACCOUNT_LINE_MAX));
	ASSERT_ERR(with_line(PROC_ACCOUNT_LINE_MAX + 1), EINVAL);
}

TEST(every_truncation_is_harmless)
{
	struct proc_groups g;
	struct proc_passwd p;
	struct err e;

	for (size_t n = 0; n < sizeof passwd; n++) {
		char *copy = malloc(n + 1);

		memcpy(copy, passwd, n);
		(void) proc_account_user(copy, n, "alice", &p, &e);
		(void) proc_account_uid(copy, n, 1000, &p, &e);
		g.n = 0;
		(void) proc_account_groups(copy, n, "alice", &g, &e);
		free(copy);
	}
}

/* ---- files ---- */

static char dir[] = "/tmp/account-XXXXXX";

static int read_it(const char *name, const char *text, size_t len)
{
	char path[64], *got = NULL;
	struct err e = { 0 };
	size_t n;
	int fd, r;

	(void) snprintf(path, sizeof path, "%s/%s", dir, name);
	if (text) {
		fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
		ASSERT(fd >= 0 && write(fd, text, len) == (ssize_t) len && close(fd) == 0);
	}
	r = proc_account_read(path, &got, &n, &e);
	free(got);
	(void) unlink(path);
	return r;
}

TEST(only_a_bounded_regular_text_file_is_read)
{
	char *big = calloc(1, PROC_ACCOUNT_BYTES_MAX + 1), path[64];

	memset(big, '#', PROC_ACCOUNT_BYTES_MAX + 1);
	ASSERT(mkdtemp(dir));
	ASSERT_OK(read_it("p", "a:b\n", 4));
	ASSERT_OK(read_it("p", "", 0));
	ASSERT_ERR(read_it("p", "a\0b", 3), EINVAL);
	ASSERT_ERR(read_it("p", "\xff\n", 2), EINVAL);
	ASSERT_OK(read_it("p", big, PROC_ACCOUNT_BYTES_MAX));
	ASSERT_ERR(read_it("p", big, PROC_ACCOUNT_BYTES_MAX + 1), EFBIG);
	ASSERT_ERR(read_it("none", NULL, 0), ENOENT);
	(void) snprintf(path, sizeof path, "%s/l", dir);
	ASSERT(symlink("/etc/passwd", path) == 0);
	ASSERT_ERR(read_it("l", NULL, 0), ELOOP);
	(void) snprintf(path, sizeof path, "%s/f", dir);
	ASSERT(mkfifo(path, 0600) == 0);
	ASSERT_ERR(read_it("f", NULL, 0), EINVAL);
	ASSERT(rmdir(dir) == 0);
	free(big);
}
