/* orch_policy_ask.h - one question to a compiled policy, as a person asks it: connection first, then
 * the request in it, as the proxy does. */
#pragma once
#include "core_policy_cases.h"
#include "core_policy_snapshot.h"

enum orch_verdict { ORCH_DENIED, ORCH_ALLOWED, ORCH_AUDITED };

struct orch_answer {
	enum orch_verdict verdict;
	bool at_request; /* the connection is allowed, the request decided */
	bool inspected;	 /* requests in the connection are looked at */
	char policy[256], protocol[16];
	size_t endpoint;
	unsigned line;
	char reason[POLICY_REASON_MAX], near[POLICY_REASON_MAX];
};

/* name, expect and rule of the case don't matter.  -EINVAL for a question that makes no sense. */
int orch_policy_ask(const struct policy_snapshot *s, const struct policy_case *q,
	struct orch_answer *ret, struct err *e);
const char *orch_verdict_name(enum orch_verdict v); /* allow, deny, audit */
