/* proc_monitor.h - a confined child of the process leaf that reports packets that the fence refused.
 *
 * It lives in the workload's network namespace as a user of its own without any
 * capability, holds the packet log, two sockets that can send a reset inside
 * the namespace, and a channel to the identity worker; it opens no file.
 *
 * A TCP connect that goes past the proxy is held at its first packet until its
 * owner is known: a socket that has been refused has no address any more, and a
 * program that was refused is often gone (GAP-10).  Then the monitor reports it
 * and answers with the reset that the fence would have sent.  When the monitor
 * is late or dead, the fence refuses the repetition, one second later.
 *
 * Most workloads never go past the proxy: the child is forked when the packet log
 * first has something to read.  Until then the leaf only waits for that; it
 * never reads a packet itself.
 *
 * At most PROC_MONITOR_PENDING_MAX packets are being looked at; further ones
 * are refused at once and reported without an owner.
 */
#pragma once
#include <sys/types.h>
#include "core_cleanup.h"
#include "core_err.h"
#include "core_loop.h"
#include "event.pb-c.h"
#include "proc_identity_worker.h"
#include "proc_netns.h"

struct proc_monitor;

struct proc_monitor_calls {
	void (*event)(void *owner, const Openshell__Event__Event *ev);
	void (*flushed)(void *owner); /* everything logged before proc_monitor_flush() is out */
	void (*failed)(void *owner, const struct err *why); /* no child can be started */
};

struct proc_monitor_plan { /* what it points to is borrowed until the end */
	const struct proc_netns *netns;
	uint16_t group;
	struct proc_worker *worker;
	const struct proc_monitor_calls *calls;
	void *owner;
};

/* Opens everything.  The caller reaps the child. */
int proc_monitor_start(struct loop *l, const struct proc_monitor_plan *plan,
	struct proc_monitor **ret, struct err *e);
pid_t proc_monitor_pid(const struct proc_monitor *m); /* 0: not forked yet */
/* flushed() may be called before it returns. */
int proc_monitor_flush(struct proc_monitor *m, struct err *e);
/* Closes the channel, upon which the child ends. */
void proc_monitor_free(struct proc_monitor *m);
DEFINE_AUTO(struct proc_monitor, proc_monitor_free)
