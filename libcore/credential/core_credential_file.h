/* core_credential_file.h - the file of --credentials, parsed (docs/credentials.md).
 *
 * Pure: text in, sources out; nothing is read, run or resolved here.  All
 * problems of the file are reported, with line and column; no message repeats
 * a value.  The YAML library copies what it reads to memory that is neither
 * locked nor wiped, so parse in a process that ends right after.
 */
#pragma once
#include "core_credential.h"
#include "core_policy.h"

#define CREDENTIAL_FILE_BYTES_MAX (512 * 1024)
#define CREDENTIAL_ARGV_MAX 64	     /* words of from_command */
#define CREDENTIAL_PATH_LEN_MAX 1024 /* bytes of an endpoint's path */

enum credential_origin {
	CREDENTIAL_INLINE, /* value */
	CREDENTIAL_ENV,	   /* from_env */
	CREDENTIAL_FROM_FILE,
	CREDENTIAL_COMMAND, /* from_command */
};

struct credential_source {
	char *name, *prefix; /* prefix "" : none */
	enum credential_origin origin;
	char *text;  /* value, variable or path; NULL for a command */
	char **argv; /* NULL-terminated */
	uint64_t expires_at_ms;
	bool require;
	struct credential_endpoint *endpoints; /* strings owned */
	size_t n_endpoints;
	unsigned line, column; /* of what origin names */
};

struct credential_file { /* zero-initialise */
	struct credential_source *at;
	size_t n;
};

/* 0 when the report has no error; -EINVAL otherwise. */
int credential_file_parse(const char *text, size_t len, struct policy_report *report,
	struct credential_file *ret, struct err *e);
/* Add a problem of a source to the report, at its place: the value could not be had. */
void credential_file_problem(
	const struct credential_source *s, struct policy_report *report, const char *problem);
void credential_file_done(struct credential_file *f);
/* May this be a variable of the workload that we set? false, and why. */
bool credential_variable_is_free(const char *name, const char **ret_why);
/* 2026-12-31T23:59:59Z, with an offset instead of Z, or seconds since 1970. */
int credential_time(const char *text, size_t len, uint64_t *ret_ms);
