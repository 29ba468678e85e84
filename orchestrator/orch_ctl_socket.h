/* orch_ctl_socket.h - where the control sockets of running sandboxes are, and who may use them.
 *
 * One file NAME.ctl per sandbox, mode 0600, in a folder of mode 0700 that
 * belongs to us: /run/openshell for root, $XDG_RUNTIME_DIR/openshell for others.
 * The process leaf covers both for the workload, whose own uid could not open
 * them either.  Sandboxes that start at the same time take turns by a lock on
 * the folder.
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>
#include "core_cleanup.h"
#include "core_err.h"

#define ORCH_SOCKET_PATH_MAX 108 /* bytes of sun_path, see unix(7) */

struct orch_ctl_socket { /* bound by us; the file goes with it */
	int fd;		 /* -1: none */
	char path[ORCH_SOCKET_PATH_MAX];
	bool shared; /* its folder is somebody else's */
};

/* The default folder; -ENOENT where there is none. */
int orch_ctl_folder(char ret[ORCH_SOCKET_PATH_MAX], struct err *e);
/* 1 to ORCH_CTL_NAME_MAX of A-Z a-z 0-9 . _ -, not beginning with a dot. */
bool orch_ctl_is_name(const char *name);
/* Listen as NAME in the default folder; -EADDRINUSE when a sandbox of that name is running. */
int orch_ctl_listen(const char *name, struct orch_ctl_socket *ret, struct err *e);
/* Listen on a path; parents are made (0700), a socket that nobody listens on is replaced.  type is
 * SOCK_SEQPACKET or SOCK_STREAM; "@name" is an abstract one. */
int orch_ctl_listen_at(const char *path, int type, struct orch_ctl_socket *ret, struct err *e);
/* For the split topology (spec/process 10.1): its other container connects through a folder that both
 * have.  Mode 0660, so that the folder's group may; the folder is made if it is missing, and otherwise
 * left as it is, also in the end.  Whoever can write there can put a socket of his own in this one's place:
 * clients ask SO_PEERCRED who listens.  "@name" can't be replaced while it is bound. */
int orch_ctl_listen_shared(const char *path, int type, struct orch_ctl_socket *ret, struct err *e);
void orch_ctl_socket_done(struct orch_ctl_socket *s);
/* Remove sockets that nobody listens on any more: of a folder; or one, NULL: none. */
void orch_ctl_sweep(const char *path);
void orch_ctl_remove_stale(const char *path);
/* A path for connecting: of name, or, with NULL, of the only sandbox that is running. */
int orch_ctl_find(const char *name, char ret[ORCH_SOCKET_PATH_MAX], struct err *e);
/* -ECONNREFUSED, -ENOENT: nobody is there. */
int orch_ctl_connect(const char *path, int *ret_fd, struct err *e);
