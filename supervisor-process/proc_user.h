/* proc_user.h - whom the workload runs as (spec/process 7).
 *
 * Order: the driver's numbers override the policy; the policy's own fields; the
 * image's user for fields that the policy leaves out; the person who ran sudo,
 * when neither names anybody; the account "sandbox".  Whatever the way, uid 0
 * and gid 0 are refused after resolution.
 *
 * Supplementary groups are always an explicit list (GAP-20): none for a number,
 * those of the group file for a name.  Group 0 is never in it; for a user that
 * an image names, membership in it is an error.
 */
#pragma once
#include <stdbool.h>
#include "core_confine.h"
#include "core_err.h"
#include "proc_account.h"

struct proc_user_input {
	const char *policy_user, *policy_group; /* NULL or "" = not named */
	const char *sandbox_uid, *sandbox_gid;	/* NULL = variable not set */
	const char *image_user;
	bool has_invoker;
	uint32_t invoker_uid, invoker_gid; /* uid 0 counts as no invoker */
	const char *passwd_path, *group_path;
};

struct proc_user {
	struct confine_identity identity;
	char name[PROC_ACCOUNT_FIELD_MAX + 1]; /* the number where a number was named */
	char home[PROC_ACCOUNT_FIELD_MAX + 1];
	char shell[PROC_ACCOUNT_FIELD_MAX + 1];
	bool from_driver;  /* numbers of OPENSHELL_SANDBOX_UID */
	bool from_image;   /* a field of OPENSHELL_OCI_IMAGE_USER was used: HOME is the workdir */
	bool from_invoker; /* the person who ran sudo */
};

/* The account files are read only for what they must answer: numbers need none. */
int proc_user_resolve(const struct proc_user_input *in, struct proc_user *ret, struct err *e);
/* Spec/process 7.3: give the account "sandbox" these numbers.  New file beside the old one, then
 * rename(2); links are refused; a file that says so already is not touched. */
int proc_user_rewrite_accounts(
	const char *passwd_path, const char *group_path, uint32_t uid, uint32_t gid, struct err *e);
