#include "orch_run.h"
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <unistd.h>
#include "core_confine.h"
#include "orch_run_state.h"
#include "orch_sweep.h"
#include "orch_terminal.h"

static int harden(struct err *e)
{
	(void) signal(SIGPIPE, SIG_IGN);
	if (prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) < 0)
		return err_set(e, errno, "become the reaper of the workload's orphans");
	return confine_harden(e);
}

/* Leaves first, then whatever of the workload has come to us; nothing may be left. */
static void clean_up(struct orch_run *r)
{
	struct err e = { 0 };

	orch_process_free(r->process);
	orch_network_free(r->network);
	if (orch_sweep_kill(ORCH_SWEEP_MS, &e) < 0)
		orch_console_say(&r->console, e.text);
	orch_ctl_server_free(r->ctl);
	orch_ctl_socket_done(&r->ctl_socket);
	orch_ctl_socket_done(&r->ssh_socket);
	orch_session_free(r->session);
	orch_stdio_free(r->stdio);
	orch_terminal_restore();
	orch_watch_free(r->watch);
	for (size_t i = 0; i < ORCH_SIGNALS_MAX; i++)
		loop_signal_free(r->signals[i]);
	loop_timer_free(r->timeout);
	loop_timer_free(r->kill);
	loop_timer_free(r->stop);
	loop_timer_free(r->watch_timer);
	orch_events_free(r->events);
	orch_credentials_free(r->credentials);
	orch_policy_free(r->policy);
	orch_tls_free(r->tls);
	orch_vars_done(&r->base_env);
	orch_vars_done(&r->driver_env);
	orch_vars_done(&r->placeholder_env);
	core_closep(&r->lent.listener);
	core_closep(&r->lent.hosts);
	core_closep(&r->identity_fd);
	core_closep(&r->identity_kept);
	core_closep(&r->netns);
	orch_janitor_done(&r->janitor);
	loop_io_free(r->process_end);
	core_closep(&r->process_fd);
	free(r->env_storage);
	free(r->env_list);
	free(r->driver_list);
	free(r->placeholder_list);
	free(r->process_path);
	free(r->network_path);
	free(r->workdir);
	loop_free(r->loop);
}

int orch_run(const struct orch_options *o)
{
	struct orch_run r = { .o = o,
		.console = { .fd = STDERR_FILENO },
		.status = -1,
		.identity_fd = -1,
		.identity_kept = -1,
		.netns = -1,
		.janitor = { -1, -1 },
		.process_fd = -1,
		.ctl_socket = { .fd = -1 },
		.ssh_socket = { .fd = -1 },
		.streams = { -1, -1, -1 } };
	struct err e = { 0 };

	r.lent.listener = r.lent.hosts = r.lent.policy = -1;
	if (orch_stdio_reserve(&e) < 0 || harden(&e) < 0 || loop_new(&r.loop, &e) < 0 ||
		orch_run_prepare(&r, &e) < 0) {
		orch_console_say(&r.console, e.text[0] ? e.text : "the start failed");
		r.status = 1;
	} else if (loop_run(r.loop, &e) < 0) {
		orch_console_say(&r.console, e.text);
		r.status = 1;
	}
	clean_up(&r);
	return r.status < 0 ? 255 : r.status;
}
