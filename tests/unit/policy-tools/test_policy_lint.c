/* test_policy_lint.c - one row per lint: the document that has it, and its corrected form that does not. */
#include "core_cleanup.h"
#include "core_policy_tools.h"
#include "policy_given.h"

#define RULE(endpoint) HEAD "network_policies:\n  web:\n    endpoints: [{" endpoint "}]\n" CURL
#define REST(more) \
	RULE("host: a.example.com, port: 443, protocol: rest, enforcement: enforce, " more)
#define ALLOW(rule) REST("rules: [{allow: {" rule "}}]")
#define MCP(more) RULE("host: a.example.com, port: 443, protocol: mcp, enforcement: enforce, " more)
#define WS(more) \
	RULE("host: a.example.com, port: 443, protocol: websocket, enforcement: enforce, " more)
#define GQL(more) \
	RULE("host: a.example.com, port: 443, protocol: graphql, enforcement: enforce, " more)
#define BINARIES(list) \
	HEAD "network_policies:\n  web:\n    endpoints: [{host: a.example.com, port: 443}]\n    " \
	     "binaries: " list "\n"

static const struct {
	const char *code, *words, *bad, *good;
} rows[] = {
	{ "W03", "add `{method: \"GET\", path: /x}`", ALLOW("method: GET, path: '/x/**'"),
		REST("rules: [{allow: {method: GET, path: '/x/**'}}, {allow: {method: GET, path: "
		     "/x}}]") },
	{ "W03", "which stays allowed",
		REST("access: full, deny_rules: [{method: '*', path: '/x/**'}]"),
		REST("access: full, deny_rules: [{method: '*', path: '/x/**'}, {method: '*', path: "
		     "/x}]") },
	{ "W03", "stays inside the segment", ALLOW("method: GET, path: '/pre**'"),
		ALLOW("method: GET, path: '/pre*'") },
	{ "W03", "also matches `/`", ALLOW("method: GET, path: '/a[!b]c'"),
		ALLOW("method: GET, path: '/a{d,e}c'") },
	{ "W03", "write `1.**`", ALLOW("method: GET, path: /s, query: {v: '1.*'}"),
		ALLOW("method: GET, path: /s, query: {v: '1.**'}") },
	{ "W03", "one pattern per number of dots",
		ALLOW("method: GET, path: /s, query: {u: {any: ['https://*']}}"),
		ALLOW("method: GET, path: /s, query: {u: 'a*'}") },
	{ "W03", "itself is sent to this endpoint", REST("path: '/v1/**', access: full"),
		REST("path: /v1, access: full") },
	{ "W03", "but not when its rules decide", REST("path: '/v1/*', access: full"),
		REST("path: /v1/x, access: full") },
	{ "W09", "before a final", REST("path: '/*/x/**', access: full"),
		REST("path: '/**', access: full") },
	{ "W09", "braces literally", REST("path: '/{a,b}', access: full"),
		REST("path: /a, access: full") },
	{ "W03", "which tool names may have",
		MCP("rules: [{allow: {method: initialize}}, {allow: {method: tools/call, tool: "
		    "'list_*'}}]"),
		MCP("rules: [{allow: {method: initialize}}, {allow: {method: tools/call, tool: "
		    "list_all}}]") },
	{ "W06", "`initialize`", MCP("rules: [{allow: {method: tools/list}}]"),
		MCP("rules: [{allow: {method: tools/list}}, {allow: {method: initialize}}]") },
	{ "W06", "strict tool name",
		MCP("rules: [{allow: {method: initialize}}, {allow: {method: tools/call, tool: 'a "
		    "b'}}]"),
		MCP("rules: [{allow: {method: initialize}}, {allow: {method: tools/call, tool: "
		    "a_b}}]") },
	{ "W06", "write `/a/b`", ALLOW("method: GET, path: /a//./b"),
		ALLOW("method: GET, path: /a/b") },
	{ "W06", "refused before any rule", ALLOW("method: GET, path: /a%2Fb"),
		REST("allow_encoded_slash: true, rules: [{allow: {method: GET, path: /a%2Fb}}]") },
	{ "W06", "write `path: /search`", ALLOW("method: GET, path: '/search?q=*'"),
		ALLOW("method: GET, path: '/search?'") },
	{ "W06", "never part of a canonical path", ALLOW("method: GET, path: '/a//*'"),
		ALLOW("method: GET, path: '/a/*'") },
	{ "W06", "never matches a dot", ALLOW("method: GET, path: /, query: {v: 'a[.]b'}"),
		ALLOW("method: GET, path: /, query: {v: a.b}") },
	{ "W06", "text messages",
		WS("rules: [{allow: {method: GET, path: /}}, {allow: {method: POST, path: /}}]"),
		WS("rules: [{allow: {method: GET, path: /}}]") },
	{ "W06", "every WebSocket begins",
		WS("rules: [{allow: {method: WEBSOCKET_TEXT, path: /}}]"),
		WS("rules: [{allow: {method: GET, path: /}}, {allow: {method: WEBSOCKET_TEXT, "
		   "path: /}}]") },
	{ "W06", "protocol: websocket", ALLOW("method: WEBSOCKET_TEXT, path: /"),
		ALLOW("method: GET, path: /") },
	{ "W06", "loopback", RULE("host: localhost, port: 80"),
		RULE("host: a.example.com, port: 80") },
	{ "W06", "answers for this name itself", RULE("host: inference.local, port: 443"),
		RULE("host: inference.local, port: 80") },
	{ "W06", "never reachable from a sandbox", RULE("host: 169.254.169.254, port: 80"),
		RULE("host: 10.0.0.1, port: 80") },
	{ "W06", "write `2001:db8::5`", RULE("host: '2001:db8:0:0:0:0:0:5', port: 80"),
		RULE("host: '2001:DB8::5', port: 80") },
	{ "W06", "in this spelling", RULE("host: '0177.0.0.1', port: 80"),
		RULE("host: 1.2.3.4, port: 80") },
	{ "W06", "not in the list", RULE("host: 10.0.0.1, port: 80, allowed_ips: [10.1.0.0/16]"),
		RULE("host: 10.0.0.1, port: 80, allowed_ips: [10.0.0.0/16]") },
	{ "W06", "cluster control", RULE("host: a.example.com, port: 6443"),
		RULE("host: '*.example.com', port: 6443") },
	{ "W06", "empty label", RULE("host: a..example.com, port: 80"),
		RULE("host: a.example.com, port: 80") },
	{ "W06", "ASCII",
		RULE("host: b\xc3\xbc"
		     "cher.example.com, port: 80"),
		RULE("host: xn--bcher-kva.example.com, port: 80") },
	{ "W06", "is no pattern", BINARIES("[{path: '/usr/bin/pyth?n'}]"),
		BINARIES("[{path: '/usr/bin/pyth?n*'}]") },
	{ "W06", "write `/usr/bin/curl`", BINARIES("[{path: /usr//bin/./curl}]"),
		BINARIES("[{path: /usr/bin/curl}]") },
	{ "W06", "no query is registered", GQL("access: full, persisted_queries: allow_registered"),
		GQL("access: full, persisted_queries: allow_registered, graphql_persisted_queries: "
		    "{a: {operation_type: query}}") },
	{ "W06", "this middleware is for",
		RULE("host: a.example.com, port: 80") "network_middlewares: {g: {middleware: m, "
						      "endpoints: {include: [b.example.com]}}}\n",
		RULE("host: a.example.com, port: 80") "network_middlewares: {g: {middleware: m, "
						      "endpoints: {include: "
						      "['*.example.com']}}}\n" },
	{ "W07", "allows all of this",
		REST("rules: [{allow: {method: GET, path: '**'}}, {allow: {method: HEAD, path: "
		     "/x}}]"),
		REST("rules: [{allow: {method: GET, path: '**'}}, {allow: {method: POST, path: "
		     "/x}}]") },
	{ "W07", "for the same programs",
		RULE("host: a.example.com, port: 443") "  xyz:\n    endpoints: [{host: "
						       "a.example.com, port: 443}]\n" CURL,
		RULE("host: a.example.com, port: 443") "  xyz:\n    endpoints: [{host: "
						       "a.example.com, port: 443}]\n" WGET },
	{ "W07", "covers it", BINARIES("[{path: '/usr/bin/*'}, {path: /usr/bin/curl}]"),
		BINARIES("[{path: '/usr/bin/*'}, {path: /opt/curl}]") },
	{ "W07", "there twice", RULE("host: a.example.com, ports: [80, 80]"),
		RULE("host: a.example.com, ports: [80, 81]") },
	{ "W08", "nothing that it denies",
		REST("access: read-only, deny_rules: [{method: POST, path: '**'}]"),
		REST("access: read-write, deny_rules: [{method: POST, path: '**'}]") },
	{ "W08", "nothing that it denies",
		REST("rules: [{allow: {method: GET, path: '/a/**'}}, {allow: {method: GET, path: "
		     "/a}}], deny_rules: [{method: GET, path: /b}]"),
		REST("rules: [{allow: {method: GET, path: '/a/**'}}, {allow: {method: GET, path: "
		     "/a}}], deny_rules: [{method: GET, path: /a/b}]") },
	{ "W08", "only logs",
		RULE("host: a.example.com, port: 443, protocol: rest, enforcement: audit, access: "
		     "full, deny_rules: [{method: DELETE, path: '**'}]"),
		REST("access: full, deny_rules: [{method: DELETE, path: '**'}]") },
	{ "W09", "refused by gateways", GQL("rules: [{allow: {operation_type: '*'}}]"),
		GQL("rules: [{allow: {operation_type: query}}]") },
	{ "W09", "elsewhere that one lets any",
		REST("access: full") "  mcp:\n    endpoints: [{host: a.example.com, port: 443, "
				     "path: /mcp, protocol: mcp, enforcement: enforce, mcp: "
				     "{allow_all_known_mcp_methods: true}}]\n" CURL,
		REST("access: full") "  mcp:\n    endpoints: [{host: b.example.com, port: 443, "
				     "path: /mcp, protocol: mcp, enforcement: enforce, mcp: "
				     "{allow_all_known_mcp_methods: true}}]\n" CURL },
	{ "W10", "can be written all the same",
		HEAD "filesystem_policy: {include_workdir: true, read_only: [/tmp/x], read_write: "
		     "[/tmp]}\n",
		HEAD "filesystem_policy: {include_workdir: true, read_only: [/tmpx], read_write: "
		     "[/tmp]}\n" },
	{ "W10", "not set: false", HEAD "filesystem_policy: {read_only: [/usr]}\n",
		HEAD "filesystem_policy: {read_only: [/usr], include_workdir: false}\n" },
	{ "W10", "a request without `force`",
		REST("access: full, deny_rules: [{method: POST, path: /x, query: {force: '1'}}]"),
		REST("access: full, deny_rules: [{method: POST, path: /x}]") },
	{ "W10", "_provider_",
		HEAD "network_policies:\n  _provider_x:\n    endpoints: [{host: a.example.com, "
		     "port: 1}]\n" CURL,
		HEAD "network_policies:\n  provider_x:\n    endpoints: [{host: a.example.com, "
		     "port: 1}]\n" CURL },
	{ "W02", "inspected `protocol`",
		RULE("host: a.example.com, port: 443, enforcement: enforce"),
		RULE("host: a.example.com, port: 443") },
	{ "W02", "inspected `protocol`", RULE("host: a.example.com, port: 443, path: /x"),
		RULE("host: a.example.com, port: 443") },
	{ "W02", "not graphql", REST("access: full, graphql_max_body_bytes: 5"),
		GQL("access: full, graphql_max_body_bytes: 5") },
	{ "W02", "sql is not inspected",
		RULE("host: a.example.com, port: 443, protocol: sql, access: full"),
		RULE("host: a.example.com, port: 443") },
	{ "E19", "any field", GQL("rules: [{allow: {operation_type: query, fields: []}}]"),
		GQL("rules: [{allow: {operation_type: query}}]") },
	{ "E19", "an empty list", REST("access: full, deny_rules: []"), REST("access: full") },
	{ "E19", "usual rules for addresses",
		RULE("host: a.example.com, port: 443, allowed_ips: []"),
		RULE("host: a.example.com, port: 443") },
};

