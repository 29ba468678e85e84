/* policy_merge.h - parts of policy_merge() that lie in several files. */
#pragma once
#include "core_policy_edit.h"
#include "policy_pb.h"

struct merge {
	policy_msg *m; /* the private copy */
	struct policy_report *report;
	const char *key; /* of the rule being changed, for messages */
	struct err *e;
};

void merge_warn(struct merge *g, const char *code, const char *hint, const char *fmt, ...)
	__attribute__((format(printf, 4, 5)));

/* Take what in has over into rule; 0, or -EPERM with a sentence when some program would get a
 * destination that the operation does not declare.  rule is then half changed. */
int merge_rule(struct merge *g, rule_msg *rule, const rule_msg *in);
/* Take over one endpoint's fields; ports stay as they are. */
int merge_endpoint(struct merge *g, endpoint_msg *ep, const endpoint_msg *in);
/* Append what is not there yet, by its bytes. */
int merge_allow(struct merge *g, endpoint_msg *ep, const PB(L7Allow) * allow);
int merge_deny(struct merge *g, endpoint_msg *ep, const PB(L7DenyRule) * deny);
/* Ports sorted, binaries, endpoints and addresses each once. */
int merge_tidy(struct merge *g, rule_msg *rule);
/* MCP shares no host:port with another inspected protocol or with other MCP options; conflicts
 * that before already had are left alone. */
int merge_check_mcp(struct merge *g, const policy_msg *before);
