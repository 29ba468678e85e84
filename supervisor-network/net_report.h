/* net_report.h - events to the orchestrator: bounded, drops counted and reported. */
#pragma once
#include "net_leaf.h"
#include "net_target.h"

struct net_report {
	bool denied;
	bool audit;			    /* allowed although the rules say no */
	const char *stage, *group, *engine; /* spec/network 9.1, 9.2 */
	const char *host;
	uint16_t port;
	const struct identity_caller *caller; /* may be NULL */
	const char *policy, *reason;
	struct net_slice method, path; /* of a request; path without query */
	bool secure;		       /* it came inside TLS */
	const char *address;
	uint16_t source_port;
	uint64_t generation;
};

/* Texts are copied and cut; placeholders in a path are masked.  It can't fail: what is beyond the bounds
 * is dropped, and its number told by the next event that is not. */
void net_report(struct net_leaf *n, const struct net_report *r);
/* Something of the leaf itself that an operator should know. */
void net_report_notice(struct net_leaf *n, const char *stage, const char *text);
