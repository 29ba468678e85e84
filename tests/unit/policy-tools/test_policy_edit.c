/* test_policy_edit.c - every row of spec/policy 3.1, 3.3 and 6. */
#include <errno.h>
#include "core_policy_edit.h"
#include "policy_given.h"

#define MSG(d) policy_message(d)
#define WEB \
	HEAD "network_policies:\n  web:\n" \
	     "    endpoints: [{host: a.example.com, port: 443, protocol: rest, enforcement: " \
	     "enforce, access: read-only}]\n" CURL

struct done {
	struct policy_doc *base, *in, *out;
	struct policy_report report;
	struct err e;
	bool changed;
	int r;
};

static void merge(struct done *d, const char *base, const char *in, struct policy_op *ops, size_t n)
{
	*d = (struct done){ .base = given(base), .in = in ? given(in) : NULL };
	for (size_t i = 0; in && i < n; i++)
		if (ops[i].kind == POLICY_OP_ADD_RULE && !ops[i].rule)
			ops[i].rule = MSG(d->in)->network_policies[0]->value;
	d->r = policy_merge(d->base, ops, n, &d->report, &d->out, &d->changed, &d->e);
}

static void add_as(struct done *d, const char *base, const char *in, const char *key)
{
	struct policy_op op = { .kind = POLICY_OP_ADD_RULE, .key = key };

	merge(d, base, in, &op, 1);
}

static bool warned(const struct done *d, const char *code)
{
	for (size_t i = 0; i < d->report.n; i++)
		if (strcmp(d->report.at[i].code, code) == 0)
			return true;
	return false;
}

static void finish(struct done *d)
{
	policy_free(d->base);
	policy_free(d->in);
	policy_free(d->out);
	policy_report_done(&d->report);
}

static const Openshell__Sandbox__V1__NetworkEndpoint *endpoint(
	const struct done *d, size_t i, size_t k)
{
	ASSERT_OK(d->r);
	return MSG(d->out)->network_policies[i]->value->endpoints[k];
}

TEST(unknown_key_without_shared_endpoint_is_inserted_tidy)
{
	struct done d;

	add_as(&d, WEB,
		HEAD
		"network_policies:\n  x:\n    endpoints: [{host: b.example.com, ports: [9, 7, 9], "
		"allowed_ips: [10.0.0.1, 10.0.0.1]}]\n"
		"    binaries: [{path: /b}, {path: /b}]\n",
		"new");
	ASSERT_OK(d.r);
	ASSERT(d.changed);
	ASSERT_EQ(MSG(d.out)->n_network_policies, 2);
	ASSERT_STR(MSG(d.out)->network_policies[0]->key, "new");
	ASSERT_EQ(endpoint(&d, 0, 0)->n_ports, 2);
	ASSERT_EQ(endpoint(&d, 0, 0)->ports[0], 7);
	ASSERT_EQ(endpoint(&d, 0, 0)->n_allowed_ips, 1);
	ASSERT_EQ(MSG(d.out)->network_policies[0]->value->n_binaries, 1);
	finish(&d);
}

TEST(unknown_key_that_shares_an_endpoint_is_folded)
{
	struct done d;

	add_as(&d, WEB,
		HEAD
		"network_policies:\n  x:\n    endpoints: [{host: A.example.com, port: 443, "
		"protocol: "
		"rest, enforcement: enforce, rules: [{allow: {method: POST, path: /p}}]}]\n" CURL,
		"new");
	ASSERT_OK(d.r);
	ASSERT_EQ(MSG(d.out)->n_network_policies, 1);
	ASSERT_STR(MSG(d.out)->network_policies[0]->key, "web");
	ASSERT_EQ(endpoint(&d, 0, 0)->n_rules, 4); /* GET, HEAD, OPTIONS and the new one */
	ASSERT(warned(&d, "M02"));
	finish(&d);
}

TEST(fold_that_would_grant_undeclared_things_keeps_its_own_key)
{
	struct done d;

	add_as(&d, WEB,
		HEAD
		"network_policies:\n  x:\n    endpoints: [{host: a.example.com, port: 443, "
		"protocol: "
		"rest, enforcement: enforce, rules: [{allow: {method: POST, path: /p}}]}]\n" WGET,
		"new");
	ASSERT_OK(d.r);
	ASSERT_EQ(MSG(d.out)->n_network_policies, 2);
	ASSERT(warned(&d, "M01"));
	finish(&d);
}

