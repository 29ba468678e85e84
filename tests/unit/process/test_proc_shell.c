/* What a shell channel admits, and the addresses and variables that its peers may name. */
#include <errno.h>
#include <signal.h>
#include <sys/socket.h>
#include "core_channel.h"
#include "core_loop.h"
#include "ipc_shell.h"
#include "ipc_shell.pb-c.h"
#include "proc_env.h"
#include "proc_shell.h"
#include "ssh_address.h"
#include "test.h"

static void expect_address(const char *host, bool loopback)
{
	uint8_t a[16] = { 0 };

	if (ssh_address_is_loopback(host, a) != loopback)
		FAIL_("%s", host);
}

TEST(loopback_in_any_spelling)
{
	static const char *const good[] = { "127.0.0.1", "127.255.255.255", "LOCALHOST",
		"localhost", "::1", "[::1]", "0000:0000:0000:0000:0000:0000:0000:0001",
		"::ffff:127.0.0.1", "[::ffff:127.8.9.10]", "[127.0.0.1]" };

	for (size_t i = 0; i < sizeof good / sizeof *good; i++)
		expect_address(good[i], true);
}

TEST(everything_else_is_not_loopback)
{
	static const char *const bad[] = {
		"10.0.0.1", "example.com", "::ffff:10.0.0.1", "", "[]", "[", "]", "0.0.0.0",
		"::", "128.0.0.1", "10.200.0.1", "localhost.", "localhost ", "127.0.0.1.", "127.1",
		"0x7f000001", "2130706433", "::2", "fe80::1", "::1%lo", "[127.0.0.1",
		"ip6-localhost", "127.0.0.1\n",
		"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
	};

	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
		expect_address(bad[i], false);
}

TEST(address_comes_in_sixteen_bytes)
{
	static const uint8_t mapped[16] = { [10] = 0xff, [11] = 0xff, [12] = 127, [15] = 1 };
	uint8_t a[16];

	ASSERT(ssh_address_is_loopback("localhost", a));
	ASSERT(memcmp(a, mapped, 16) == 0);
}

TEST(signal_names_are_those_of_the_protocol)
{
	ASSERT_EQ(ssh_signal_number("INT"), SIGINT);
	ASSERT_EQ(ssh_signal_number("KILL"), SIGKILL);
	ASSERT_EQ(ssh_signal_number("SIGINT"), 0);
	ASSERT_EQ(ssh_signal_number("STOP"), 0);
	ASSERT_EQ(ssh_signal_number(""), 0);
	ASSERT_STR(ssh_signal_name(SIGTERM), "TERM");
	ASSERT(ssh_signal_name(SIGSTOP) == NULL);
}

TEST(only_harmless_variables_are_taken)
{
	ASSERT(proc_shell_is_allowed_var("LANG", "de_DE.UTF-8"));
	ASSERT(proc_shell_is_allowed_var("LC_ALL", "C"));
	ASSERT(!proc_shell_is_allowed_var("LC_all", "C"));
	ASSERT(!proc_shell_is_allowed_var("LANG", ""));
	ASSERT(!proc_shell_is_allowed_var("LANG", "../../x"));
	ASSERT(!proc_shell_is_allowed_var("LANG", "a\nb"));
	ASSERT(!proc_shell_is_allowed_var("PATH", "x"));
	ASSERT(!proc_shell_is_allowed_var("LD_PRELOAD", "x"));
	ASSERT(!proc_shell_is_allowed_var("HTTP_PROXY", "x"));
	ASSERT(!proc_shell_is_allowed_var("BASH_ENV", "x"));
}

TEST(shell_is_the_accounts_unless_it_lets_nobody_in)
{
	ASSERT_STR(proc_shell_choose("/bin/sh"), "/bin/sh");
	ASSERT_STR(proc_shell_choose("/usr/sbin/nologin"), "/bin/bash");
	ASSERT_STR(proc_shell_choose("/bin/false"), "/bin/bash");
	ASSERT_STR(proc_shell_choose("/no/such/shell"), "/bin/bash");
	ASSERT_STR(proc_shell_choose(""), "/bin/bash");
}

TEST(environment_copy_is_independent)
{
	char *words[] = { (char *) "A=1", (char *) "B=2", NULL };
	struct proc_env base = { words, 2, 8 }, copy;
	struct err e = { 0 };

	ASSERT_OK(proc_env_copy(&base, &copy, &e));
	ASSERT_OK(proc_env_set(&copy, "A", "changed", &e));
	ASSERT_OK(proc_env_set(&copy, "C", "3", &e));
	ASSERT_STR(proc_env_get(&copy, "A"), "changed");
	ASSERT_STR(proc_env_get(&base, "A"), "1");
	ASSERT(proc_env_get(&base, "C") == NULL);
	proc_env_done(&copy);
}

