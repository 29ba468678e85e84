#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>
#include "core_credential.h"
#include "core_fd.h"
#include "ipc_network.pb-c.h"
#include "orch_credentials.h"
#include "test.h"

#define EP "  endpoints: [{host: a.test, port: 443}]\n"
#define EP2 "  endpoints: [{host: b.test, port: 443}]\n"

struct lab {
	struct loop *loop;
	char path[64], said[8192];
	unsigned changes;
	struct orch_credentials *c;
};

static void say(void *owner, bool serious, const char *text)
{
	struct lab *l = owner;
	size_t len = strlen(l->said);

	(void) serious;
	(void) snprintf(l->said + len, sizeof l->said - len, "%s\n", text);
}

static void changed(void *owner)
{
	struct lab *l = owner;

	l->changes++;
	loop_stop(l->loop);
}

static const struct orch_credentials_calls calls = { say, changed };

static void put(struct lab *l, const char *text, mode_t mode)
{
	int fd = open(l->path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	struct err e = { 0 };

	ASSERT(fd >= 0);
	ASSERT_OK(fd_write_all(fd, text, strlen(text), &e));
	ASSERT(fchmod(fd, mode) == 0);
	(void) close(fd);
}

static int begin(struct lab *l, const char *text)
{
	struct orch_credential_source s = {
		.file = l->path, .owners = { getuid() }, .n_owners = 1
	};
	struct err e = { 0 };

	(void) snprintf(l->path, sizeof l->path, "/tmp/test-credentials-%d", (int) getpid());
	put(l, text, 0600);
	ASSERT_OK(loop_new(&l->loop, &e));
	return orch_credentials_new(l->loop, &s, &calls, l, &l->c, &e);
}

static void end(struct lab *l)
{
	orch_credentials_free(l->c);
	loop_free(l->loop);
	(void) unlink(l->path);
}

static void reload(struct lab *l, const char *text, mode_t mode)
{
	struct err e = { 0 };

	put(l, text, mode);
	orch_credentials_reload(l->c);
	ASSERT_OK(loop_run(l->loop, &e));
}

/* What the network leaf gets; free with protobuf's own function. */
static Openshell__Ipc__NetCredentials *sent(struct lab *l)
{
	Openshell__Ipc__NetCredentials *m;
	struct err e = { 0 };
	const void *at;
	size_t len;
	int fd;

	ASSERT_OK(orch_credentials_fd(l->c, &fd, &e));
	ASSERT_OK(fd_sealed_map(fd, CREDENTIAL_BUNDLE_MAX, &at, &len, &e));
	m = openshell__ipc__net_credentials__unpack(NULL, len, at);
	fd_sealed_unmap(at, len);
	(void) close(fd);
	ASSERT(m);
	return m;
}

/* The first credential: its value, and a copy of its handle. */
static void first(struct lab *l, const char *value, char handle[65])
{
	Openshell__Ipc__NetCredentials *m = sent(l);

	ASSERT_EQ(m->credentials[0]->has_value, value != NULL);
	if (value) {
		ASSERT_EQ(m->credentials[0]->value.len, strlen(value));
		ASSERT(memcmp(m->credentials[0]->value.data, value, strlen(value)) == 0);
	}
	(void) snprintf(handle, 65, "%s", m->credentials[0]->handle);
	ASSERT_EQ(strlen(handle), 64);
	openshell__ipc__net_credentials__free_unpacked(m, NULL);
}

TEST(command_gets_the_placeholder_that_the_leaf_resolves)
{
	struct lab l = { 0 };
	struct orch_vars vars;
	char handle[65], want[256];
	struct err e = { 0 };

	ASSERT_OK(begin(&l, "- name: A\n  value: s3cret\n  prefix: sk-\n" EP));
	first(&l, "s3cret", handle);
	ASSERT_OK(orch_credentials_env(l.c, &vars, &e));
	ASSERT_EQ(vars.n, 1);
	ASSERT_STR(vars.at[0].name, "A");
	(void) snprintf(want, sizeof want, "sk-OPENSHELL-RESOLVE-ENV-s%s_A", handle);
	ASSERT_STR(vars.at[0].value, want);
	orch_vars_done(&vars);
	end(&l);
}

TEST(new_value_keeps_the_handle_and_new_endpoints_do_not)
{
	char before[65], after[65];
	struct lab l = { 0 };

	ASSERT_OK(begin(&l, "- name: A\n  value: one\n" EP));
	first(&l, "one", before);
	reload(&l, "- name: A\n  value: two\n" EP, 0600);
	first(&l, "two", after);
	ASSERT_STR(before, after);
	reload(&l, "- name: A\n  value: two\n" EP2, 0600);
	first(&l, "two", after);
	ASSERT(strcmp(before, after) != 0);
	ASSERT(strstr(l.said, "its earlier placeholder is dead"));
	end(&l);
}

TEST(other_source_is_another_credential)
{
	char before[65], after[65];
	struct lab l = { 0 };

	ASSERT_OK(begin(&l, "- name: A\n  from_command: [/bin/echo, one]\n" EP));
	first(&l, "one", before);
	reload(&l, "- name: A\n  from_command: [/bin/echo, two]\n" EP, 0600);
	first(&l, "two", after);
	ASSERT(strcmp(before, after) != 0);
	reload(&l, "- name: A\n  value: one\n" EP, 0600);
	first(&l, "one", before);
	ASSERT(strcmp(before, after) != 0);
	end(&l);
}

TEST(broken_or_open_file_revokes_and_the_same_revives)
{
	static const char good[] = "- name: A\n  value: s3cret\n" EP;
	char before[65], after[65];
	struct lab l = { 0 };

	ASSERT_OK(begin(&l, good));
	first(&l, "s3cret", before);
	reload(&l, "- name: [\n", 0600);
	first(&l, NULL, after);
	ASSERT(strstr(l.said, "credentials are revoked"));
	reload(&l, good, 0640);
	first(&l, NULL, after);
	ASSERT(strstr(l.said, "mode 0640"));
	reload(&l, good, 0600);
	first(&l, "s3cret", after);
	ASSERT_STR(before, after);
	ASSERT_EQ(l.changes, 3);
	ASSERT(!strstr(l.said, "s3cret"));
	end(&l);
}

TEST(source_that_fails_later_is_unavailable_alone)
{
	struct lab l = { 0 };
	Openshell__Ipc__NetCredentials *m;

	ASSERT_OK(begin(&l, "- name: A\n  value: x\n" EP "- name: B\n  value: y\n" EP));
	reload(&l, "- name: A\n  value: x\n" EP "- name: B\n  from_command: [/bin/false]\n" EP,
		0600);
	m = sent(&l);
	ASSERT(m->credentials[0]->has_value && !m->credentials[1]->has_value);
	openshell__ipc__net_credentials__free_unpacked(m, NULL);
	ASSERT(strstr(l.said, "credential B: the command ended with status 1"));
	end(&l);
}

TEST(source_that_fails_at_the_start_is_an_error)
{
	struct lab l = { 0 };

	ASSERT_ERR(begin(&l, "- name: A\n  from_command: [/nonexistent]\n" EP), EINVAL);
	ASSERT(strstr(l.said, ":2:17: credential A: the command could not be run: No such file"));
	end(&l);
}

TEST(variable_is_taken_once_and_goes_on)
{
	static const char text[] = "- name: A\n  from_env: TEST_SECRET\n" EP;
	struct lab l = { 0 };
	char handle[65];

	ASSERT(setenv("TEST_SECRET", "from the environment", 1) == 0);
	ASSERT_OK(begin(&l, text));
	ASSERT(!getenv("TEST_SECRET"));
	ASSERT(orch_credentials_took(l.c, "TEST_SECRET", 11));
	ASSERT(!orch_credentials_took(l.c, "TEST_SECRE", 10));
	first(&l, "from the environment", handle);
	reload(&l, text, 0600);
	first(&l, "from the environment", handle);
	end(&l);
}

TEST(request_during_a_reading_is_not_lost)
{
	struct lab l = { 0 };
	struct err e = { 0 };
	char handle[65];

	ASSERT_OK(begin(&l, "- name: A\n  value: one\n" EP));
	orch_credentials_reload(l.c);
	put(&l, "- name: A\n  value: two\n" EP, 0600);
	orch_credentials_reload(l.c);
	while (l.changes < 2)
		ASSERT_OK(loop_run(l.loop, &e));
	first(&l, "two", handle);
	end(&l);
}

TEST(file_of_the_workloads_user_in_its_folders_is_exposed)
{
	struct lab l = { 0 };
	struct orch_credentials_reach reach = {
		.uid = getuid(), .gid = 65534, .dirs = { "/tmp" }, .n_dirs = 1
	};

	ASSERT_OK(begin(&l, "- name: A\n  value: one\n" EP));
	ASSERT_STR(orch_credentials_exposed(l.c, &reach), l.path);
	reach.uid++;
	ASSERT(!orch_credentials_exposed(l.c, &reach));
	reach.uid--;
	reach.dirs[0] = "/tmp/no";
	ASSERT(!orch_credentials_exposed(l.c, &reach));
	ASSERT(!orch_credentials_is_stale(l.c));
	put(&l, "[]", 0600);
	ASSERT(orch_credentials_is_stale(l.c));
	end(&l);
}

/* ---- commands ---- */

#define AMPLE_MS 600000 /* never reached: the harness' alarm is earlier */

static int command_within(
	uint64_t ms, const char *script, char *buf, size_t max, size_t *len, struct err *e)
{
	char sh[] = "/bin/sh", c[] = "-c", text[256];
	char *argv[] = { sh, c, text, NULL };

	(void) snprintf(text, sizeof text, "%s", script);
	*e = (struct err){ 0 };
	return orch_credential_command(argv, ms, buf, max, len, e);
}

static int command(const char *script, char *buf, size_t max, size_t *len, struct err *e)
{
	return command_within(AMPLE_MS, script, buf, max, len, e);
}

TEST(output_at_its_limit_is_taken_and_one_more_is_not)
{
	char buf[16];
	struct err e = { 0 };
	size_t len;

	ASSERT_OK(command("printf 123456789012345", buf, 15, &len, &e));
	ASSERT_EQ(len, 15);
	ASSERT_ERR(command("printf 1234567890123456", buf, 15, &len, &e), EFBIG);
	ASSERT_ERR(command("cat /dev/zero", buf, 15, &len, &e), EFBIG);
}

TEST(command_has_no_input_and_no_other_descriptor)
{
	char buf[64];
	struct err e = { 0 };
	size_t len;
	int fd = open("/dev/null", O_RDONLY); /* not close-on-exec on purpose */

	ASSERT_OK(command("cat; ls /proc/self/fd | wc -l", buf, 63, &len, &e));
	ASSERT_EQ(buf[0], '4'); /* 0, 1, 2 and the folder that ls reads */
	(void) close(fd);
}

TEST(command_that_fails_says_how)
{
	char buf[16];
	struct err e = { 0 };
	size_t len;

	ASSERT_ERR(command("exit 7", buf, 15, &len, &e), EIO);
	ASSERT_STR(e.text, "the command ended with status 7; run it by hand to see why");
	ASSERT_ERR(command("kill -9 $$", buf, 15, &len, &e), EIO);
	ASSERT_STR(e.text, "the command was ended by signal 9");
}

/* However slow the machine is: these never end by themselves. */
TEST(command_that_does_not_end_is_killed_at_its_limit)
{
	char buf[16], sh[] = "/bin/sh", c[] = "-c", text[] = "read x <\"$0\"", fifo[64];
	char *argv[] = { sh, c, text, fifo, NULL };
	struct err e = { 0 };
	size_t len;

	(void) snprintf(fifo, sizeof fifo, "/tmp/test-command-%d", (int) getpid());
	ASSERT(mkfifo(fifo, 0600) == 0);
	ASSERT_ERR(orch_credential_command(argv, 1000, buf, 15, &len, &e), ETIMEDOUT);
	ASSERT_STR(e.text, "the command did not end within 1 s");
	ASSERT(waitpid(-1, NULL, WNOHANG) < 0 && errno == ECHILD); /* killed, and reaped */
	(void) unlink(fifo);
	/* Having closed its output is not having ended. */
	ASSERT_ERR(command_within(1, "exec >&-; kill -STOP $$", buf, 15, &len, &e), ETIMEDOUT);
	ASSERT(waitpid(-1, NULL, WNOHANG) < 0 && errno == ECHILD);
}

/* What the command left running holds the pipe, until the test lets it go. */
TEST(command_whose_child_keeps_the_output_open_is_told_apart)
{
	char buf[16], script[160], fifo[64];
	struct err e = { 0 };
	size_t len;

	(void) snprintf(fifo, sizeof fifo, "/tmp/test-command-%d", (int) getpid());
	ASSERT(mkfifo(fifo, 0600) == 0);
	(void) snprintf(script, sizeof script, "{ read x <%s; } & printf value", fifo);
	/* On a slow machine the command itself needs more time. */
	for (uint64_t ms = 1000; !strstr(e.text, "the command ended, but a program"); ms *= 2)
		ASSERT_ERR(command_within(ms, script, buf, 15, &len, &e), ETIMEDOUT);
	ASSERT(strstr(e.text, "redirect the output of that program"));
	(void) close(open(fifo, O_RDWR | O_NONBLOCK));
	(void) unlink(fifo);
	/* One that lets go of it in time is waited for. */
	ASSERT_OK(command("{ printf lue; } & printf va", buf, 15, &len, &e));
	ASSERT_EQ(len, 5);
}

TEST(command_that_can_not_be_run_says_why)
{
	char none[] = "/nonexistent/program", dir[] = "/tmp", null[] = "/dev/null", buf[16];
	char *const programs[] = { none, dir, null };
	const char *const why[] = { "No such file", "Permission denied", "Permission denied" };
	size_t len;

	for (size_t i = 0; i < 3; i++) {
		char *argv[] = { programs[i], NULL };
		struct err e = { 0 };

		ASSERT(orch_credential_command(argv, AMPLE_MS, buf, 15, &len, &e) < 0);
		ASSERT(strstr(e.text, "the command could not be run: "));
		ASSERT(strstr(e.text, why[i]));
	}
}

/* What a source gives is checked like an inline value, and the sentence never repeats it. */
TEST(output_that_is_no_value_is_refused_at_its_place)
{
	static const struct {
		const char *script, *why;
	} bad[] = {
		{ "printf \"hush\\nmore\"", "holds a line break or a NUL byte" },
		{ "printf \"hush\\n\\n\"", "holds a line break or a NUL byte" },
		{ "printf \"hush\\r\\n\"", "" }, /* one line end is no part of it */
		{ "printf \"hush\\rmore\"", "holds a line break or a NUL byte" },
		{ "printf \"hush\\000more\"", "holds a line break or a NUL byte" },
		{ "printf \"hush\\000\"", "holds a line break or a NUL byte" },
		{ "printf openshell:resolve:env:hush", "is itself a placeholder" },
		{ ":", "the value is empty" },
		{ "echo", "the value is empty" },
		{ "head -c 8193 /dev/zero | tr \"\\000\" x", "longer than 8192 bytes" },
		{ "head -c 8200 /dev/zero | tr \"\\000\" x", "wrote more than 8194 bytes" },
		{ "printf hush; exit 3", "ended with status 3" },
	};

	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
		struct lab l = { 0 };
		char text[512];

		(void) snprintf(text, sizeof text,
			"- name: A\n  from_command: [/bin/sh, -c, '%s']\n" EP, bad[i].script);
		if (bad[i].why[0])
			ASSERT_ERR(begin(&l, text), EINVAL);
		else
			ASSERT_OK(begin(&l, text));
		if (bad[i].why[0] &&
			!(strstr(l.said, ":2:17: credential A: ") && strstr(l.said, bad[i].why)))
			FAIL_("%s: %s", bad[i].script, l.said);
		ASSERT(!strstr(l.said, "hush") && !strstr(l.said, "xxx"));
		end(&l);
	}
}
