/* orch_network.h - the network leaf: started, lent what it needs, and replaced when it dies.
 *
 * What is lent (listener, policy, hosts, the entry point) stays with the owner
 * and is lent again to each new leaf; only the identity channel is made afresh.
 * The first leaf must come up, or the start fails.  A later one that dies is
 * replaced with back-off; five deaths within a minute, and it stays down, with
 * the listener shut so that connections are refused at once.
 */
#pragma once
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>
#include "core_cleanup.h"
#include "core_err.h"
#include "core_loop.h"
#include "event.pb-c.h"
#include "orch_hosts.h"
#include "orch_tls.h"

struct orch_network;

struct orch_network_calls {
	/* Start a leaf's program: its pid and our end of its channel. */
	int (*spawn)(void *owner, pid_t *ret_pid, int *ret_fd, struct err *e);
	/* A fresh identity channel: the leaf's end (the caller's to close); the other end has been
	 * given to the process leaf. -EAGAIN: the process leaf is not that far yet. */
	int (*identity)(void *owner, int *ret_fd, struct err *e);
	/* The credentials, as a sealed memory file of the caller's; -ENOENT: there are none. */
	int (*credentials)(void *owner, int *ret_fd, struct err *e);
	/* Look at the leaf from outside before anything is let through; may be NULL. */
	int (*verify)(void *owner, pid_t pid, struct err *e);
	void (*ready)(void *owner); /* every time a leaf opens its gate */
	void (*policy)(void *owner, uint64_t generation, bool loaded, const char *text);
	void (*event)(void *owner, const Openshell__Event__Event *ev);
	void (*died)(void *owner, const char *text, bool stays_down);
	void (*failed)(void *owner, const struct err *why); /* the first one; ends the start */
};

struct orch_network_lent { /* borrowed; the owner fills it in while things come into being */
	char tag[9];
	const char *proxy_address; /* NULL: not known yet */
	uint16_t proxy_port;
	bool identity_required, report_activity;
	int listener, hosts, policy; /* -1: not there yet */
	uint64_t generation;
	struct orch_nameservers nameservers;
	char gateway[64];
	pid_t entrypoint;	    /* 0: not there yet */
	const struct orch_tls *tls; /* NULL: no TLS termination */
};

int orch_network_new(struct loop *l, struct orch_network_lent *lent,
	const struct orch_network_calls *calls, void *owner, struct orch_network **ret,
	struct err *e);
/* Something in lent has come into being: send what can be sent, in its order. */
int orch_network_advance(struct orch_network *n, struct err *e);
/* A candidate policy; policy() tells the result, died() that there will be none. */
int orch_network_policy(struct orch_network *n, int fd, uint64_t generation, struct err *e);
/* lent->hosts or lent->nameservers has changed. */
void orch_network_names_changed(struct orch_network *n);
/* credentials() would give something else now. */
void orch_network_credentials_changed(struct orch_network *n);
/* The program of a leaf has ended (from the dispatcher of SIGCHLD). true: it was ours. */
bool orch_network_reaped(struct orch_network *n, pid_t pid, int status);
/* No new leaf from here on; asks the present one to end. */
void orch_network_stop(struct orch_network *n);
void orch_network_free(struct orch_network *n);
DEFINE_AUTO(struct orch_network, orch_network_free)
