/* refuse.c - a host that refuses: an outer filter as container runtimes and gVisor have it.
 *
 * refuse WHAT[,WHAT]... -- COMMAND [ARGUMENT]...
 *
 *   netns               new network namespaces
 *   userns              new user namespaces
 *   mounts              mount(2)
 *   supervisor-seccomp  filters for all threads, as the supervisor installs them
 *   workload-seccomp    filters for one thread, as a workload gets them
 *
 * Each is answered with EPERM, in COMMAND and everything that it starts.
 */
#include <errno.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <seccomp.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static int refuse_unshare(scmp_filter_ctx ctx, unsigned long flag)
{
	return seccomp_rule_add(ctx, SCMP_ACT_ERRNO(EPERM), SCMP_SYS(unshare), 1,
		SCMP_A0_64(SCMP_CMP_MASKED_EQ, flag, flag));
}

static int refuse_filters(scmp_filter_ctx ctx, unsigned long tsync)
{
	return seccomp_rule_add(ctx, SCMP_ACT_ERRNO(EPERM), SCMP_SYS(seccomp), 2,
		SCMP_A0_64(SCMP_CMP_EQ, SECCOMP_SET_MODE_FILTER),
		SCMP_A1_64(SCMP_CMP_MASKED_EQ, SECCOMP_FILTER_FLAG_TSYNC, tsync));
}

static int refuse(scmp_filter_ctx ctx, const char *what, size_t len)
{
	if (strncmp(what, "netns", len) == 0)
		return refuse_unshare(ctx, CLONE_NEWNET);
	if (strncmp(what, "userns", len) == 0)
		return refuse_unshare(ctx, CLONE_NEWUSER);
	if (strncmp(what, "mounts", len) == 0)
		return seccomp_rule_add(ctx, SCMP_ACT_ERRNO(EPERM), SCMP_SYS(mount), 0);
	if (strncmp(what, "supervisor-seccomp", len) == 0)
		return refuse_filters(ctx, SECCOMP_FILTER_FLAG_TSYNC);
	if (strncmp(what, "workload-seccomp", len) == 0)
		return refuse_filters(ctx, 0);
	return -EINVAL;
}

int main(int argc, char **argv)
{
	scmp_filter_ctx ctx = seccomp_init(SCMP_ACT_ALLOW);

	if (argc < 4 || strcmp(argv[2], "--") != 0 || !ctx) {
		fprintf(stderr, "usage: refuse WHAT[,WHAT]... -- COMMAND...\n");
		return 2;
	}
	for (const char *p = argv[1]; *p;) {
		size_t len = strcspn(p, ",");

		if (refuse(ctx, p, len) < 0) {
			fprintf(stderr, "refuse: %s\n", p);
			return 2;
		}
		p += len + (p[len] == ',');
	}
	if (seccomp_load(ctx) < 0) {
		fprintf(stderr, "refuse: no filter can be installed\n");
		return 2;
	}
	execvp(argv[3], argv + 3);
	perror(argv[3]);
	return 2;
}
