/* test_policy_format.c - canonical text loads to the same document, and is its own canonical form. */
#include <errno.h>
#include "core_cleanup.h"
#include "core_policy_tools.h"
#include "policy_given.h"

static char *format(const struct policy_doc *d)
{
	struct err e = { 0 };
	char *text = NULL;
	size_t len;

	if (policy_format(d, &text, &len, &e) < 0)
		FAIL_("%s", e.text);
	ASSERT_EQ(len, strlen(text));
	return text;
}

static void assert_same(const struct policy_doc *a, const struct policy_doc *b)
{
	AUTO_FREE uint8_t *x = NULL;
	AUTO_FREE uint8_t *y = NULL;
	struct err e = { 0 };
	size_t n, m;

	ASSERT_OK(policy_encode(a, &x, &n, &e));
	ASSERT_OK(policy_encode(b, &y, &m, &e));
	ASSERT_EQ(n, m);
	ASSERT(memcmp(x, y, n) == 0);
	ASSERT_EQ(policy_has_filesystem(a), policy_has_filesystem(b));
}

static void round_trip(const char *text)
{
	struct policy_doc *d = given(text), *again;
	char *one = format(d), *two;

	again = given(one);
	two = format(again);
	assert_same(d, again);
	ASSERT_STR(one, two);
	free(one);
	free(two);
	policy_free(d);
	policy_free(again);
}

TEST(every_field_survives)
{
	round_trip(HEAD
		"filesystem_policy: {include_workdir: true, read_only: [/usr, '/a b', "
		"\"/tab\\tnew\\nline\"], "
		"read_write: [/tmp]}\n"
		"landlock: {compatibility: hard_requirement}\n"
		"process: {run_as_user: \"1000\", run_as_group: sandbox}\n"
		"network_middlewares:\n  guard: {middleware: m/v1, order: -3, on_error: fail_open, "
		"config: {n: "
		"1.5, big: 1e300, s: '7', t: true, u: 'true', l: [1, a, {k: v}], 'null': x}, "
		"endpoints: "
		"{include: ['*.example.com'], exclude: [b.example.com]}}\n"
		"network_policies:\n"
		"  'key: with #signs':\n    name: \"R\\u00e9sum\\u00e9\"\n"
		"    endpoints:\n"
		"      - {host: api.example.com, ports: [443, 8443], protocol: rest, enforcement: "
		"enforce, "
		"tls: auto, allowed_ips: [10.0.0.0/8], allow_encoded_slash: true, rules: [{allow: "
		"{method: GET, "
		"path: '/**', query: {z: 'a*', b: {any: [x, 'true', '12']}}}}], deny_rules: "
		"[{method: '*', path: "
		"/x}], credential_signing: 'sigv4:body', signing_service: s3, signing_region: eu, "
		"credential_binding: {provider: p}}\n"
		"      - {host: mcp.example.com, port: 443, path: /mcp, protocol: mcp, "
		"enforcement: enforce, mcp: "
		"{max_body_bytes: 7, strict_tool_names: true, allow_all_known_mcp_methods: false}, "
		"rules: "
		"[{allow: {method: tools/call, tool: {any: [a, b]}}}]}\n"
		"      - {host: rpc.example.com, port: 443, protocol: json-rpc, enforcement: "
		"enforce, json_rpc: "
		"{max_body_bytes: 9}, rules: [{allow: {method: a.b}}]}\n"
		"      - {host: gql.example.com, port: 443, protocol: graphql, enforcement: "
		"enforce, "
		"persisted_queries: allow_registered, graphql_persisted_queries: {h2: "
		"{operation_type: query}, "
		"h1: {operation_type: mutation, fields: [f]}}, graphql_max_body_bytes: 5, rules: "
		"[{allow: "
		"{operation_type: query, operation_name: 'A*', fields: [viewer, 'repo*']}}]}\n"
		"    binaries: [{path: /usr/bin/curl, harness: true}, {path: '/opt/**'}]\n");
}

TEST(empty_sections_stay_and_absent_ones_stay_away)
{
	round_trip(HEAD "filesystem_policy: {}\nlandlock: {}\nprocess: {}\n");
	round_trip(HEAD);
	round_trip(HEAD "network_policies: {a: {}}\n");
}

TEST(root_in_its_other_spelling_can_be_loaded_again)
{
	struct policy_report report = { 0 };
	struct policy_doc *d = given(HEAD "filesystem_policy: {read_write: [//.///]}\n"),
			  *again = NULL;
	struct err e = { 0 };
	uint8_t *bytes;
	size_t len;

	round_trip(HEAD "filesystem_policy: {read_write: [/.]}\n");
	ASSERT_OK(policy_encode(d, &bytes, &len, &e));
	ASSERT_OK(policy_load_wire("wire", bytes, len, POLICY_GATEWAY, &report, &again, &e));
	free(bytes);
	policy_report_done(&report);
	policy_free(d);
	policy_free(again);
}

TEST(words_that_a_reader_could_take_for_something_else_are_quoted)
{
	struct policy_doc *d =
		given(HEAD "network_policies:\n  'true':\n    name: '123'\n    endpoints: "
			   "[{host: '10', port: 443}]\n    binaries: [{path: /c}]\n");
	char *text = format(d);

	ASSERT(strstr(text, "'true':"));
	ASSERT(strstr(text, "name: '123'"));
	ASSERT(strstr(text, "host: '10'"));
	ASSERT(strstr(text, "path: /c\n"));
	free(text);
	policy_free(d);
}

TEST(order_of_maps_does_not_show)
{
	struct policy_doc
		*a = given(HEAD
			"network_policies:\n  b:\n    endpoints: [{host: h.example.com, port: 1, "
			"protocol: rest, enforcement: enforce, rules: [{allow: {method: GET, path: "
			"/, "
			"query: {y: b, x: a}}}]}]\n" CURL
			"  a:\n    endpoints: [{host: b.example.com, "
			"port: 1}]\n" CURL),
		*b = given("network_policies:\n  a:\n    endpoints: [{port: 1, host: "
			   "b.example.com}]\n" CURL "  b:\n    endpoints: [{protocol: rest, "
			   "enforcement: enforce, host: h.example.com, "
			   "port: 1, rules: [{allow: {query: {x: a, y: b}, path: /, method: "
			   "GET}}]}]\n" CURL "version: 1\n");
	char *x = format(a), *y = format(b);

	ASSERT_STR(x, y);
	assert_same(a, b);
	free(x);
	free(y);
	policy_free(a);
	policy_free(b);
}

TEST(marks_of_the_gateway_are_not_dropped_in_silence)
{
	static const uint8_t wire[] = /* version 1, rule "a" with one endpoint: advisor_proposed */
		"\x08\x01\x2a\x18\x0a\x01"
		"a\x12\x13\x12\x0c\x0a\x05h.a.b\x10\x50\x90\x01\x01\x1a\x03\x0a\x01/";
	struct policy_report report = { 0 };
	struct policy_doc *d = NULL;
	struct err e = { 0 };
	char *text = NULL;
	size_t len;

	ASSERT_OK(policy_load_wire("wire", wire, sizeof wire - 1, POLICY_GATEWAY, &report, &d, &e));
	ASSERT_ERR(policy_format(d, &text, &len, &e), EOVERFLOW);
	ASSERT(!text);
	policy_report_done(&report);
	policy_free(d);
}
