/* orch_run_plan.c - what the process leaf is asked to do, as the messages that ask for it; and the
 * certificates that its workload is to trust.
 *
 * Runs in the orchestrator (openshell-supervisor).  The messages borrow: from the options, from the
 * environment, and from the storage beside them in struct orch_run, all of which live until the run
 * ends.  What is known only later, the proxy's address for one, is put in when it is.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "orch_run_state.h"
#include "orch_terminal.h"

#define PROXY_PORT 3128
#define CONTRACT_VERSION 1

static const char *get_env(const char *name)
{
	return getenv(name);
}

static size_t fill_vars(
	const struct orch_vars *v, Openshell__Ipc__EnvVar *storage, Openshell__Ipc__EnvVar **list)
{
	for (size_t i = 0; i < v->n; i++) {
		openshell__ipc__env_var__init(&storage[i]);
		storage[i].name = v->at[i].name;
		storage[i].value = v->at[i].value;
		list[i] = &storage[i];
	}
	return v->n;
}

static int plan_environment(struct orch_run *r, struct err *e)
{
	size_t n;

	if (orch_env_driver(get_env, &r->driver_env, e) < 0 ||
		orch_env_base(environ, r->o->env, &r->base_env, e) < 0)
		return -e->code;
	if (r->credentials && orch_credentials_env(r->credentials, &r->placeholder_env, e) < 0)
		return -e->code;
	n = r->driver_env.n + r->base_env.n + r->placeholder_env.n + 1;
	r->env_storage = calloc(n, sizeof *r->env_storage);
	r->env_list = calloc(n, sizeof *r->env_list);
	r->driver_list = calloc(n, sizeof *r->driver_list);
	r->placeholder_list = calloc(n, sizeof *r->placeholder_list);
	if (!r->env_storage || !r->env_list || !r->driver_list || !r->placeholder_list)
		return err_set(e, ENOMEM, "environment");
	r->bind.base_env = r->env_list;
	r->bind.n_base_env = fill_vars(&r->base_env, r->env_storage, r->env_list);
	r->claim.driver_env = r->driver_list;
	r->claim.n_driver_env =
		fill_vars(&r->driver_env, r->env_storage + r->base_env.n, r->driver_list);
	r->bind.provider_env = r->placeholder_list;
	r->bind.n_provider_env = fill_vars(&r->placeholder_env,
		r->env_storage + r->base_env.n + r->driver_env.n, r->placeholder_list);
	return 0;
}

static size_t count_words(char **words)
{
	size_t n = 0;

	while (words[n])
		n++;
	return n;
}

static void plan_attach(struct orch_run *r)
{
	openshell__ipc__proc_attach__init(&r->attach);
	r->attach.link = r->o->link == ORCH_LINK_VETH ? OPENSHELL__IPC__NETWORK_LINK__VETH
						      : OPENSHELL__IPC__NETWORK_LINK__SEALED;
	r->attach.tag = r->tag;
	r->attach.proxy_port = PROXY_PORT;
	r->attach.backend = (char *) "process";
	r->attach.contract = CONTRACT_VERSION;
	r->attach.loopback_deny = r->o->loopback_deny;
	r->attach.delegated = r->o->delegated;
}

static void plan_claim(struct orch_run *r, const struct orch_invoker *invoker)
{
	openshell__ipc__proc_claim__init(&r->claim);
	if (r->o->sandbox_id)
		r->claim.sandbox_id = (char *) (uintptr_t) r->o->sandbox_id;
	r->claim.workdir = r->workdir;
	r->claim.command = r->o->command;
	r->claim.n_command = count_words(r->o->command);
	r->claim.tty = r->o->tty;
	r->claim.has_invoker = invoker->known;
	r->claim.invoker_uid = invoker->uid;
	r->claim.invoker_gid = invoker->gid;
	r->claim.require_pid_limit = r->o->require_pid_limit;
	r->claim.skill = r->o->skill;
}

static void plan_start(struct orch_run *r)
{
	struct orch_terminal_size size = orch_terminal_size(STDIN_FILENO);

	openshell__ipc__proc_start__init(&r->start);
	r->start.rows = size.rows;
	r->start.columns = size.columns;
	r->start.modes = r->modes;
	r->start.n_modes = r->o->tty ? orch_terminal_modes(STDIN_FILENO, r->modes) : 0;
}

int orch_run_plan(struct orch_run *r, const struct orch_invoker *invoker, struct err *e)
{
	plan_attach(r);
	plan_claim(r, invoker);
	openshell__ipc__proc_bind__init(&r->bind);
	if (r->o->tty && getenv("TERM"))
		r->bind.term = getenv("TERM");
	plan_start(r);
	if (plan_environment(r, e) < 0)
		return -e->code;
	r->plan = (struct orch_process_plan){ .attach = &r->attach,
		.claim = &r->claim,
		.bind = &r->bind,
		.policy_fd = &r->policy_fd,
		.identity_fd = &r->identity_fd,
		.streams = r->o->tty ? NULL : r->streams,
		.start = &r->start };
	return 0;
}

int orch_run_make_tls(struct orch_run *r, struct err *e)
{
	struct orch_tls_config c = { getenv("OPENSHELL_PROXY_TLS_DIR"), r->tag, r->o->upstream_ca };
	char text[ERR_TEXT_MAX + 128];
	struct err why = { 0 };

	if (orch_tls_new(&c, &r->tls, &why) == 0) {
		r->lent.tls = r->tls;
		r->claim.tls_dir = (char *) (uintptr_t) orch_tls_directory(r->tls);
		return 0;
	}
	if (why.code == EINVAL)
		return err_set(e, EINVAL, "%s", why.text);
	(void) snprintf(text, sizeof text,
		"no certificate authority for this sandbox, so TLS can't be inspected: %s",
		why.text);
	orch_events_notice(r->events, OPENSHELL__EVENT__SEVERITY__HIGH, "tls", text);
	return 0;
}

static const char *find_variable(const struct orch_vars *v, const char *name)
{
	for (size_t i = 0; i < v->n; i++)
		if (strcmp(v->at[i].name, name) == 0)
			return v->at[i].value;
	return NULL;
}

int orch_run_plan_tls(struct orch_run *r, struct err *e)
{
	const struct orch_tls_given given = {
		.proxy_address = r->proxy_address,
		.proxy_port = r->lent.proxy_port,
		.java_options = find_variable(&r->base_env, "JAVA_TOOL_OPTIONS"),
		.php_scan = find_variable(&r->base_env, "PHP_INI_SCAN_DIR"),
	};
	const struct orch_tls_variable *v;
	size_t n;

	if (!r->tls)
		return 0;
	if (orch_tls_variables(r->tls, &given, &v, &n, e) < 0)
		return -e->code;
	for (size_t i = 0; i < n; i++) {
		openshell__ipc__env_var__init(&r->tls_storage[i]);
		r->tls_storage[i].name = (char *) (uintptr_t) v[i].name;
		r->tls_storage[i].value = v[i].value;
		r->tls_list[i] = &r->tls_storage[i];
	}
	r->bind.tls_env = r->tls_list;
	r->bind.n_tls_env = n;
	r->bind.ca_file = (char *) (uintptr_t) orch_tls_ca_file(r->tls);
	r->bind.ca_bundle = (char *) (uintptr_t) orch_tls_bundle_file(r->tls);
	return 0;
}