static bool found(const char *text, const char *code, const char *words, bool say)
{
	struct policy_doc *d = given(text);
	struct policy_report report = { 0 };
	bool hit = false;

	policy_lint(d, &report);
	for (size_t i = 0; i < report.n; i++) {
		const struct policy_problem *p = &report.at[i];

		hit |= strcmp(p->code, code) == 0 &&
			(strstr(p->problem, words) || strstr(p->hint, words)) && p->line;
		if (say)
			fprintf(stderr, "  %u %s: %s; %s [%s]\n", p->line, p->path, p->problem,
				p->hint, p->code);
	}
	policy_report_done(&report);
	policy_free(d);
	return hit;
}

TEST(each_lint_is_found_and_its_correction_is_clean)
{
	unsigned bad = 0;

	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		if (!found(rows[i].bad, rows[i].code, rows[i].words, false)) {
			fprintf(stderr, "not found: %s \"%s\" in\n%s", rows[i].code, rows[i].words,
				rows[i].bad);
			(void) found(rows[i].bad, rows[i].code, rows[i].words, true);
			bad++;
		}
		if (found(rows[i].good, rows[i].code, rows[i].words, false)) {
			fprintf(stderr, "still there: %s \"%s\" in\n%s", rows[i].code,
				rows[i].words, rows[i].good);
			bad++;
		}
	}
	ASSERT_EQ(bad, 0);
}

