/* core_policy_tools.h - what an author's commands need beyond loading: canonical text, hints about
 * rules that do less (or more) than they seem to, and a schema for editors.
 *
 * Pure, but not made for the decision path: everything allocates and may look at all pairs of
 * rules.
 */
#pragma once
#include "core_policy.h"

#define POLICY_FORMAT_BYTES_MAX (16 * 1024 * 1024) /* canonical text of one document */
#define POLICY_LINT_RULES_MAX 64   /* request rules of one endpoint that are compared in pairs */
#define POLICY_LINT_PAIRS_MAX 4096 /* endpoints of one document that are compared in pairs */

/* Canonical YAML, NUL-terminated, malloc'd: fields in one order, maps by key, defaults left out.
 * Loading it gives the same document.  Comments are not part of a document and are not kept.
 * -EOVERFLOW when the wire form holds what YAML can't say. */
int policy_format(const struct policy_doc *d, char **ret, size_t *ret_len, struct err *e);

/* Adds a warning with its code and the corrected spelling for every rule that is dead, does less
 * than it seems to, or is read otherwise than most people read it. */
void policy_lint(const struct policy_doc *d, struct policy_report *report);

/* JSON Schema (draft 2020-12) of the YAML form, malloc'd. */
int policy_schema_json(char **ret, struct err *e);
