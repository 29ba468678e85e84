#include "proc_spawn.h"
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/close_range.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <unistd.h>
#include "core_cleanup.h"

const char *proc_stage_name(enum proc_stage s)
{
	switch (s) {
	case PROC_STAGE_SESSION:
		return "session";
	case PROC_STAGE_STREAMS:
		return "streams";
	case PROC_STAGE_NAMESPACE:
		return "network namespace";
	case PROC_STAGE_IDENTITY:
		return "identity";
	case PROC_STAGE_HARDEN:
		return "hardening";
	case PROC_STAGE_LANDLOCK:
		return "landlock";
	case PROC_STAGE_SECCOMP:
		return "seccomp";
	case PROC_STAGE_WORKDIR:
		return "workdir";
	case PROC_STAGE_EXEC:
		return "execve";
	}
	return "unknown";
}

static int fail(struct proc_failure *f, enum proc_stage stage, int code)
{
	*f = (struct proc_failure){ stage, code };
	return -1;
}

int proc_spawn_restrict(const struct proc_restrictions *r, pid_t parent, struct proc_failure *ret)
{
	struct err e = { 0 };
	int code;

	if (!r->netns->here && setns(r->netns->fd, CLONE_NEWNET) < 0)
		return fail(ret, PROC_STAGE_NAMESPACE, errno);
	/* Before the uid changes: until execve the leaf's memory is mapped here. */
	if (confine_harden(&e) < 0)
		return fail(ret, PROC_STAGE_HARDEN, e.code);
	if (confine_drop(r->identity, &e) < 0)
		return fail(ret, PROC_STAGE_IDENTITY, e.code);
	/* A change of credentials clears the death signal, and makes the process dumpable again. */
	if (prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0) < 0 || prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) < 0)
		return fail(ret, PROC_STAGE_HARDEN, errno);
	if (getppid() != parent)
		return fail(ret, PROC_STAGE_HARDEN, ESRCH);
	code = r->landlock ? confine_landlock_enforce(r->landlock) : 0;
	if (code < 0)
		return fail(ret, PROC_STAGE_LANDLOCK, -code);
	/* Last: it forbids setns and further filters. */
	code = r->filter ? confine_filter_install(r->filter) : 0;
	return code < 0 ? fail(ret, PROC_STAGE_SECCOMP, -code) : 0;
}

static void default_signals(void)
{
	struct sigaction dfl = { .sa_handler = SIG_DFL };
	sigset_t none;

	for (int s = 1; s < NSIG; s++)
		(void) sigaction(s, &dfl, NULL); /* EINVAL for KILL and STOP */
	(void) sigemptyset(&none);
	(void) sigprocmask(SIG_SETMASK, &none, NULL);
}

/* The workload's descriptors become 0, 1, 2; hold and failure move out of their way first. */
static int arrange(const struct proc_spawn *s, int *hold, int *failure)
{
	int fds[3];

	for (int i = 0; i < 3; i++)
		if ((fds[i] = fcntl(s->fds[i], F_DUPFD_CLOEXEC, 10)) < 0)
			return -errno;
	if ((*hold = fcntl(*hold, F_DUPFD_CLOEXEC, 10)) < 0 ||
		(*failure = fcntl(*failure, F_DUPFD_CLOEXEC, 10)) < 0)
		return -errno;
	for (int i = 0; i < 3; i++)
		if (dup2(fds[i], i) < 0)
			return -errno;
	return 0;
}

static int start_session(const struct proc_spawn *s)
{
	if (setsid() < 0)
		return -errno;
	if (s->terminal && ioctl(STDIN_FILENO, TIOCSCTTY, 0) < 0)
		return -errno;
	return 0;
}

static bool wait_for_release(int hold)
{
	char byte;
	ssize_t n;

	do
		n = read(hold, &byte, 1);
	while (n < 0 && errno == EINTR);
	return n == 1;
}

/* execvp(3) says EACCES when any directory of PATH may not be searched; the answer to a name that is
 * nowhere is ENOENT.  Landlock does not hide what exists. */
static int why_not(const struct proc_spawn *s, int code)
{
	const char *path = getenv("PATH"), *name = s->argv[0];

	if (code != EACCES || strchr(name, '/') || !path)
		return code;
	while (*path) {
		int len = (int) strcspn(path, ":");
		char file[PATH_MAX];

		(void) snprintf(file, sizeof file, "%.*s/%s", len, path, name);
		if (access(file, F_OK) == 0)
			return EACCES;
		path += len + (path[len] == ':');
	}
	return ENOENT;
}

/* Descriptors above 2 close at execve; closing them now would close hold and failure. */
static int child(
	const struct proc_spawn *s, pid_t parent, int hold, int *failure, struct proc_failure *f)
{
	int r;

	default_signals();
	(void) umask(s->umask);
	r = arrange(s, &hold, failure);
	if (r < 0)
		return fail(f, PROC_STAGE_STREAMS, -r);
	r = start_session(s);
	if (r < 0)
		return fail(f, PROC_STAGE_SESSION, -r);
	if (proc_spawn_restrict(s->restrictions, parent, f) < 0)
		return -1;
	if (s->workdir[0] && chdir(s->workdir) < 0)
		return fail(f, PROC_STAGE_WORKDIR, errno);
	if (close_range(3, UINT_MAX, CLOSE_RANGE_CLOEXEC) < 0)
		return fail(f, PROC_STAGE_STREAMS, errno);
	if (!wait_for_release(hold))
		_exit(1);
	environ = (char **) (uintptr_t) s->env;
	(void) execvp(s->argv[0], s->argv);
	return fail(f, PROC_STAGE_EXEC, why_not(s, errno));
}

int proc_spawn(const struct proc_spawn *s, struct proc_child *ret, struct err *e)
{
	int hold[2], failure[2];
	pid_t parent = getpid(), pid;

	if (pipe2(hold, O_CLOEXEC) < 0)
		return err_set(e, errno, "pipe for the workload");
	if (pipe2(failure, O_CLOEXEC | O_NONBLOCK) < 0) {
		(void) err_set(e, errno, "pipe for the workload");
		(void) close(hold[0]);
		(void) close(hold[1]);
		return -e->code;
	}
	pid = fork();
	if (pid == 0) {
		struct proc_failure f = { 0 };
		int out = failure[1];

		(void) close(hold[1]);
		(void) close(failure[0]);
		(void) child(s, parent, hold[0], &out, &f);
		(void) !write(out, &f, sizeof f);
		_exit(127);
	}
	(void) close(hold[0]);
	(void) close(failure[1]);
	*ret = (struct proc_child){ pid, hold[1], failure[0] };
	if (pid < 0) {
		(void) err_set(e, errno, "fork the workload");
		proc_child_done(ret);
		return -e->code;
	}
	return 0;
}

void proc_child_done(struct proc_child *c)
{
	core_closep(&c->hold);
	core_closep(&c->failure);
	*c = (struct proc_child){ 0, -1, -1 };
}
