/* orch_policy.h - the policy's source, its bytes for the leaves, and its generations.
 *
 * Where it comes from: --policy FILE, else the installed file, else the
 * embedded default (spec/orchestrator 3.3).  A file must be a regular file, owned
 * by root or by whoever called us, and writable by its owner only: whoever can
 * write it decides what the sandbox may do.  Links on the way to it are followed
 * when the same is true of them (orch_open.h).  Its folder stays open, so that a
 * later rename of a parent leads nowhere else.
 *
 * The newest accepted document is the candidate; it becomes current when the
 * network leaf has taken it.  Only network sections change on a running
 * sandbox (spec/policy 6); a difference in the others is reported.
 */
#pragma once
#include <stdbool.h>
#include <stdint.h>
#include "core_cleanup.h"
#include "core_err.h"
#include "core_policy.h"

#define ORCH_POLICY_INSTALLED "/etc/openshell/policy.yaml"
#define ORCH_POLICY_LEGACY "/etc/navigator/policy.yaml"

struct orch_policy;

/* One sentence, or several lines of problems, for the operator. */
typedef void (*orch_say_fn)(void *owner, const char *text);

struct orch_policy_source {
	const char *file; /* --policy; NULL: installed, else embedded */
	const char *installed, *legacy;
	uint32_t callers[2]; /* owners that are accepted beside root */
	size_t n_callers;
};

int orch_policy_new(const struct orch_policy_source *s, orch_say_fn say, void *owner,
	struct orch_policy **ret, struct err *e);
void orch_policy_free(struct orch_policy *p);

const char *orch_policy_name(const struct orch_policy *p); /* path, or "embedded default" */
bool orch_policy_has_file(const struct orch_policy *p);
int orch_policy_dir(const struct orch_policy *p); /* borrowed; -1 without a file */
/* The file is a link: it changes when anything in its folder is renamed. */
bool orch_policy_is_linked(const struct orch_policy *p);
const struct policy_doc *orch_policy_doc(const struct orch_policy *p); /* at start */
int orch_policy_fd(const struct orch_policy *p); /* current one, sealed; borrowed */
uint64_t orch_policy_generation(const struct orch_policy *p);

enum orch_reload { ORCH_RELOAD_SAME, ORCH_RELOAD_NEW, ORCH_RELOAD_REFUSED };

/* Read the file again.  NEW: there is a candidate, generation + 1.  REFUSED: why was said. */
enum orch_reload orch_policy_reload(struct orch_policy *p);
int orch_policy_candidate_fd(const struct orch_policy *p); /* borrowed; -1: none */
uint64_t orch_policy_candidate_generation(const struct orch_policy *p);
void orch_policy_commit(struct orch_policy *p);
void orch_policy_drop(struct orch_policy *p);

struct orch_process_id { /* the workload, as far as files are concerned */
	uint32_t uid, gid;
	const char *workdir; /* "" = none */
};

/* May such a process, confined by this policy, change the file?  Then it is not read again while
 * the workload lives. */
bool orch_policy_is_exposed(const struct orch_policy *p, const struct orch_process_id *id);
DEFINE_AUTO(struct orch_policy, orch_policy_free)
