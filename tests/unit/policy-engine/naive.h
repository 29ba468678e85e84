/* naive.h - the request and connection decisions once more, as plainly as possible, for comparison.
 *
 * Written from the specification, without an index, a compiler or anything of the engine; it reads
 * the document's message and recurses.  Only for small inputs.
 */
#pragma once
#include "core_policy_request.h"

struct naive_answer {
	bool connect;	    /* the connection is allowed */
	const char *policy; /* by this rule, "" otherwise */
	bool route;	    /* an inspected endpoint covers the path */
	const char *route_policy;
	size_t route_endpoint;
	enum policy_verdict verdict;
	bool hard;
};

/* request may be NULL. */
void naive_decide(const Openshell__Sandbox__V1__SandboxPolicy *p, const struct policy_connect *who,
	const struct policy_request *request, struct naive_answer *ret);
/* dialect: P, H, V, S or D; a malformed pattern is -1. */
int naive_glob(char dialect, const char *pattern, const char *value);
