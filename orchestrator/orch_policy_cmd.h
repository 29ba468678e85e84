/* orch_policy_cmd.h - the subcommand "policy": a table of words, and what they share.
 *
 * A word is a row in orch_policy_cmd.c and a function in a file of its own.  Exit status: 0 good,
 * 1 the answer is no (a problem in a document, a failed case), 2 a wrong command line.
 */
#pragma once
#include <stddef.h>
#include "core_err.h"
#include "core_policy.h"

/* argv[0] is the word behind "policy". */
int orch_policy_command(int argc, char **argv);

/* What the words share: text to a descriptor (nobody to tell when it fails) ... */
void orch_policy_out(int fd, const char *text);
/* ... "openshell-supervisor: policy WORD: SENTENCE" on stderr, returns 2 ... */
int orch_policy_complain(const char *word, const struct err *e);
/* ... a file of at most max bytes, or standard input for "-" (malloc'd, NUL-terminated) ... */
int orch_policy_read(const char *path, size_t max, char **ret, size_t *ret_len, struct err *e);
/* ... and the usage of every word on stderr, returns 2. */
int orch_policy_usage(void);
