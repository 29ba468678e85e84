#include <errno.h>
#include <grp.h>
#include <linux/capability.h>
#include <linux/securebits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>
#include "core_confine.h"

/* With NO_SETUID_FIXUP locked while it is off, leaving uid 0 always empties the sets. */
#define SECUREBITS \
	(SECBIT_NOROOT | SECBIT_NOROOT_LOCKED | SECBIT_NO_SETUID_FIXUP_LOCKED | \
		SECBIT_KEEP_CAPS_LOCKED | SECBIT_NO_CAP_AMBIENT_RAISE | \
		SECBIT_NO_CAP_AMBIENT_RAISE_LOCKED)
#define CAPS_PROBE_MAX 63 /* highest capability number that a mask of ours can hold */

int confine_harden(struct err *e)
{
	struct rlimit none = { 0, 0 };

	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
		return err_set(e, errno, "set no_new_privs");
	if (setrlimit(RLIMIT_CORE, &none) < 0)
		return err_set(e, errno, "forbid core dumps");
	if (prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) < 0)
		return err_set(e, errno, "make the process not dumpable");
	return 0;
}

static int caps_get(struct __user_cap_data_struct data[2])
{
	struct __user_cap_header_struct h = { _LINUX_CAPABILITY_VERSION_3, 0 };

	return syscall(SYS_capget, &h, data) < 0 ? -errno : 0;
}

uint64_t confine_caps_permitted(void)
{
	struct __user_cap_data_struct d[2];

	return caps_get(d) < 0 ? 0 : d[0].permitted | (uint64_t) d[1].permitted << 32;
}

static int caps_set(uint64_t keep)
{
	struct __user_cap_header_struct h = { _LINUX_CAPABILITY_VERSION_3, 0 };
	struct __user_cap_data_struct data[2] = { 0 };

	for (int i = 0; i < 2; i++)
		data[i].effective = data[i].permitted = (uint32_t) (keep >> (32 * i));
	return syscall(SYS_capset, &h, data) < 0 ? -errno : 0;
}

/* As root that is a must: without CAP_SETPCAP the attempt fails, and with it the drop.  In a user
 * namespace an ordinary uid can do it too. */
static bool may_drop_bounding(void)
{
	struct __user_cap_data_struct d[2];

	return geteuid() == 0 ||
		(caps_get(d) == 0 && (d[CAP_SETPCAP / 32].effective >> CAP_SETPCAP % 32 & 1));
}

/* The kernel may know capabilities that our headers do not: go on until EINVAL. */
static int drop_bounding(uint64_t keep, struct err *e)
{
	for (int cap = 0; cap <= CAPS_PROBE_MAX; cap++) {
		int in = prctl(PR_CAPBSET_READ, cap, 0, 0, 0);

		if (in < 0)
			return 0;
		if (in == 0 || (keep >> cap & 1))
			continue;
		if (prctl(PR_CAPBSET_DROP, cap, 0, 0, 0) < 0)
			return err_set(e, errno, "drop capability %d from the bounding set", cap);
	}
	return 0;
}

/* Uid 0 has no meaning of its own any more, for this process and all that it starts, and none of
 * these bits can be taken back (capabilities(7)). */
static int lock_securebits(struct err *e)
{
	int now = prctl(PR_GET_SECUREBITS, 0, 0, 0, 0);

	if (now < 0 || prctl(PR_SET_SECUREBITS, (unsigned long) (now | SECUREBITS), 0, 0, 0) < 0)
		return err_set(e, errno, "lock the securebits");
	return 0;
}

static int by_number(const void *a, const void *b)
{
	gid_t x = *(const gid_t *) a, y = *(const gid_t *) b;

	return (x > y) - (x < y);
}

/* The kernel keeps them sorted and hands them out so; ours are compared in the same order. */
static bool groups_are(const struct confine_identity *id)
{
	gid_t now[CONFINE_GROUPS_MAX], want[CONFINE_GROUPS_MAX];
	int n = getgroups(CONFINE_GROUPS_MAX, now);

	if (n < 0 || (size_t) n != id->n_groups)
		return false;
	for (size_t i = 0; i < id->n_groups; i++)
		want[i] = id->groups[i];
	qsort(want, id->n_groups, sizeof *want, by_number);
	qsort(now, id->n_groups, sizeof *now, by_number);
	return memcmp(want, now, id->n_groups * sizeof *want) == 0;
}

