#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stddef.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include "confine_child.h"
#include "core_confine.h"

#define DIR_MAX 64

struct place {
	char top[DIR_MAX], ro[DIR_MAX + 16], rw[DIR_MAX + 16], out[DIR_MAX + 16];
	int max_abi;
	bool scope, tcp;
	pid_t parent;
	uint16_t port;
	struct sockaddr_un abstract;
	socklen_t abstract_len;
};

static void write_file(const char *dir, const char *name)
{
	char path[DIR_MAX + 64];
	int fd;

	(void) snprintf(path, sizeof path, "%s/%s", dir, name);
	fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0755);
	ASSERT(fd >= 0 && write(fd, "#!/bin/true\n", 12) == 12 && close(fd) == 0);
}

static void place_init(struct place *p)
{
	memset(p, 0, sizeof *p);
	(void) snprintf(p->top, sizeof p->top, "/tmp/landlock-XXXXXX");
	ASSERT(mkdtemp(p->top));
	(void) snprintf(p->ro, sizeof p->ro, "%s/ro", p->top);
	(void) snprintf(p->rw, sizeof p->rw, "%s/rw", p->top);
	(void) snprintf(p->out, sizeof p->out, "%s/out", p->top);
	ASSERT(mkdir(p->ro, 0755) == 0 && mkdir(p->rw, 0755) == 0 && mkdir(p->out, 0755) == 0);
	write_file(p->ro, "f");
	write_file(p->rw, "f");
	write_file(p->out, "f");
	p->parent = getpid();
	p->scope = true;
}

static void place_done(const struct place *p)
{
	char command[DIR_MAX + 16];
	pid_t pid = fork();

	(void) snprintf(command, sizeof command, "rm -rf %s", p->top);
	if (pid == 0) {
		(void) execl("/bin/sh", "sh", "-c", command, NULL);
		_exit(127);
	}
	ASSERT(waitpid(pid, NULL, 0) == pid);
}

static int allow(struct confine_landlock *r, const char *path, enum confine_access access)
{
	struct err e = { 0 };
	int fd = open(path, O_PATH | O_CLOEXEC), code;

	if (fd < 0)
		return -errno;
	code = confine_landlock_allow(r, fd, access, &e);
	(void) close(fd);
	return code;
}

/* Everything that a program needs to run, and the place. */
static int enter(const struct place *p)
{
	struct confine_landlock_options o = {
		.handle_tcp = p->tcp, .scope = p->scope, .max_abi = p->max_abi
	};
	struct confine_landlock *r = NULL;
	struct err e = { 0 };
	int code;

	if ((code = confine_landlock_new(&o, &r, &e)) < 0)
		return code;
	if ((code = allow(r, "/usr", CONFINE_READ)) == 0 &&
		(code = allow(r, "/lib", CONFINE_READ)) == 0 &&
		(code = allow(r, p->ro, CONFINE_READ)) == 0)
		code = allow(r, p->rw, CONFINE_READ_WRITE);
	if (code == 0 && p->tcp)
		code = confine_landlock_allow_tcp(r, p->port, false, true, &e);
	if (code == 0)
		code = confine_landlock_enforce(r);
	confine_landlock_free(r);
	return code;
}

static int try_open(const char *dir, const char *name, int flags)
{
	char path[DIR_MAX + 64];
	int fd;

	(void) snprintf(path, sizeof path, "%s/%s", dir, name);
	fd = open(path, flags | O_CLOEXEC, 0600);
	if (fd < 0)
		return errno;
	(void) close(fd);
	return 0;
}

static int try_truncate(const char *dir)
{
	char path[DIR_MAX + 64];

	(void) snprintf(path, sizeof path, "%s/f", dir);
	return truncate(path, 0) < 0 ? errno : 0;
}