TEST(new_binary_does_not_inherit_requests_beyond_the_declared)
{
	static const char full[] =
		HEAD "network_policies:\n  web:\n    endpoints: [{host: a.example.com, "
		     "port: 443, protocol: rest, enforcement: enforce, access: "
		     "full}]\n";
	struct done d;
	char base[512], in[512];

	(void) snprintf(base, sizeof base, "%s%s", full, CURL);
	(void) snprintf(in, sizeof in, "%s%s", WEB, "");
	(void) memcpy(strstr(in, "curl"), "wget", 4);
	add_as(&d, base, in, "web");
	ASSERT_ERR(d.r, EPERM);
	ASSERT(strstr(d.e.text, "/usr/bin/wget would inherit requests"));
	finish(&d);
	add_as(&d, base, in, "new");
	ASSERT_OK(d.r);
	ASSERT_EQ(MSG(d.out)->n_network_policies, 2);
	ASSERT(warned(&d, "M01"));
	finish(&d);
	/* the other way round the first value stays, and wget gets less than it declares */
	(void) snprintf(in, sizeof in, "%s%s", full, WGET);
	add_as(&d, WEB, in, "new");
	ASSERT_OK(d.r);
	ASSERT_EQ(MSG(d.out)->n_network_policies, 1);
	ASSERT(warned(&d, "M03"));
	finish(&d);
}

TEST(provider_rules_are_never_folded_into)
{
	struct policy_doc *user = given(HEAD), *web = given(WEB), *both = NULL;
	struct policy_layer layer = { "Git Hub!", MSG(web)->network_policies[0]->value };
	struct policy_sources s = { user, NULL, true, &layer, 1 };
	struct policy_op op = { .kind = POLICY_OP_ADD_RULE, .key = "mine", .rule = layer.rule };
	struct policy_report report = { 0 };
	struct policy_doc *out = NULL;
	struct err e = { 0 };
	bool changed;

	ASSERT_OK(policy_compose(&s, &report, &both, &e));
	ASSERT_OK(policy_merge(both, &op, 1, &report, &out, &changed, &e));
	ASSERT_EQ(MSG(out)->n_network_policies, 2);
	policy_free(out);
	op = (struct policy_op){
		.kind = POLICY_OP_REMOVE_ENDPOINT, .host = "a.example.com", .port = 443
	};
	ASSERT_OK(policy_merge(both, &op, 1, &report, &out, &changed, &e));
	ASSERT(!changed);
	policy_free(out);
	policy_report_done(&report);
	policy_free(user);
	policy_free(web);
	policy_free(both);
}

TEST(new_binary_may_not_inherit_an_endpoint)
{
	struct done d;

	add_as(&d,
		HEAD "network_policies:\n  web:\n    endpoints: [{host: a.example.com, port: 443}, "
		     "{host: "
		     "b.example.com, port: 443}]\n" CURL,
		HEAD
		"network_policies:\n  web:\n    endpoints: [{host: a.example.com, port: 443}]\n"
		"    binaries: [{path: /usr/bin/curl}, {path: /usr/bin/wget}]\n",
		"web");
	ASSERT_ERR(d.r, EPERM);
	ASSERT(strstr(d.e.text, "/usr/bin/wget would inherit b.example.com:443"));
	finish(&d);
}

TEST(existing_binaries_may_not_inherit_a_changed_endpoint)
{
	struct done d;

	add_as(&d, WEB,
		HEAD "network_policies:\n  web:\n    endpoints: [{host: c.example.com, port: "
		     "443}]\n" WGET,
		"web");
	ASSERT_ERR(d.r, EPERM);
	ASSERT(strstr(d.e.text, "/usr/bin/curl would inherit the changed endpoint c.example.com"));
	finish(&d);
	/* declared, it is fine, and the new program may not have the old endpoint */
	add_as(&d, WEB,
		HEAD "network_policies:\n  web:\n    endpoints: [{host: c.example.com, port: "
		     "443}]\n" CURL,
		"web");
	ASSERT_EQ(endpoint(&d, 0, 1)->port, 443);
	finish(&d);
}

