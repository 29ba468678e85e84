/* test_policy_properties.c - what must hold for every policy and every question (gen.h).
 *
 * The main one: the indexed engine answers as the naive evaluator does, over more than a million
 * random decisions (fewer under a sanitiser).
 */
#include "gen.h"
#include "naive.h"
#include "test.h"

#define YAML_BYTES 65536
#ifdef __SANITIZE_ADDRESS__
#define POLICIES 60
#define QUESTIONS 450
#else
#define POLICIES 1300
#define QUESTIONS 450 /* each is a connection and a request */
#endif

static const struct gen_change unchanged = {
	.leave_rule = -1, .rule = -1, .endpoint = -1, .leave_allow = -1
};

struct loaded {
	struct policy_doc *doc;
	struct policy_snapshot *s;
};

static void done(struct loaded *l)
{
	policy_snapshot_unref(l->s);
	policy_free(l->doc);
	*l = (struct loaded){ 0 };
}

/* false: the document is refused, for instance because endpoints overlap. */
static bool load(const struct gen_policy *p, const struct gen_change *c, struct loaded *ret)
{
	static char text[YAML_BYTES];
	struct policy_report report = { 0 };
	struct err e = { 0 };
	size_t n = gen_write(p, c, text);

	*ret = (struct loaded){ 0 };
	if (policy_load_yaml("gen", text, n, POLICY_GATEWAY, &report, &ret->doc, &e) == 0)
		ASSERT_OK(policy_compile(ret->doc, 1, NULL, 0, &ret->s, &e));
	policy_report_done(&report);
	return ret->s != NULL;
}

/* The next policy of the seed that loads. */
static uint64_t next_policy(uint64_t *seed, struct gen_policy *p, struct loaded *ret)
{
	for (unsigned tries = 0; tries < 1000; tries++) {
		uint64_t own = *seed;

		gen_policy(seed, p);
		if (load(p, &unchanged, ret))
			return own;
	}
	FAIL_("%s", "no policy of 1000 loads");
	return 0;
}

static void show(const struct gen_policy *p, const struct gen_question *q)
{
	static char text[YAML_BYTES];

	(void) gen_write(p, &unchanged, text);
	fprintf(stderr, "%s%.*s %s:%u%.*s from %s (identity %d), %zu params, graphql %d, rpc %d\n",
		text, (int) q->request.method.len, q->request.method.at, q->host, q->who.port,
		(int) q->request.path.len, q->request.path.at, q->caller.exe,
		q->who.identity_required, q->request.n_query, q->request.graphql != NULL,
		q->request.rpc != NULL);
	for (size_t i = 0; i < q->request.n_query; i++)
		fprintf(stderr, "  %s=%s\n", q->params[i].key.at, q->params[i].value.at);
	for (size_t i = 0; q->request.rpc && i < q->rpc.n_calls; i++)
		fprintf(stderr, "  call %s tool %s\n",
			q->calls[i].method.at ? q->calls[i].method.at : "-",
			q->calls[i].tool.at ? q->calls[i].tool.at : "-");
}

static bool same(const struct naive_answer *a, const struct policy_decision *c,
	const struct policy_request_decision *d)
{
	if (a->connect != c->allow || strcmp(a->policy, c->policy) != 0)
		return false;
	if (a->route != d->has_route || a->verdict != d->verdict || a->hard != d->hard)
		return false;
	return !a->route ||
		(strcmp(a->route_policy, d->route.policy) == 0 &&
			a->route_endpoint == d->route.endpoint);
}