/* ---- a spawner with a peer that does not keep to the table ---- */

struct peer {
	struct loop *loop;
	struct proc_shells *shells;
	int fd;
	unsigned reports;
};

static int no_main(void *owner, int fd, struct err *e)
{
	(void) owner;
	(void) fd;
	return err_set(e, ENOTTY, "nothing to attach to");
}

static void on_report(void *owner, const char *what)
{
	struct peer *p = owner;

	(void) what;
	p->reports++;
}

static void stop(void *owner)
{
	loop_stop(owner);
}

static void run_for_a_turn(struct peer *p)
{
	struct loop_timer *t;
	struct err e = { 0 };

	ASSERT_OK(loop_timer_new(p->loop, stop, p->loop, &t, &e));
	ASSERT_OK(loop_timer_start(t, 50));
	ASSERT_OK(loop_run(p->loop, &e));
	loop_timer_free(t);
}

static void make_peer(struct peer *p)
{
	static const struct proc_restrictions none;
	static const struct proc_env empty;
	struct proc_shells_config c = { .restrictions = &none,
		.env = &empty,
		.account_shell = "/bin/sh",
		.workdir = "",
		.attach_main = no_main,
		.report = on_report,
		.owner = p };
	struct err e = { 0 };
	int pair[2];

	p->reports = 0;
	ASSERT_OK(loop_new(&p->loop, &e));
	ASSERT_OK(proc_shells_new(p->loop, &c, &p->shells, &e));
	ASSERT_OK(channel_pair(pair, &e));
	ASSERT_OK(proc_shells_serve(p->shells, pair[0], &e));
	p->fd = pair[1];
}

static void free_peer(struct peer *p)
{
	proc_shells_free(p->shells);
	loop_free(p->loop);
	(void) close(p->fd);
}

/* true: the channel was ended. */
static bool ends_channel(const void *packet, size_t len)
{
	struct peer p;
	char byte[64];
	ssize_t n;

	make_peer(&p);
	ASSERT_EQ(send(p.fd, packet, len, 0), len);
	run_for_a_turn(&p);
	n = recv(p.fd, byte, sizeof byte, MSG_DONTWAIT);
	free_peer(&p);
	return n == 0;
}

TEST(shell_channel_ends_at_what_the_table_does_not_know)
{
	static const unsigned char unknown[8] = { 99 }, answer[8] = { SHELL_ENDED },
				   short_header[3] = { 1 },
				   malformed[9] = { SHELL_SIGNAL, [8] = 0xff },
				   flags[8] = { SHELL_HANGUP, 0, 1 };
	static unsigned char large[8 + 300] = { SHELL_SIGNAL };

	ASSERT(ends_channel(unknown, sizeof unknown));
	ASSERT(ends_channel(answer, sizeof answer));
	ASSERT(ends_channel(short_header, sizeof short_header));
	ASSERT(ends_channel(malformed, sizeof malformed));
	ASSERT(ends_channel(flags, sizeof flags));
	ASSERT(ends_channel(large, sizeof large));
}

TEST(shell_channel_refuses_addresses_outside_and_signals_that_are_none)
{
	/* ShellDial { address: 16 bytes of ::ffff:10.200.0.1, port 80 }; ShellSignal { 99 } */
	static const unsigned char outside[] = { SHELL_DIAL, 0, 0, 0, 1, 0, 0, 0, 0x0a, 16, 0, 0, 0,
		0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 10, 200, 0, 1, 0x10, 80 };
	static const unsigned char no_port[] = { SHELL_DIAL, 0, 0, 0, 1, 0, 0, 0, 0x0a, 16, 0, 0, 0,
		0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 127, 0, 0, 1 };
	static const unsigned char signo[] = { SHELL_SIGNAL, 0, 0, 0, 1, 0, 0, 0, 0x08, 99 };

	ASSERT(ends_channel(outside, sizeof outside));
	ASSERT(ends_channel(no_port, sizeof no_port));
	ASSERT(ends_channel(signo, sizeof signo));
}

TEST(shell_channel_survives_orders_for_jobs_that_are_gone)
{
	static const unsigned char hang_up[8] = { SHELL_HANGUP, 0, 0, 0, 7 };
	static const unsigned char term[] = { SHELL_SIGNAL, 0, 0, 0, 7, 0, 0, 0, 0x08, 15 };

	ASSERT(!ends_channel(hang_up, sizeof hang_up));
	ASSERT(!ends_channel(term, sizeof term));
}