TEST(a_change_may_not_reach_an_undeclared_port)
{
	struct done d;

	add_as(&d,
		HEAD "network_policies:\n  web:\n    endpoints: [{host: a.example.com, ports: "
		     "[443, 8443], "
		     "protocol: rest, enforcement: enforce, access: read-only}]\n" CURL,
		HEAD
		"network_policies:\n  web:\n    endpoints: [{host: a.example.com, port: 443, "
		"protocol: "
		"rest, enforcement: enforce, rules: [{allow: {method: POST, path: /p}}]}]\n" CURL,
		"web");
	ASSERT_ERR(d.r, EPERM);
	ASSERT(strstr(d.e.text, "port 8443"));
	finish(&d);
}

TEST(new_port_does_not_inherit_what_is_not_declared_for_it)
{
	struct done d;

	add_as(&d,
		HEAD "network_policies:\n  web:\n    endpoints: [{host: a.example.com, port: 443, "
		     "protocol: "
		     "rest, enforcement: enforce, access: full}]\n" CURL,
		HEAD "network_policies:\n  web:\n    endpoints: [{host: a.example.com, ports: "
		     "[443, 8443], "
		     "protocol: rest, enforcement: enforce, access: read-only}]\n" CURL,
		"web");
	ASSERT_OK(d.r);
	ASSERT_STR(endpoint(&d, 0, 0)->access, "full");
	ASSERT_EQ(endpoint(&d, 0, 0)->port, 443);
	ASSERT_STR(endpoint(&d, 0, 1)->access, "read-only");
	ASSERT_EQ(endpoint(&d, 0, 1)->port, 8443);
	finish(&d);
}

TEST(empty_binaries_are_anybody_for_the_scope)
{
	struct done d;

	add_as(&d,
		HEAD
		"network_policies:\n  web:\n    endpoints: [{host: a.example.com, port: 443}]\n",
		HEAD "network_policies:\n  web:\n    endpoints: [{host: b.example.com, port: "
		     "443}]\n" CURL,
		"web");
	ASSERT_ERR(d.r, EPERM);
	ASSERT(strstr(d.e.text, "every program"));
	finish(&d);
	add_as(&d, WEB,
		HEAD
		"network_policies:\n  web:\n    endpoints: [{host: b.example.com, port: 443}]\n",
		"web");
	ASSERT_ERR(d.r, EPERM);
	finish(&d);
}

TEST(rule_without_name_or_endpoints_is_refused)
{
	struct done d;

	add_as(&d, WEB, WEB, " ");
	ASSERT_ERR(d.r, EINVAL);
	finish(&d);
	add_as(&d, WEB, HEAD "network_policies: {x: {binaries: [{path: /a}]}}\n", "x");
	ASSERT_ERR(d.r, EINVAL);
	finish(&d);
	add_as(&d, WEB, WEB, "_provider_x");
	ASSERT_ERR(d.r, EINVAL);
	finish(&d);
}

TEST(first_values_stay_and_differences_are_told)
{
	struct done d;

	add_as(&d, WEB,
		HEAD "network_policies:\n  web:\n    endpoints: [{host: a.example.com, port: 443, "
		     "protocol: "
		     "websocket, enforcement: audit, access: full, allow_encoded_slash: true, "
		     "scrub_responses: true}]\n" CURL,
		"web");
	ASSERT_STR(endpoint(&d, 0, 0)->protocol, "rest");
	ASSERT_STR(endpoint(&d, 0, 0)->enforcement, "enforce");
	ASSERT_STR(endpoint(&d, 0, 0)->access, "read-only");
	ASSERT(endpoint(&d, 0, 0)->allow_encoded_slash);
	ASSERT(endpoint(&d, 0, 0)->scrub_responses);
	ASSERT(warned(&d, "M03"));
	finish(&d);
	add_as(&d,
		HEAD
		"network_policies:\n  web:\n    endpoints: [{host: a.example.com, port: 443, "
		"protocol: "
		"rest, enforcement: enforce, rules: [{allow: {method: GET, path: /}}]}]\n" CURL,
		WEB, "web");
	ASSERT_STR(endpoint(&d, 0, 0)->access, "");
	ASSERT(warned(&d, "M04"));
	finish(&d);
}

TEST(signing_and_graphql_fields_are_dropped_with_a_warning)
{
	struct done d;

	add_as(&d, WEB,
		HEAD "network_policies:\n  web:\n    endpoints: [{host: a.example.com, port: 443, "
		     "protocol: "
		     "rest, enforcement: enforce, access: read-only, credential_signing: sigv4, "
		     "signing_service: s3}]\n" CURL,
		"web");
	ASSERT_STR(endpoint(&d, 0, 0)->credential_signing, "");
	ASSERT(warned(&d, "M05"));
	ASSERT(!d.changed);
	finish(&d);
}

