/* test_policy_diff.c - differences that are named, and a generator that looks for one that is not. */
#include <errno.h>
#include "core_cleanup.h"
#include "core_policy_diff.h"
#include "core_policy_request.h"
#include "policy_given.h"

#define PAIRS 1000   /* pairs of generated policies */
#define QUESTIONS 40 /* asked of each pair */
#define REST_AT(more) \
	"    endpoints: [{host: a.example.com, port: 443, protocol: rest, " more "}]\n"

static struct policy_diff compare(const char *a, const char *b)
{
	struct policy_doc *x = given(a), *y = given(b);
	struct policy_diff d = { 0 };
	struct err e = { 0 };

	if (policy_diff(x, y, &d, &e) < 0)
		FAIL_("%s", e.text);
	policy_free(x);
	policy_free(y);
	return d;
}

static void expect(const char *a, const char *b, size_t added, size_t removed, const char *words)
{
	struct policy_diff d = compare(a, b);
	bool found = !words;

	for (size_t i = 0; i < d.n; i++)
		found |= words && strstr(d.at[i].text, words);
	if (d.n_added != added || d.n_removed != removed || !found) {
		for (size_t i = 0; i < d.n; i++)
			fprintf(stderr, "%d %s\n", (int) d.at[i].kind, d.at[i].text);
		FAIL_("+%zu -%zu, want +%zu -%zu and \"%s\"\n%s\n%s", d.n_added, d.n_removed, added,
			removed, words ? words : "", a, b);
	}
	policy_diff_done(&d);
}

#define NET HEAD "network_policies:\n  web:\n"
#define PLAIN "    endpoints: [{host: a.example.com, port: 443}]\n"

TEST(the_same_authority_is_no_difference)
{
	struct policy_diff d = compare(NET REST_AT("enforcement: enforce, access: read-only") CURL,
		HEAD "network_policies:\n  renamed:\n"
		     "    endpoints: [{host: A.Example.com, ports: [443], protocol: REST, "
		     "enforcement: enforce, "
		     "rules: [{allow: {method: OPTIONS, path: '**'}}, {allow: {method: GET, path: "
		     "'**'}}, {allow: "
		     "{method: HEAD, path: '**'}}]}]\n" CURL);

	ASSERT_EQ(d.n, 0);
	policy_diff_done(&d);
}

TEST(connections_and_private_addresses_are_named)
{
	expect(HEAD, NET PLAIN CURL, 3, 0, "/usr/bin/curl may connect to a.example.com:443");
	expect(NET PLAIN CURL, HEAD, 0, 3, "without inspection");
	/* covered by the pattern, but for the trust in an exact name */
	expect(NET "    endpoints: [{host: '*.example.com', port: 443}]\n" CURL, NET PLAIN CURL, 1,
		2, "private address");
	expect(NET PLAIN "    binaries: [{path: '/usr/bin/*'}]\n", NET PLAIN CURL, 0, 3, NULL);
	expect(NET PLAIN CURL, NET PLAIN WGET, 3, 3, "/usr/bin/wget");
}

TEST(requests_are_compared_by_what_they_cover)
{
	expect(NET PLAIN CURL, NET REST_AT("enforcement: enforce, access: full") CURL, 0, 2,
		"inspected");
	expect(NET REST_AT("enforcement: enforce, access: full") CURL,
		NET REST_AT("enforcement: enforce, access: read-only") CURL, 0, 1, "request * **");
	expect(NET REST_AT("enforcement: enforce, rules: [{allow: {method: GET, path: '/a/**'}}]")
			CURL,
		NET REST_AT("enforcement: enforce, rules: [{allow: {method: HEAD, path: /a/b}}]")
			CURL,
		0, 1, "GET /a/**");
	expect(NET REST_AT("enforcement: enforce, access: full") CURL,
		NET REST_AT("enforcement: audit, access: full") CURL, 2, 0, "only logged");
}

TEST(a_restriction_that_goes_is_authority_that_comes)
{
	expect(NET REST_AT("enforcement: enforce, access: full, deny_rules: [{method: DELETE, "
			   "path: '**'}]") CURL,
		NET REST_AT("enforcement: enforce, access: full") CURL, 1, 0,
		"no longer denied DELETE");
	expect(NET REST_AT("enforcement: enforce, access: full") CURL,
		NET REST_AT("enforcement: enforce, access: full, deny_rules: [{method: DELETE, "
			    "path: '**'}]") CURL,
		0, 1, "now denied DELETE");
	/* the other rule's inspection was all that stood before the raw endpoint */
	expect(NET PLAIN CURL "  zoo:\n" REST_AT("enforcement: enforce, access: read-only") CURL,
		NET PLAIN CURL, 1, 0, "no longer inspected");
}

