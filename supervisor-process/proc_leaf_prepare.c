/* proc_leaf_prepare.c - attach, claim and bind: everything before an untrusted process can exist. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <fcntl.h>
#include <sys/stat.h>
#include "core_fd.h"
#include "core_text.h"
#include "proc_fence.h"
#include "proc_files.h"
#include "proc_leaf_state.h"
#include "proc_mounts.h"

#define PASSWD "/etc/passwd"
#define GROUP "/etc/group"
#define CONTRACT_VERSION 1u
#define PIDS_MAX_FILE "/sys/fs/cgroup/pids.max"

int proc_leaf_attach(
	struct proc_leaf *p, const Openshell__Ipc__ProcAttach *a, int *ret_listener, struct err *e)
{
	if (a->contract != CONTRACT_VERSION)
		return err_set(e, EPROTO, "isolation contract %u is not known; this leaf has %u",
			a->contract, CONTRACT_VERSION);
	if (a->proxy_port == 0 || a->proxy_port > UINT16_MAX || strlen(a->tag) != 8)
		return err_set(e, EINVAL, "attach with port %u and tag of %zu bytes", a->proxy_port,
			strlen(a->tag));
	(void) snprintf(p->tag, sizeof p->tag, "%.8s", a->tag);
	p->proxy_port = (uint16_t) a->proxy_port;
	p->loopback_deny = a->loopback_deny;
	if (proc_netns_new(a->link == OPENSHELL__IPC__NETWORK_LINK__VETH, p->tag, &p->netns, e) <
			0 ||
		proc_fence_install(&p->netns, p->tag, e) < 0)
		return -e->code;
	return proc_netns_listen(&p->netns, p->proxy_port, ret_listener, e);
}

static int load_policy(struct proc_leaf *p, int fd, struct err *e)
{
	struct policy_report report = { 0 };
	const void *at;
	size_t len;
	int r;

	if (fd_sealed_map(fd, POLICY_WIRE_BYTES_MAX, &at, &len, e) < 0)
		return err_wrap(e, "policy");
	r = policy_load_wire("policy", at, len, POLICY_GATEWAY, &report, &p->policy, e);
	fd_sealed_unmap(at, len);
	policy_report_done(&report);
	return r;
}

static const char *driver_env(const Openshell__Ipc__ProcClaim *c, const char *name)
{
	for (size_t i = 0; i < c->n_driver_env; i++)
		if (strcmp(c->driver_env[i]->name, name) == 0)
			return c->driver_env[i]->value;
	return NULL;
}

static int resolve_user(struct proc_leaf *p, struct err *e)
{
	const Openshell__Sandbox__V1__ProcessPolicy *process = policy_message(p->policy)->process;
	const Openshell__Ipc__ProcClaim *c = p->claim;
	struct proc_user_input in = {
		.policy_user = process ? process->run_as_user : "",
		.policy_group = process ? process->run_as_group : "",
		.sandbox_uid = driver_env(c, "OPENSHELL_SANDBOX_UID"),
		.sandbox_gid = driver_env(c, "OPENSHELL_SANDBOX_GID"),
		.image_user = driver_env(c, "OPENSHELL_OCI_IMAGE_USER"),
		.has_invoker = c->has_invoker,
		.invoker_uid = c->invoker_uid,
		.invoker_gid = c->invoker_gid,
		.passwd_path = PASSWD,
		.group_path = GROUP,
	};

	if (proc_user_resolve(&in, &p->user, e) < 0)
		return -e->code;
	if (!p->user.from_driver)
		return 0;
	return proc_user_rewrite_accounts(
		PASSWD, GROUP, p->user.identity.uid, p->user.identity.gid, e);
}

static struct proc_paths_input paths_input(const struct proc_leaf *p)
{
	return (struct proc_paths_input){
		.policy = policy_message(p->policy),
		.has_filesystem = policy_has_filesystem(p->policy),
		.workdir = p->claim->workdir,
		.loopback_deny = p->loopback_deny,
		.proxy_port = p->proxy_port,
	};
}

static int prepare_files(struct proc_leaf *p, struct err *e)
{
	const char *writable[POLICY_PATHS_MAX + 1];
	struct proc_paths_input in = paths_input(p);
	const struct confine_identity *id = &p->user.identity;
	size_t n = proc_paths_writable(&in, writable, POLICY_PATHS_MAX + 1);

	if (in.workdir[0] &&
		(proc_files_check_workdir(in.workdir, e) < 0 ||
			proc_files_workdir(in.workdir, id, e) < 0))
		return -e->code;
	for (size_t i = 0; i < n; i++)
		if (strcmp(writable[i], in.workdir) != 0 && proc_files_make(writable[i], id, e) < 0)
			return -e->code;
	if (p->user.from_driver)
		return proc_files_give_tree("/sandbox", id, e);
	return 0;
}

static int hide_host(struct proc_leaf *p, struct err *e)
{
	const Openshell__Sandbox__V1__FilesystemPolicy *f = policy_message(p->policy)->filesystem;
	const char *keep[PROC_MOUNTS_KEEP_MAX];
	struct proc_mounts_result hidden;
	size_t n = 0;

	for (size_t i = 0; f && i < f->n_read_only && n < PROC_MOUNTS_KEEP_MAX; i++)
		keep[n++] = f->read_only[i];
	for (size_t i = 0; f && i < f->n_read_write && n < PROC_MOUNTS_KEEP_MAX; i++)
		keep[n++] = f->read_write[i];
	if (proc_mounts_hide(keep, n, &hidden, e) < 0)
		return -e->code;
	if (hidden.refused)
		proc_warn(&p->warnings,
			"the host refuses mounts (%s), so its Unix sockets and terminals are NOT "
			"hidden; run the workload under a uid of its own",
			strerror(hidden.refused));
	return 0;
}

/* Spec/process 7.7: the runtime's limit is the only one on processes. */
static int check_pid_limit(struct proc_leaf *p, struct err *e)
{
	AUTO_CLOSE int fd = open(PIDS_MAX_FILE, O_RDONLY | O_CLOEXEC);
	AUTO_FREE char *text = NULL;
	struct err none = { 0 };
	uint64_t value;
	size_t len = 0;

	if (fd >= 0 && fd_read_all(fd, 64, &text, &len, &none) == 0 && len > 0 &&
		text_to_u64(text, len - 1, 0, UINT64_MAX, &value) == 0)
		return 0;
	if (p->claim->require_pid_limit)
		return err_set(e, EPERM,
			"%s gives no limit, and OPENSHELL_REQUIRE_RUNTIME_PID_LIMIT asks for one; "
			"set a pids limit in the container runtime",
			PIDS_MAX_FILE);
	return 0;
}