TEST(l4_becomes_mcp_as_a_whole_and_mcp_shares_with_nobody)
{
	static const char l4[] = HEAD "network_policies:\n  web:\n    endpoints: [{host: "
				      "a.example.com, port: 443}]\n" CURL;
	static const char mcp[] = HEAD "network_policies:\n  web:\n    endpoints: [{host: "
				       "a.example.com, port: 443, protocol: mcp, "
				       "enforcement: enforce, mcp: {max_body_bytes: 1000, "
				       "allow_all_known_mcp_methods: true}}]\n" CURL;
	struct done d;

	add_as(&d, l4, mcp, "web");
	ASSERT_STR(endpoint(&d, 0, 0)->protocol, "mcp");
	ASSERT_EQ(endpoint(&d, 0, 0)->json_rpc_max_body_bytes, 1000);
	ASSERT(endpoint(&d, 0, 0)->mcp && endpoint(&d, 0, 0)->mcp->allow_all_known_mcp_methods);
	finish(&d);
	add_as(&d,
		HEAD "network_policies:\n  web:\n    endpoints: [{host: a.example.com, port: 443, "
		     "protocol: rest, "
		     "enforcement: enforce, access: full}]\n" CURL,
		HEAD "network_policies:\n  m:\n    endpoints: [{host: a.example.com, port: 443, "
		     "path: /mcp, "
		     "protocol: mcp, enforcement: enforce, mcp: {allow_all_known_mcp_methods: "
		     "true}}]\n" CURL,
		"m");
	ASSERT_ERR(d.r, EINVAL);
	ASSERT(strstr(d.e.text, "MCP"));
	finish(&d);
}

TEST(old_mcp_conflicts_do_not_block_other_changes)
{
	struct policy_op op = { .kind = POLICY_OP_REMOVE_RULE, .key = "zzz" };
	struct done d;

	merge(&d,
		HEAD
		"network_policies:\n  a:\n    endpoints: [{host: a.example.com, port: 443, "
		"protocol: rest, "
		"enforcement: enforce, access: full}]\n" CURL
		"  b:\n    endpoints: [{host: a.example.com, port: 443, path: /mcp, protocol: mcp, "
		"enforcement: enforce, mcp: {allow_all_known_mcp_methods: true}}]\n" CURL,
		NULL, &op, 1);
	ASSERT_OK(d.r);
	ASSERT(!d.changed);
	finish(&d);
}

TEST(last_port_drops_the_endpoint_and_last_endpoint_the_rule)
{
	static const char two[] = HEAD "network_policies:\n  web:\n    endpoints: [{host: "
				       "a.example.com, ports: [443, 8443]}]\n" CURL;
	struct policy_op op[] = {
		{ .kind = POLICY_OP_REMOVE_ENDPOINT, .host = "A.example.com", .port = 443 },
		{ .kind = POLICY_OP_REMOVE_ENDPOINT, .host = "a.example.com", .port = 8443 },
		{ .kind = POLICY_OP_REMOVE_ENDPOINT, .host = "a.example.com", .port = 8443 },
	};
	struct done d;

	merge(&d, two, NULL, op, 1);
	ASSERT_EQ(endpoint(&d, 0, 0)->port, 8443);
	finish(&d);
	merge(&d, two, NULL, op, 3);
	ASSERT_OK(d.r);
	ASSERT_EQ(MSG(d.out)->n_network_policies, 0);
	finish(&d);
}

TEST(last_binary_drops_the_rule_and_an_empty_list_is_an_error)
{
	struct policy_op op = {
		.kind = POLICY_OP_REMOVE_BINARY, .key = "web", .binary = "/usr/bin/curl"
	};
	struct done d;

	merge(&d, WEB, NULL, &op, 1);
	ASSERT_OK(d.r);
	ASSERT_EQ(MSG(d.out)->n_network_policies, 0);
	finish(&d);
	merge(&d,
		HEAD
		"network_policies:\n  web:\n    endpoints: [{host: a.example.com, port: 443}]\n",
		NULL, &op, 1);
	ASSERT_ERR(d.r, EINVAL);
	finish(&d);
}

