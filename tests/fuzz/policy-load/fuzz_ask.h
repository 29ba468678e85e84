/* fuzz_ask.h - every kind of decision, asked of each endpoint of a policy that loaded. */
#pragma once
#include <string.h>
#include "core_policy_request.h"
#include "core_text.h"

#define FUZZ_ASK_MAX 16 /* endpoints asked about */

static inline struct policy_bytes fuzz_bytes(const char *s)
{
	return (struct policy_bytes){ s, strlen(s) };
}

static inline void fuzz_ask_one(const struct policy_snapshot *s, const struct policy_connect *who)
{
	static const char *const methods[] = { "GET", "POST", "WEBSOCKET_TEXT" };
	static const char *const paths[] = { "/", "/graphql", "/a/b.c/d" };
	static struct policy_request_decision r;
	static struct policy_decision c;
	struct policy_param query = { fuzz_bytes("k"), fuzz_bytes("v.w") };
	struct policy_bytes field = fuzz_bytes("a");
	struct policy_graphql_op op = {
		.type = fuzz_bytes("query"), .fields = &field, .n_fields = 1
	};
	struct policy_rpc_call call = { .method = fuzz_bytes("tools/call"),
		.tool = fuzz_bytes("x.y") };
	struct policy_graphql graphql = { .ops = &op, .n_ops = 1 };
	struct policy_rpc rpc = { .calls = &call, .n_calls = 1 };

	policy_decide_connect(s, who, &c);
	for (unsigned i = 0; i < 9; i++) {
		struct policy_request q = { fuzz_bytes(methods[i % 3]), fuzz_bytes(paths[i / 3]),
			&query, 1, NULL, NULL };

		policy_decide_request(s, who, &q, &r);
		q.graphql = &graphql;
		policy_decide_request(s, who, &q, &r);
		q.graphql = NULL;
		q.rpc = &rpc;
		policy_decide_request(s, who, &q, &r);
	}
}

static inline void fuzz_ask(const struct policy_doc *d, const struct policy_snapshot *s)
{
	const Openshell__Sandbox__V1__SandboxPolicy *p = policy_message(d);
	struct identity_caller caller = {
		.assurance = IDENTITY_OBSERVED, .exe = "/usr/bin/curl", .sha256 = "", .reason = ""
	};
	size_t n = 0;

	for (size_t i = 0; i < p->n_network_policies; i++) {
		const Openshell__Sandbox__V1__NetworkPolicyRule *r = p->network_policies[i]->value;

		for (size_t k = 0; r && k < r->n_endpoints && n < FUZZ_ASK_MAX; k++, n++) {
			const Openshell__Sandbox__V1__NetworkEndpoint *ep = r->endpoints[k];
			uint32_t port = ep->n_ports ? ep->ports[0] : ep->port;
			struct policy_connect who = { ep->host, (uint16_t) port, k % 2, &caller };

			fuzz_ask_one(s, &who);
		}
	}
}