static int try_exec(const char *dir)
{
	char path[DIR_MAX + 64];
	int status = -1;
	pid_t pid = fork();

	(void) snprintf(path, sizeof path, "%s/f", dir);
	if (pid == 0) {
		(void) execl(path, path, NULL);
		_exit(errno);
	}
	return waitpid(pid, &status, 0) == pid && WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static int try_rename(const char *from, const char *to)
{
	char a[DIR_MAX + 64], b[DIR_MAX + 64];

	(void) snprintf(a, sizeof a, "%s/f", from);
	(void) snprintf(b, sizeof b, "%s/moved", to);
	return rename(a, b) < 0 ? errno : 0;
}

static int files(void *arg)
{
	const struct place *p = arg;

	MUST(enter(p) == 0);
	MUST(try_open(p->ro, "f", O_RDONLY) == 0 && try_open(p->ro, ".", O_DIRECTORY) == 0);
	MUST(try_open(p->ro, "f", O_WRONLY) == EACCES && try_open(p->ro, "n", O_CREAT) == EACCES);
	MUST(try_truncate(p->ro) == EACCES && try_exec(p->ro) == 0);
	MUST(try_rename(p->ro, p->rw) == EACCES);
	MUST(try_open(p->out, "f", O_RDONLY) == EACCES);
	MUST(try_open(p->out, ".", O_DIRECTORY) == EACCES);
	MUST(try_open(p->out, "f", O_WRONLY) == EACCES && try_truncate(p->out) == EACCES);
	MUST(try_exec(p->out) == EACCES);
	MUST(try_open(p->rw, "n", O_WRONLY | O_CREAT | O_EXCL) == 0);
	MUST(try_open(p->rw, "f", O_RDWR | O_TRUNC) == 0 && try_truncate(p->rw) == 0);
	MUST(try_rename(p->rw, p->rw) == 0);
	return 0;
}

TEST(rules_decide_reading_writing_truncating_and_executing)
{
	struct place p;

	place_init(&p);
	ASSERT_EQ(in_child(files, &p), 0);
	place_done(&p);
}

static int links(void *arg)
{
	const struct place *p = arg;
	char to[DIR_MAX + 32], from[DIR_MAX + 64];

	(void) snprintf(to, sizeof to, "%s/f", p->out);
	(void) snprintf(from, sizeof from, "%s/link", p->rw);
	MUST(enter(p) == 0);
	MUST(symlink(to, from) == 0);
	MUST(try_open(p->rw, "link", O_RDONLY) == EACCES);
	MUST(link(to, from) < 0);
	return 0;
}

TEST(a_link_does_not_lead_out)
{
	struct place p;

	place_init(&p);
	ASSERT_EQ(in_child(links, &p), 0);
	place_done(&p);
}

static int old_kernel(void *arg)
{
	struct place *p = arg;

	MUST(enter(p) == 0);
	MUST(try_open(p->out, "f", O_RDONLY) == EACCES);
	MUST(try_open(p->rw, "f", O_RDWR) == 0);
	/* ABI 1 and 2 do not know truncation: what they do not handle stays possible */
	MUST(try_truncate(p->out) == (p->max_abi >= 3 ? EACCES : 0));
	return 0;
}

TEST(every_abi_down_to_1_gives_a_ruleset_that_holds)
{
	struct err e = { 0 };
	int newest = confine_landlock_abi(&e);

	ASSERT(newest >= 1);
	for (int abi = 1; abi <= newest; abi++) {
		struct place p;

		place_init(&p);
		p.max_abi = abi;
		ASSERT_EQ(in_child(old_kernel, &p), 0);
		place_done(&p);
	}
}

TEST(summary_names_what_each_abi_handles)
{
	static const char *const want[] = { "fs", "fs refer", "fs refer truncate",
		"fs refer truncate tcp", "fs refer truncate tcp ioctl",
		"fs refer truncate tcp ioctl scope" };
	struct err e = { 0 };

	for (int abi = 1; abi <= 6 && abi <= confine_landlock_abi(&e); abi++) {
		struct confine_landlock_options o = { true, true, abi };
		struct confine_landlock *r = NULL;

		ASSERT_OK(confine_landlock_new(&o, &r, &e));
		ASSERT_STR(confine_landlock_summary(r), want[abi - 1]);
		ASSERT_EQ(confine_landlock_rules(r), 0);
		confine_landlock_free(r);
	}
}

TEST(a_file_or_device_takes_the_rights_that_apply_to_it)
{
	struct confine_landlock_options o = { 0 };
	struct confine_landlock *r = NULL;
	struct err e = { 0 };
	int fd = open("/dev/null", O_PATH | O_CLOEXEC), not_open = 999;

	ASSERT_OK(confine_landlock_new(&o, &r, &e));
	ASSERT_OK(confine_landlock_allow(r, fd, CONFINE_READ, &e));
	ASSERT_OK(confine_landlock_allow(r, fd, CONFINE_READ_WRITE, &e));
	ASSERT_OK(confine_landlock_allow(r, fd, CONFINE_DEVICE, &e));
	ASSERT_EQ(confine_landlock_rules(r), 3);
	ASSERT_ERR(confine_landlock_allow(r, not_open, CONFINE_READ, &e), EBADF);
	confine_landlock_free(r);
	(void) close(fd);
}

static int device(void *arg)
{
	struct confine_landlock_options o = { 0 };
	struct confine_landlock *r = NULL;
	struct err e = { 0 };
	int fd, n;

	MUST(confine_landlock_new(&o, &r, &e) == 0);
	MUST(allow(r, "/dev/ptmx", *(enum confine_access *) arg) == 0);
	MUST(confine_landlock_enforce(r) == 0);
	fd = open("/dev/ptmx", O_RDWR | O_NOCTTY | O_CLOEXEC);
	MUST(fd >= 0);
	return ioctl(fd, TIOCGPTN, &n) < 0 ? errno : 0;
}

TEST(device_ioctls_need_the_device_right)
{
	enum confine_access rw = CONFINE_READ_WRITE, dev = CONFINE_DEVICE;
	struct err e = { 0 };

	if (confine_landlock_abi(&e) < 5)
		return;
	ASSERT_EQ(in_child(device, &rw), EACCES);
	ASSERT_EQ(in_child(device, &dev), 0);
}

/* ---- scopes ---- */

static int abstract_connect(const struct place *p)
{
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0), code = 0;

	if (connect(fd, (const struct sockaddr *) &p->abstract, p->abstract_len) < 0)
		code = errno;
	(void) close(fd);
	return code;
}

