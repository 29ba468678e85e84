/* proc_leaf.h - the process leaf behind its control channel: the boundary and its states.
 *
 * Runs as root with the capabilities of docs/privilege-separation.md.  Requests
 * arrive in the order of proto/ipc/process; what arrives out of state ends the
 * channel, and the end of the channel ends the workload and the leaf.
 */
#pragma once
#include <stdint.h>
#include "core_channel.h"
#include "core_cleanup.h"
#include "core_err.h"
#include "core_loop.h"

struct proc_leaf;

int proc_leaf_new(struct loop *l, struct proc_leaf **ret, struct err *e);
/* Opens the channel and greets. take_fd is owned even on failure. */
int proc_leaf_open(struct proc_leaf *p, int take_fd, struct err *e);
/* Kills what is left of the workload and removes what was made. */
void proc_leaf_free(struct proc_leaf *p);
DEFINE_AUTO(struct proc_leaf, proc_leaf_free)
