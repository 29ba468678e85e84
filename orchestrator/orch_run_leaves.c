/* orch_run_leaves.c - both leaves: their start, what they answer, and what they need of each other.
 *
 * Runs in the orchestrator (openshell-supervisor).  The steps of the boundary, in the order of the
 * process leaf's answers: attached, claimed, bound, confirmed, started; then the network leaf's ready
 * releases the workload, and nothing else does.  A leaf is not trusted: what it claims is compared with
 * the plan, or with what the kernel says of it.  A step that fails ends the run (orch_run_fail); a
 * network leaf that dies later is started anew by orch_network.
 */
#include <errno.h>
#include <malloc.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>
#include "core_channel.h"
#include "core_failure.h"
#include "core_peer.h"
#include "orch_run_state.h"

/* ---- the process leaf's answers ---- */

static void advance(struct orch_run *r)
{
	struct err e = { 0 };

	if (r->network && orch_network_advance(r->network, &e) < 0)
		orch_run_fail(r, &e);
}

static void on_attached(
	void *owner, const Openshell__Ipc__ProcAttached *a, int *netns, int *listener)
{
	struct orch_run *r = owner;
	struct err e = { 0 };

	r->netns = TAKE_FD(*netns);
	r->lent.listener = TAKE_FD(*listener);
	r->enforced.rootless = a->rootless;
	(void) snprintf(r->proxy_address, sizeof r->proxy_address, "%s", a->proxy_address);
	(void) snprintf(r->workload_address, sizeof r->workload_address, "%s", a->workload_address);
	r->lent.proxy_address = r->proxy_address;
	r->lent.proxy_port = (uint16_t) a->proxy_port;
	if (orch_run_plan_tls(r, &e) < 0) {
		orch_run_fail(r, &e);
		return;
	}
	advance(r);
}

/* Processes of one user reach each other, and share limits, wherever the kernel has no Landlock. */
static bool is_proxy_user(struct orch_run *r, uint32_t uid)
{
	struct err e = { 0 };

	if (r->proxy.rootless || uid != r->proxy.uid)
		return false;
	(void) err_set(&e, EINVAL,
		"the command would have uid %u, which is the network leaf's; give that another "
		"one with --proxy-uid",
		uid);
	orch_run_fail(r, &e);
	return true;
}

/* A policy file that the workload could write would be its own. */
static void check_policy_file(struct orch_run *r, const Openshell__Ipc__ProcClaimed *c)
{
	const struct orch_process_id id = { c->uid, c->gid, r->workdir };

	if (!orch_policy_has_file(r->policy) || !orch_policy_is_exposed(r->policy, &id))
		return;
	r->reload_off = true;
	orch_events_notice(r->events, OPENSHELL__EVENT__SEVERITY__HIGH, "policy",
		"the workload could write the policy file, so it is not read again; keep it "
		"outside the writable paths");
}

static void on_claimed(void *owner, const Openshell__Ipc__ProcClaimed *c)
{
	struct orch_run *r = owner;

	if (is_proxy_user(r, c->uid))
		return;
	for (size_t i = 0; i < c->n_warnings; i++)
		orch_events_notice(
			r->events, OPENSHELL__EVENT__SEVERITY__HIGH, "boundary", c->warnings[i]);
	(void) snprintf(r->user, sizeof r->user, "%s", c->user);
	r->enforced.uid = c->uid;
	r->enforced.gid = c->gid;
	r->enforced.landlock_abi = c->landlock_abi;
	r->enforced.n_paths = c->n_paths;
	if (r->session)
		orch_session_give(r->session, c->uid, c->gid);
	else
		orch_stdio_give(r->stdio, c->uid, c->gid);
	orch_run_check_credentials(r, c->uid, c->gid);
	check_policy_file(r, c);
}

static void on_bound(void *owner)
{
	struct orch_run *r = owner;
	struct err e = { 0 };

	/* The worker has its end now; the other one is lent to the network leaf. */
	core_closep(&r->identity_fd);
	r->identity_fd = -1;
	if (orch_run_lend_ssh(r, &e) < 0) {
		orch_run_fail(r, &e);
		return;
	}
	advance(r);
}

static int on_confirmed(void *owner, const Openshell__Ipc__ProcConfirmed *c, struct err *e)
{
	struct orch_run *r = owner;

	r->enforced.tolerated = c->tolerated;
	if (c->tolerated & ~r->o->delegated)
		return err_set(e, EPROTO, "the process leaf tolerates what was not delegated");
	return orch_evidence_check(c, e);
}

static void on_attach_main(void *owner, int *fd)
{
	orch_run_attach_main(owner, fd);
}

static int on_ssh_peer(void *owner, int fd, struct err *why)
{
	const struct orch_run *r = owner;

	return peer_check(fd, r->netns, why);
}

static void on_started(void *owner, pid_t pid, int *master)
{
	struct orch_run *r = owner;
	struct err e = { 0 };

	if (orch_run_started(r, master, &e) < 0) {
		orch_run_fail(r, &e);
		return;
	}
	r->lent.entrypoint = pid;
	advance(r);
}