TEST(static_sections_need_a_restart)
{
	struct policy_diff d = compare(HEAD
		"filesystem_policy: {read_only: [/usr], read_write: [/tmp]}\n",
		HEAD
		"filesystem_policy: {read_only: [/tmp], read_write: [/usr]}\n"
		"process: {run_as_user: sandbox}\nlandlock: {compatibility: hard_requirement}\n");

	ASSERT_EQ(d.n, 4);
	ASSERT_EQ(d.n_restart, 4);
	ASSERT_EQ(d.n_added, 1);
	ASSERT_EQ(d.n_removed, 1);
	ASSERT_STR(d.at[0].text, "/tmp may be written");
	policy_diff_done(&d);
}

TEST(scrubbing_that_ends_is_authority_that_comes)
{
	expect(NET REST_AT("enforcement: enforce, access: full, scrub_responses: true") CURL,
		NET REST_AT("enforcement: enforce, access: full") CURL, 1, 0,
		"no longer scrubbed of credentials");
	expect(NET PLAIN CURL,
		NET
		"    endpoints: [{host: a.example.com, port: 443, scrub_responses: true}]\n" CURL,
		0, 1, "now scrubbed of credentials");
}

TEST(options_and_middlewares_are_compared)
{
	expect(NET REST_AT("enforcement: enforce, access: full") CURL,
		NET REST_AT(
			"enforcement: enforce, access: full, request_body_credential_rewrite: true")
			CURL,
		1, 0, "credentials in request bodies");
	expect(HEAD,
		HEAD "network_middlewares: {g: {middleware: m, endpoints: {include: [a.b.c]}}}\n",
		0, 0, "middleware `g` is added");
}

/* ---- generated policies ---- */

static uint64_t seed = 88172645463325252u;

static unsigned roll(unsigned n)
{
	seed ^= seed << 13;
	seed ^= seed >> 7;
	seed ^= seed << 17;
	return (unsigned) (seed >> 11) % n;
}

#define PICK(list) (list)[roll(sizeof(list) / sizeof *(list))]

static const char *const hosts[] = { "a.example.com", "b.example.com", "'*.example.com'",
	"'**.example.com'", "a.b.example.com" };
static const char *const methods[] = { "GET", "POST", "HEAD", "'*'", "DELETE" };
static const char *const paths[] = { "'**'", "/a", "/a/**", "/a/*", "/v1/x", "/v1/**" };
static const char *const programs[] = { "/usr/bin/curl", "/usr/bin/wget", "'/usr/bin/*'", "'/**'" };

static void add_rules(struct text *t, const char *name, bool wrap)
{
	text_addf(t, ", %s: [", name);
	for (unsigned i = 0, n = 1 + roll(2); i < n; i++) {
		text_addf(t, "%s%s{method: %s, path: %s", i ? ", " : "", wrap ? "{allow: " : "",
			PICK(methods), PICK(paths));
		if (roll(4) == 0)
			text_addf(t, ", query: {q: '%u'}", roll(2));
		text_add(t, wrap ? "}}" : "}");
	}
	text_add(t, "]");
}

static void add_endpoint(struct text *t)
{
	static const char *const access[] = { "read-only", "read-write", "full" };

	text_addf(t, "{host: %s, port: %s", PICK(hosts), roll(3) ? "443" : "80");
	if (roll(8) == 0)
		text_add(t, ", allowed_ips: [10.0.0.0/8]");
	if (roll(3)) {
		text_addf(t, ", protocol: rest, enforcement: %s", roll(4) ? "enforce" : "audit");
		if (roll(3) == 0)
			text_addf(t, ", path: %s", roll(2) ? "/v1/**" : "/a");
		if (roll(2))
			text_addf(t, ", access: %s", PICK(access));
		else
			add_rules(t, "rules", true);
		if (roll(3) == 0)
			add_rules(t, "deny_rules", false);
	}
	text_add(t, "}");
}