TEST(engine_answers_as_the_naive_evaluator)
{
	static struct policy_request_decision d;
	static struct policy_decision c;
	static struct gen_question q;
	static struct gen_policy p;
	size_t verdicts[3] = { 0 }, connects = 0;
	uint64_t seed = 1;

	for (int i = 0; i < POLICIES; i++) {
		struct loaded l;

		(void) next_policy(&seed, &p, &l);
		for (int k = 0; k < QUESTIONS; k++) {
			struct naive_answer want;

			gen_question(&seed, &q);
			naive_decide(policy_message(l.doc), &q.who, &q.request, &want);
			policy_decide_connect(l.s, &q.who, &c);
			policy_decide_request(l.s, &q.who, &q.request, &d);
			if (!same(&want, &c, &d)) {
				show(&p, &q);
				FAIL_("connect %d %s, want %d %s; verdict %d hard %d route %d "
				      "%s[%zu], want %d %d %d "
				      "%s[%zu]: %s",
					c.allow, c.policy, want.connect, want.policy, d.verdict,
					d.hard, d.has_route, d.has_route ? d.route.policy : "",
					d.route.endpoint, want.verdict, want.hard, want.route,
					want.route_policy, want.route_endpoint, d.reason);
			}
			verdicts[d.verdict]++;
			connects += c.allow;
		}
		done(&l);
	}
	/* A generator that only meets denials would prove nothing. */
	fprintf(stderr,
		"%d decisions: %zu connections allowed; requests %zu denied, %zu allowed, %zu "
		"audited\n",
		2 * POLICIES * QUESTIONS, connects, verdicts[0], verdicts[1], verdicts[2]);
	ASSERT(connects > POLICIES * QUESTIONS / 10);
	ASSERT(verdicts[POLICY_ALLOWED] > POLICIES * QUESTIONS / 30);
	ASSERT(verdicts[POLICY_AUDITED] > POLICIES * QUESTIONS / 50);
}

#define FEW 200 /* policies for the properties below */

static enum policy_verdict ask(const struct loaded *l, const struct gen_question *q)
{
	static struct policy_request_decision d;

	policy_decide_request(l->s, &q->who, &q->request, &d);
	return d.verdict;
}

static bool connects(const struct loaded *l, const struct gen_question *q)
{
	static struct policy_decision d;

	policy_decide_connect(l->s, &q->who, &d);
	return d.allow;
}

TEST(deny_never_loses_to_an_allow)
{
	static struct policy_request_decision d;
	static struct gen_question q;
	static struct gen_policy p;
	uint64_t seed = 2;
	size_t met = 0;

	for (int i = 0; i < FEW; i++) {
		struct loaded l, more;

		(void) next_policy(&seed, &p, &l);
		for (int k = 0; k < 100; k++) {
			struct gen_change c = unchanged;
			char deny[GEN_TEXT];

			gen_question(&seed, &q);
			policy_decide_request(l.s, &q.who, &q.request, &d);
			if (d.verdict != POLICY_ALLOWED || q.request.graphql || q.request.rpc)
				continue;
			c.rule = d.policy[1] - '0';
			c.endpoint = (int) d.endpoint;
			snprintf(deny, sizeof deny, "method: %s, path: %s", q.request.method.at,
				q.request.path.at);
			c.add_deny = deny;
			if (!load(&p, &c, &more))
				continue;
			ASSERT(ask(&more, &q) != POLICY_ALLOWED);
			done(&more);
			met++;
			break;
		}
		done(&l);
	}
	ASSERT(met > FEW / 4);
}

TEST(leaving_something_out_never_adds_authority)
{
	static struct gen_question q;
	static struct gen_policy p;
	uint64_t seed = 3;
	size_t met = 0;

	for (int i = 0; i < FEW; i++) {
		struct gen_change c = unchanged, whole = unchanged;
		struct loaded l, less, without;
		const struct gen_endpoint *ep;

		(void) next_policy(&seed, &p, &l);
		c.rule = (int) gen_random(&seed, p.n_rules);
		c.endpoint = (int) gen_random(&seed, p.rules[c.rule].n_endpoints);
		ep = &p.rules[c.rule].endpoints[c.endpoint];
		c.leave_allow = ep->n_allow ? (int) gen_random(&seed, ep->n_allow) : -1;
		whole.leave_rule = c.rule;
		(void) load(&p, &whole, &without);
		(void) load(&p, &c, &less);
		for (int k = 0; k < 200; k++) {
			gen_question(&seed, &q);
			if (without.s)
				ASSERT(!connects(&without, &q) || connects(&l, &q));
			if (!less.s || !ep->removable || c.leave_allow < 0)
				continue;
			ASSERT(ask(&less, &q) != POLICY_ALLOWED || ask(&l, &q) == POLICY_ALLOWED);
			met++;
		}
		done(&less);
		done(&without);
		done(&l);
	}
	ASSERT(met > (size_t) FEW * 20);
}

