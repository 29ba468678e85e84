/* net_policy.h - the current policy snapshot: loaded, aliases added, swapped whole.
 *
 * A new one takes effect for every decision from then on; connections that another generation decided
 * are closed.  The old one lives until the last client that has pinned it lets go.
 */
#pragma once
#include "net_leaf.h"

/* Without a policy: everything is denied, and the gate stays shut. */
int net_policy_new(struct net_leaf *n, struct net_policy **ret, struct err *e);
void net_policy_free(struct net_policy *p);
/* A sealed memory file with the policy.  What can't be loaded changes nothing; the result is
 * reported to the orchestrator either way. */
void net_policy_load(struct net_policy *p, int fd, uint64_t generation);
/* The workload exists: links among the policy's programs can be followed. */
void net_policy_entrypoint(struct net_policy *p);
/* Borrowed: take a reference to keep it.  NULL before the first. */
struct policy_snapshot *net_policy_current(struct net_policy *p);
/* The links were followed, or can't be. */
bool net_policy_is_resolved(const struct net_policy *p);
