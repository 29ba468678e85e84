/* orch_policy_summary.h - who may go where, printed. */
#pragma once
#include <stdbool.h>
#include "core_policy.h"

void orch_policy_summary(const struct policy_doc *d, bool json);
