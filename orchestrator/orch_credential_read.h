/* orch_credential_read.h - read --credentials and get every value, in a process of its own.
 *
 * Files may be slow and commands may hang, and the YAML library leaves copies
 * of what it read in memory that nobody wipes: so a forked child does it all,
 * writes one NetCredentialsRead to a pipe and ends.  Problems are in that
 * message, with file, line and column; values are in no message for people.
 */
#pragma once
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include "core_err.h"

struct orch_credential_source {
	const char *file;   /* --credentials */
	uint32_t owners[2]; /* who may own it */
	size_t n_owners;
	const char *const *captured; /* variables whose values were taken before; NULL-terminated */
};

/* Start the child: the leader of a process group of its own, so that its commands end with it.
 * *ret_fd is the pipe's end to read until it ends. */
int orch_credential_read(
	const struct orch_credential_source *s, pid_t *ret_pid, int *ret_fd, struct err *e);

/* Run argv without a shell, nothing on its input, and take what it and its children write on its
 * output until all have closed it: at most max bytes, within the time, exit status 0.  Blocks; for
 * the child.  ret is the caller's, max + 1 bytes. */
int orch_credential_command(char *const *argv, uint64_t limit_ms, char *ret, size_t max,
	size_t *ret_len, struct err *e);
