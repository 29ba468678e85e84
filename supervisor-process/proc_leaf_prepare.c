/* proc_leaf_prepare.c - attach, claim and bind: everything before an untrusted process can exist. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>
#include "core_fd.h"
#include "core_text.h"
#include "proc_fence.h"
#include "proc_files.h"
#include "proc_leaf_state.h"
#include "proc_mounts.h"
#include "proc_pids.h"
#include "proc_skill.h"
#include "proc_userns.h"

#define PASSWD "/etc/passwd"
#define GROUP "/etc/group"
#define CONTRACT_VERSION 1u
#define ABI_SCOPES 6 /* Landlock: signals and abstract sockets */

static bool is_delegated(void *owner, enum failure_kind kind, int code)
{
	const struct proc_leaf *p = owner;

	(void) code;
	return p->delegated & FAILURE_BIT(kind);
}

static int make_network(struct proc_leaf *p, bool veth, struct err *e)
{
	struct proc_netns_wish wish = { veth, p->rootless, p->tag };

	if (proc_netns_new(&wish, &p->netns, e) < 0)
		return -e->code;
	if (p->netns.refused) {
		proc_leaf_tolerate(p, FAILURE_NETWORK_NAMESPACE, p->netns.refused);
		return 0;
	}
	if (proc_fence_install(&p->netns, p->tag, true, &p->fence_watched, e) < 0)
		return -e->code;
	return veth ? proc_fence_host_new(&p->netns, p->tag, &p->host_fence, e) : 0;
}

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
	p->delegated = a->delegated;
	p->rootless = geteuid() != 0;
	p->host_sockets = open("/proc/net/unix", O_RDONLY | O_CLOEXEC);
	if (p->host_sockets < 0)
		return err_set(e, errno, "open /proc/net/unix");
	if (failure_set_handler(is_delegated, p, e) < 0 ||
		(p->rootless && proc_userns_enter(e) < 0) ||
		make_network(p, a->link == OPENSHELL__IPC__NETWORK_LINK__VETH, e) < 0)
		return -e->code;
	return proc_netns_listen(&p->netns, &p->proxy_port, ret_listener, e);
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

/* Without root there is one identity.  A policy that names another is told so; a driver that does is
 * refused, as it has prepared files for that one. */
static int keep_user(struct proc_leaf *p, const struct proc_user_input *in, struct err *e)
{
	const char *driver =
		in->sandbox_uid && in->sandbox_uid[0] ? in->sandbox_uid : in->image_user;
	char uid[16];

	if (proc_userns_user(PASSWD, GROUP, &p->user, e) < 0)
		return -e->code;
	(void) snprintf(uid, sizeof uid, "%u", p->user.identity.uid);
	if (driver && driver[0] && strcmp(driver, uid) != 0 && strcmp(driver, p->user.name) != 0)
		return err_set(e, EPERM,
			"the driver asks for user %.64s (OPENSHELL_SANDBOX_UID or "
			"OPENSHELL_OCI_IMAGE_USER), and without root the command can only keep uid "
			"%s; start as root, or unset it",
			driver, uid);
	if (in->policy_user[0] && strcmp(in->policy_user, uid) != 0 &&
		strcmp(in->policy_user, p->user.name) != 0)
		proc_warn(&p->warnings,
			"the policy asks for user %.64s, but without root the command keeps uid "
			"%s; start as root to change that",
			in->policy_user, uid);
	return 0;
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

	if (p->rootless)
		return keep_user(p, &in, e);
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
		.tls_dir = p->claim->tls_dir,
		.shared_terminals = p->terminals_shared,
		.loopback_deny = p->loopback_deny,
		.proxy_port = p->proxy_port,
	};
}

