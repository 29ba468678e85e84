/* proc_userns.h - without root: a user namespace of our own, with our own uid and gid in it.
 *
 * Gives the process leaf every capability over the namespaces that it makes,
 * and none over the host.  No helper program is needed, as only the caller's
 * own ids are mapped; so the workload keeps them, and no other identity exists
 * inside.  A process in it can't come back: the leaf lives in the workload's
 * network namespace from then on.
 */
#pragma once
#include "core_err.h"
#include "proc_user.h"

/* A host that refuses says which setting would allow it. */
int proc_userns_enter(struct err *e);
/* Who we are, as the identity of the workload; the account files give name and home. */
int proc_userns_user(
	const char *passwd_path, const char *group_path, struct proc_user *ret, struct err *e);