static void print_enforced(struct orch_run *r)
{
	char line[1024];
	struct text t;

	r->enforced.user = r->user;
	r->enforced.veth = r->o->link == ORCH_LINK_VETH;
	r->enforced.loopback_deny = r->o->loopback_deny;
	r->enforced.identity_relaxed = !r->o->identity_required;
	r->enforced.proxy_address = r->proxy_address;
	r->enforced.proxy_port = r->lent.proxy_port;
	r->enforced.workload_address = r->workload_address;
	r->enforced.policy = orch_policy_name(r->policy);
	r->enforced.generation = orch_policy_generation(r->policy);
	text_init(&t, line, sizeof line);
	orch_evidence_line(&r->enforced, &t);
	orch_console_say(&r->console, line);
}

/* Both leaves are there and proven: the workload may execute. */
static void on_ready(void *owner)
{
	struct orch_run *r = owner;
	struct err e = { 0 };

	if (r->released || r->phase == ORCH_ENDING)
		return;
	r->released = true;
	print_enforced(r);
	if (orch_process_release(r->process, &e) < 0)
		orch_run_fail(r, &e);
}

static void on_running(void *owner)
{
	struct orch_run *r = owner;
	struct err e = { 0 };

	if (r->phase == ORCH_STARTING)
		r->phase = ORCH_RUNNING;
	(void) malloc_trim(0); /* a megabyte that the start alone needed */
	if (!r->o->timeout_s)
		return;
	if (loop_timer_new(r->loop, orch_run_on_timeout, r, &r->timeout, &e) < 0 ||
		loop_timer_start(r->timeout, r->o->timeout_s * 1000) < 0)
		orch_run_fail(r, &e);
}

static void on_event(void *owner, const Openshell__Event__Event *event)
{
	struct orch_run *r = owner;

	orch_events_take(r->events, event);
}

static void on_exited(void *owner, bool signalled, uint32_t code)
{
	orch_run_exited(owner, signalled, code);
}

static void on_stopped(void *owner)
{
	orch_run_stopped(owner);
}

static void on_failed(void *owner, const struct err *why)
{
	orch_run_fail(owner, why);
}

static const struct orch_process_calls process_calls = { .attached = on_attached,
	.claimed = on_claimed,
	.bound = on_bound,
	.confirmed = on_confirmed,
	.started = on_started,
	.running = on_running,
	.attach_main = on_attach_main,
	.ssh_peer = on_ssh_peer,
	.exited = on_exited,
	.event = on_event,
	.stopped = on_stopped,
	.failed = on_failed };

/* ---- the network leaf's needs and answers ---- */

static int spawn_network(void *owner, pid_t *ret_pid, int *ret_fd, struct err *e)
{
	struct orch_run *r = owner;
	char delegated[FAILURE_NAMES_MAX];
	struct orch_program p = { r->network_path,
		{ r->proxy_uid, r->proxy_gid,
			r->o->delegated ? failure_write_kinds(r->o->delegated, delegated)
					: NULL } };

	return orch_spawn_leaf(&p, r->o->log_level, ret_pid, ret_fd, e);
}

static int lend_identity(void *owner, int *ret_fd, struct err *e)
{
	struct orch_run *r = owner;
	int pair[2], code;

	if (!orch_process_takes_identity(r->process))
		return -EAGAIN;
	if (r->identity_kept >= 0) { /* the first leaf: the pair that bind carried */
		*ret_fd = TAKE_FD(r->identity_kept);
		return 0;
	}
	if (channel_pair(pair, e) < 0)
		return -e->code;
	code = orch_process_identity(r->process, pair[1], e);
	(void) close(pair[1]);
	if (code < 0) {
		(void) close(pair[0]);
		return code;
	}
	*ret_fd = pair[0];
	return 0;
}

static int verify_network(void *owner, pid_t pid, struct err *e)
{
	struct orch_run *r = owner;

	return orch_evidence_network(pid, &r->proxy, e);
}

static void on_policy(void *owner, uint64_t generation, bool loaded, const char *text)
{
	orch_run_policy_result(owner, generation, loaded, text);
}

static void on_died(void *owner, const char *text, bool stays_down)
{
	struct orch_run *r = owner;

	orch_events_notice(r->events,
		stays_down ? OPENSHELL__EVENT__SEVERITY__CRITICAL
			   : OPENSHELL__EVENT__SEVERITY__HIGH,
		"network", text);
	r->network_gone = stays_down;
}

static const struct orch_network_calls network_calls = { .spawn = spawn_network,
	.identity = lend_identity,
	.credentials = orch_run_lend_credentials,
	.verify = verify_network,
	.ready = on_ready,
	.policy = on_policy,
	.event = on_event,
	.died = on_died,
	.failed = on_failed };

/* ---- their start ---- */

int orch_run_start_process(struct orch_run *r, struct err *e)
{
	int fd, pair[2];

	if (channel_pair(pair, e) < 0)
		return -e->code;
	r->identity_fd = pair[0];
	r->identity_kept = pair[1];
	if (orch_janitor_spawn(&r->janitor, &fd, &r->process_fd, e) < 0 ||
		orch_process_new(r->loop, fd, &r->plan, &process_calls, r, &r->process, e) < 0)
		return -e->code;
	return orch_run_watch_process(r, e);
}

int orch_run_start_network(struct orch_run *r, struct err *e)
{
	if (orch_network_new(r->loop, &r->lent, &network_calls, r, &r->network, e) < 0)
		return -e->code;
	return orch_process_go(r->process, e);
}