static int check_command(const struct proc_leaf *p, struct err *e)
{
	const Openshell__Ipc__ProcClaim *c = p->claim;

	if (c->n_command == 0 || !c->command[0][0])
		return err_set(e, EINVAL, "no command to run");
	if (c->n_command > PROC_COMMAND_WORDS_MAX)
		return err_set(e, E2BIG, "command of more than %d words", PROC_COMMAND_WORDS_MAX);
	return 0;
}

int proc_leaf_claim(
	struct proc_leaf *p, Openshell__Ipc__ProcClaim *take, int policy_fd, struct err *e)
{
	struct proc_paths_input in;

	p->claim = take;
	if (check_command(p, e) < 0 || load_policy(p, policy_fd, e) < 0 || resolve_user(p, e) < 0 ||
		check_pid_limit(p, e) < 0 || prepare_files(p, e) < 0 || hide_host(p, e) < 0)
		return -e->code;
	in = paths_input(p);
	if (proc_paths_open(&in, &p->paths, &p->warnings, e) < 0 ||
		confine_filter_prelude(&p->prelude, e) < 0 ||
		confine_filter_workload(&p->filter, e) < 0)
		return -e->code;
	p->restrictions = (struct proc_restrictions){
		.netns = &p->netns,
		.identity = &p->user.identity,
		.landlock = p->paths.landlock,
		.filter = p->filter,
	};
	return 0;
}

int proc_leaf_bind(
	struct proc_leaf *p, const Openshell__Ipc__ProcBind *b, int identity_fd, struct err *e)
{
	char url[64];
	struct proc_env_input in = {
		.bind = b,
		.user = &p->user,
		.workdir = p->claim->workdir,
		.proxy_url = url,
		.term = b->term[0]	? b->term
			: p->claim->tty ? "xterm-256color"
					: "dumb",
	};

	(void) snprintf(url, sizeof url, "http://%s:%u", PROC_PROXY_ADDRESS, p->proxy_port);
	if (proc_env_build(&in, &p->env, e) < 0 || proc_leaf_open_shells(p, e) < 0 ||
		proc_worker_start(p->netns.fd, &p->worker, e) < 0)
		return -e->code;
	return proc_worker_add(p->worker, identity_fd, e);
}
