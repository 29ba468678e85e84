/* core_confine.h - the irreversible steps that a process takes, in order: identity, files, calls.
 *
 * Each function works on the calling process (none of ours has threads) and
 * cannot be undone.  A failure leaves the process in a state in which it must
 * exit.  Order: confine_drop, confine_landlock, confine_seccomp.
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "core_cleanup.h"
#include "core_err.h"

#define CONFINE_GROUPS_MAX 64 /* supplementary groups */

struct confine_identity {
	uint32_t uid, gid; /* never 0 for a workload */
	uint32_t groups[CONFINE_GROUPS_MAX];
	size_t n_groups;
	uint64_t keep_caps; /* mask of 1 << CAP_x; 0 drops everything */
	bool keep_uid;	    /* change capabilities only (the process leaf) */
	/* Without root: uid and gid are the caller's own already, its groups stay. */
	bool keep_ids;
};

/* PR_SET_NO_NEW_PRIVS, RLIMIT_CORE 0, PR_SET_DUMPABLE 0. */
int confine_harden(struct err *e);

/* setgroups, setresgid, setresuid, securebits (locked), bounding, inheritable and ambient sets, permitted and effective
 * reduced to keep_caps; everything read back and compared; regaining uid 0 must fail.
 * Idempotent: ids that are already right are not set again, so that it works unprivileged. */
int confine_drop(const struct confine_identity *id, struct err *e);

/* Mask of what this process has in its permitted set. */
uint64_t confine_caps_permitted(void);

/* ---- Landlock (landlock(7)), our own constants up to ABI 7 ---- */

enum confine_access {	    /* what a path rule grants */
	CONFINE_READ,	    /* read and execute */
	CONFINE_READ_WRITE, /* everything; device ioctls only where CONFINE_DEVICE says so */
	CONFINE_READ_ONLY_NOEXEC,
	CONFINE_DEVICE, /* read, write and device ioctl on a device node */
};

struct confine_landlock; /* a ruleset being built; usable after fork */

/* ABI of the running kernel, 0 when Landlock is absent; e says why (not built in, not enabled at
 * boot, blocked by an outer filter). */
int confine_landlock_abi(struct err *e);
struct confine_landlock_options {
	bool handle_tcp; /* TCP bind and connect only to allow_tcp ports (ABI 4) */
	bool scope;	 /* abstract sockets and signals stay inside (ABI 6) */
	int max_abi;	 /* 0: newest; tests set it lower */
};
int confine_landlock_new(
	const struct confine_landlock_options *o, struct confine_landlock **ret, struct err *e);
/* fd is borrowed, O_PATH allowed; rights that do not apply to a non-directory are masked. */
int confine_landlock_allow(
	struct confine_landlock *r, int fd, enum confine_access access, struct err *e);
int confine_landlock_allow_tcp(
	struct confine_landlock *r, uint16_t port, bool bind, bool connect, struct err *e);
size_t confine_landlock_rules(const struct confine_landlock *r);
/* What this ruleset handles, for the start line: "fs refer truncate ioctl tcp scope". */
const char *confine_landlock_summary(const struct confine_landlock *r);
/* In the child: landlock_restrict_self(2).  Async-signal-safe: raw system calls only; returns 0 or
 * a negative errno. */
int confine_landlock_enforce(const struct confine_landlock *r);
void confine_landlock_free(struct confine_landlock *r);
/* For a leaf that opens no file any more: nothing is allowed, and TCP bind neither. */
int confine_landlock_nothing(bool deny_tcp_bind, struct err *e);

/* ---- seccomp (seccomp(2), libseccomp) ---- */

struct confine_call { /* NULL name ends the table */
	const char *name, *why;
};

/* Allow-list for a leaf: anything else fails with EPERM, or kills when fatal is set.  A host that
 * refuses filters is an error, unless that is tolerated (FAILURE_SUPERVISOR_SECCOMP).  Foreign
 * architectures and x32 kill.  A name that this libseccomp does not know is an error.
 * Rows named in arg_checks of the implementation (prctl, ioctl, fcntl, socket, clone) may carry a
 * suffix ":what" listed in core_confine_seccomp.c. */
int confine_seccomp_allow(const struct confine_call *allowed, bool fatal, struct err *e);

/* A compiled filter program that is installed later by raw system calls. */
struct confine_filter;
/* In the child, no_new_privs set before: 0 or a negative errno; async-signal-safe. */
int confine_filter_install(const struct confine_filter *f);
void confine_filter_free(struct confine_filter *f);
/* The supervisor's own prelude (spec/process 5.2) and the workload's filter (5.3, 5.4 with GAP-11,
 * 12, 13 repaired). */
int confine_filter_prelude(struct confine_filter **ret, struct err *e);
int confine_filter_workload(struct confine_filter **ret, struct err *e);

DEFINE_AUTO(struct confine_landlock, confine_landlock_free)
DEFINE_AUTO(struct confine_filter, confine_filter_free)
