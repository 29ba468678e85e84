#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include "core_cleanup.h"
#include "core_failure.h"
#include "core_fd.h"
#include "orch_evidence.h"
#include "orch_limits.h"

#define STATUS_BYTES 16384

int orch_evidence_check(const Openshell__Ipc__ProcConfirmed *c, struct err *e)
{
	static const char *const required[] = { "direct-tcp", "direct-udp", "direct-icmp", "proxy",
		"denied-syscall", "capabilities" };

	if (c->n_evidence > ORCH_EVIDENCE_MAX)
		return err_set(
			e, EPROTO, "the boundary's confirmation has %zu checks", c->n_evidence);
	for (size_t i = 0; i < c->n_evidence; i++)
		if (!c->evidence[i]->held)
			return err_set(e, EPERM,
				"the boundary does not hold: check %.64s failed (%.200s); nothing "
				"is "
				"started",
				c->evidence[i]->check, c->evidence[i]->detail);
	for (size_t r = 0; r < sizeof required / sizeof required[0]; r++) {
		bool found = false;

		for (size_t i = 0; i < c->n_evidence; i++)
			found |= strcmp(c->evidence[i]->check, required[r]) == 0;
		if (!found)
			return err_set(e, EPERM,
				"the boundary is not proven: check %s is missing; nothing is "
				"started, "
				"install both executables from one release",
				required[r]);
	}
	return 0;
}

static bool is_tolerated(const struct orch_enforced *x, enum failure_kind kind)
{
	return x->tolerated & FAILURE_BIT(kind);
}

static void add_network(const struct orch_enforced *x, struct text *t)
{
	if (is_tolerated(x, FAILURE_NETWORK_NAMESPACE)) {
		text_addf(t,
			", network NOT separated: egress is cooperative only (proxy %s:%u for "
			"programs that honour it%s)",
			x->proxy_address, x->proxy_port,
			x->identity_relaxed ? "; callers NOT identified" : "");
		return;
	}
	text_addf(t, ", network %s", x->veth ? "veth" : "sealed");
	if (x->veth && x->workload_address && *x->workload_address)
		text_addf(t, " at %s", x->workload_address);
	text_addf(t, " (direct TCP, UDP, ICMP refused; proxy %s:%u%s%s)", x->proxy_address,
		x->proxy_port, x->loopback_deny ? "; loopback denied" : "",
		x->identity_relaxed ? "; callers NOT identified" : "");
}

void orch_evidence_line(const struct orch_enforced *x, struct text *ret)
{
	char kinds[FAILURE_NAMES_MAX];

	text_add(ret, "enforcing: user ");
	text_add_quoted(ret, x->user, strlen(x->user), 64);
	text_addf(ret, " (uid %u, gid %u%s)", x->uid, x->gid,
		x->rootless ? "; unchanged, as it was started without root" : "");
	add_network(x, ret);
	if (x->landlock_abi)
		text_addf(ret, ", files landlock ABI %u (%u paths)", x->landlock_abi, x->n_paths);
	else
		text_add(ret, ", files NOT restricted (no landlock)");
	text_add(ret,
		is_tolerated(x, FAILURE_WORKLOAD_SECCOMP) ? ", system calls NOT filtered"
							  : ", system calls filtered");
	text_add(ret, ", capabilities none");
	if (x->tolerated)
		text_addf(ret, "; refused by the host and delegated to it: %s",
			failure_write_kinds(x->tolerated, kinds));
	text_add(ret, "; policy ");
	text_add_quoted(ret, x->policy, strlen(x->policy), 512);
	text_addf(ret, " (generation %llu)", (unsigned long long) x->generation);
}

/* The value of "Name:\t..." in /proc/PID/status; NULL when there is none. */
static const char *member(const char *text, const char *name)
{
	size_t n = strlen(name);

	for (const char *p = text; p; p = strchr(p, '\n')) {
		p += *p == '\n';
		if (strncmp(p, name, n) == 0 && p[n] == ':')
			return p + n + 1;
	}
	return NULL;
}

static bool are_ids(const char *value, uint32_t id)
{
	char want[64];
	int n = snprintf(want, sizeof want, "\t%u\t%u\t%u\t%u", id, id, id, id);

	return value && strncmp(value, want, (size_t) n) == 0 && value[n] == '\n';
}

static bool is_value(const char *value, const char *want)
{
	size_t n = strlen(want);

	return value && value[0] == '\t' && strncmp(value + 1, want, n) == 0 &&
		value[n + 1] == '\n';
}

int orch_evidence_status(
	const char *text, size_t len, const struct orch_expected *want, struct err *e)
{
	static const char *const sets[] = { "CapInh", "CapPrm", "CapEff", "CapAmb", "CapBnd" };
	size_t n = sizeof sets / sizeof sets[0] - (want->rootless ? 1 : 0);

	if (strlen(text) != len)
		return err_set(e, EBADMSG, "its status in /proc holds a NUL");
	if (!are_ids(member(text, "Uid"), want->uid) || !are_ids(member(text, "Gid"), want->gid))
		return err_set(e, EPERM, "it does not run as uid %u, gid %u", want->uid, want->gid);
	for (size_t i = 0; i < n; i++)
		if (!is_value(member(text, sets[i]), "0000000000000000"))
			return err_set(e, EPERM, "it kept capabilities (%s)", sets[i]);
	if (!is_value(member(text, "NoNewPrivs"), "1"))
		return err_set(e, EPERM, "it may still gain privileges by execve");
	if (!want->unfiltered && !is_value(member(text, "Seccomp"), "2"))
		return err_set(e, EPERM, "its system calls are not filtered");
	return 0;
}

int orch_evidence_network(pid_t pid, const struct orch_expected *want, struct err *e)
{
	AUTO_FREE char *text = NULL;
	AUTO_CLOSE int fd = -1;
	char path[64];
	size_t len;

	(void) snprintf(path, sizeof path, "/proc/%d/status", (int) pid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return err_set(e, errno, "%s: %s", path, strerror(errno));
	if (fd_read_all(fd, STATUS_BYTES, &text, &len, e) < 0 ||
		orch_evidence_status(text, len, want, e) < 0)
		return err_wrap(e, "it is not confined");
	return 0;
}
