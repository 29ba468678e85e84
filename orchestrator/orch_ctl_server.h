/* orch_ctl_server.h - the orchestrator's end of the control socket (ipc_ctl.h).
 *
 * Accepts, checks who it is, and hands over one descriptor per connection.
 */
#pragma once
#include "core_cleanup.h"
#include "core_err.h"
#include "core_loop.h"
#include "orch_ctl_socket.h"

struct orch_ctl_server;

struct orch_ctl_calls {
	/* Each gets one end of a fresh pair, borrowed; the asker gets the other one. */
	int (*shell)(void *owner, int fd, struct err *e);
	int (*ssh)(void *owner, int fd, struct err *e);
	int (*attach)(void *owner, int fd, struct err *e);
	/* The workload's network namespace, -1 while there is none. */
	int (*netns)(void *owner);
};

/* Serves s, which is borrowed. */
int orch_ctl_server_new(struct loop *l, const struct orch_ctl_socket *s,
	const struct orch_ctl_calls *calls, void *owner, struct orch_ctl_server **ret,
	struct err *e);
void orch_ctl_server_free(struct orch_ctl_server *s);
DEFINE_AUTO(struct orch_ctl_server, orch_ctl_server_free)
