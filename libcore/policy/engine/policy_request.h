/* policy_request.h - between deciding about a request and saying why; files of the engine only. */
#pragma once
#include "policy_snapshot.h"

struct policy_votes { /* what the endpoints said; the first of a kind in the document's order */
	const struct policy_endpoint *selected, *denier, *allower, *refuser, *http_allower;
	const struct policy_request_rule *deny_rule, *allow_rule, *http_rule;
	size_t n_authoritative; /* endpoints that alone decide about this kind of traffic */
	uint64_t calls[POLICY_OPERATIONS_MAX / 64]; /* permitted calls of a batch */
	bool stream;				    /* the receive stream is permitted */
};

/* Faults that no rule and no audit mode softens; true with a reason in d. */
bool policy_say_fault(const struct policy_connect *who, const struct policy_request *q,
	const struct policy_endpoint *selected, bool inspected, struct policy_request_decision *d);
/* Reason and near miss of a request that rules refuse; walks the endpoints once more. */
void policy_say_denial(struct policy_walk *w, const struct policy_request *q,
	const struct policy_votes *v, struct policy_request_decision *d);
