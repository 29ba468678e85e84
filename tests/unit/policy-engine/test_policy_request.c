/* test_policy_request.c - routes, hard denials, bounds, and that deciding allocates nothing.
 *
 * Linked with --wrap for the allocating functions, so that calls from the engine are counted.
 */
#include "core_policy_request.h"
#include "test.h"

void *__real_malloc(size_t n);
void *__real_calloc(size_t n, size_t each);
void *__real_realloc(void *p, size_t n);
char *__real_strdup(const char *s);
void *__wrap_malloc(size_t n);
void *__wrap_calloc(size_t n, size_t each);
void *__wrap_realloc(void *p, size_t n);
char *__wrap_strdup(const char *s);

static size_t allocations;

void *__wrap_malloc(size_t n)
{
	allocations++;
	return __real_malloc(n);
}

void *__wrap_calloc(size_t n, size_t each)
{
	allocations++;
	return __real_calloc(n, each);
}

void *__wrap_realloc(void *p, size_t n)
{
	allocations++;
	return __real_realloc(p, n);
}

char *__wrap_strdup(const char *s)
{
	allocations++;
	return __real_strdup(s);
}

static const char document[] =
	"version: 1\n"
	"network_policies:\n"
	"  api:\n"
	"    endpoints:\n"
	"      - {host: h.example.com, port: 443, protocol: rest, enforcement: audit, access: "
	"read-only,\n"
	"         allow_encoded_slash: true, request_body_credential_rewrite: true}\n"
	"      - {host: h.example.com, port: 443, path: /v1/**, protocol: rest, "
	"credential_binding: {provider: gh}, enforcement: "
	"enforce,\n"
	"         rules: [{allow: {method: GET, path: \"**\"}}],\n"
	"         deny_rules: [{method: GET, path: /v1/x, query: {op: \"delete*\"}}, {path: "
	"/v1/y}]}\n"
	"      - {host: h.example.com, port: 443, path: /graphql, protocol: graphql, enforcement: "
	"audit,\n"
	"         graphql_max_body_bytes: 1000, persisted_queries: allow_registered,\n"
	"         graphql_persisted_queries: {abc: {operation_type: query, fields: [a]}}, access: "
	"read-only}\n"
	"      - {host: h.example.com, port: 443, path: /rpc, protocol: json-rpc, enforcement: "
	"audit,\n"
	"         json_rpc: {max_body_bytes: 2000}, rules: [{allow: {method: ping}}]}\n"
	"      - {host: h.example.com, port: 443, path: /mcpmcp, protocol: mcp, enforcement: "
	"enforce,\n"
	"         mcp: {strict_tool_names: false}, rules: [{allow: {method: tools/call, tool: "
	"a}}]}\n"
	"      - {host: h.example.com, port: 443, path: /ws-ws/*, protocol: websocket, "
	"enforcement: enforce,\n"
	"         websocket_credential_rewrite: true,\n"
	"         rules: [{allow: {method: GET, path: \"**\"}}, {allow: {operation_type: "
	"query}}]}\n"
	"      - {host: h.example.com, port: 443, path: /signedsigned, protocol: rest, "
	"enforcement: enforce,\n"
	"         access: full, credential_signing: \"sigv4:body\", signing_service: s3, "
	"signing_region: eu}\n"
	"    binaries: [{path: /bin/a}]\n";

static struct identity_caller caller = {
	.assurance = IDENTITY_OBSERVED, .exe = "/bin/a", .sha256 = "", .reason = ""
};
static struct policy_connect who = { "h.example.com", 443, true, &caller };
static struct policy_request_decision d;

static struct policy_snapshot *compile(void)
{
	struct policy_report report = { 0 };
	struct policy_snapshot *s = NULL;
	struct policy_doc *doc = NULL;
	struct err e = { 0 };

	ASSERT_OK(policy_load_yaml(
		"t", document, sizeof document - 1, POLICY_GATEWAY, &report, &doc, &e));
	ASSERT_OK(policy_compile(doc, 7, NULL, 0, &s, &e));
	policy_free(doc);
	policy_report_done(&report);
	return s;
}

static struct policy_bytes bytes(const char *s)
{
	return (struct policy_bytes){ s, strlen(s) };
}

static struct policy_request request(const char *method, const char *path)
{
	return (struct policy_request){ .method = bytes(method), .path = bytes(path) };
}

