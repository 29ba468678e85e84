/* proc_env.h - the workload's environment, from empty, in one order (spec/process 8, GAP-24).
 *
 * Later wins: who the workload is (HOME, USER, LOGNAME, SHELL, TERM, PATH); what
 * the operator lets through (a few harmless names, and --env); provider values;
 * OPENSHELL_SANDBOX; proxy; certificates.  So nothing that a provider or an
 * image says can point a program past the proxy.  Other names that begin with
 * OPENSHELL_ or LD_ never get in.  At most PROC_ENV_MAX variables and
 * PROC_ENV_BYTES_MAX bytes.
 */
#pragma once
#include <stddef.h>
#include "core_err.h"
#include "ipc_process.pb-c.h"
#include "proc_user.h"

struct proc_env {
	char **at; /* NULL-terminated NAME=VALUE, for execve(2) */
	size_t n, bytes;
};

struct proc_env_input {
	const Openshell__Ipc__ProcBind *bind;
	const struct proc_user *user;
	const char *workdir;   /* HOME of an identity that comes from the image; "" = none */
	const char *proxy_url; /* "" = none */
	const char *term;
};

int proc_env_build(const struct proc_env_input *in, struct proc_env *ret, struct err *e);
/* A copy that can be changed, and a change: at the limits, -E2BIG. */
int proc_env_copy(const struct proc_env *v, struct proc_env *ret, struct err *e);
int proc_env_set(struct proc_env *v, const char *name, const char *value, struct err *e);
void proc_env_done(struct proc_env *v);
const char *proc_env_get(const struct proc_env *v, const char *name); /* NULL = not set */
