/* orch_policy_summary.h - who may go where, rule by rule, to standard output. */
#pragma once
#include <stdbool.h>
#include "core_policy.h"

/* Sentences, or with json one JSON map.  d is borrowed.  Text of the document is escaped; a long list is
 * cut and marked. */
void orch_policy_summary(const struct policy_doc *d, bool json);