TEST(order_of_rules_and_keys_changes_nothing)
{
	static struct gen_question q;
	static struct gen_policy p;
	struct gen_change backwards = unchanged;
	uint64_t seed = 4;

	backwards.reversed = true;
	for (int i = 0; i < FEW; i++) {
		struct loaded l, other;

		(void) next_policy(&seed, &p, &l);
		ASSERT(load(&p, &backwards, &other));
		for (int k = 0; k < 200; k++) {
			gen_question(&seed, &q);
			ASSERT_EQ(connects(&other, &q), connects(&l, &q));
			ASSERT_EQ(ask(&other, &q), ask(&l, &q));
		}
		done(&other);
		done(&l);
	}
}

TEST(yaml_and_protobuf_decide_the_same)
{
	static struct policy_request_decision a, b;
	static struct gen_question q;
	static struct gen_policy p;
	uint64_t seed = 5;

	for (int i = 0; i < FEW; i++) {
		struct policy_report report = { 0 };
		struct loaded l, wire = { 0 };
		struct err e = { 0 };
		uint8_t *bytes;
		size_t len;

		(void) next_policy(&seed, &p, &l);
		ASSERT_OK(policy_encode(l.doc, &bytes, &len, &e));
		ASSERT_OK(policy_load_wire(
			"wire", bytes, len, POLICY_GATEWAY, &report, &wire.doc, &e));
		ASSERT_OK(policy_compile(wire.doc, 1, NULL, 0, &wire.s, &e));
		free(bytes);
		policy_report_done(&report);
		for (int k = 0; k < 200; k++) {
			gen_question(&seed, &q);
			ASSERT_EQ(connects(&wire, &q), connects(&l, &q));
			policy_decide_request(l.s, &q.who, &q.request, &a);
			policy_decide_request(wire.s, &q.who, &q.request, &b);
			ASSERT_EQ(a.verdict, b.verdict);
			ASSERT_EQ(a.rule, b.rule);
			ASSERT_STR(a.policy, b.policy);
		}
		done(&wire);
		done(&l);
	}
}

/* Hundreds of rules for one host, told apart by their programs only. */
TEST(crowded_hosts_decide_as_the_naive_evaluator)
{
	static struct policy_request_decision d;
	static struct policy_decision c;
	static struct gen_question q;
	static char text[YAML_BYTES];
	struct policy_report report = { 0 };
	struct loaded l = { 0 };
	struct err e = { 0 };
	uint64_t seed = 6;
	size_t n = (size_t) snprintf(text, sizeof text, "version: 1\nnetwork_policies:\n"),
	       allowed = 0;

	for (unsigned i = 0; i < 400; i++)
		n += (size_t) snprintf(text + n, sizeof text - n,
			"  r%03u: {endpoints: [{host: \"%s\", port: %u, protocol: rest, "
			"enforcement: enforce, "
			"access: %s}], binaries: [{path: \"%s%u\"}]}\n",
			i, i % 5 ? "a.ex.com" : "*.ex.com", i % 7 ? 443 : 80,
			i % 3 ? "read-only" : "full", i % 97 ? "/bin/p" : "/opt/*/p", i % 150);
	ASSERT_OK(policy_load_yaml("crowd", text, n, POLICY_GATEWAY, &report, &l.doc, &e));
	ASSERT_OK(policy_compile(l.doc, 1, NULL, 0, &l.s, &e));
	policy_report_done(&report);
	for (unsigned i = 0; i < 3000; i++) {
		struct naive_answer want;
		char exe[64], ancestor[64];

		gen_question(&seed, &q);
		q.request.graphql = NULL;
		q.request.rpc = NULL;
		snprintf(exe, sizeof exe, "%s%u", i % 4 ? "/bin/p" : "/opt/x/p",
			gen_random(&seed, 170));
		snprintf(ancestor, sizeof ancestor, "/bin/p%u", gen_random(&seed, 170));
		q.caller.exe = exe;
		q.ancestors[0] = ancestor;
		naive_decide(policy_message(l.doc), &q.who, &q.request, &want);
		policy_decide_connect(l.s, &q.who, &c);
		policy_decide_request(l.s, &q.who, &q.request, &d);
		if (!same(&want, &c, &d))
			FAIL_("%s under %s at %s: %d %s, want %d %s", exe, ancestor, q.host,
				c.allow, c.policy, want.connect, want.policy);
		allowed += d.verdict == POLICY_ALLOWED;
	}
	ASSERT(allowed > 100);
	done(&l);
}
