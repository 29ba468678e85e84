/* orch_janitor.h - takes our files away when we are killed (SIGKILL), and can't do it ourselves.
 *
 * A small process of its own, forked before there is any file or secret.  It
 * waits until we have ended, however that was, and then removes what sandboxes
 * left that are gone: control sockets that nobody listens on, folders of the
 * authority that nobody has locked.  Both are done under locks, so that a
 * sandbox that starts meanwhile loses nothing.  An ordinary end kills it with
 * the other descendants (orch_sweep_kill()).
 */
#pragma once
#include "core_err.h"

/* Sockets at paths that the operator chose are removed too; NULL: none. */
struct orch_janitor_paths {
	const char *ctl_socket, *ssh_socket;
};

/* *ret_fd must stay open until the end, and nobody else may hold it. */
int orch_janitor_start(const struct orch_janitor_paths *paths, int *ret_fd, struct err *e);
