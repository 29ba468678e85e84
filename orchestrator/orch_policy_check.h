/* orch_policy_check.h - "policy check [--json] FILE...": every problem of each document. */
#pragma once

/* argv[0] is "check".  Returns the exit status: 0, 1, or 2 for a wrong command line. */
int orch_policy_check(int argc, char **argv);