static void add_rule(struct text *t, unsigned i)
{
	text_addf(t, "  r%u:\n    endpoints: [", i);
	for (unsigned k = 0, n = 1 + roll(2); k < n; k++) {
		text_add(t, k ? ", " : "");
		add_endpoint(t);
	}
	text_add(t, "]\n    binaries: [");
	for (unsigned k = 0, n = 1 + roll(2); k < n; k++)
		text_addf(t, "%s{path: %s}", k ? ", " : "", PICK(programs));
	text_add(t, "]\n");
}

#define RULES 4
static char rules[RULES][2048];

/* NULL when the document is not valid: endpoints that overlap, usually. */
static struct policy_doc *assemble(unsigned n, unsigned without)
{
	char buf[RULES * 2048 + 64];
	struct policy_report report = { 0 };
	struct policy_doc *d = NULL;
	struct err e = { 0 };
	struct text t;

	text_init(&t, buf, sizeof buf);
	text_add(&t, HEAD "network_policies:\n");
	for (unsigned i = 0; i < n; i++)
		if (i != without)
			text_add(&t, rules[i]);
	if (n == 1 && without == 0)
		text_add(&t, "  {}\n");
	(void) policy_load_yaml("generated", buf, t.len, POLICY_AUTHOR, &report, &d, &e);
	policy_report_done(&report);
	return d;
}

static void generate(unsigned from, unsigned n)
{
	for (unsigned i = from; i < n; i++) {
		struct text t;

		text_init(&t, rules[i], sizeof rules[i]);
		add_rule(&t, i);
	}
}

/* One word changed, so that a difference has nothing to hide behind. */
static void mutate(char *rule)
{
	static const char *const words[][2] = { { ", query: {q: '1'}", "" },
		{ ", query: {q: '0'}", "" }, { "GET", "'*'" }, { "POST", "GET" },
		{ "enforcement: enforce", "enforcement: audit" }, { "path: /a}", "path: /a/*}" },
		{ "path: /v1/x", "path: /v1/**" }, { "443", "80" },
		{ "'*.example.com'", "a.example.com" }, { "/usr/bin/curl", "'/usr/bin/*'" },
		{ ", path: /a,", "," },
		{ "deny_rules: [{method: GET", "deny_rules: [{method: DELETE" },
		{ ", allowed_ips: [10.0.0.0/8]", "" }, { "read-only", "full" } };
	const char *const *w = words[roll(sizeof words / sizeof *words)];
	char old[sizeof rules[0]], *at;
	struct text t;

	(void) snprintf(old, sizeof old, "%s", rule);
	at = strstr(old, w[0]);
	if (!at)
		return;
	text_init(&t, rule, sizeof rules[0]);
	text_add_n(&t, old, (size_t) (at - old));
	text_add(&t, w[1]);
	text_add(&t, at + strlen(w[0]));
}

struct answer {
	bool connect, raw, request, exact;
	bool ips;
};

static struct answer ask(const struct policy_snapshot *s, const struct policy_connect *q,
	const struct policy_request *r)
{
	static struct policy_decision c;
	static struct policy_request_decision d;
	struct answer a = { 0 };

	policy_decide_connect(s, q, &c);
	a.connect = c.allow;
	a.exact = c.allow && c.exact_declared && !c.has_allowed_ips;
	a.ips = c.allow && c.has_allowed_ips;
	a.raw = c.allow && !c.inspect;
	a.request = a.raw;
	if (!c.allow || !c.inspect)
		return a;
	policy_decide_request(s, q, r, &d);
	a.request = d.verdict != POLICY_DENIED;
	return a;
}

#define BYTES(s) ((struct policy_bytes){ (s), strlen(s) })

static void question(struct policy_connect *q, struct identity_caller *who,
	struct policy_request *r, struct policy_param *param, const char **ancestor)
{
	static const char *const names[] = { "a.example.com", "b.example.com", "c.example.com",
		"a.b.example.com" };
	static const char *const exes[] = { "/usr/bin/curl", "/usr/bin/wget", "/usr/bin/x",
		"/bin/sh" };
	static const char *const verbs[] = { "GET", "POST", "HEAD", "DELETE", "PUT" };
	static const char *const targets[] = { "/a", "/a/b", "/v1/x", "/v1/", "/z" };

