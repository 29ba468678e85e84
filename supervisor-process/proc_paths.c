#include "proc_paths.h"
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#define ABI_FULL 2    /* the rights that the policy language knows (spec/process 6.2) */
#define NVIDIA_MAX 64 /* /dev/nvidiaN that are looked for */

/* Only where they exist, and never against what the user wrote (spec/process 6.4).  The device
 * nodes that every program expects are added to the reference's list. */
static const char *const baseline_ro[] = { "/usr", "/lib", "/etc", "/app", "/var/log", "/proc",
	"/dev/urandom", "/dev/random", "/dev/zero", "/dev/full", NULL };
/* With merged directories these are links into /usr, and a rule of their own says nothing new. */
static const char *const baseline_unmerged[] = { "/bin", "/sbin", "/lib64", NULL };
static const char *const baseline_rw[] = { "/tmp", "/dev/null", NULL };
/* The private devpts of proc_mounts holds no terminal but the workload's own. */
static const char *const baseline_dev[] = { "/dev/tty", "/dev/ptmx", "/dev/pts", NULL };
static const char *const gpu_ro[] = { "/run/nvidia-persistenced", "/usr/lib/wsl", NULL };
static const char *const gpu_rw[] = { "/dev/nvidiactl", "/dev/nvidia-uvm", "/dev/nvidia-uvm-tools",
	"/dev/nvidia-modeset", "/dev/dxg", NULL };

struct building {
	struct confine_landlock *r;
	const struct proc_paths_input *in;
	struct proc_warnings *w;
	bool hard;
};

void proc_warn(struct proc_warnings *w, const char *fmt, ...)
{
	va_list ap;

	if (w->n == PROC_WARNINGS_MAX) {
		(void) snprintf(w->text[w->n - 1], PROC_WARNING_BYTES, "and further warnings");
		return;
	}
	va_start(ap, fmt);
	(void) vsnprintf(w->text[w->n++], PROC_WARNING_BYTES, fmt, ap);
	va_end(ap);
}

static const Openshell__Sandbox__V1__FilesystemPolicy *files(const struct proc_paths_input *in)
{
	return in->policy->filesystem;
}

static bool with_workdir(const struct proc_paths_input *in)
{
	return in->workdir[0] && (!in->has_filesystem || !files(in) || files(in)->include_workdir);
}

static bool listed(char *const *list, size_t n, const char *path)
{
	for (size_t i = 0; i < n; i++)
		if (strcmp(list[i], path) == 0)
			return true;
	return false;
}

static bool user_listed(const struct proc_paths_input *in, const char *path)
{
	return files(in) &&
		(listed(files(in)->read_only, files(in)->n_read_only, path) ||
			listed(files(in)->read_write, files(in)->n_read_write, path));
}

size_t proc_paths_writable(const struct proc_paths_input *in, const char **ret, size_t max)
{
	size_t n = 0;

	for (size_t i = 0; files(in) && i < files(in)->n_read_write && n < max; i++)
		ret[n++] = files(in)->read_write[i];
	if (with_workdir(in) && n < max)
		ret[n++] = in->workdir;
	return n;
}

static bool in_list(const char *const *list, const char *path)
{
	for (; *list; list++)
		if (strcmp(*list, path) == 0)
			return true;
	return false;
}

static int unopened(struct building *b, const char *path, int code, struct err *e)
{
	if (b->hard)
		return err_set(e, code,
			"policy requires Landlock for %s, which can't be opened (%s); make it, or "
			"use landlock.compatibility: best_effort",
			path, strerror(code));
	/* The default policy lists what many systems have, not what each has. */
	if (code != ENOENT || !in_list(baseline_ro, path))
		proc_warn(b->w, "path %s of the policy is left out: %s", path, strerror(code));
	return 0;
}

/* A device that the policy lists as writable keeps its ioctls, alone or by its directory: GPUs and
 * terminals are useless without. */
static int allow(
	struct building *b, const char *path, int fd, enum confine_access access, struct err *e)
{
	struct stat st;
	bool device;

	if (fstat(fd, &st) < 0)
		return err_set(e, errno, "look at it");
	device = S_ISCHR(st.st_mode) || (S_ISDIR(st.st_mode) && strncmp(path, "/dev/", 5) == 0);
	if (access == CONFINE_READ_WRITE && device &&
		confine_landlock_allow(b->r, fd, CONFINE_DEVICE, e) < 0)
		return -e->code;
	if (access == CONFINE_READ_WRITE && S_ISCHR(st.st_mode))
		return 0;
	return confine_landlock_allow(b->r, fd, access, e);
}

/* A path that can't be opened: skipped and reported, or fatal (GAP-15: only this one). */
static int add(struct building *b, const char *path, enum confine_access access, bool by_user,
	struct err *e)
{
	AUTO_CLOSE int fd = open(path, O_PATH | O_CLOEXEC);
	struct err why = { 0 };

	if (fd < 0)
		return by_user ? unopened(b, path, errno, e) : 0;
	if (allow(b, path, fd, access, &why) == 0)
		return 0;
	if (b->hard)
		return err_set(e, why.code,
			"%s: %s; landlock.compatibility: best_effort would leave it out", path,
			why.text);
	proc_warn(b->w, "path %s of the policy is left out: %s", path, why.text);
	return 0;
}

