/* orch_run_start.c - what is prepared before any leaf runs, and the steps of the boundary. */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>
#include "core_channel.h"
#include "core_failure.h"
#include "core_peer.h"
#include "orch_run_state.h"
#include "orch_terminal.h"

#define PROXY_PORT 3128
#define CONTRACT_VERSION 1

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

/* Without it, endpoints that need inspection are refused; the rest works. */
static int make_tls(struct orch_run *r, struct err *e)
{
	struct orch_tls_config c = { get_env("OPENSHELL_PROXY_TLS_DIR"), r->tag,
		r->o->upstream_ca };
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

/* Where the workload finds the certificates; the proxy's address is known by now. */
static int plan_tls(struct orch_run *r, struct err *e)
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

static size_t count_words(char **words)
{
	size_t n = 0;

	while (words[n])
		n++;
	return n;
}

static int plan(struct orch_run *r, const struct orch_invoker *invoker, struct err *e)
{
	struct orch_terminal_size size = orch_terminal_size(STDIN_FILENO);

	openshell__ipc__proc_attach__init(&r->attach);
	openshell__ipc__proc_claim__init(&r->claim);
	openshell__ipc__proc_bind__init(&r->bind);
	openshell__ipc__proc_start__init(&r->start);
	r->attach.link = r->o->link == ORCH_LINK_VETH ? OPENSHELL__IPC__NETWORK_LINK__VETH
						      : OPENSHELL__IPC__NETWORK_LINK__SEALED;
	r->attach.tag = r->tag;
	r->attach.proxy_port = PROXY_PORT;
	r->attach.backend = (char *) "process";
	r->attach.contract = CONTRACT_VERSION;
	r->attach.loopback_deny = r->o->loopback_deny;
	r->attach.delegated = r->o->delegated;
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
	if (r->o->tty && getenv("TERM"))
		r->bind.term = getenv("TERM");
	r->start.rows = size.rows;
	r->start.columns = size.columns;
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
	if (plan_tls(r, &e) < 0) {
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
	if (r->session)
		orch_session_give(r->session, c->uid, c->gid);
	else
		orch_stdio_give(r->stdio, c->uid, c->gid);
	r->enforced.landlock_abi = c->landlock_abi;
	r->enforced.n_paths = c->n_paths;
	const struct orch_process_id id = { c->uid, c->gid, r->workdir };

	orch_run_check_credentials(r, c->uid, c->gid);
	if (orch_policy_has_file(r->policy) && orch_policy_is_exposed(r->policy, &id)) {
		r->reload_off = true;
		orch_events_notice(r->events, OPENSHELL__EVENT__SEVERITY__HIGH, "policy",
			"the workload could write the policy file, so it is not read again; keep "
			"it outside the writable paths");
	}
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

/* ---- the start ---- */

/* It builds the namespace while we make the authority; before orch_process_go(), no more. */
static int start_process(struct orch_run *r, struct err *e)
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

static int start_network(struct orch_run *r, struct err *e)
{
	if (orch_network_new(r->loop, &r->lent, &network_calls, r, &r->network, e) < 0)
		return -e->code;
	return orch_process_go(r->process, e);
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
		(code = plan(r, &invoker, e)) < 0 || (code = orch_run_signals(r, e)) < 0 ||
		(code = start_process(r, e)) < 0 || (code = make_tls(r, e)) < 0 ||
		(code = orch_run_streams(r, e)) < 0 || (code = orch_run_doors(r, e)) < 0 ||
		(code = orch_run_watch(r, e)) < 0)
		return code;
	return start_network(r, e);
}
