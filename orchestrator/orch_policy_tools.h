/* orch_policy_tools.h - the words of "policy" that help an author, see openshell-supervisor(8).
 *
 * argv[0] is the word itself; the rest are its options and files (orch_policy_args.h).  The answer goes
 * to standard output, complaints to stderr.  What is returned is the exit status; 2 always means a
 * wrong command line, or a file that could not be used.
 */
#pragma once

/* Who may go where, 0; or why one request may (0) or may not (1). */
int orch_policy_explain(int argc, char **argv);
/* The cases of a file (core_policy_cases.h): 0 when all are as expected, 1 otherwise. */
int orch_policy_test(int argc, char **argv);
/* Problems and habits to avoid: 0 when there is nothing to say, 1 otherwise. */
int orch_policy_lint(int argc, char **argv);
/* The canonical form (core_policy_tools.h): 1 when the document has problems or, with --check, another
 * form.  --write replaces the file by rename(2). */
int orch_policy_fmt(int argc, char **argv);
/* What the second document grants or denies other than the first: 0 nothing, 1 something. */
int orch_policy_diff(int argc, char **argv);
/* The JSON Schema of policies, 0. */
int orch_policy_schema(int argc, char **argv);
