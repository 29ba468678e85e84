/* orch_ctl.h - "openshell-supervisor ctl": a local user's door to a running sandbox.
 *
 * A short-lived process of its own: it asks the orchestrator of the sandbox for
 * a channel (ipc_ctl.h) and does the rest itself.
 */
#pragma once
#include <stdbool.h>
#include <stdint.h>
#include "core_err.h"
#include "core_loop.h"

struct orch_ctl {
	const char *name;   /* NULL: the only one */
	const char *socket; /* NULL: by name */
	const char *host;   /* of ssh-config */
	bool tty, read_only;
	char **command;
	char path[108]; /* of the socket that was found */
};

/* The words after "ctl".  Returns the exit status; what went wrong was said. */
int orch_ctl_command(int argc, char **argv);

/* orch_ctl_ask.c: one request (CTL_SHELL ...), whose descriptor becomes the caller's. */
int orch_ctl_ask(struct loop *l, const char *path, uint16_t request, int *ret_fd, struct err *e);

/* Each runs to its end and returns the exit status, or a negative errno. */
int orch_ctl_exec(struct loop *l, const struct orch_ctl *c, struct err *e);
int orch_ctl_attach(struct loop *l, const struct orch_ctl *c, struct err *e);
int orch_ctl_ssh_proxy(struct loop *l, const struct orch_ctl *c, struct err *e);
int orch_ctl_ssh_config(const struct orch_ctl *c, struct err *e);