TEST(deny_rules_that_cross_dots_or_are_malformed_are_not_taken_for_dead)
{
	static const char *const texts[] = {
		REST("rules: [{allow: {method: GET, path: /a}}], deny_rules: [{method: GET, path: "
		     "a}]"),
		REST("rules: [{allow: {method: GET, path: /a}}], deny_rules: [{method: GET, path: "
		     "'/['}]"),
		MCP("rules: [{allow: {method: initialize}}, {allow: {method: tools/call, tool: "
		    "a.b.c}}], "
		    "deny_rules: [{method: tools/call, tool: 'a*'}]"),
	};

	for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
		ASSERT(!found(texts[i], "W08", "", false));
		ASSERT(!found(texts[i], "W03", "", false));
	}
}

TEST(an_ordinary_policy_has_nothing_to_lint)
{
	struct policy_doc *d =
		given(HEAD "filesystem_policy: {include_workdir: true, read_only: [/usr, /etc], "
			   "read_write: [/tmp]}\n"
			   "network_policies:\n  github:\n    endpoints:\n"
			   "      - {host: api.github.com, port: 443, protocol: rest, enforcement: "
			   "enforce, access: read-only}\n"
			   "      - {host: '*.githubusercontent.com', port: 443}\n"
			   "    binaries: [{path: /usr/bin/git}, {path: '/opt/tools/**'}]\n");
	struct policy_report report = { 0 };

	policy_lint(d, &report);
	for (size_t i = 0; i < report.n; i++)
		fprintf(stderr, "%s: %s\n", report.at[i].path, report.at[i].problem);
	ASSERT_EQ(report.n_warnings, 0);
	policy_report_done(&report);
	policy_free(d);
}