TEST(allow_expands_a_preset_and_needs_one_rest_endpoint)
{
	Openshell__Sandbox__V1__L7Allow allow = OPENSHELL__SANDBOX__V1__L7_ALLOW__INIT;
	struct policy_op op = {
		.kind = POLICY_OP_ADD_ALLOW, .host = "a.example.com", .port = 443, .allow = &allow
	};
	char post[] = "POST", path[] = "/p";
	struct done d;

	allow.method = post;
	allow.path = path;
	merge(&d, WEB, NULL, &op, 1);
	ASSERT_EQ(endpoint(&d, 0, 0)->n_rules, 4);
	ASSERT_STR(endpoint(&d, 0, 0)->access, "");
	ASSERT(warned(&d, "M02"));
	finish(&d);
	op.port = 80;
	merge(&d, WEB, NULL, &op, 1);
	ASSERT_ERR(d.r, ENOENT);
	finish(&d);
	op.port = 443;
	merge(&d,
		HEAD "network_policies:\n  web:\n    endpoints: [{host: a.example.com, port: "
		     "443}]\n" CURL,
		NULL, &op, 1);
	ASSERT_ERR(d.r, EINVAL);
	finish(&d);
	merge(&d,
		WEB "  two:\n    endpoints: [{host: a.example.com, port: 443, path: /x, protocol: "
		    "rest, "
		    "enforcement: enforce, access: full}]\n" CURL,
		NULL, &op, 1);
	ASSERT_ERR(d.r, EEXIST);
	finish(&d);
}

TEST(deny_is_added_beside_a_preset)
{
	Openshell__Sandbox__V1__L7DenyRule deny = OPENSHELL__SANDBOX__V1__L7_DENY_RULE__INIT;
	struct policy_op op = {
		.kind = POLICY_OP_ADD_DENY, .host = "a.example.com", .port = 443, .deny = &deny
	};
	char get[] = "GET", path[] = "/secret";
	struct done d;

	deny.method = get;
	deny.path = path;
	merge(&d, WEB, NULL, &op, 1);
	ASSERT_EQ(endpoint(&d, 0, 0)->n_deny_rules, 1);
	ASSERT_STR(endpoint(&d, 0, 0)->access, "read-only");
	finish(&d);
}

TEST(operations_are_all_or_nothing)
{
	struct policy_op ops[] = {
		{ .kind = POLICY_OP_REMOVE_RULE, .key = "web" },
		{ .kind = POLICY_OP_ADD_RULE, .key = "" },
	};
	struct done d;

	merge(&d, WEB, WEB, ops, 2);
	ASSERT_ERR(d.r, EINVAL);
	ASSERT(strstr(d.e.text, "operation 2 of 2"));
	ASSERT(!d.out);
	ASSERT_EQ(MSG(d.base)->n_network_policies, 1);
	finish(&d);
}

TEST(result_with_an_overlap_is_refused)
{
	struct done d;

	add_as(&d, WEB,
		HEAD "network_policies:\n  x:\n    endpoints: [{host: '*.example.com', port: 443, "
		     "protocol: "
		     "graphql, enforcement: enforce, access: full}]\n" CURL,
		"new");
	ASSERT_ERR(d.r, EINVAL);
	ASSERT(!d.out);
	finish(&d);
}

TEST(provider_keys_are_lowered_trimmed_and_numbered)
{
	struct policy_doc *user = given(WEB),
			  *rule = given(HEAD "network_policies:\n  x:\n    endpoints: [{host: "
					     "b.example.com, port: 443}]\n" CURL),
			  *out = NULL, *back = NULL;
	const Openshell__Sandbox__V1__NetworkPolicyRule *r = MSG(rule)->network_policies[0]->value;
	struct policy_layer layers[] = { { "My-GitHub ", r }, { "my_github", r }, { "--", r } };
	struct policy_sources s = { user, NULL, true, layers, 3 };
	struct policy_report report = { 0 };
	struct err e = { 0 };

	ASSERT_OK(policy_compose(&s, &report, &out, &e));
	ASSERT_EQ(MSG(out)->n_network_policies, 4);
	ASSERT_STR(MSG(out)->network_policies[0]->key, "_provider_my_github");
	ASSERT_STR(MSG(out)->network_policies[1]->key, "_provider_my_github_2");
	ASSERT_STR(MSG(out)->network_policies[2]->key, "_provider_unnamed");
	ASSERT_OK(policy_strip_layers(out, &back, &e));
	ASSERT_EQ(MSG(back)->n_network_policies, 1);
	policy_free(back);
	back = NULL;
	s.user = out;
	ASSERT_ERR(policy_compose(&s, &report, &back, &e), EINVAL);
	policy_free(out);
	s.user = user;
	s.compose_providers = false;
	ASSERT_OK(policy_compose(&s, &report, &out, &e));
	ASSERT_EQ(MSG(out)->n_network_policies, 1);
	policy_free(out);
	s.compose_providers = true;
	s.global = rule;
	ASSERT_OK(policy_compose(&s, &report, &out, &e));
	ASSERT_EQ(MSG(out)->n_network_policies, 1);
	ASSERT_STR(MSG(out)->network_policies[0]->key, "x");
	policy_free(out);
	policy_report_done(&report);
	policy_free(user);
	policy_free(rule);
}

