/* proc_account.h - passwd(5) and group(5), read by hand and strictly: no NSS code runs in the leaf.
 *
 * Pure but for proc_account_read().  Text is UTF-8, at most 1 MiB, lines at most
 * 8 KiB, fields at most 1 KiB; empty and '#' lines are skipped.  A second entry
 * of the same name is an error, as nobody can tell which is meant.
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "core_err.h"
#include "proc_limits.h"

#define PROC_ACCOUNT_GROUPS_MAX 64 /* supplementary groups; CONFINE_GROUPS_MAX */

struct proc_passwd {
	uint32_t uid, gid;
	char name[PROC_ACCOUNT_FIELD_MAX + 1];
	char home[PROC_ACCOUNT_FIELD_MAX + 1];
	char shell[PROC_ACCOUNT_FIELD_MAX + 1];
};

struct proc_groups {
	uint32_t gid[PROC_ACCOUNT_GROUPS_MAX];
	size_t n;
	bool in_root;
};

/* Open without following a link, regular file, bounded. */
int proc_account_read(const char *path, char **ret, size_t *ret_len, struct err *e);
/* -ENOENT without such an entry; -EINVAL malformed; -EEXIST ambiguous.  proc_account_uid() looks at
 * the number: the first entry counts, as several names of one uid are usual; two that differ in
 * their group are ambiguous. */
int proc_account_user(
	const char *text, size_t len, const char *name, struct proc_passwd *ret, struct err *e);
int proc_account_uid(
	const char *text, size_t len, uint32_t uid, struct proc_passwd *ret, struct err *e);
int proc_account_group(
	const char *text, size_t len, const char *name, uint32_t *ret_gid, struct err *e);
/* Groups that list name as a member are added to those that are there, without duplicates and
 * without gid 0; in_root says that gid 0 was among them. */
int proc_account_groups(
	const char *text, size_t len, const char *name, struct proc_groups *ret, struct err *e);
