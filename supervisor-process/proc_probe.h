/* proc_probe.h - effective checks: a child under the workload's restrictions tries to break out.
 *
 * Not what was configured but what holds.  The child writes one fixed record per
 * check; a check that is missing counts as failed.
 */
#pragma once
#include "core_err.h"
#include "proc_spawn.h"

enum proc_check {
	PROC_CHECK_TCP,
	PROC_CHECK_TCP6,
	PROC_CHECK_UDP,
	PROC_CHECK_ICMP,
	PROC_CHECK_PROXY,
	PROC_CHECK_PATH,
	PROC_CHECK_SYSCALL,
	PROC_CHECK_NAMESPACE,
	PROC_CHECK_CAPABILITIES,
	PROC_CHECK_IDENTITY,
	PROC_CHECK_MAX,
};

struct proc_evidence { /* also the record on the pipe */
	int check;
	int held; /* 1: the boundary holds; 2: does not apply, detail says why */
	int code; /* errno that the attempt met */
};

const char *proc_check_name(enum proc_check c);
void proc_check_detail(const struct proc_evidence *v, char *buf, size_t size);

/* Where it tries to go: documentation addresses (RFC 5737, RFC 3849), nothing of anybody's is there.
 * The fence refuses these two without a report. */
#define PROC_PROBE_OUTSIDE4 "192.0.2.1"
#define PROC_PROBE_OUTSIDE6 "2001:db8::1"

struct proc_probe_input {
	const struct proc_restrictions *restrictions;
	uint16_t proxy_port;
	bool everything_readable; /* the policy lists "/" */
};

/* Forks the child; *ret_fd becomes readable with PROC_CHECK_MAX records and then ends. */
int proc_probe_start(const struct proc_probe_input *in, pid_t *ret_pid, int *ret_fd, struct err *e);
