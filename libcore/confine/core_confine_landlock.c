#include <errno.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>
#include "core_confine.h"

/* landlock(7); the distribution's header stops at ABI 2. */
#define LL_CREATE 444
#define LL_ADD_RULE 445
#define LL_RESTRICT 446
#define LL_VERSION (1u << 0)
#define LL_RULE_PATH 1
#define LL_RULE_PORT 2
#define LL_ABI_NEWEST 7

#define FS_EXECUTE (1ull << 0)
#define FS_WRITE_FILE (1ull << 1)
#define FS_READ_FILE (1ull << 2)
#define FS_READ_DIR (1ull << 3)
#define FS_ABI1 ((1ull << 13) - 1)
#define FS_REFER (1ull << 13)
#define FS_TRUNCATE (1ull << 14)
#define FS_IOCTL_DEV (1ull << 15)
#define NET_BIND_TCP (1ull << 0)
#define NET_CONNECT_TCP (1ull << 1)
#define SCOPE_ABSTRACT (1ull << 0)
#define SCOPE_SIGNAL (1ull << 1)

/* Rights that mean something on a file; the kernel refuses others for a non-directory. */
#define FS_FILE (FS_EXECUTE | FS_WRITE_FILE | FS_READ_FILE | FS_TRUNCATE | FS_IOCTL_DEV)

struct ruleset_attr {
	uint64_t fs, net, scoped;
};

struct path_attr {
	uint64_t allowed;
	int32_t fd;
} __attribute__((packed));

struct port_attr {
	uint64_t allowed, port;
};

struct confine_landlock {
	int fd;
	struct ruleset_attr handled;
	size_t n_rules;
	char summary[96];
};

int confine_landlock_abi(struct err *e)
{
	long abi = syscall(LL_CREATE, NULL, 0, LL_VERSION);

	if (abi >= 0)
		return (int) abi;
	(void) err_set(e, errno, "Landlock is %s",
		errno == ENOSYS		      ? "not built into this kernel"
			: errno == EOPNOTSUPP ? "not enabled at boot (lsm=)"
			: errno == EPERM      ? "blocked by an outer system call filter"
					      : "not usable");
	return 0;
}

static void add_word(char *summary, size_t size, const char *word)
{
	size_t n = strlen(summary);

	if (n + strlen(word) + 2 > size)
		return;
	if (n)
		summary[n++] = ' ';
	(void) memcpy(summary + n, word, strlen(word) + 1);
}

static void handled_by(
	int abi, const struct confine_landlock_options *o, struct confine_landlock *r)
{
	r->handled.fs = FS_ABI1;
	add_word(r->summary, sizeof r->summary, "fs");
	if (abi >= 2) {
		r->handled.fs |= FS_REFER;
		add_word(r->summary, sizeof r->summary, "refer");
	}
	if (abi >= 3) {
		r->handled.fs |= FS_TRUNCATE;
		add_word(r->summary, sizeof r->summary, "truncate");
	}
	if (abi >= 4 && o->handle_tcp) {
		r->handled.net = NET_BIND_TCP | NET_CONNECT_TCP;
		add_word(r->summary, sizeof r->summary, "tcp");
	}
	if (abi >= 5) {
		r->handled.fs |= FS_IOCTL_DEV;
		add_word(r->summary, sizeof r->summary, "ioctl");
	}
	if (abi >= 6 && o->scope) {
		r->handled.scoped = SCOPE_ABSTRACT | SCOPE_SIGNAL;
		add_word(r->summary, sizeof r->summary, "scope");
	}
}

