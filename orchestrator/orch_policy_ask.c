#include "orch_policy_ask.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "core_cleanup.h"
#include "core_policy_request.h"
#include "core_text.h"

struct ask { /* large, so never on the stack */
	const struct policy_snapshot *snapshot;
	const struct policy_case *q;
	char host[POLICY_HOST_MAX + 1];
	struct identity_caller caller;
	struct policy_connect who;
	struct policy_decision connect;
	struct policy_path path;
	struct policy_query query;
	struct policy_bytes fields[POLICY_CASE_WORDS_MAX];
	struct policy_graphql_op op;
	struct policy_graphql graphql;
	struct policy_rpc_call call;
	struct policy_rpc rpc;
	struct policy_request request;
	struct policy_request_decision decision;
};

const char *orch_verdict_name(enum orch_verdict v)
{
	return v == ORCH_ALLOWED ? "allow" : v == ORCH_AUDITED ? "audit" : "deny";
}

static struct policy_bytes bytes(const char *s)
{
	return *s ? (struct policy_bytes){ s, strlen(s) } : (struct policy_bytes){ NULL, 0 };
}

static const char *protocol_name(enum policy_protocol p)
{
	static const char *const names[] = { "", "tcp", "sql", "rest", "websocket", "graphql",
		"json-rpc", "mcp" };

	return (size_t) p < sizeof names / sizeof *names ? names[p] : "";
}

static int set_who(struct ask *a, struct err *e)
{
	const struct policy_case *q = a->q;
	size_t n = strlen(q->host);

	if (n > POLICY_HOST_MAX)
		return err_set(e, EINVAL, "host of more than %d bytes", POLICY_HOST_MAX);
	(void) memcpy(a->host, q->host, n + 1);
	text_lower(a->host, n);
	a->caller = (struct identity_caller){ .assurance = IDENTITY_OBSERVED,
		.exe = q->exe,
		.sha256 = "",
		.reason = "",
		.ancestors = (const char *const *) q->ancestors.at,
		.n_ancestors = q->ancestors.n };
	a->who = (struct policy_connect){ a->host, q->port, true, &a->caller };
	return 0;
}

static void copy_answer(struct orch_answer *ret, const char *policy, size_t endpoint, unsigned line,
	const char *reason, const char *near)
{
	(void) snprintf(ret->policy, sizeof ret->policy, "%s", policy);
	ret->endpoint = endpoint;
	ret->line = line;
	(void) snprintf(ret->reason, sizeof ret->reason, "%s", reason);
	(void) snprintf(ret->near, sizeof ret->near, "%s", near);
}

static bool is_request(const struct policy_case *q)
{
	return q->method[0] || q->path[0] || q->call[0] || q->operation_type[0];
}

/* A path that is refused before any rule is an answer, not an error. */
static bool set_path(struct ask *a, struct orch_answer *ret)
{
	const char *target = a->q->path[0] ? a->q->path : "/";
	bool slash = policy_select_any_encoded_slash(a->snapshot, &a->who);
	enum policy_path_fault f = policy_path_canonical(target, strlen(target), slash, &a->path);
	struct err why = { 0 };

	if (f != POLICY_PATH_FINE)
		copy_answer(ret, "", 0, 0, policy_path_fault_text(f), "");
	else if (policy_query_decode(a->path.query, &a->query, &why) < 0)
		copy_answer(ret, "", 0, 0, why.text, "");
	else
		return true;
	return false;
}

