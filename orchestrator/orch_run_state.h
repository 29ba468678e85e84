/* orch_run_state.h - what the files of orch_run share; nobody else includes it. */
#pragma once
#include "core_loop.h"
#include "core_modes.h"
#include "orch_console.h"
#include "orch_credentials.h"
#include "orch_ctl_server.h"
#include "orch_env.h"
#include "orch_events.h"
#include "orch_evidence.h"
#include "orch_janitor.h"
#include "orch_network.h"
#include "orch_options.h"
#include "orch_policy.h"
#include "orch_process.h"
#include "orch_session.h"
#include "orch_spawn.h"
#include "orch_stdio.h"
#include "orch_tls.h"
#include "orch_watch.h"

#define ORCH_SIGNALS_MAX 12

enum orch_phase {
	ORCH_STARTING, /* nothing of the workload has executed */
	ORCH_RUNNING,
	ORCH_ENDING, /* stop has been asked for */
};

struct orch_run {
	const struct orch_options *o;
	struct loop *loop;
	struct loop_signal *signals[ORCH_SIGNALS_MAX];
	struct loop_timer *timeout;	/* --timeout */
	struct loop_timer *kill;	/* escalation */
	struct loop_timer *stop;	/* leaves that don't end, streams that don't drain */
	struct loop_timer *watch_timer; /* files are watched from then on */
	struct orch_console console;
	struct orch_events *events;
	struct orch_policy *policy;
	struct orch_watch *watch;
	struct orch_tls *tls;		      /* NULL: no TLS termination */
	struct orch_credentials *credentials; /* NULL: none */
	struct orch_stdio *stdio;     /* the command has our streams, or pipes of its own; or */
	struct orch_session *session; /* they are shared with whoever attaches */
	struct orch_ctl_socket ctl_socket, ssh_socket;
	struct orch_ctl_server *ctl;
	struct orch_janitor janitor; /* until the end */
	bool ssh_program_sent;

	struct orch_process *process;
	int process_fd; /* pidfd of the process leaf; -1: not running */
	struct loop_io *process_end;
	struct orch_network *network;
	struct orch_network_lent lent;
	char *process_path, *network_path;
	struct orch_expected proxy; /* what the network leaf runs as */
	char proxy_uid[16], proxy_gid[16];

	/* the plan, and the storage behind it */
	struct orch_process_plan plan;
	Openshell__Ipc__ProcAttach attach;
	Openshell__Ipc__ProcClaim claim;
	Openshell__Ipc__ProcBind bind;
	Openshell__Ipc__ProcStart start;
	uint32_t modes[MODES_LEN]; /* start's */
	Openshell__Ipc__EnvVar *env_storage;
	Openshell__Ipc__EnvVar **env_list, **driver_list, **placeholder_list;
	Openshell__Ipc__EnvVar tls_storage[ORCH_TLS_VARIABLES_MAX];
	Openshell__Ipc__EnvVar *tls_list[ORCH_TLS_VARIABLES_MAX];
	struct orch_vars base_env, driver_env, placeholder_env;
	char tag[9];
	char *workdir;
	int policy_fd;	   /* borrowed from policy */
	int identity_fd;   /* the worker's end until it is sent */
	int identity_kept; /* the network leaf's end until it is lent */
	int streams[3];
	int netns; /* kept until the end: it must outlive both leaves */

	struct orch_enforced enforced; /* strings below */
	char user[256], proxy_address[64], workload_address[64];

	enum orch_phase phase;
	int status;	   /* exit status; -1: not decided */
	int ending_signal; /* the first one that asked for the end */
	bool released, network_ready, timed_out, killed;
	bool reload_wanted; /* while a candidate is in flight */
	bool reload_off;    /* the workload could write the file */
	bool process_gone, network_gone;
};

/* orch_run_start.c */

/* Everything up to the first step of the boundary; both leaves run then, and their answers go on.  What
 * was made before a failure is in r, for orch_run.c to release. */
int orch_run_prepare(struct orch_run *r, struct err *e);
/* The program of this name, beside us or installed; malloc'd. */
int orch_run_find(struct orch_run *r, const char *name, char **ret, struct err *e);

/* orch_run_plan.c */

/* r->plan and the messages that it points to, from the options and the environment. */
int orch_run_plan(struct orch_run *r, const struct orch_invoker *invoker, struct err *e);
/* The authority of this sandbox.  Without it, endpoints that need inspection are refused; the rest
 * works, so that only a bad option is an error. */
int orch_run_make_tls(struct orch_run *r, struct err *e);
/* Where the workload finds the certificates; once the proxy's address is known. */
int orch_run_plan_tls(struct orch_run *r, struct err *e);

/* orch_run_leaves.c */

/* It builds the namespace while we make the authority; before orch_process_go(), no more. */
int orch_run_start_process(struct orch_run *r, struct err *e);
/* It waits for what it is lent; the process leaf is told to go on. */
int orch_run_start_network(struct orch_run *r, struct err *e);

/* orch_run_credentials.c */
int orch_run_credentials(struct orch_run *r, const struct orch_invoker *invoker, struct err *e);
int orch_run_lend_credentials(void *owner, int *ret_fd, struct err *e);
/* Ends the run when the workload could read a file with credentials. */
void orch_run_check_credentials(struct orch_run *r, uint32_t uid, uint32_t gid);
void orch_run_watch_credentials(struct orch_run *r);

/* orch_run_session.c */
int orch_run_streams(struct orch_run *r, struct err *e);
int orch_run_started(struct orch_run *r, int *master, struct err *e);
int orch_run_doors(struct orch_run *r, struct err *e);
int orch_run_lend_ssh(struct orch_run *r, struct err *e);
void orch_run_attach_main(struct orch_run *r, int *fd);
void orch_run_suspend(struct orch_run *r);

/* orch_run_end.c */
void orch_run_forward(struct orch_run *r, int signo);
void orch_run_leave_if_done(struct orch_run *r);
int orch_run_signals(struct orch_run *r, struct err *e);
/* Watches process_fd. */
int orch_run_watch_process(struct orch_run *r, struct err *e);
/* The run ends with this status; the first call decides. */
void orch_run_finish(struct orch_run *r, int status);
/* Say why, and end with status 1. */
void orch_run_fail(struct orch_run *r, const struct err *why);
void orch_run_stopped(struct orch_run *r);
void orch_run_exited(struct orch_run *r, bool signalled, uint32_t code);
void orch_run_hung_up(void *owner);
void orch_run_on_timeout(void *owner);
void orch_run_on_kill(void *owner);
void orch_run_on_stop(void *owner);

/* orch_run_reload.c */
void orch_run_reload(struct orch_run *r);
void orch_run_policy_result(struct orch_run *r, uint64_t generation, bool loaded, const char *text);
int orch_run_watch(struct orch_run *r, struct err *e);
int orch_run_read_names(struct orch_run *r, struct err *e);
