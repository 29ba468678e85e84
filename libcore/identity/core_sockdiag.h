/* core_sockdiag.h - 4-tuple to socket inode, by sock_diag(7). */
#pragma once
#include <stdint.h>
#include "core_cleanup.h"
#include "core_err.h"
#include "core_identity.h"

struct sockdiag;

/* Opens the netlink socket inside the namespace; it stays bound to it. */
int sockdiag_new(int netns_fd, struct sockdiag **ret, struct err *e);
void sockdiag_free(struct sockdiag *d);
/* The workload's end of an established connection: inode and owner uid.  -ENOENT: no such
 * connection, or it has no inode any more. */
int sockdiag_find(struct sockdiag *d, const struct identity_question *q, uint64_t *ret_inode,
	uint32_t *ret_uid, struct err *e);
DEFINE_AUTO(struct sockdiag, sockdiag_free)
