/* test_orch_files.c - what is read from the host: hosts, resolv.conf, the command's description, links. */
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>
#include "orch_hosts.h"
#include "orch_open.h"
#include "orch_spec.h"
#include "test.h"

static void servers(const char *text, struct orch_nameservers *n)
{
	orch_hosts_nameservers(text, strlen(text), n);
}

TEST(name_servers_are_addresses_without_zone)
{
	struct orch_nameservers n;

	servers("# nameserver 9.9.9.9\nnameserver 127.0.0.53\n nameserver\t::1 # x\nnameserver "
		"fe80::1%eth0\nnameserver a.b\nNameserver 1.1.1.1\noptions x\nnameserver",
		&n);
	ASSERT_EQ(n.n, 2);
	ASSERT_STR(n.at[0], "127.0.0.53");
	ASSERT_STR(n.at[1], "::1");
}

TEST(name_servers_are_bounded)
{
	char text[64 * (ORCH_NAMESERVERS_MAX + 1)] = "";
	struct orch_nameservers n;

	for (int i = 0; i <= ORCH_NAMESERVERS_MAX; i++)
		(void) snprintf(text + strlen(text), 64, "nameserver 10.0.0.%d\n", i);
	servers(text, &n);
	ASSERT_EQ(n.n, ORCH_NAMESERVERS_MAX);
}

TEST(only_a_link_local_gateway_is_trusted)
{
	static const char *const rows[][2] = { { "169.254.1.2 host.openshell.internal\n",
						       "169.254.1.2" },
		{ "169.254.1.2 a Host.OpenShell.Internal b", "169.254.1.2" },
		{ "fe80::1 host.openshell.internal", "fe80::1" },
		{ "169.254.169.254 host.openshell.internal", "" },
		{ "169.254.170.2 host.openshell.internal", "" },
		{ "10.0.0.1 host.openshell.internal\n169.254.1.2 host.openshell.internal", "" },
		{ "127.0.0.1 host.openshell.internal", "" },
		{ "# 169.254.1.2 host.openshell.internal", "" },
		{ "169.254.1.2 # host.openshell.internal", "" }, { "", "" } };

	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		char got[64];

		orch_hosts_gateway(rows[i][0], strlen(rows[i][0]), got, sizeof got);
		if (strcmp(got, rows[i][1]) != 0)
			FAIL_("%s: %s", rows[i][0], got);
	}
}

static int spec(const char *text, struct orch_spec *s)
{
	struct err e = { 0 };
	int r = orch_spec_parse(text, strlen(text), s, &e);

	ASSERT(r == 0 || e.text[0]);
	return r;
}

TEST(a_spec_is_taken_apart)
{
	struct orch_spec s;

	ASSERT_OK(spec(" {\"tty\":false, \"command\":[\"a "
		       "b\",\"\\u00e9\\ud83d\\ude00\\\"\"],\"version\":1,"
		       "\"other\":{\"x\":[1,null]}} ",
		&s));
	ASSERT(!s.tty);
	ASSERT_STR(s.command[0], "a b");
	ASSERT_STR(s.command[1], "\xc3\xa9\xf0\x9f\x98\x80\"");
	ASSERT(!s.command[2]);
	orch_spec_free_words(s.command);
	ASSERT_OK(spec("base64url:eyJ2ZXJzaW9uIjoxLCJjb21tYW5kIjpbImEiXX0", &s));
	ASSERT_STR(s.command[0], "a");
	orch_spec_free_words(s.command);
}

#define DEEP "{\"version\":1,\"command\":[\"a\"],\"x\":[[[[[[[[[[[[[[[[[[[[1]]]]]]]]]]]]]]]]]]]]}"

TEST(malformed_specs_are_refused)
{
	static const char *const bad[] = { "", "{}", "[]", "{\"version\":1}",
		"{\"command\":[\"a\"]}", "{\"version\":2,\"command\":[\"a\"]}",
		"{\"version\":1,\"command\":[]}", "{\"version\":1,\"command\":[\"\"]}",
		"{\"version\":1,\"command\":\"a\"}", "{\"version\":1,\"command\":[1]}",
		"{\"version\":1,\"command\":[\"a\"],\"tty\":1}",
		"{\"version\":1,\"command\":[\"a\"]} x",
		"{\"version\":1,\"version\":1,\"command\":[\"a\"]}",
		"{\"version\":1,\"command\":[\"a\\u0000\"]}",
		"{\"version\":1,\"command\":[\"\\ud800\"]}",
		"{\"version\":1,\"command\":[\"a\n\"]}", "{\"version\":1,\"command\":[\"\xff\"]}",
		"{\"version\":1,\"command\":[\"a\",]}", "base64url:====", "base64url:e",
		"base64url:!!!!", DEEP };
	struct orch_spec s;

	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
		if (spec(bad[i], &s) >= 0)
			FAIL_("accepted: %s", bad[i]);
}

TEST(every_truncation_of_a_spec_is_refused)
{
	static const char whole[] = "{\"version\":1,\"command\":[\"a\",\"b\"],\"tty\":true}";
	char part[sizeof whole];
	struct orch_spec s;

	for (size_t n = 0; n < sizeof whole - 1; n++) {
		(void) snprintf(part, sizeof part, "%.*s", (int) n, whole);
		ASSERT(spec(part, &s) < 0);
	}
}

static int open_link(int dir, const char *name, struct err *e)
{
	const uint32_t root[] = { 0 };
	const struct orch_owners owners = { root, 1 };
	int fd = -1, r = orch_open_linked(dir, name, &owners, &fd, e);

	if (fd >= 0)
		(void) close(fd);
	return r;
}

TEST(links_are_followed_up_to_their_bound)
{
	char top[] = "/run/test-orch-XXXXXX", from[16], to[16];
	struct err e = { 0 };
	int dir;

	ASSERT(mkdtemp(top));
	dir = open(top, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	ASSERT(dir >= 0);
	(void) close(openat(dir, "0", O_CREAT | O_WRONLY | O_CLOEXEC, 0600));
	for (int i = 1; i <= ORCH_OPEN_LINKS_MAX + 1; i++) {
		(void) snprintf(from, sizeof from, "%d", i - 1);
		(void) snprintf(to, sizeof to, "%d", i);
		ASSERT(symlinkat(from, dir, to) == 0);
	}
	(void) snprintf(to, sizeof to, "%d", ORCH_OPEN_LINKS_MAX);
	ASSERT_OK(open_link(dir, to, &e));
	(void) snprintf(to, sizeof to, "%d", ORCH_OPEN_LINKS_MAX + 1);
	ASSERT_ERR(open_link(dir, to, &e), ELOOP);
	ASSERT(fchmod(dir, 01777) ==
		0); /* sticky does not help: anybody could have made the link */
	ASSERT_ERR(open_link(dir, "1", &e), EPERM);
	ASSERT(fchmod(dir, 0755) == 0 && symlinkat("/", dir, "root") == 0);
	ASSERT_ERR(open_link(dir, "root", &e), EISDIR);
	ASSERT(symlinkat("/proc/self/environ", dir, "proc") == 0);
	ASSERT(fchownat(dir, "proc", 1, 1, AT_SYMLINK_NOFOLLOW) == 0);
	ASSERT_ERR(open_link(dir, "proc", &e), EPERM);
	(void) close(dir);
	execlp("rm", "rm", "-rf", top, NULL);
}
