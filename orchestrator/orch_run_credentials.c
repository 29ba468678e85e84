/* orch_run_credentials.c - --credentials in a run: before the start, and while the workload lives. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>
#include "orch_run_state.h"

static void say(void *owner, bool serious, const char *text)
{
	struct orch_run *r = owner;

	if (r->network)
		orch_events_notice(r->events,
			serious ? OPENSHELL__EVENT__SEVERITY__HIGH
				: OPENSHELL__EVENT__SEVERITY__MEDIUM,
			"credentials", text);
	else
		orch_console_say(&r->console, text);
}

static void on_changed(void *owner)
{
	struct orch_run *r = owner;

	if (r->phase == ORCH_ENDING || !r->network)
		return;
	orch_network_credentials_changed(r->network);
	if (r->watch)
		orch_credentials_watch(r->credentials, r->watch);
}

static const struct orch_credentials_calls calls = { say, on_changed };

/* --env NAME would hand the workload what from_env: NAME is to keep from it. */
static int check_asked(const struct orch_run *r, struct err *e)
{
	for (size_t i = 0; i < r->o->n_env; i++) {
		const char *asked = r->o->env[i];

		if (!strchr(asked, '=') &&
			orch_credentials_took(r->credentials, asked, strlen(asked)))
			return err_set(e, EINVAL,
				"--env %s: a credential is taken from that variable, and the "
				"command gets a placeholder instead; leave --env %s out",
				asked, asked);
	}
	return 0;
}

int orch_run_credentials(struct orch_run *r, const struct orch_invoker *invoker, struct err *e)
{
	struct orch_credential_source s = { .file = r->o->credentials };

	if (!s.file)
		return 0;
	s.owners[s.n_owners++] = getuid();
	if (invoker->known)
		s.owners[s.n_owners++] = invoker->uid;
	if (orch_credentials_new(r->loop, &s, &calls, r, &r->credentials, e) < 0)
		return err_wrap(e, "--credentials");
	return check_asked(r, e);
}

int orch_run_lend_credentials(void *owner, int *ret_fd, struct err *e)
{
	struct orch_run *r = owner;

	return r->credentials ? orch_credentials_fd(r->credentials, ret_fd, e) : -ENOENT;
}

static void add_dirs(struct orch_credentials_reach *to, char *const *dirs, size_t n)
{
	for (size_t i = 0; i < n && to->n_dirs < ORCH_REACH_MAX; i++)
		to->dirs[to->n_dirs++] = dirs[i];
}

/* What every workload may read, beside its policy (supervisor-process/proc_paths.c). */
static const char *const baseline[] = { "/usr", "/lib", "/etc", "/app", "/var/log", "/tmp" };

void orch_run_check_credentials(struct orch_run *r, uint32_t uid, uint32_t gid)
{
	const Openshell__Sandbox__V1__FilesystemPolicy *f =
		policy_message(orch_policy_doc(r->policy))->filesystem;
	struct orch_credentials_reach reach = { .uid = uid, .gid = gid };
	struct err e = { 0 };
	const char *file;

	if (!r->credentials)
		return;
	add_dirs(&reach, (char *const *) (uintptr_t) baseline, sizeof baseline / sizeof *baseline);
	if (f) {
		add_dirs(&reach, f->read_only, f->n_read_only);
		add_dirs(&reach, f->read_write, f->n_read_write);
	}
	if (f && f->include_workdir)
		add_dirs(&reach, &r->workdir, 1);
	if (!f)
		reach.dirs[reach.n_dirs++] = "/";
	file = orch_credentials_exposed(r->credentials, &reach);
	if (!file)
		return;
	(void) err_set(&e, EPERM,
		"--credentials: the command could read %s itself, as uid %u; let another user own "
		"it, or move it out of the policy's folders",
		file, uid);
	orch_run_fail(r, &e);
}

void orch_run_watch_credentials(struct orch_run *r)
{
	if (!r->credentials)
		return;
	orch_credentials_watch(r->credentials, r->watch);
	/* What has changed before the watch existed is taken up now. */
	if (orch_credentials_is_stale(r->credentials))
		orch_credentials_reload(r->credentials);
}
