/* core_policy_request.h - decisions about single requests inside an allowed connection.
 *
 * Both functions take the snapshot that the connection pinned and the question that was asked for
 * the connection (host, port, caller); they allocate nothing and do no I/O.  Selecting answers
 * WHICH endpoint's inspector, limits and flags apply to a path; deciding looks at all endpoints
 * that cover it: allows are a union, a deny in any of them wins, and GraphQL, JSON-RPC and MCP
 * traffic is only allowed by endpoints of its own kind (spec/policy 2.5 to 2.14).
 *
 * Order for a relay: canonical path (core_policy_path.h) -> policy_select() -> run the inspector
 * that route.protocol names, with its limits -> policy_decide_request().
 * An encoded slash: when policy_select_any_encoded_slash() is true parse leniently first, select,
 * and refuse if the selected route has it off.
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "core_policy_path.h"
#include "core_policy_snapshot.h"

#define POLICY_OPERATIONS_MAX 128 /* GraphQL operations or JSON-RPC calls of one request */
#define POLICY_FIELDS_MAX 1024	  /* root fields of one GraphQL operation */
#define POLICY_BODY_DEFAULT 65536 /* bytes of a body that is inspected, when nothing is set */
#define POLICY_RULE_NONE SIZE_MAX

struct policy_graphql_op {
	struct policy_bytes type; /* query, mutation, subscription in any case; "" if hash-only */
	struct policy_bytes name; /* operationName; absent for an anonymous one */
	const struct policy_bytes *fields; /* root fields, real names, fragments expanded */
	size_t n_fields;
	bool persisted;		      /* a hash or an id stands beside or instead of a document */
	struct policy_bytes hash, id; /* absent or not; looked at only when type is "" */
};

struct policy_graphql {
	const struct policy_graphql_op *ops;
	size_t n_ops;
	const char *error; /* the request could not be read: a hard denial; NULL otherwise */
};

struct policy_rpc_call {
	struct policy_bytes method; /* absent for a response frame */
	struct policy_bytes tool; /* params.name of tools/call, with or without an id; or absent */
	bool response;		  /* result or error from the client's side */
};

struct policy_rpc {
	const struct policy_rpc_call *calls; /* a batch has several */
	size_t n_calls;
	bool receive_stream; /* GET, empty body, Accept: text/event-stream */
	const char *error;   /* as for GraphQL */
};

struct policy_request {
	struct policy_bytes method; /* as sent; a client's WebSocket text message: WEBSOCKET_TEXT */
	struct policy_bytes path;   /* canonical, without query; of the upgrade for messages */
	const struct policy_param *query; /* decoded */
	size_t n_query;
	const struct policy_graphql *graphql; /* NULL: not classified as such */
	const struct policy_rpc *rpc;	      /* NULL: the same */
};

enum policy_signing {
	POLICY_SIGN_NONE,
	POLICY_SIGN_SIGV4,
	POLICY_SIGN_SIGV4_BODY,
	POLICY_SIGN_SIGV4_NO_BODY,
};

struct policy_route {		       /* borrowed from the snapshot */
	const char *policy;	       /* rule key */
	size_t endpoint;	       /* index in that rule */
	unsigned line;		       /* 0 = unknown */
	const char *host;	       /* as the endpoint has it, lower case; "" for hostless */
	const char *path;	       /* the endpoint's path pattern; "" = every path */
	size_t specificity;	       /* characters of path other than '*' */
	enum policy_protocol protocol; /* an inspected one */
	bool enforce;		       /* false: audit */
	bool allow_encoded_slash;
	bool websocket_credential_rewrite, request_body_credential_rewrite;
	bool allow_uninspected_credentials, provider_credentialed;
	bool graphql_messages;	 /* websocket: text messages are to be read as GraphQL */
	bool strict_tool_names;	 /* mcp */
	uint32_t max_body_bytes; /* of the inspector of protocol; POLICY_BODY_DEFAULT if unset */
	enum policy_signing signing;
	const char *signing_service, *signing_region; /* "" if unset */
	const char *credential_provider;	      /* credential_binding.provider; "" if unset */
};

/* The endpoint with the most specific path among those that cover path; on a tie the last in key
 * and list order.  false: no inspected endpoint covers it, which denies the request when
 * policy_decision.inspect was set for the connection (spec/policy 2.5). */
bool policy_select(const struct policy_snapshot *s, const struct policy_connect *who,
	struct policy_bytes path, struct policy_route *ret);
/* Some inspected endpoint for this host, port and caller has allow_encoded_slash. */
bool policy_select_any_encoded_slash(
	const struct policy_snapshot *s, const struct policy_connect *who);

/* Some endpoint for host and port, whoever may call it, binds this provider's credentials and its
 * path selects the canonical path (spec/policy 2.17).  Never widens what is allowed. */
bool policy_binds_provider(const struct policy_snapshot *s, const struct policy_connect *who,
	struct policy_bytes path, const char *provider);

enum policy_verdict {
	POLICY_DENIED, /* do not forward */
	POLICY_ALLOWED,
	POLICY_AUDITED, /* the rules say no, the endpoint only audits: forward and log */
};

struct policy_request_decision {
	enum policy_verdict verdict;
	bool hard; /* a denial that audit does not soften: unreadable body, no route, ... */
	bool has_route;
	struct policy_route route; /* what policy_select() answers; valid with has_route */
	uint64_t generation;
	/* Who decided: the rule that allows, the rule whose deny rule fired, else the route's; "" */
	const char *policy;
	size_t endpoint;
	unsigned endpoint_line;
	bool by_deny_rule; /* rule is a place in deny_rules */
	size_t rule; /* place in rules or deny_rules; POLICY_RULE_NONE: a preset, or nothing */
	char reason[POLICY_REASON_MAX]; /* unless allowed; spec/network 3.5 */
	char near[POLICY_REASON_MAX]; /* what nearly matched, and the smallest change; may be "" */
};

/* The connection itself must have been allowed (policy_decide_connect() with the same question);
 * here a caller that no rule names meets "no route", a hard denial. */
void policy_decide_request(const struct policy_snapshot *s, const struct policy_connect *who,
	const struct policy_request *r, struct policy_request_decision *ret);
