/* gen.h - random policies and questions, small enough that they meet each other often.
 *
 * A policy is kept as text pieces, so that a test can leave one out, add one, or write them in
 * another order.  The same seed gives the same policy.
 */
#pragma once
#include <stdint.h>
#include "core_policy_request.h"

#define GEN_RULES 6
#define GEN_ENDPOINTS 3
#define GEN_ITEMS 12
#define GEN_TEXT 160

struct gen_endpoint {
	char head[GEN_TEXT * 2]; /* host, port, path, protocol, enforcement, access, mcp */
	char allow[GEN_ITEMS][GEN_TEXT], deny[GEN_ITEMS][GEN_TEXT];
	unsigned n_allow, n_deny;
	bool removable; /* leaving out an allow rule cannot widen another one's meaning */
};

struct gen_policy {
	struct {
		struct gen_endpoint endpoints[GEN_ENDPOINTS];
		unsigned n_endpoints;
		const char *binaries[3];
		unsigned n_binaries;
	} rules[GEN_RULES];
	unsigned n_rules;
};

struct gen_change { /* what gen_write() does to it; -1 = nothing */
	int leave_rule, rule, endpoint, leave_allow;
	const char *add_deny; /* to that rule and endpoint */
	bool reversed;	      /* everything whose order means nothing is written backwards */
};

struct gen_question { /* owns what the request points to */
	char host[64];
	struct identity_caller caller;
	const char *ancestors[2];
	struct policy_connect who;
	struct policy_request request;
	struct policy_param params[3];
	struct policy_graphql graphql;
	struct policy_graphql_op ops[2];
	struct policy_bytes fields[2][3];
	struct policy_rpc rpc;
	struct policy_rpc_call calls[2];
};

uint32_t gen_random(uint64_t *state, uint32_t below);
void gen_policy(uint64_t *state, struct gen_policy *ret);
/* The YAML document; buf has room for 64 KiB. */
size_t gen_write(const struct gen_policy *p, const struct gen_change *change, char *buf);
void gen_question(uint64_t *state, struct gen_question *ret);
