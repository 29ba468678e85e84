/* policy_report.h - adding problems; files of the loader only. */
#pragma once
#include "core_policy.h"

struct place {
	unsigned line, column;
};

/* Values that a message repeats are cut at POLICY_QUOTE_MAX bytes by "%Q"-like use of quote(). */
void report_add(struct policy_report *r, enum policy_level level, const char *code, struct place at,
	const char *path, const char *problem, const char *hint);
/* Up to POLICY_QUOTE_MAX bytes of s, escaped, in backquotes; returns buf. */
#define QUOTE_SIZE (4 * POLICY_QUOTE_MAX + 16)
const char *quote(const char *s, char buf[QUOTE_SIZE]);
