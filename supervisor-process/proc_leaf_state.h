/* proc_leaf_state.h - what the files of the leaf share: proc_leaf*.c only. */
#pragma once
#include <stdbool.h>
#include "core_channel.h"
#include "core_confine.h"
#include "core_event.h"
#include "core_failure.h"
#include "core_loop.h"
#include "core_policy.h"
#include "ipc_process.h"
#include "ipc_process.pb-c.h"
#include "proc_env.h"
#include "proc_identity_worker.h"
#include "proc_kill.h"
#include "proc_leaf.h"
#include "proc_monitor.h"
#include "proc_netns.h"
#include "proc_paths.h"
#include "proc_probe.h"
#include "proc_shell.h"
#include "proc_spawn.h"
#include "proc_ssh.h"
#include "proc_user.h"
#include "proc_warnings.h"

struct proc_leaf {
	struct loop *loop;
	struct channel *up;
	uint32_t state;
	struct loop_signal *sigchld;

	/* attach */
	struct proc_netns netns;
	struct proc_fence_host *host_fence; /* veth only */
	int host_sockets;		    /* /proc/net/unix, opened while it was the host's */
	char tag[16];
	uint16_t proxy_port;
	bool loopback_deny, fence_watched, rootless;
	uint32_t delegated, tolerated; /* masks of enum failure_kind */

	/* claim */
	Openshell__Ipc__ProcClaim *claim;
	struct policy_doc *policy;
	struct proc_user user;
	struct proc_paths paths;
	struct confine_filter *prelude, *filter;
	struct proc_warnings warnings;
	struct proc_restrictions restrictions;
	bool terminals_shared; /* /dev/pts is the host's */

	/* bind */
	struct proc_env env;
	struct proc_worker *worker;
	struct proc_monitor *monitor; /* NULL: refused packets are not reported */

	/* confirm */
	pid_t probe;
	int probe_fd;
	struct loop_io *probe_io;
	struct loop_timer *probe_timer;
	struct proc_evidence evidence[PROC_CHECK_MAX];
	unsigned n_evidence;

	/* start */
	struct proc_child main;
	struct proc_shells *shells;
	struct proc_ssh *ssh;
	struct loop_timer *ssh_end; /* PROC_STOP waits for SSH sessions */
	struct loop_io *failure_io;
	struct loop_timer *grace;
	struct loop_timer *flush; /* the last reports of the monitor are awaited */
	bool released;
	bool exit_waits; /* PROC_EXITED is to be sent, when they are here */
	int exit_status; /* waitpid(2)'s */
};

/* Report a failed request; the orchestrator ends the start. */
void proc_leaf_fail(struct proc_leaf *p, const char *stage, const struct err *e);
int proc_leaf_answer(struct proc_leaf *p, const struct channel_msg *m, uint16_t number,
	const ProtobufCMessage *answer, struct err *e);
/* The host refused this step, and it is tolerated: say so, with its errno. */
void proc_leaf_tolerate(struct proc_leaf *p, enum failure_kind kind, int code);
void proc_leaf_notice(struct proc_leaf *p, const char *stage, const char *text,
	Openshell__Event__Severity severity);

/* proc_leaf_prepare.c: attach, claim, bind */
int proc_leaf_attach(
	struct proc_leaf *p, const Openshell__Ipc__ProcAttach *a, int *ret_listener, struct err *e);
int proc_leaf_claim(
	struct proc_leaf *p, Openshell__Ipc__ProcClaim *take, int policy_fd, struct err *e);
int proc_leaf_bind(
	struct proc_leaf *p, const Openshell__Ipc__ProcBind *b, int identity_fd, struct err *e);

/* proc_leaf_monitor.c: reports of refused packets */
int proc_leaf_monitor_start(struct proc_leaf *p, struct err *e);
void proc_leaf_monitor_died(struct proc_leaf *p);
void proc_leaf_worker_died(struct proc_leaf *p);
/* Tell the orchestrator that the workload has ended, after the last reports. */
void proc_leaf_tell_exit(struct proc_leaf *p, int status);
struct proc_killer proc_leaf_killer(const struct proc_leaf *p);

/* proc_leaf_shell.c: shells and SSH beside the main process */
int proc_leaf_open_shells(struct proc_leaf *p, struct err *e);
int proc_leaf_ssh(struct proc_leaf *p, const struct channel_msg *m, int *fd, struct err *e);
/* Kills the workload, and neither the worker nor SSH sessions, which have a last word to say. */
int proc_leaf_kill_workload(struct proc_leaf *p, struct err *e);
/* Answers PROC_STOP, once SSH sessions have ended or had their time. */
int proc_leaf_stop(struct proc_leaf *p, struct err *e);
bool proc_leaf_reap_shells(struct proc_leaf *p, pid_t pid, int status);
void proc_leaf_shells_done(struct proc_leaf *p);

/* proc_leaf_run.c: confirm, start, signals, children */
int proc_leaf_confirm(struct proc_leaf *p, struct err *e);
int proc_leaf_start(struct proc_leaf *p, const int fds[3], bool terminal, struct err *e);
int proc_leaf_start_tty(
	struct proc_leaf *p, const Openshell__Ipc__ProcStart *s, int *ret_master, struct err *e);
int proc_leaf_release(struct proc_leaf *p, struct err *e);
void proc_leaf_signal(struct proc_leaf *p, int signo);
void proc_leaf_reap(struct proc_leaf *p);
