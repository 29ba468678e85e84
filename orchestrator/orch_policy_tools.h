/* orch_policy_tools.h - the words of "policy" that help an author.  argv[0] is the word. */
#pragma once

int orch_policy_explain(int argc, char **argv);
int orch_policy_test(int argc, char **argv);
int orch_policy_lint(int argc, char **argv);
int orch_policy_fmt(int argc, char **argv);
int orch_policy_diff(int argc, char **argv);
int orch_policy_schema(int argc, char **argv);
