#include "proc_job.h"
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>
#include "proc_kill.h"
#include "proc_limits.h"
#include "proc_pty.h"

#define EXIT_NOT_FOUND 127
#define EXIT_NOT_EXECUTABLE 126

struct proc_job {
	struct proc_child child;
	int master; /* for its size; -1: pipes */
	struct loop_timer *kill;
	struct proc_killer killer; /* root alone has no right to signal it (CAP_KILL is gone) */
	char name[64];		   /* for messages */
};

static void close_all(int *fds, int n)
{
	for (int i = 0; i < n; i++)
		if (fds[i] >= 0)
			(void) close(fds[i]);
}

/* theirs belong to the workload's user, so that it may open /dev/stdout. */
static int make_pipes(const struct confine_identity *id, int theirs[3], int ours[3], struct err *e)
{
	for (int i = 0; i < 3; i++) {
		int fds[2];

		if (pipe2(fds, O_CLOEXEC) < 0)
			return err_set(e, errno, "make a pipe");
		theirs[i] = fds[i == 0 ? 0 : 1];
		ours[i] = fds[i == 0 ? 1 : 0];
		if (fchown(theirs[i], id->uid, id->gid) < 0 ||
			fcntl(ours[i], F_SETFL, O_NONBLOCK) < 0)
			return err_set(e, errno, "prepare a pipe");
	}
	return 0;
}

static int make_terminal(const struct proc_job_plan *plan, struct proc_job *j, int theirs[3],
	int ours[3], struct err *e)
{
	if (proc_pty_open(plan->restrictions->identity, &plan->look, &ours[0], &theirs[0], e) < 0)
		return -e->code;
	j->master = fcntl(ours[0], F_DUPFD_CLOEXEC, 3);
	if (j->master < 0 || fcntl(ours[0], F_SETFL, O_RDWR | O_NONBLOCK) < 0)
		return err_set(e, errno, "prepare a terminal");
	theirs[1] = theirs[2] = -1;
	return 0;
}

static int spawn(
	const struct proc_job_plan *plan, const int theirs[3], struct proc_job *j, struct err *e)
{
	bool tty = plan->tty;
	struct proc_spawn s = { .restrictions = plan->restrictions,
		.workdir = plan->workdir,
		.argv = plan->argv,
		.env = plan->env,
		.fds = { theirs[0], tty ? theirs[0] : theirs[1], tty ? theirs[0] : theirs[2] },
		.terminal = tty,
		.umask = 022 };

	if (proc_spawn(&s, &j->child, e) < 0)
		return -e->code;
	if (write(j->child.hold, "", 1) != 1)
		return err_set(e, errno, "release a process"); /* it ends, as hold is closed */
	core_closep(&j->child.hold);
	j->child.hold = -1;
	return 0;
}

static void on_kill(void *owner)
{
	proc_job_signal(owner, SIGKILL);
}

int proc_job_start(struct loop *l, const struct proc_job_plan *plan, struct proc_job **ret,
	int ret_fds[3], struct err *e)
{
	AUTO(proc_job_free) struct proc_job *j = calloc(1, sizeof *j);
	int theirs[3] = { -1, -1, -1 }, ours[3] = { -1, -1, -1 }, r;

	if (!j)
		return err_set(e, ENOMEM, "out of memory");
	j->master = -1;
	j->child = (struct proc_child){ 0, -1, -1 };
	j->killer.workload = plan->restrictions->identity;
	(void) snprintf(j->name, sizeof j->name, "%.60s", plan->argv[0]);
	r = plan->tty ? make_terminal(plan, j, theirs, ours, e)
		      : make_pipes(plan->restrictions->identity, theirs, ours, e);
	if (r == 0)
		r = loop_timer_new(l, on_kill, j, &j->kill, e);
	if (r == 0)
		r = spawn(plan, theirs, j, e);
	close_all(theirs, 3);
	if (r < 0) {
		close_all(ours, 3);
		return r;
	}
	(void) memcpy(ret_fds, ours, sizeof ours);
	*ret = TAKE_PTR(j);
	return 0;
}

pid_t proc_job_pid(const struct proc_job *j)
{
	return j->child.pid;
}

void proc_job_signal(struct proc_job *j, int signo)
{
	/* A session of its own since before execve; until then there is the process alone. */
	if (j->child.pid > 0 && proc_kill(&j->killer, -j->child.pid, signo) < 0)
		(void) proc_kill(&j->killer, j->child.pid, signo);
}

void proc_job_resize(struct proc_job *j, uint32_t rows, uint32_t columns)
{
	struct winsize size = proc_pty_size(rows, columns);

	if (j->master >= 0)
		(void) ioctl(j->master, TIOCSWINSZ, &size);
}

void proc_job_hang_up(struct proc_job *j)
{
	proc_job_signal(j, SIGHUP);
	/* A stopped process would not see it. */
	proc_job_signal(j, SIGCONT);
	core_closep(&j->master);
	j->master = -1;
	if (loop_timer_start(j->kill, PROC_HANGUP_MS) < 0)
		proc_job_signal(j, SIGKILL);
}

void proc_job_ended(struct proc_job *j, int status, struct proc_job_end *ret)
{
	struct proc_failure f;
	bool failed = read(j->child.failure, &f, sizeof f) == sizeof f;

	*ret = (struct proc_job_end){ 0 };
	j->child.pid = 0;
	loop_timer_stop(j->kill);
	core_closep(&j->master);
	j->master = -1;
	if (!failed) {
		ret->signalled = WIFSIGNALED(status);
		ret->code = (uint32_t) (ret->signalled ? WTERMSIG(status) : WEXITSTATUS(status));
		return;
	}
	ret->code = f.stage == PROC_STAGE_EXEC && f.code == ENOENT ? EXIT_NOT_FOUND
								   : EXIT_NOT_EXECUTABLE;
	(void) snprintf(ret->text, sizeof ret->text, "%s can't be started: %s: %s", j->name,
		proc_stage_name((enum proc_stage) f.stage), strerror(f.code));
}

void proc_job_free(struct proc_job *j)
{
	if (!j)
		return;
	proc_child_done(&j->child);
	core_closep(&j->master);
	loop_timer_free(j->kill);
	free(j);
}
