#include "proc_mounts.h"
#include <errno.h>
#include "test.h"

static char parent[PROC_MOUNTS_PATH_MAX];
static struct err e;

TEST(spiffe_directory_is_found_with_and_without_scheme)
{
	ASSERT_EQ(proc_mounts_spiffe_parent("unix:/run/spire/agent.sock", parent, &e), 1);
	ASSERT_STR(parent, "/run/spire");
	ASSERT_EQ(proc_mounts_spiffe_parent("unix:///opt/spire/a/agent.sock", parent, &e), 1);
	ASSERT_STR(parent, "/opt/spire/a");
	ASSERT_EQ(proc_mounts_spiffe_parent("/opt/spire/agent.sock", parent, &e), 1);
	ASSERT_STR(parent, "/opt/spire");
}

TEST(spiffe_blank_is_none)
{
	ASSERT_EQ(proc_mounts_spiffe_parent("", parent, &e), 0);
	ASSERT_EQ(proc_mounts_spiffe_parent("  \t", parent, &e), 0);
}

TEST(spiffe_addresses_that_can_not_be_hidden_are_refused)
{
	static const char *const bad[] = { "tcp:127.0.0.1:8080", "tcp://1.2.3.4:1",
		"relative/x.sock", "unix:x.sock", "/x.sock", "/run/x.sock", "/var/x.sock",
		"/var/run/x.sock", "/tmp/x.sock", "/etc/x.sock", "unix:/run/x", "/a/../run/x" };

	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
		ASSERT_ERR(proc_mounts_spiffe_parent(bad[i], parent, &e), EINVAL);
}

TEST(sockets_of_the_list_are_those_with_a_path)
{
	static const char list[] =
		"Num       RefCount Protocol Flags    Type St Inode Path\n"
		"0000000000000000: 00000002 00000000 00010000 0001 01 1 /run/a b\n"
		"0000000000000000: 00000002 00000000 00010000 0001 01 2 @abstract\n"
		"0000000000000000: 00000002 00000000 00010000 0001 01 3\n"
		"0000000000000000: 00000002 00000000 00010000 0001 01 4 /last";
	const char *at = list, *end = list + sizeof list - 1, *p;
	size_t n;

	p = proc_mounts_next_socket(&at, end, &n);
	ASSERT(p && n == 8 && memcmp(p, "/run/a b", n) == 0);
	p = proc_mounts_next_socket(&at, end, &n);
	ASSERT(p && n == 5 && memcmp(p, "/last", n) == 0);
	ASSERT(!proc_mounts_next_socket(&at, end, &n));
}
