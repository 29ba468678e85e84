/* proc_files.h - what must exist before the workload does (spec/process 13), made as root.
 *
 * Whatever is made or given away is walked with openat2(2)
 * RESOLVE_NO_SYMLINKS, and ownership is given through the descriptor (GAP-34).
 * What only has to be usable is tried by a child that has become the workload's
 * identity: ACLs and security modules are then judged by the kernel.
 */
#pragma once
#include <stdbool.h>
#include "core_err.h"
#include "proc_user.h"

#define PROC_FILES_MANAGED "/sandbox" /* the workspace of an image that names none */
#define PROC_FILES_CHILD_MS 10000     /* a directory that can't be tried in this time is refused */
#define PROC_FILES_PROBE_NAMES_MAX 16

/* Absolute, normalised, and neither inside nor around a path that belongs to the supervisor or to
 * the kernel (spec/process 6.5). */
int proc_files_check_workdir(const char *path, struct err *e);
/* The workdir must exist and be a directory that this identity can enter, and what it really is
 * (links followed) must pass proc_files_check_workdir(); nothing is changed. */
int proc_files_workdir(const char *path, const struct confine_identity *id, struct err *e);

/* The workspace of an image (spec/process 13.4): *ret is asked, or PROC_FILES_MANAGED for "" and
 * "/".  The managed one is made and given; another must be writable already. */
int proc_files_image_workdir(
	const char *asked, const struct confine_identity *id, const char **ret, struct err *e);
/* Can the caller itself enter and write it?  No link on the way. */
int proc_files_use(const char *path, struct err *e);
/* Its two halves. */
int proc_files_managed(const char *path, const struct confine_identity *id, struct err *e);
int proc_files_validate(const char *path, const struct confine_identity *id, struct err *e);

/* Missing read_write directory: made with its parents, the last one given to the workload.  An
 * existing one keeps its owner; a link is refused.  Nothing is made below /proc, /sys and /dev. */
int proc_files_make(const char *path, const struct confine_identity *id, struct err *e);
/* Driver-numbered identity: /sandbox and everything below it is given to the workload. */
int proc_files_give_tree(const char *root, const struct confine_identity *id, struct err *e);
