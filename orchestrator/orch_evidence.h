/* orch_evidence.h - what is enforced, as proven, in the one line that is printed at the start.
 *
 * The line says nothing that was not confirmed: the process leaf's probe must
 * have reported each check that the line stands for, and the network leaf is
 * looked at from outside through /proc (its uid, capabilities and filter).
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include "core_err.h"
#include "core_text.h"
#include "ipc_process.pb-c.h"

/* All checks held and none that is required is missing; else -EPERM. */
int orch_evidence_check(const Openshell__Ipc__ProcConfirmed *c, struct err *e);

struct orch_enforced {
	const char *user;
	uint32_t uid, gid;
	bool veth, loopback_deny, identity_relaxed;
	bool rootless;	    /* the user is who started it */
	uint32_t tolerated; /* mask of enum failure_kind: what the host refused */
	const char *proxy_address;
	uint16_t proxy_port;
	const char *workload_address; /* veth; may be "" */
	uint32_t landlock_abi, n_paths;
	const char *policy;
	uint64_t generation;
};

void orch_evidence_line(const struct orch_enforced *x, struct text *ret);

struct orch_expected { /* of the network leaf */
	uint32_t uid, gid;
	bool unfiltered; /* a host that refuses filters was tolerated */
	bool rootless;	 /* nobody could empty its bounding set; no_new_privs closes that way */
};

/* text of /proc/PID/status: every id is uid and gid, no capability in any set, no_new_privs, a
 * seccomp filter.  Pure. */
int orch_evidence_status(
	const char *text, size_t len, const struct orch_expected *want, struct err *e);
int orch_evidence_network(pid_t pid, const struct orch_expected *want, struct err *e);