	*ancestor = PICK(exes);
	*who = (struct identity_caller){
		.assurance = IDENTITY_OBSERVED, .exe = PICK(exes), .sha256 = "", .reason = ""
	};
	who->ancestors = ancestor;
	who->n_ancestors = roll(2);
	*q = (struct policy_connect){ PICK(names), roll(3) ? 443 : 80, true, who };
	*param = (struct policy_param){ BYTES("q"), BYTES(roll(2) ? "1" : "0") };
	*r = (struct policy_request){ .method = BYTES(PICK(verbs)),
		.path = BYTES(PICK(targets)),
		.query = param,
		.n_query = roll(2) };
}

static void assert_named(const struct policy_diff *d, const struct answer *x,
	const struct answer *y, const char *what)
{
	bool more = (y->connect && !x->connect) || (y->raw && !x->raw) ||
		(y->request && !x->request) || (y->exact && !x->exact);

	if (more && !d->n_added)
		FAIL_("%s: connect %d->%d raw %d->%d request %d->%d exact %d->%d, but nothing is "
		      "reported as added",
			what, x->connect, y->connect, x->raw, y->raw, x->request, y->request,
			x->exact, y->exact);
}

static void check_pair(const struct policy_doc *a, const struct policy_doc *b,
	struct policy_diff *d, unsigned *differing)
{
	struct policy_snapshot *x = NULL, *y = NULL;
	struct policy_diff back = { 0 };
	struct err e = { 0 };

	ASSERT_OK(policy_diff(a, b, d, &e));
	ASSERT_OK(policy_diff(b, a, &back, &e));
	/* what comes one way goes the other */
	ASSERT_EQ(d->n_added, back.n_removed);
	ASSERT_EQ(d->n_removed, back.n_added);
	ASSERT_OK(policy_compile(a, 1, NULL, 0, &x, &e));
	ASSERT_OK(policy_compile(b, 2, NULL, 0, &y, &e));
	for (unsigned i = 0; i < QUESTIONS; i++) {
		struct policy_connect q;
		struct identity_caller who;
		struct policy_request r;
		struct policy_param param;
		const char *ancestor;
		struct answer m, n;

		question(&q, &who, &r, &param, &ancestor);
		m = ask(x, &q, &r);
		n = ask(y, &q, &r);
		*differing += m.request != n.request || m.connect != n.connect;
		assert_named(d, &m, &n, "forth");
		assert_named(&back, &n, &m, "back");
		if (m.connect && n.connect && m.ips != n.ips)
			ASSERT(d->n > 0);
	}
	policy_diff_done(&back);
	policy_snapshot_unref(x);
	policy_snapshot_unref(y);
}

TEST(no_difference_of_decisions_goes_unnamed)
{
	unsigned pairs = 0, differing = 0;

	while (pairs < PAIRS) {
		struct policy_diff d = { 0 };
		struct policy_doc *a, *b;
		unsigned n = 1 + roll(RULES - 1);

		generate(0, n);
		a = assemble(n, RULES);
		if (pairs % 2)
			generate(roll(n), n);
		else
			mutate(rules[roll(n)]);
		b = assemble(n, RULES);
		if (a && b) {
			pairs++;
			check_pair(a, b, &d, &differing);
		}
		policy_diff_done(&d);
		policy_free(a);
		policy_free(b);
	}
	ASSERT(differing > PAIRS / 2);
}

/* A rule without deny rules, beside rules that are all inspected and enforced or all are not,
 * restricts nobody: without it there is only less. */
TEST(removing_a_rule_never_adds_authority)
{
	unsigned pairs = 0, differing = 0, restricting = 0;

	while (pairs < PAIRS) {
		struct policy_diff d = { 0 };
		unsigned n = 1 + roll(RULES), gone = roll(n);
		struct policy_doc *a, *b;
		bool plain;

		generate(0, n);
		plain = !strstr(rules[gone], "deny_rules") && !strstr(rules[gone], "protocol");
		a = assemble(n, RULES);
		b = a ? assemble(n, gone) : NULL;
		if (a && b) {
			pairs++;
			check_pair(a, b, &d, &differing);
			if (plain)
				ASSERT_EQ(d.n_added, 0);
			restricting += d.n_added > 0;
		}
		policy_diff_done(&d);
		policy_free(a);
		policy_free(b);
	}
	/* not all of them restrict: most removals only remove */
	ASSERT(restricting * 4 < pairs);
	ASSERT(differing > PAIRS / 4);
}
