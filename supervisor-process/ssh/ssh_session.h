/* ssh_session.h - one SSH connection: libssh on one side, a shell channel on the other.
 *
 * Runs in openshell-supervisor-ssh, confined, with three descriptors.  All that
 * it can do is ask the spawner in the process leaf (ipc_shell.h): start a
 * process, dial the sandbox's loopback, attach to the main session.
 */
#pragma once
#include "core_cleanup.h"
#include "core_err.h"
#include "core_loop.h"

struct ssh_conn;

/* key is a private key in OpenSSH's format.  Nothing is read from the connection yet; both
 * descriptors are owned even on failure. */
int ssh_conn_new(struct loop *l, int take_connection, int take_shell, const char *key,
	struct ssh_conn **ret, struct err *e);
/* From here on: hostile bytes. */
int ssh_conn_start(struct ssh_conn *c, struct err *e);
void ssh_conn_free(struct ssh_conn *c);
DEFINE_AUTO(struct ssh_conn, ssh_conn_free)