static void set_request(struct ask *a)
{
	const struct policy_case *q = a->q;
	bool post = q->call[0] || q->operation_type[0];

	a->request = (struct policy_request){ .method = bytes(q->method[0] ? q->method
							      : post	   ? "POST"
									   : "GET"),
		.path = { a->path.at, a->path.len },
		.query = a->query.at,
		.n_query = a->query.n };
	if (q->operation_type[0]) {
		for (size_t i = 0; i < q->fields.n; i++)
			a->fields[i] = bytes(q->fields.at[i]);
		a->op = (struct policy_graphql_op){ .type = bytes(q->operation_type),
			.name = bytes(q->operation_name),
			.fields = a->fields,
			.n_fields = q->fields.n };
		a->graphql = (struct policy_graphql){ .ops = &a->op, .n_ops = 1 };
		a->request.graphql = &a->graphql;
	}
	if (q->call[0]) {
		a->call = (struct policy_rpc_call){ .method = bytes(q->call),
			.tool = bytes(q->tool) };
		a->rpc = (struct policy_rpc){ .calls = &a->call, .n_calls = 1 };
		a->request.rpc = &a->rpc;
	}
}

/* What an inspector would have found, were the body sent: nothing that it can read. */
static bool needs_body(struct ask *a, const struct policy_request_decision *d)
{
	enum policy_protocol p = d->route.protocol;

	return d->has_route &&
		((p == POLICY_GRAPHQL && !a->request.graphql) ||
			((p == POLICY_JSON_RPC || p == POLICY_MCP) && !a->request.rpc));
}

static void ask_request(struct ask *a, struct orch_answer *ret)
{
	const struct policy_request_decision *d = &a->decision;

	ret->at_request = true;
	ret->verdict = ORCH_DENIED;
	if (!set_path(a, ret))
		return;
	set_request(a);
	policy_decide_request(a->snapshot, &a->who, &a->request, &a->decision);
	ret->verdict = d->verdict == POLICY_ALLOWED ? ORCH_ALLOWED
		: d->verdict == POLICY_AUDITED	    ? ORCH_AUDITED
						    : ORCH_DENIED;
	copy_answer(ret, d->policy, d->endpoint, d->endpoint_line,
		ret->verdict == ORCH_ALLOWED ? "the request matches the rule" : d->reason, d->near);
	if (d->has_route)
		(void) snprintf(ret->protocol, sizeof ret->protocol, "%s",
			protocol_name(d->route.protocol));
	if (d->has_route && a->path.encoded_slash && !d->route.allow_encoded_slash) {
		ret->verdict = ORCH_DENIED;
		copy_answer(ret, d->policy, d->endpoint, d->endpoint_line,
			policy_path_fault_text(POLICY_PATH_ENCODED_SLASH), "");
	} else if (ret->verdict != ORCH_DENIED && needs_body(a, d)) {
		ret->verdict = ORCH_DENIED;
		copy_answer(ret, d->route.policy, d->route.endpoint, d->route.line,
			"the endpoint looks into the body, and none is given",
			"give a call or an operation_type");
	}
}

int orch_policy_ask(const struct policy_snapshot *s, const struct policy_case *q,
	struct orch_answer *ret, struct err *e)
{
	AUTO_FREE struct ask *a = calloc(1, sizeof *a);

	if (!a)
		return err_set(e, ENOMEM, "out of memory");
	a->snapshot = s;
	a->q = q;
	if (set_who(a, e) < 0)
		return -e->code;
	policy_decide_connect(s, &a->who, &a->connect);
	*ret = (struct orch_answer){ .verdict = a->connect.allow ? ORCH_ALLOWED : ORCH_DENIED };
	ret->inspected = a->connect.allow && a->connect.inspect;
	(void) snprintf(ret->protocol, sizeof ret->protocol, "%s",
		protocol_name(a->connect.allow ? a->connect.inspect_as : POLICY_L4));
	copy_answer(ret, a->connect.policy, a->connect.endpoint, a->connect.endpoint_line,
		a->connect.allow ? "host, port and program match the rule" : a->connect.reason,
		a->connect.near);
	if (a->connect.allow && a->connect.credentialed_uninspected_denied) {
		ret->verdict = ORCH_DENIED;
		copy_answer(ret, a->connect.policy, a->connect.endpoint, a->connect.endpoint_line,
			"a provider's credentials would go where nothing is inspected",
			"set allow_uninspected_credentials, or a protocol");
	} else if (ret->inspected && is_request(q)) {
		ask_request(a, ret);
	}
	return 0;
}
