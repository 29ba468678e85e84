/* policy_lint.h - parts of policy_lint() that lie in several files.
 *
 * Codes: W03 a pattern that stops where most people think it goes on, W06 never matches, W07 said
 * twice, W08 a deny rule that denies nothing, W09 other programs read it otherwise, W10 a name or
 * default that surprises; E19 an empty list that is not what it seems.
 */
#pragma once
#include "core_policy_snapshot.h"
#include "policy_doc.h"
#include "policy_pb.h"

struct l7_rule { /* allow and deny have the same fields */
	const void *at;
	const char *method, *path, *operation_type, *operation_name;
	char *const *fields;
	size_t n_fields, n_query, n_params;
	PB(L7Allow__QueryEntry) *const *query; /* entry types differ by name only */
	PB(L7Allow__ParamsEntry) *const *params;
	bool deny;
};

struct l7_rule l7_of_allow(const PB(L7Allow) * a);
struct l7_rule l7_of_deny(const PB(L7DenyRule) * d);

struct lint {
	struct check c;
	const policy_msg *m;
	/* endpoints with deny rules are compared with all; 0 of them when there are too many */
	const endpoint_msg **endpoints;
	size_t n_endpoints;
};

void lint_endpoint(struct lint *l, const endpoint_msg *ep); /* policy_lint_endpoint.c */
void lint_path(struct lint *l, const void *at, const char *path, bool encoded_slash);
void lint_endpoint_path(struct lint *l, const endpoint_msg *ep); /* policy_lint_path.c */
void lint_value(struct lint *l, const void *at, const char *field, const char *pattern);
void lint_requests(struct lint *l, const endpoint_msg *ep); /* policy_lint_request.c */
void lint_repeats(struct lint *l);			    /* policy_lint_repeat.c */
void lint_repeated_rules(struct lint *l, const endpoint_msg *ep);
bool lint_glob(enum policy_dialect d, const char *pattern, const char *value);
bool lint_can_meet(const struct l7_rule *allow,
	const struct l7_rule *deny); /* some request fits both; b is the deny rule */
/* The field was written, though nothing is in it. */
bool lint_is_written(const struct lint *l, const void *at);
