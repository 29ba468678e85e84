/* orch_run.h - one sandbox, from the start of its leaves to its last process.
 *
 * The order is the security property (architecture, "Boundary lifecycle"); what
 * happens when is in orch_run_start.c, signals and the end are in
 * orch_run_end.c.
 */
#pragma once
#include "core_err.h"
#include "orch_options.h"

/* Returns the exit status of the program (spec/orchestrator 1.6); what went wrong was said. */
int orch_run(const struct orch_options *o);
