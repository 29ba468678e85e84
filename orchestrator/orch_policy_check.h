/* orch_policy_check.h - the subcommand "policy": check FILE..., default. */
#pragma once

/* argv[0] is the word behind "policy".  Returns the exit status: 0, 1, or 2 for a wrong command line. */
int orch_policy_command(int argc, char **argv);