static void decide(const struct policy_request *q, enum policy_verdict verdict, bool hard)
{
	struct policy_snapshot *s = compile();

	policy_decide_request(s, &who, q, &d);
	if (d.verdict != verdict || d.hard != hard)
		FAIL_("verdict %d hard %d: %s", d.verdict, d.hard, d.reason);
	ASSERT_EQ(d.generation, 7);
	ASSERT((d.reason[0] != '\0') == (verdict != POLICY_ALLOWED));
	policy_snapshot_unref(s);
}

TEST(the_most_specific_path_gives_the_route)
{
	struct policy_snapshot *s = compile();
	struct policy_route r;

	ASSERT(policy_select(s, &who, bytes("/other"), &r));
	ASSERT_EQ(r.endpoint, 0);
	ASSERT(r.allow_encoded_slash && r.request_body_credential_rewrite && !r.enforce);
	ASSERT_STR(r.policy, "api");
	ASSERT_EQ(r.line, 5);
	ASSERT(policy_select(s, &who, bytes("/v1"), &r)); /* selection takes the prefix itself */
	ASSERT_EQ(r.endpoint, 1);
	ASSERT(r.enforce && !r.allow_encoded_slash);
	ASSERT(policy_select(s, &who, bytes("/graphql"), &r));
	ASSERT_EQ(r.protocol, POLICY_GRAPHQL);
	ASSERT_EQ(r.max_body_bytes, 1000);
	ASSERT(policy_select(s, &who, bytes("/rpc"), &r));
	ASSERT_EQ(r.max_body_bytes, 2000);
	ASSERT(policy_select(s, &who, bytes("/mcpmcp"), &r));
	ASSERT(!r.strict_tool_names);
	ASSERT_EQ(r.max_body_bytes, POLICY_BODY_DEFAULT);
	ASSERT(policy_select(s, &who, bytes("/ws-ws/x"), &r));
	ASSERT(r.graphql_messages && r.websocket_credential_rewrite);
	ASSERT(policy_select(s, &who, bytes("/signedsigned"), &r));
	ASSERT_EQ(r.signing, POLICY_SIGN_SIGV4_BODY);
	ASSERT_STR(r.signing_service, "s3");
	ASSERT_STR(r.signing_region, "eu");
	ASSERT(policy_select_any_encoded_slash(s, &who));
	who.port = 80;
	ASSERT(!policy_select(s, &who, bytes("/"), &r));
	ASSERT(!policy_select_any_encoded_slash(s, &who));
	policy_snapshot_unref(s);
}

TEST(bindings_cover_host_port_and_path_for_any_caller)
{
	struct policy_snapshot *s = compile();

	caller.exe = "/bin/b";
	ASSERT(policy_binds_provider(s, &who, bytes("/v1/a"), "gh"));
	ASSERT(policy_binds_provider(s, &who, bytes("/v1"), "gh"));
	ASSERT(!policy_binds_provider(s, &who, bytes("/v10"), "gh"));
	ASSERT(!policy_binds_provider(s, &who, bytes("/v1/a"), "gl"));
	ASSERT(!policy_binds_provider(s, &who, bytes("/v1/a"), ""));
	who.port = 80;
	ASSERT(!policy_binds_provider(s, &who, bytes("/v1/a"), "gh"));
	policy_snapshot_unref(s);
}

TEST(audit_forwards_what_rules_refuse)
{
	struct policy_request q = request("POST", "/other");

	decide(&q, POLICY_AUDITED, false);
	q = request("GET", "/other");
	decide(&q, POLICY_ALLOWED, false);
	ASSERT_EQ(d.rule, POLICY_RULE_NONE); /* a preset */
	q = request("POST", "/v1/a");
	decide(&q, POLICY_DENIED, false);
}

TEST(audit_does_not_soften_what_could_not_be_judged)
{
	struct policy_rpc_call call = { .response = true };
	struct policy_graphql graphql = { .error = "no" };
	struct policy_rpc rpc = { .calls = &call, .n_calls = 1 };
	struct policy_param nul = { { "k", 1 }, { "a\0b", 3 } };
	struct policy_request q = request("POST", "/graphql");

	q.graphql = &graphql;
	decide(&q, POLICY_DENIED, true);
	q = request("POST", "/rpc");
	decide(&q, POLICY_DENIED, true); /* not read as JSON-RPC */
	q.rpc = &rpc;
	decide(&q, POLICY_DENIED, true); /* a response frame */
	rpc.n_calls = 0;
	decide(&q, POLICY_DENIED, true);
	q = request("GET", "/other");
	q.query = &nul;
	q.n_query = 1;
	decide(&q, POLICY_DENIED, true);
	q = request("GET", "/other");
	caller.exe = "/bin/b";
	decide(&q, POLICY_DENIED, true); /* no route for this program */
	caller.assurance = IDENTITY_NONE;
	decide(&q, POLICY_DENIED, true);
}

