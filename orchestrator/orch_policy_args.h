/* orch_policy_args.h - what the author's words of "policy" share: options, documents, lines. */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include "core_json.h"
#include "core_policy.h"

struct orch_policy_option { /* one of flag and value is set */
	const char *name;   /* with its dashes */
	bool *flag;
	const char **value; /* "--name VALUE" or "--name=VALUE" */
};

/* Takes options out of argv (argv[0] is the word); what is left are files, in their order, at most
 * max.  "--policy FILE" is another way to say FILE, unless the word has that option for something
 * else.  "-" is a file, "--" ends the options.  Everything is borrowed from argv.  false: wrong. */
bool orch_policy_options(int argc, char **argv, const struct orch_policy_option *options,
	size_t n_options, const char **files, size_t max, size_t *ret_n);

/* Problems of the document go to stderr, unless report is not NULL: then they are the caller's.
 * 0; -EINVAL: the document has problems; otherwise the file could not be read. */
int orch_policy_document(
	const char *word, const char *path, struct policy_report *report, struct policy_doc **ret);

/* JSON in memory of its own: with a newline to standard output, and released.  Without memory the output
 * is lost as a whole: false. */
bool orch_policy_json(struct json *j);
/* A line to standard output. */
void orch_policy_line(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
