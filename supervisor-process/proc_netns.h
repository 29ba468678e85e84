/* proc_netns.h - the workload's network namespace: a descriptor, never a name.
 *
 * Without root the leaf moves into it for good, as it could not come back.  On a
 * host that refuses namespaces, and where that is tolerated, it is the host's own:
 * nothing is fenced, and the proxy listens on 127.0.0.1.
 *
 * sealed: loopback only, with 127.0.0.1, ::1 and the proxy's address, and a
 * default route of both families through it, so that every stray packet meets
 * the fence.  veth: in addition a pair with a /30 of 10.200.0.0/16 that no
 * address or route of the host uses.
 */
#pragma once
#include <stdbool.h>
#include <stdint.h>
#include "core_err.h"

#define PROC_PROXY_ADDRESS "10.200.0.1" /* existing deployments know this URL */

struct proc_netns {
	int fd;				       /* the namespace */
	int home;			       /* ours, to return to */
	bool here;			       /* we live in it: nothing to enter or leave */
	int refused;			       /* errno, when it is the host's own */
	const char *proxy_address;	       /* where the listener is */
	int lease;			       /* veth: keeps the net ours among sandboxes */
	char host_link[16], workload_link[16]; /* "" unless veth */
	char host_address[20], workload_address[20];
};

struct proc_netns_wish {
	bool veth, rootless;
	const char *tag; /* 8 hex digits */
};

int proc_netns_new(const struct proc_netns_wish *w, struct proc_netns *ret, struct err *e);
/* Enter and leave, around making a socket inside. */
int proc_netns_enter(const struct proc_netns *n, struct err *e);
int proc_netns_leave(const struct proc_netns *n, struct err *e);
/* A TCP listener on the proxy's address inside; non-blocking, close-on-exec.  On the host's own
 * loopback another port is taken when *port is in use; *port is then that one. */
int proc_netns_listen(const struct proc_netns *n, uint16_t *port, int *ret_fd, struct err *e);
/* Deletes the veth pair; the namespace itself ends with its last process and descriptor. */
void proc_netns_done(struct proc_netns *n);