static int add_baseline(
	struct building *b, const char *const *paths, enum confine_access access, struct err *e)
{
	for (; *paths; paths++)
		if (!user_listed(b->in, *paths) && add(b, *paths, access, false, e) < 0)
			return -e->code;
	return 0;
}

static int add_unmerged(struct building *b, struct err *e)
{
	for (const char *const *p = baseline_unmerged; *p; p++) {
		struct stat st;

		if (lstat(*p, &st) == 0 && S_ISDIR(st.st_mode) && !user_listed(b->in, *p) &&
			add(b, *p, CONFINE_READ, false, e) < 0)
			return -e->code;
	}
	return 0;
}

static int add_gpu(struct building *b, struct err *e)
{
	char name[32];
	struct stat st;

	if (stat("/dev/nvidiactl", &st) < 0 && stat("/dev/dxg", &st) < 0)
		return 0;
	if (add_baseline(b, gpu_ro, CONFINE_READ, e) < 0 ||
		add_baseline(b, gpu_rw, CONFINE_DEVICE, e) < 0)
		return -e->code;
	/* CUDA writes thread names below /proc; rules bind to inodes, so /proc/self is no use. */
	if (add(b, "/proc", CONFINE_READ_WRITE, false, e) < 0)
		return -e->code;
	for (int i = 0; i < NVIDIA_MAX; i++) {
		(void) snprintf(name, sizeof name, "/dev/nvidia%d", i);
		if (!user_listed(b->in, name) && add(b, name, CONFINE_DEVICE, false, e) < 0)
			return -e->code;
	}
	return 0;
}

static int add_all(struct building *b, struct err *e)
{
	const Openshell__Sandbox__V1__FilesystemPolicy *f = files(b->in);

	for (size_t i = 0; f && i < f->n_read_only; i++)
		if (add(b, f->read_only[i], CONFINE_READ, true, e) < 0)
			return -e->code;
	for (size_t i = 0; f && i < f->n_read_write; i++)
		if (add(b, f->read_write[i], CONFINE_READ_WRITE, true, e) < 0)
			return -e->code;
	if (with_workdir(b->in) && add(b, b->in->workdir, CONFINE_READ_WRITE, true, e) < 0)
		return -e->code;
	if (b->in->tls_dir && b->in->tls_dir[0] &&
		add(b, b->in->tls_dir, CONFINE_READ, false, e) < 0)
		return -e->code;
	if (add_baseline(b, baseline_ro, CONFINE_READ, e) < 0 || add_unmerged(b, e) < 0 ||
		add_baseline(b, baseline_rw, CONFINE_READ_WRITE, e) < 0)
		return -e->code;
	if (!b->in->shared_terminals && add_baseline(b, baseline_dev, CONFINE_DEVICE, e) < 0)
		return -e->code;
	return add_gpu(b, e);
}

static int without(struct building *b, struct err *e, const char *why)
{
	if (b->hard)
		return err_set(e, ENOTSUP,
			"policy requires Landlock, and it can't be enforced: %s; use a kernel that "
			"has it, or landlock.compatibility: best_effort",
			why);
	proc_warn(b->w, "files are NOT confined: %s (landlock.compatibility: best_effort)", why);
	return 0;
}

int proc_paths_open(const struct proc_paths_input *in, struct proc_paths *ret,
	struct proc_warnings *w, struct err *e)
{
	struct confine_landlock_options o = {
		.handle_tcp = in->loopback_deny, .scope = true, .max_abi = in->max_abi
	};
	AUTO(confine_landlock_free) struct confine_landlock *r = NULL;
	struct building b = { .in = in, .w = w };
	struct err why = { 0 };

	*ret = (struct proc_paths){ 0 };
	b.hard = in->policy->landlock &&
		strcmp(in->policy->landlock->compatibility, "hard_requirement") == 0;
	ret->abi = confine_landlock_abi(&why);
	if (ret->abi <= 0)
		return without(&b, e, why.text);
	if (in->max_abi && in->max_abi < ret->abi)
		ret->abi = in->max_abi;
	if (b.hard && ret->abi < ABI_FULL)
		return err_set(e, ENOTSUP,
			"policy requires Landlock ABI %d, and this kernel has %d; use a newer "
			"kernel, or landlock.compatibility: best_effort",
			ABI_FULL, ret->abi);
	if (in->loopback_deny && ret->abi < 4)
		return err_set(e, ENOTSUP,
			"--loopback deny needs Landlock ABI 4; this kernel has %d", ret->abi);
	if (confine_landlock_new(&o, &r, &why) < 0) {
		ret->abi = 0;
		return without(&b, e, why.text);
	}
	b.r = r;
	if (add_all(&b, e) < 0)
		return -e->code;
	/* An empty ruleset would refuse everything, the program itself included. */
	if (confine_landlock_rules(r) == 0) {
		ret->abi = 0;
		return without(&b, e, "none of the policy's paths can be opened");
	}
	if (in->loopback_deny && confine_landlock_allow_tcp(r, in->proxy_port, false, true, e) < 0)
		return -e->code;
	ret->n_rules = confine_landlock_rules(r);
	ret->landlock = TAKE_PTR(r);
	return 0;
}

void proc_paths_done(struct proc_paths *p)
{
	confine_landlock_free(TAKE_PTR(p->landlock));
}
