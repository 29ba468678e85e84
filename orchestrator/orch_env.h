/* orch_env.h - what of the operator's environment goes further, and to whom.
 *
 * The workload's environment is built, not inherited: a short list of harmless
 * names (language, time zone, PATH, colours) and what --env names.  Variables
 * of the supervisor (OPENSHELL_*) and of the dynamic loader (LD_*) never go
 * through.  Pure but for the environment that it is given.
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "core_err.h"
#include "orch_options.h"

struct orch_var {
	char *name, *value; /* malloc'd */
};

struct orch_vars {
	struct orch_var *at;
	size_t n, bytes;
};

struct orch_invoker { /* who ran sudo(8) */
	bool known;
	uint32_t uid, gid;
};

/* What the process leaf must know of the driver: identity (spec/orchestrator 2.2), and the socket
 * that must be hidden from the workload (spec/process 7.8). */
int orch_env_driver(orch_getenv_fn env, struct orch_vars *ret, struct err *e);
/* environ is NAME=VALUE words, NULL-terminated; asked is --env. */
int orch_env_base(
	char *const *environ_words, const char *const *asked, struct orch_vars *ret, struct err *e);
/* SUDO_UID and SUDO_GID; only meaningful when we are root.  Broken numbers are an error. */
int orch_env_invoker(orch_getenv_fn env, struct orch_invoker *ret, struct err *e);
void orch_vars_done(struct orch_vars *v);
