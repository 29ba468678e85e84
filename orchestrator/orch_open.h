/* orch_open.h - open a file through links that only trusted users could have made.
 *
 * A configuration map of Kubernetes is such a thing: policy.yaml is a link into
 * "..data", which is a link to a folder that is replaced as a whole.  A link is
 * followed when it belongs to one of the given owners and every folder on the way,
 * the first one included, can't be changed by anybody else: it belongs to one of
 * them and is not writable for group or others, or its file system is read-only.
 */
#pragma once
#include <stddef.h>
#include <stdint.h>
#include "core_err.h"

#define ORCH_OPEN_LINKS_MAX 8 /* links on the way to one file */

struct orch_owners {
	const uint32_t *at;
	size_t n;
};

/* name is one component in dir.  *ret_fd is open for reading, of whatever kind; the caller looks at
 * its own kind and mode.  -ELOOP or -EPERM with a sentence when it can't be trusted. */
int orch_open_linked(
	int dir, const char *name, const struct orch_owners *owners, int *ret_fd, struct err *e);