static int set_groups(const struct confine_identity *id, struct err *e)
{
	if (id->n_groups > CONFINE_GROUPS_MAX)
		return err_set(e, E2BIG, "more than %d groups", CONFINE_GROUPS_MAX);
	for (size_t i = 0; i < id->n_groups; i++)
		if (id->groups[i] == 0)
			return err_set(e, EPERM, "group 0 is no group for a confined process");
	if (groups_are(id))
		return 0;
	if (setgroups(id->n_groups, id->groups) < 0)
		return err_set(e, errno, "set supplementary groups");
	return 0;
}

static int set_ids(const struct confine_identity *id, struct err *e)
{
	uid_t r, f, s;
	gid_t gr, gf, gs;

	if (id->uid == 0 || id->gid == 0)
		return err_set(e, EPERM, "uid 0 and gid 0 are refused for a confined process");
	if (!id->keep_ids && set_groups(id, e) < 0)
		return -e->code;
	if (getresgid(&gr, &gf, &gs) < 0 || getresuid(&r, &f, &s) < 0)
		return err_set(e, errno, "read ids");
	if ((gr != id->gid || gf != id->gid || gs != id->gid) &&
		setresgid(id->gid, id->gid, id->gid) < 0)
		return err_set(e, errno, "set gid %u", id->gid);
	/* Before the uid changes, while CAP_SETPCAP is still there. */
	if (may_drop_bounding() && !id->keep_caps && lock_securebits(e) < 0)
		return -e->code;
	if (may_drop_bounding() && drop_bounding(id->keep_caps, e) < 0)
		return -e->code;
	if (id->keep_caps && prctl(PR_SET_KEEPCAPS, 1, 0, 0, 0) < 0)
		return err_set(e, errno, "keep capabilities");
	if ((r != id->uid || f != id->uid || s != id->uid) &&
		setresuid(id->uid, id->uid, id->uid) < 0)
		return err_set(e, errno, "set uid %u", id->uid);
	return 0;
}

static int verify_ids(const struct confine_identity *id, struct err *e)
{
	gid_t gr, gf, gs;
	uid_t r, f, s;

	if (getresuid(&r, &f, &s) < 0 || getresgid(&gr, &gf, &gs) < 0)
		return err_set(e, errno, "read ids back");
	if (r != id->uid || f != id->uid || s != id->uid || gr != id->gid || gf != id->gid ||
		gs != id->gid || (!id->keep_ids && !groups_are(id)))
		return err_set(e, EPERM, "ids are not what was set");
	if (setuid(0) == 0 || seteuid(0) == 0 || setgid(0) == 0 || setegid(0) == 0)
		return err_set(e, EPERM, "uid or gid 0 could be regained");
	return 0;
}

/* Once we were root: nothing but keep may be left in the bounding set, known to us or not. */
static int verify_bounding(uint64_t keep, struct err *e)
{
	for (int cap = 0; cap <= CAPS_PROBE_MAX; cap++) {
		int in = prctl(PR_CAPBSET_READ, cap, 0, 0, 0);

		if (in < 0)
			return 0;
		if (in > 0 && !(keep >> cap & 1))
			return err_set(e, EPERM, "capability %d is left in the bounding set", cap);
	}
	return 0;
}

static int verify_caps(uint64_t keep, struct err *e)
{
	struct __user_cap_data_struct d[2];
	int r = caps_get(d);

	if (r < 0)
		return err_set(e, -r, "read capabilities back");
	for (int i = 0; i < 2; i++) {
		uint32_t want = (uint32_t) (keep >> (32 * i));

		if ((d[i].permitted & ~want) || (d[i].effective & ~want) || d[i].inheritable)
			return err_set(e, EPERM, "capabilities are left that should be gone");
	}
	return 0;
}

int confine_drop(const struct confine_identity *id, struct err *e)
{
	bool was_privileged = may_drop_bounding();
	int r;

	if (!id->keep_uid && set_ids(id, e) < 0)
		return -e->code;
	if (id->keep_uid && drop_bounding(id->keep_caps, e) < 0)
		return -e->code;
	/* EINVAL: a kernel without ambient capabilities has none to clear. */
	if (prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0) < 0 && errno != EINVAL)
		return err_set(e, errno, "clear ambient capabilities");
	r = caps_set(id->keep_caps);
	if (r < 0)
		return err_set(e, -r, "reduce capabilities");
	if (id->keep_caps && prctl(PR_SET_KEEPCAPS, 0, 0, 0, 0) < 0)
		return err_set(e, errno, "stop keeping capabilities");
	if (was_privileged && verify_bounding(id->keep_caps, e) < 0)
		return -e->code;
	if (!id->keep_uid && verify_ids(id, e) < 0)
		return -e->code;
	return verify_caps(id->keep_caps, e);
}