static int scoped(void *arg)
{
	const struct place *p = arg;
	int want = p->scope ? EPERM : 0, status;
	pid_t pid;

	MUST(enter(p) == 0);
	MUST(abstract_connect(p) == want);
	MUST((kill(p->parent, 0) < 0 ? errno : 0) == want);
	/* but its own children are reached */
	pid = fork();
	if (pid == 0) {
		(void) pause();
		_exit(0);
	}
	MUST(kill(pid, SIGTERM) == 0 && waitpid(pid, &status, 0) == pid);
	return WIFSIGNALED(status) ? 0 : 1;
}

TEST(abstract_sockets_and_signals_stay_inside)
{
	struct place p;
	struct err e = { 0 };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (confine_landlock_abi(&e) < 6)
		return;
	place_init(&p);
	p.abstract.sun_family = AF_UNIX;
	(void) snprintf(p.abstract.sun_path + 1, 64, "confine-test-%d", (int) getpid());
	p.abstract_len = (socklen_t) (offsetof(struct sockaddr_un, sun_path) + 1 +
		strlen(p.abstract.sun_path + 1));
	ASSERT(bind(fd, (struct sockaddr *) &p.abstract, p.abstract_len) == 0);
	ASSERT(listen(fd, 8) == 0);
	ASSERT_EQ(in_child(scoped, &p), 0);
	p.scope = false;
	ASSERT_EQ(in_child(scoped, &p), 0);
	(void) close(fd);
	place_done(&p);
}

/* ---- TCP ---- */

static int tcp_connect(uint16_t port)
{
	struct sockaddr_in a = { .sin_family = AF_INET,
		.sin_port = htons(port),
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	int code = connect(fd, (struct sockaddr *) &a, sizeof a) < 0 ? errno : 0;

	(void) close(fd);
	return code;
}

static int tcp(void *arg)
{
	const struct place *p = arg;
	struct sockaddr_in any = { .sin_family = AF_INET };
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	MUST(enter(p) == 0);
	MUST(tcp_connect(p->port) == 0);
	MUST(tcp_connect((uint16_t) (p->port ^ 1)) == EACCES);
	MUST(bind(fd, (struct sockaddr *) &any, sizeof any) < 0 && errno == EACCES);
	return 0;
}

TEST(tcp_reaches_only_the_allowed_port)
{
	struct sockaddr_in a = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t len = sizeof a;
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	struct err e = { 0 };
	struct place p;

	if (confine_landlock_abi(&e) < 4)
		return;
	place_init(&p);
	ASSERT(bind(fd, (struct sockaddr *) &a, sizeof a) == 0 && listen(fd, 8) == 0);
	ASSERT(getsockname(fd, (struct sockaddr *) &a, &len) == 0);
	p.port = ntohs(a.sin_port);
	p.tcp = true;
	ASSERT_EQ(in_child(tcp, &p), 0);
	(void) close(fd);
	place_done(&p);
}

static int nothing(void *arg)
{
	struct sockaddr_in any = { .sin_family = AF_INET };
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	int pipes[2];
	struct err e = { 0 };

	(void) arg;
	MUST(pipe2(pipes, O_CLOEXEC) == 0);
	MUST(confine_landlock_nothing(true, &e) == 0);
	MUST(open("/etc/passwd", O_RDONLY | O_CLOEXEC) < 0 && errno == EACCES);
	MUST(open("/", O_RDONLY | O_DIRECTORY | O_CLOEXEC) < 0 && errno == EACCES);
	if (confine_landlock_abi(&e) >= 4)
		MUST(bind(fd, (struct sockaddr *) &any, sizeof any) < 0 && errno == EACCES);
	/* what is open stays usable */
	MUST(write(pipes[1], "x", 1) == 1);
	return 0;
}

TEST(nothing_leaves_open_descriptors_only)
{
	ASSERT_EQ(in_child(nothing, NULL), 0);
}
