/* proc_leaf_monitor.c - what the bypass monitor reports goes up; what it can't report is said once. */
#include <stdio.h>
#include <sys/wait.h>
#include "core_log.h"
#include "proc_fence.h"
#include "proc_leaf_state.h"

#define UNWATCHED "direct connections are refused, but not reported"

struct proc_killer proc_leaf_killer(const struct proc_leaf *p)
{
	struct proc_killer k = { 0 };

	if (p->worker)
		k.keep[k.n_keep++] = proc_worker_pid(p->worker);
	if (p->monitor)
		k.keep[k.n_keep++] = proc_monitor_pid(p->monitor);
	if (p->claim)
		k.workload = &p->user.identity;
	return k;
}

static void on_event(void *owner, const Openshell__Event__Event *ev)
{
	struct proc_leaf *p = owner;
	struct err e = { 0 };

	if (channel_send(p->up, PROC_EVENT, 0, &ev->base, &e) < 0)
		log_line(LOG_LEVEL_WARN, "a report of the bypass monitor is lost: %s", e.text);
}

static void send_exit(void *owner)
{
	Openshell__Ipc__ProcExited m = OPENSHELL__IPC__PROC_EXITED__INIT;
	struct proc_leaf *p = owner;
	int status = p->exit_status;
	struct err e = { 0 };

	if (!p->exit_waits)
		return;
	p->exit_waits = false;
	loop_timer_stop(p->flush);
	m.signalled = WIFSIGNALED(status);
	m.code = (uint32_t) (WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status));
	(void) proc_leaf_answer(p, NULL, PROC_EXITED, &m.base, &e);
}

void proc_leaf_tell_exit(struct proc_leaf *p, int status)
{
	struct err e = { 0 };

	p->exit_status = status;
	p->exit_waits = true;
	if (!p->monitor || !p->flush || loop_timer_start(p->flush, PROC_MONITOR_FLUSH_MS) < 0 ||
		proc_monitor_flush(p->monitor, &e) < 0)
		send_exit(p);
}

static void unwatch(struct proc_leaf *p, const char *why)
{
	struct err e = { 0 };
	char text[256];

	/* Nobody would answer a first packet; the fence must. */
	if (p->fence_watched &&
		proc_fence_install(&p->netns, p->tag, false, &p->fence_watched, &e) < 0)
		log_line(LOG_LEVEL_ERROR, "%s", e.text);
	(void) snprintf(text, sizeof text, UNWATCHED ": %.160s", why);
	proc_leaf_notice(p, "bypass", text, OPENSHELL__EVENT__SEVERITY__MEDIUM);
}

static void on_failed(void *owner, const struct err *why)
{
	unwatch(owner, why->text);
}

static const struct proc_monitor_calls calls = {
	.event = on_event, .flushed = send_exit, .failed = on_failed
};

int proc_leaf_monitor_start(struct proc_leaf *p, struct err *e)
{
	const struct proc_monitor_plan plan = { &p->netns, proc_fence_group(p->tag), p->worker,
		&calls, p };
	struct err why = { 0 };

	if (loop_timer_new(p->loop, send_exit, p, &p->flush, e) < 0)
		return -e->code;
	if (p->netns.refused)
		return 0; /* there is no fence, and so nothing that it refuses */
	if (!p->fence_watched)
		unwatch(p, "this kernel can't log packets to a program (nfnetlink_log)");
	else if (proc_monitor_start(p->loop, &plan, &p->monitor, &why) < 0)
		unwatch(p, why.text);
	return 0;
}

/* A monitor that has not been forked yet would ask it; one that has been notices by itself. */
void proc_leaf_worker_died(struct proc_leaf *p)
{
	if (p->monitor && proc_monitor_pid(p->monitor) == 0) {
		proc_monitor_free(TAKE_PTR(p->monitor));
		if (p->state != PROC_ENDED)
			unwatch(p, "nobody can tell whose they are");
	}
	proc_worker_free(TAKE_PTR(p->worker));
}

void proc_leaf_monitor_died(struct proc_leaf *p)
{
	proc_monitor_free(TAKE_PTR(p->monitor));
	send_exit(p);
	if (p->state != PROC_ENDED)
		unwatch(p, "the bypass monitor died");
}
