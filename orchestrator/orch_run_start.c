/* orch_run_start.c - what a run is prepared of, in the one order in which it can be.
 *
 * Runs in the orchestrator (openshell-supervisor), with the privilege that it was started with.  Each
 * step fills a part of struct orch_run, which orch_run.c owns and releases, also when a later step
 * fails; nothing of the workload has executed by the end of it.  What the leaves are asked for is in
 * orch_run_plan.c, what they answer in orch_run_leaves.c.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>
#include "core_failure.h"
#include "orch_run_state.h"

static const char *get_env(const char *name)
{
	return getenv(name);
}

static void say(void *owner, const char *text)
{
	struct orch_run *r = owner;

	if (r->events)
		orch_events_notice(r->events, OPENSHELL__EVENT__SEVERITY__MEDIUM, "policy", text);
	else
		orch_console_say(&r->console, text);
}

int orch_run_find(struct orch_run *r, const char *name, char **ret, struct err *e)
{
	AUTO_FREE char *self = NULL;
	struct orch_places places = { .leaf_dir = r->o->leaf_dir, .libexec = OPENSHELL_LIBEXEC };

	if (orch_spawn_self(&self, e) < 0)
		return -e->code;
	places.self = self;
	return orch_spawn_find(&places, name, ret, e);
}

static int find_leaves(struct orch_run *r, struct err *e)
{
	if (orch_run_find(r, ORCH_LEAF_PROCESS, &r->process_path, e) < 0)
		return -e->code;
	return orch_run_find(r, ORCH_LEAF_NETWORK, &r->network_path, e);
}

static int make_tag(struct orch_run *r, struct err *e)
{
	uint32_t v;

	if (getrandom(&v, sizeof v, 0) != sizeof v)
		return err_set(e, errno, "random tag");
	(void) snprintf(r->tag, sizeof r->tag, "%08x", v);
	(void) memcpy(r->lent.tag, r->tag, sizeof r->lent.tag);
	return 0;
}

static int choose_workdir(struct orch_run *r, struct err *e)
{
	/* An image's workspace may have to be made first: the process leaf judges it. */
	if (getenv("OPENSHELL_OCI_IMAGE_USER") && *getenv("OPENSHELL_OCI_IMAGE_USER")) {
		r->workdir = strdup(r->o->workdir ? r->o->workdir : "");
		return r->workdir ? 0 : err_set(e, ENOMEM, "workdir");
	}
	r->workdir = realpath(r->o->workdir ? r->o->workdir : ".", NULL);
	return r->workdir ? 0
			  : err_set(e, errno, "workdir %s: %s", r->o->workdir ? r->o->workdir : ".",
				    strerror(errno));
}

static int load_policy(struct orch_run *r, const struct orch_invoker *invoker, struct err *e)
{
	struct orch_policy_source s = { .file = r->o->policy,
		.installed = ORCH_POLICY_INSTALLED,
		.legacy = ORCH_POLICY_LEGACY };

	s.callers[s.n_callers++] = getuid();
	if (invoker->known)
		s.callers[s.n_callers++] = invoker->uid;
	if (orch_policy_new(&s, say, r, &r->policy, e) < 0)
		return -e->code;
	r->policy_fd = orch_policy_fd(r->policy);
	r->lent.policy = r->policy_fd;
	r->lent.generation = orch_policy_generation(r->policy);
	return 0;
}

/* Without root there is one user to be. */
static void choose_proxy_user(struct orch_run *r)
{
	bool root = geteuid() == 0;

	r->proxy.uid = root ? r->o->proxy_uid : geteuid();
	r->proxy.gid = root ? r->o->proxy_gid : getegid();
	r->proxy.rootless = !root;
	r->proxy.unfiltered = r->o->delegated & FAILURE_BIT(FAILURE_SUPERVISOR_SECCOMP);
	(void) snprintf(r->proxy_uid, sizeof r->proxy_uid, "%u", r->proxy.uid);
	(void) snprintf(r->proxy_gid, sizeof r->proxy_gid, "%u", r->proxy.gid);
}

static int make_events(struct orch_run *r, struct err *e)
{
	struct orch_events_config c = { .level = r->o->log_level,
		.log_file = r->o->log_file,
		.sandbox_id = r->o->sandbox_id,
		.console = &r->console };

	return orch_events_new(r->loop, &c, &r->events, e);
}

static int start_janitor(struct orch_run *r, struct err *e)
{
	const struct orch_program leaf = { r->process_path, { NULL } };
	const struct orch_janitor_plan plan = { .leaf = &leaf,
		.level = r->o->log_level,
		.ctl_socket = r->o->ctl_socket,
		.ssh_socket = r->o->ssh_socket };

	return orch_janitor_start(&plan, &r->janitor, e);
}

int orch_run_prepare(struct orch_run *r, struct err *e)
{
	struct orch_invoker invoker = { 0 };
	int code;

	choose_proxy_user(r);
	r->lent.identity_required = r->o->identity_required;
	r->lent.report_activity = r->o->log_level >= LOG_LEVEL_INFO || r->o->log_file;
	if ((code = make_events(r, e)) < 0 ||
		(code = geteuid() == 0 ? orch_env_invoker(get_env, &invoker, e) : 0) < 0 ||
		(code = find_leaves(r, e)) < 0 || (code = make_tag(r, e)) < 0 ||
		(code = start_janitor(r, e)) < 0 || (code = choose_workdir(r, e)) < 0 ||
		(code = load_policy(r, &invoker, e)) < 0 ||
		(code = orch_run_read_names(r, e)) < 0 ||
		(code = orch_run_credentials(r, &invoker, e)) < 0 ||
		(code = orch_run_plan(r, &invoker, e)) < 0 || (code = orch_run_signals(r, e)) < 0 ||
		(code = orch_run_start_process(r, e)) < 0 || (code = orch_run_make_tls(r, e)) < 0 ||
		(code = orch_run_streams(r, e)) < 0 || (code = orch_run_doors(r, e)) < 0 ||
		(code = orch_run_watch(r, e)) < 0)
		return code;
	return orch_run_start_network(r, e);
}
