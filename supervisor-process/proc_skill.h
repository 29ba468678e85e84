/* proc_skill.h - a page for the agent: what the sandbox is, how to read a refusal, how to ask.
 *
 * Written where agents look for such pages (spec/process 11.7), before anything
 * of the workload exists.  No link is followed on the way (GAP-33): a new file
 * is made beside the old one and renamed over it, mode 0444.  AGENTS.md at the
 * root is written only where nothing, not even a dangling link, has that name.
 */
#pragma once
#include "core_err.h"

/* root: "/", or a directory of a test's. */
int proc_skill_install(const char *root, struct err *e);