/* An operator names a directory that is there; an image's may be made (spec/process 13.4). */
static int use_workdir(struct proc_leaf *p, struct err *e)
{
	const struct confine_identity *id = &p->user.identity;
	const char *path;
	char *copy;

	if (!p->user.from_image)
		return p->claim->workdir[0] &&
				(proc_files_check_workdir(p->claim->workdir, e) < 0 ||
					proc_files_workdir(p->claim->workdir, id, e) < 0)
			? -e->code
			: 0;
	if (proc_files_image_workdir(p->claim->workdir, id, &path, e) < 0)
		return -e->code;
	if (path == p->claim->workdir)
		return 0;
	copy = strdup(path);
	if (!copy)
		return err_set(e, ENOMEM, "workspace");
	/* The unpacker's allocator is malloc(3), but for the empty string. */
	if (p->claim->workdir[0])
		free(p->claim->workdir);
	p->claim->workdir = copy;
	return 0;
}

static int prepare_files(struct proc_leaf *p, struct err *e)
{
	const char *writable[POLICY_PATHS_MAX + 1];
	struct proc_paths_input in;
	const struct confine_identity *id = &p->user.identity;
	size_t n;

	if (use_workdir(p, e) < 0)
		return -e->code;
	in = paths_input(p);
	n = proc_paths_writable(&in, writable, POLICY_PATHS_MAX + 1);
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
	if (proc_mounts_hide(p->host_sockets, keep, n, &hidden, e) < 0)
		return -e->code;
	p->terminals_shared = hidden.refused != 0;
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
	enum proc_pids found = proc_pids_look("/proc/self/cgroup", "/sys/fs/cgroup");

	if (found == PROC_PIDS_LIMITED)
		return 0;
	if (p->claim->require_pid_limit)
		return err_set(e, EPERM,
			"%s, and OPENSHELL_REQUIRE_RUNTIME_PID_LIMIT asks for a limit; set a pids "
			"limit in the container runtime",
			proc_pids_text(found));
	proc_leaf_notice(p, "pids", proc_pids_text(found), OPENSHELL__EVENT__SEVERITY__LOW);
	return 0;
}

static int hide_spiffe(struct proc_leaf *p, struct err *e)
{
	const char *value = driver_env(p->claim, "OPENSHELL_PROVIDER_SPIFFE_WORKLOAD_API_SOCKET");
	char parent[PROC_MOUNTS_PATH_MAX];
	int r = proc_mounts_spiffe_parent(value ? value : "", parent, e);

	if (r <= 0)
		return r;
	if (p->terminals_shared)
		return err_set(e, EPERM,
			"the host refuses mounts, so the SPIFFE socket in %s can't be hidden from "
			"the workload; allow mounts, or unset "
			"OPENSHELL_PROVIDER_SPIFFE_WORKLOAD_API_SOCKET",
			parent);
	return proc_mounts_hide_directory(parent, e);
}

/* A page that can't be written is no reason not to start. */
static void install_skill(struct proc_leaf *p)
{
	struct err e = { 0 };

	if (p->claim->skill && proc_skill_install("/", &e) < 0)
		proc_leaf_notice(p, "skill", e.text, OPENSHELL__EVENT__SEVERITY__MEDIUM);
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
		check_pid_limit(p, e) < 0 || prepare_files(p, e) < 0 || hide_host(p, e) < 0 ||
		hide_spiffe(p, e) < 0)
		return -e->code;
	install_skill(p);
	in = paths_input(p);
	if (proc_paths_open(&in, &p->paths, &p->warnings, e) < 0 ||
		confine_filter_prelude(&p->prelude, e) < 0 ||
		confine_filter_workload(&p->filter, e) < 0)
		return -e->code;
	if (p->rootless && p->paths.abi < ABI_SCOPES)
		proc_warn(&p->warnings,
			"Landlock ABI %d can't keep signals inside (%d can): the workload, which "
			"has "
			"the supervisor's uid, could end it; start as root to separate them",
			p->paths.abi, ABI_SCOPES);
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

	(void) snprintf(url, sizeof url, "http://%s:%u", p->netns.proxy_address, p->proxy_port);
	if (proc_env_build(&in, &p->env, e) < 0 || proc_leaf_open_shells(p, e) < 0 ||
		proc_worker_start(p->netns.fd, &p->worker, e) < 0)
		return -e->code;
	if (proc_worker_add(p->worker, identity_fd, e) < 0)
		return -e->code;
	return proc_leaf_monitor_start(p, e);
}