int confine_landlock_new(
	const struct confine_landlock_options *o, struct confine_landlock **ret, struct err *e)
{
	AUTO_FREE struct confine_landlock *r = calloc(1, sizeof *r);
	int abi = confine_landlock_abi(e);
	size_t size;

	if (!r)
		return err_set(e, ENOMEM, "Landlock");
	if (abi <= 0)
		return -e->code;
	if (o->max_abi && abi > o->max_abi)
		abi = o->max_abi;
	if (abi > LL_ABI_NEWEST)
		abi = LL_ABI_NEWEST;
	handled_by(abi, o, r);
	/* An older kernel refuses a longer attribute with unknown bits only if they are set. */
	size = abi >= 6 ? 24 : abi >= 4 ? 16 : 8;
	r->fd = (int) syscall(LL_CREATE, &r->handled, size, 0);
	if (r->fd < 0)
		return err_set(e, errno, "make a Landlock ruleset");
	*ret = TAKE_PTR(r);
	return 0;
}

static uint64_t rights(enum confine_access access)
{
	switch (access) {
	case CONFINE_READ:
		return FS_EXECUTE | FS_READ_FILE | FS_READ_DIR;
	case CONFINE_READ_WRITE:
		return (FS_ABI1 | FS_REFER | FS_TRUNCATE);
	case CONFINE_READ_ONLY_NOEXEC:
		return FS_READ_FILE | FS_READ_DIR;
	case CONFINE_DEVICE:
		return FS_READ_FILE | FS_READ_DIR | FS_WRITE_FILE | FS_TRUNCATE | FS_IOCTL_DEV;
	}
	return 0;
}

int confine_landlock_allow(
	struct confine_landlock *r, int fd, enum confine_access access, struct err *e)
{
	struct path_attr a = { rights(access) & r->handled.fs, fd };
	struct stat st;

	/* The type of the very descriptor that the rule is made for: no race on the path. */
	if (fstat(fd, &st) < 0)
		return err_set(e, errno, "look at a path for Landlock");
	if (!S_ISDIR(st.st_mode))
		a.allowed &= FS_FILE;
	if (syscall(LL_ADD_RULE, r->fd, LL_RULE_PATH, &a, 0) < 0)
		return err_set(e, errno, "add a Landlock rule");
	r->n_rules++;
	return 0;
}

int confine_landlock_allow_tcp(
	struct confine_landlock *r, uint16_t port, bool bind, bool connect, struct err *e)
{
	struct port_attr a = { 0, port };

	if (bind)
		a.allowed |= NET_BIND_TCP;
	if (connect)
		a.allowed |= NET_CONNECT_TCP;
	a.allowed &= r->handled.net;
	if (!a.allowed)
		return 0;
	if (syscall(LL_ADD_RULE, r->fd, LL_RULE_PORT, &a, 0) < 0)
		return err_set(e, errno, "add a Landlock rule for port %u", port);
	return 0;
}

size_t confine_landlock_rules(const struct confine_landlock *r)
{
	return r->n_rules;
}

const char *confine_landlock_summary(const struct confine_landlock *r)
{
	return r->summary;
}

int confine_landlock_enforce(const struct confine_landlock *r)
{
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
		return -errno;
	return syscall(LL_RESTRICT, r->fd, 0) < 0 ? -errno : 0;
}

void confine_landlock_free(struct confine_landlock *r)
{
	if (!r)
		return;
	(void) close(r->fd);
	free(r);
}

int confine_landlock_nothing(bool deny_tcp_bind, struct err *e)
{
	struct confine_landlock_options o = { .scope = true };
	AUTO(confine_landlock_free) struct confine_landlock *r = NULL;
	struct ruleset_attr attr;
	int abi = confine_landlock_abi(e), fd, code;

	if (abi <= 0 || confine_landlock_new(&o, &r, e) < 0)
		return -e->code;
	attr = r->handled;
	if (abi >= 4 && deny_tcp_bind)
		attr.net = NET_BIND_TCP;
	fd = (int) syscall(LL_CREATE, &attr, abi >= 6 ? 24 : abi >= 4 ? 16 : 8, 0);
	if (fd < 0)
		return err_set(e, errno, "make a Landlock ruleset");
	code = prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 || syscall(LL_RESTRICT, fd, 0) < 0 ? errno
											     : 0;
	(void) close(fd);
	return code ? err_set(e, code, "enter the Landlock domain") : 0;
}
