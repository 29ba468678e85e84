/* orch_run_reload.c - the policy file, the hosts file and resolv.conf while the workload lives. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>
#include "orch_run_state.h"

static void offer(struct orch_run *r)
{
	struct err e = { 0 };

	if (orch_network_policy(r->network, orch_policy_candidate_fd(r->policy),
		    orch_policy_candidate_generation(r->policy), &e) == 0)
		return;
	orch_policy_drop(r->policy);
	orch_events_notice(r->events, OPENSHELL__EVENT__SEVERITY__HIGH, "policy", e.text);
}

void orch_run_reload(struct orch_run *r)
{
	if (r->phase == ORCH_ENDING || !r->network)
		return;
	if (r->reload_off) {
		orch_events_notice(r->events, OPENSHELL__EVENT__SEVERITY__HIGH, "policy",
			"the policy file is not read again: the workload could have written it");
		return;
	}
	if (!r->released || orch_policy_candidate_fd(r->policy) >= 0) {
		r->reload_wanted = true;
		return;
	}
	if (orch_policy_reload(r->policy) == ORCH_RELOAD_NEW)
		offer(r);
}

static void lend_current(struct orch_run *r)
{
	r->policy_fd = orch_policy_fd(r->policy);
	r->lent.policy = r->policy_fd;
	r->lent.generation = orch_policy_generation(r->policy);
}

void orch_run_policy_result(struct orch_run *r, uint64_t generation, bool loaded, const char *text)
{
	char line[700];
	struct err e = { 0 };

	if (orch_policy_candidate_fd(r->policy) < 0 ||
		generation != orch_policy_candidate_generation(r->policy)) {
		if (!loaded) {
			(void) err_set(&e, 22, "the network leaf refuses the policy: %s", text);
			orch_run_fail(r, &e);
		}
		return;
	}
	if (loaded) {
		orch_policy_commit(r->policy);
		lend_current(r);
		(void) snprintf(line, sizeof line, "policy %s is in force (generation %llu)",
			orch_policy_name(r->policy), (unsigned long long) generation);
	} else {
		orch_policy_drop(r->policy);
		(void) snprintf(line, sizeof line,
			"policy not reloaded: %s; the previous policy (generation %llu) stays",
			text, (unsigned long long) orch_policy_generation(r->policy));
	}
	orch_events_notice(r->events, OPENSHELL__EVENT__SEVERITY__MEDIUM, "policy", line);
	if (r->reload_wanted) {
		r->reload_wanted = false;
		orch_run_reload(r);
	}
}

int orch_run_read_names(struct orch_run *r, struct err *e)
{
	int hosts;

	if (orch_hosts_read(ORCH_HOSTS_PATH, &hosts, r->lent.gateway, sizeof r->lent.gateway, e) <
			0 ||
		orch_hosts_read_nameservers(ORCH_RESOLV_PATH, &r->lent.nameservers, e) < 0)
		return -e->code;
	if (r->lent.hosts >= 0)
		(void) close(r->lent.hosts);
	r->lent.hosts = hosts;
	return 0;
}

static void on_policy_change(void *owner)
{
	orch_run_reload(owner);
}

static void on_names_change(void *owner)
{
	struct orch_run *r = owner;
	struct err e = { 0 };

	if (orch_run_read_names(r, &e) < 0)
		orch_events_notice(r->events, OPENSHELL__EVENT__SEVERITY__MEDIUM, "names", e.text);
	else if (r->network)
		orch_network_names_changed(r->network);
}

/* Of a linked file everything in its folder is watched: a configuration map of Kubernetes replaces
 * another link beside it.  Its target may also be written where it is. */
static int watch_policy(struct orch_run *r, struct err *e)
{
	const char *path = orch_policy_name(r->policy);
	bool linked = orch_policy_is_linked(r->policy);

	if (linked && orch_watch_add(r->watch, -1, path, on_policy_change, r, e) < 0)
		return -e->code;
	return orch_watch_add(r->watch, orch_policy_dir(r->policy), linked ? ORCH_WATCH_ANY : path,
		on_policy_change, r, e);
}

/* What has changed before the watch existed is taken up now. */
static void begin_watching(void *owner)
{
	struct orch_run *r = owner;
	struct err e = { 0 };

	if (r->phase == ORCH_ENDING)
		return;
	if (orch_watch_new(r->loop, &r->watch, &e) < 0) {
		orch_events_notice(r->events, OPENSHELL__EVENT__SEVERITY__MEDIUM, "policy",
			"changes of files are not noticed; use SIGHUP");
		return;
	}
	/* Names that can't be watched stay as they are. */
	(void) orch_watch_add(r->watch, -1, ORCH_HOSTS_PATH, on_names_change, r, &e);
	(void) orch_watch_add(r->watch, -1, ORCH_RESOLV_PATH, on_names_change, r, &e);
	on_names_change(r);
	if (!orch_policy_has_file(r->policy) || r->reload_off)
		return;
	if (watch_policy(r, &e) < 0)
		orch_events_notice(r->events, OPENSHELL__EVENT__SEVERITY__MEDIUM, "policy", e.text);
	orch_run_reload(r);
}

/* Closing an inotify descriptor takes the kernel some 15 ms (it waits for readers), which a short
 * command should not pay for: files are watched only when the workload has run for a moment. */
int orch_run_watch(struct orch_run *r, struct err *e)
{
	if (loop_timer_new(r->loop, begin_watching, r, &r->watch_timer, e) < 0)
		return -e->code;
	return loop_timer_start(r->watch_timer, ORCH_WATCH_AFTER_MS) < 0
		? err_set(e, EIO, "no timer")
		: 0;
}
