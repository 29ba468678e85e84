/* proc_files.h - what must exist before the workload does (spec/process 13), made as root.
 *
 * Every component is walked with openat2(2) RESOLVE_NO_SYMLINKS, and ownership
 * is given through the descriptor (GAP-34).
 */
#pragma once
#include <stdbool.h>
#include "core_err.h"
#include "proc_user.h"

/* Absolute, normalised, and neither inside nor around a path that belongs to the supervisor or to
 * the kernel (spec/process 6.5). */
int proc_files_check_workdir(const char *path, struct err *e);
/* The workdir must exist and be a directory that this identity can enter; nothing is changed. */
int proc_files_workdir(const char *path, const struct confine_identity *id, struct err *e);
/* Missing read_write directory: made with its parents, the last one given to the workload.  An
 * existing one keeps its owner; a link is refused. */
int proc_files_make(const char *path, const struct confine_identity *id, struct err *e);
/* Driver-numbered identity: /sandbox and everything below it is given to the workload. */
int proc_files_give_tree(const char *root, const struct confine_identity *id, struct err *e);