TEST(deny_rules_take_dots_and_need_no_method)
{
	struct policy_param dotted = { { "op", 2 }, { "delete.all", 10 } };
	struct policy_request q = request("GET", "/v1/x");

	decide(&q, POLICY_ALLOWED, false);
	q.query = &dotted;
	q.n_query = 1;
	decide(&q, POLICY_DENIED, false);
	ASSERT(d.by_deny_rule);
	ASSERT_EQ(d.rule, 0);
	ASSERT_EQ(d.endpoint, 1);
	q = request("GET", "/v1/y");
	decide(&q, POLICY_DENIED, false);
	ASSERT_EQ(d.rule, 1);
}

TEST(registered_hashes_stand_for_their_operation)
{
	struct policy_graphql_op op = {
		.type = { "", 0 }, .persisted = true, .hash = { "abc", 3 }
	};
	struct policy_graphql graphql = { .ops = &op, .n_ops = 1 };
	struct policy_request q = request("POST", "/graphql");

	q.graphql = &graphql;
	decide(&q, POLICY_ALLOWED, false);
	op.hash = bytes("abd");
	decide(&q, POLICY_AUDITED, false);
	ASSERT_STR(d.reason, "GraphQL persisted query is not registered");
	op.hash = (struct policy_bytes){ NULL, 0 };
	op.id = bytes("abc");
	decide(&q, POLICY_ALLOWED, false);
}

TEST(batches_end_at_their_limit)
{
	static struct policy_rpc_call calls[POLICY_OPERATIONS_MAX + 1];
	struct policy_rpc rpc = { .calls = calls, .n_calls = POLICY_OPERATIONS_MAX };
	struct policy_request q = request("POST", "/rpc");

	for (size_t i = 0; i <= POLICY_OPERATIONS_MAX; i++)
		calls[i].method = bytes("ping");
	q.rpc = &rpc;
	decide(&q, POLICY_ALLOWED, false);
	calls[POLICY_OPERATIONS_MAX - 1].method = bytes("pong");
	decide(&q, POLICY_AUDITED, false); /* one denied call denies all */
	rpc.n_calls++;
	decide(&q, POLICY_DENIED, true);
}

TEST(root_fields_end_at_their_limit)
{
	static struct policy_bytes fields[POLICY_FIELDS_MAX + 1];
	struct policy_graphql_op op = {
		.type = { "query", 5 }, .fields = fields, .n_fields = POLICY_FIELDS_MAX
	};
	struct policy_graphql graphql = { .ops = &op, .n_ops = 1 };
	struct policy_request q = request("POST", "/graphql");

	for (size_t i = 0; i <= POLICY_FIELDS_MAX; i++)
		fields[i] = bytes("a");
	q.graphql = &graphql;
	decide(&q, POLICY_ALLOWED, false);
	op.n_fields++;
	decide(&q, POLICY_DENIED, true);
}

TEST(deciding_allocates_nothing)
{
	static struct policy_decision c;
	struct policy_rpc_call call = { .method = { "tools/call", 10 }, .tool = { "b.c", 3 } };
	struct policy_rpc rpc = { .calls = &call, .n_calls = 1 };
	struct policy_snapshot *s = compile();
	static const char *const paths[] = { "/other", "/v1/x", "/graphql", "/mcpmcp",
		"/ws-ws/a/b" };

	ASSERT(allocations > 0); /* the counting works */
	allocations = 0;
	for (size_t i = 0; i < 10; i++) {
		struct policy_request q = request(i % 2 ? "POST" : "GET", paths[i / 2]);

		q.rpc = &rpc;
		who.port = i == 9 ? 80 : 443;
		policy_decide_connect(s, &who, &c);
		policy_decide_request(s, &who, &q, &d);
		q.rpc = NULL;
		policy_decide_request(s, &who, &q, &d);
	}
	ASSERT_EQ(allocations, 0);
	policy_snapshot_unref(s);
}
