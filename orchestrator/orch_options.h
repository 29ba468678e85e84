/* orch_options.h - the command line and the environment that stands for parts of it.
 *
 * One table describes every flag (spec/orchestrator 1.2).  A flag of the
 * reference program that is not built yet is in the table too, so that it is
 * refused by its name instead of being mistaken for the command.  The command
 * line wins over the environment.  Strings are borrowed from argv and the
 * environment, which live as long as the process.
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "core_cleanup.h"
#include "core_err.h"
#include "core_log.h"
#include "orch_limits.h"

enum orch_link { ORCH_LINK_SEALED, ORCH_LINK_VETH };

struct orch_options {
	const char *credentials; /* NULL: none */
	const char *policy;	 /* NULL: the installed or the embedded one */
	const char *workdir;	 /* NULL: the current directory */
	const char *sandbox_id;	 /* NULL: none */
	const char *leaf_dir;
	const char *log_file;
	const char *upstream_ca; /* NULL: the system's trusted certificates alone */
	uint64_t timeout_s;	 /* 0: none */
	bool skill;		 /* write the agent's page about the sandbox */
	uint32_t delegated;	 /* mask of enum failure_kind (core_failure.h) */
	const char *name;	 /* NULL: a random one */
	const char *ctl_socket;	 /* NULL: by name; "none" */
	const char *ssh_socket;	 /* NULL: none of its own */
	enum orch_link link;
	enum log_level log_level;
	uint32_t proxy_uid, proxy_gid;
	bool interactive;
	bool attachable;
	bool loopback_deny;
	bool identity_required;
	bool require_pid_limit;
	bool tty;				   /* the command runs on a terminal */
	const char *env[ORCH_ENV_OPTIONS_MAX + 1]; /* NAME or NAME=VALUE, NULL-terminated */
	size_t n_env;
	char **command; /* NULL-terminated; borrowed from argv, or owned through spec */
	char **owned_command;
};

enum orch_action { ORCH_RUN, ORCH_HELP, ORCH_VERSION };

/* getenv(3) in the program, a table in tests. */
typedef const char *(*orch_getenv_fn)(const char *name);

/* argv[0] is skipped.  *o must be zero.  -EINVAL: wrong command line (exit status 2); -ENOTSUP: a
 * thing that is not built yet, and any other negative value: the start fails (exit status 1). */
int orch_options_parse(struct orch_options *o, int argc, char **argv, orch_getenv_fn env,
	enum orch_action *ret, struct err *e);
void orch_options_done(struct orch_options *o);
/* The usage text, made from the table. */
void orch_options_help(int fd);
