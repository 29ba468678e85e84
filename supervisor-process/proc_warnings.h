/* proc_warnings.h - sentences that the operator should read, collected while preparing. */
#pragma once
#include <stddef.h>
#include "proc_limits.h"

struct proc_warnings {
	char text[PROC_WARNINGS_MAX][PROC_WARNING_BYTES];
	size_t n; /* further ones are dropped; the last then says so */
};

void proc_warn(struct proc_warnings *w, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
