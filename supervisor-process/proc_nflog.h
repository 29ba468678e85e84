/* proc_nflog.h - packets that the fence logged, from the kernel (nfnetlink_log), structured.
 *
 * One group per sandbox, in the workload's namespace.  The kernel hands over the
 * first PROC_PACKET_COPY bytes of each packet and the uid of the socket that
 * sent it, at once (no batching).  Text of the workload never reaches this
 * channel, and no other program's kernel messages do.
 */
#pragma once
#include <stddef.h>
#include <stdint.h>
#include "core_cleanup.h"
#include "core_err.h"

#define PROC_NFLOG_NO_UID UINT32_MAX /* the kernel sent it */

struct proc_nflog;
typedef void (*proc_nflog_fn)(void *owner, const uint8_t *bytes, size_t len, uint32_t uid);

/* Call it inside the namespace, with CAP_NET_ADMIN; the socket stays there. */
int proc_nflog_open(
	uint16_t group, proc_nflog_fn fn, void *owner, struct proc_nflog **ret, struct err *e);
int proc_nflog_fd(const struct proc_nflog *n);
/* Everything that waits, at most PROC_NFLOG_TURN_MAX messages; never blocks. */
void proc_nflog_read(struct proc_nflog *n);
void proc_nflog_free(struct proc_nflog *n);
DEFINE_AUTO(struct proc_nflog, proc_nflog_free)
