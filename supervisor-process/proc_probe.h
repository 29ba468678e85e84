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

#define PROC_PROBE_TARGETS 3 /* packets of one probe that meet the fence */

/* Which of them, or -1: this host and port. */
int proc_probe_target(const char *host, uint32_t port);

struct proc_probe_input {
	const struct proc_restrictions *restrictions;
	uint16_t proxy_port;
	bool everything_readable; /* the policy lists "/" */
};

/* Forks the child; *ret_fd becomes readable with PROC_CHECK_MAX records and then ends. */
int proc_probe_start(const struct proc_probe_input *in, pid_t *ret_pid, int *ret_fd, struct err *e);