static enum policy_live live(const char *a, const char *b, const char *word)
{
	struct policy_doc *x = given(a), *y = given(b);
	char buf[1024];
	struct text why;
	enum policy_live got;

	text_init(&why, buf, sizeof buf);
	got = policy_live_compare(x, x, y, &why);
	if (word && !strstr(buf, word))
		FAIL_("\"%s\" lacks \"%s\"", buf, word);
	policy_free(x);
	policy_free(y);
	return got;
}

#define FS(x) HEAD "filesystem_policy: {" x "}\n"

TEST(sections_change_as_a_running_sandbox_can_follow)
{
	ASSERT_EQ(live(WEB, WEB, NULL), POLICY_LIVE_SAME);
	ASSERT_EQ(live(HEAD, WEB, NULL), POLICY_LIVE_HOT);
	ASSERT_EQ(live(HEAD, HEAD "landlock: {compatibility: hard_requirement}\n", "landlock"),
		POLICY_LIVE_REFUSED);
	ASSERT_EQ(live(HEAD, HEAD "process: {run_as_user: \"1000\"}\n", "process"),
		POLICY_LIVE_REFUSED);
	ASSERT_EQ(live(FS("read_only: [/usr]"), FS("read_only: [/usr, /etc]"), "next start only"),
		POLICY_LIVE_NEXT_START);
	ASSERT_EQ(live(FS("read_only: [/usr]"), FS("read_write: [/usr]"), "/usr"),
		POLICY_LIVE_NEXT_START);
	ASSERT_EQ(live(FS("read_write: [/usr]"), FS("read_only: [/usr]"), "/usr"),
		POLICY_LIVE_REFUSED);
	ASSERT_EQ(live(FS("read_only: [/usr, /etc]"), FS("read_only: [/usr]"), "/etc"),
		POLICY_LIVE_REFUSED);
	ASSERT_EQ(live(FS("read_only: [/usr]"), HEAD, "removed"), POLICY_LIVE_REFUSED);
	ASSERT_EQ(
		live(FS("include_workdir: true"), FS("include_workdir: false"), "include_workdir"),
		POLICY_LIVE_REFUSED);
	ASSERT_EQ(live(FS("read_only: [/usr, /etc]"), FS("read_only: [/etc, /usr]"), NULL),
		POLICY_LIVE_SAME);
}

TEST(sections_left_out_empty_and_default_are_the_same)
{
	ASSERT_EQ(live(HEAD, HEAD "landlock: {compatibility: best_effort}\n", NULL),
		POLICY_LIVE_SAME);
	ASSERT_EQ(live(HEAD "landlock: {}\n", HEAD "process: {}\n", NULL), POLICY_LIVE_SAME);
	ASSERT_EQ(live(HEAD, FS("include_workdir: true"), NULL), POLICY_LIVE_SAME);
}

TEST(first_tcp_endpoint_needs_a_restart)
{
	static const char tcp[] = HEAD "network_policies:\n  db:\n    endpoints: [{host: "
				       "db.example.com, port: 5432, protocol: tcp}]\n" CURL;
	static const char more[] = HEAD "network_policies:\n  db:\n    endpoints: [{host: "
					"db.example.com, port: 5432, protocol: tcp}, "
					"{host: e.example.com, port: 5432, protocol: tcp}]\n" CURL;

	ASSERT_EQ(live(HEAD, tcp, "tcp"), POLICY_LIVE_REFUSED);
	ASSERT_EQ(live(tcp, more, NULL), POLICY_LIVE_HOT);
}
