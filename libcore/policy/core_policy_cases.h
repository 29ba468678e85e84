/* core_policy_cases.h - requests with the decision that is expected of a policy: a test file.
 *
 *	policy: agent.yaml            # beside the test file
 *	tests:
 *	  - name: git reads issues
 *	    host: api.github.com
 *	    port: 443                 # 443 when left out
 *	    exe: /usr/bin/git
 *	    ancestors: [/bin/bash]
 *	    method: GET
 *	    path: /repos/a/issues?state=open
 *	    expect: allow             # allow, deny, audit
 *	    rule: github              # who decides
 *
 * Without method, path, call and operation_type it is the connection that is asked for.
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "core_policy.h"

#define POLICY_CASES_MAX 10000	 /* of one file */
#define POLICY_CASE_WORDS_MAX 64 /* ancestors, fields of one case */

struct policy_words { /* owned by the cases */
	char *at[POLICY_CASE_WORDS_MAX];
	size_t n;
};

struct policy_case { /* strings are "" when left out; owned by the cases */
	unsigned line;
	char *name, *host, *exe, *method, *path;
	char *call, *tool;		       /* JSON-RPC and MCP: method and tool */
	char *operation_type, *operation_name; /* GraphQL */
	char *expect, *rule;
	struct policy_words ancestors, fields;
	uint16_t port;
};

struct policy_cases { /* zero-initialise */
	char *policy; /* "" when the file names none */
	struct policy_case *at;
	size_t n;
};

/* -EINVAL with the report when the file is not as it must be. */
int policy_cases_load(const char *text, size_t len, struct policy_report *report,
	struct policy_cases *ret, struct err *e);
void policy_cases_done(struct policy_cases *c);
