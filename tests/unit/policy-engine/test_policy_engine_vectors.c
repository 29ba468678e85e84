/* test_policy_engine_vectors.c - every decision, glob and path of tests/data/policy-vectors.json.
 *
 * The answers were executed on the reference.  Where ours differs, the case stands in the table
 * with the section of the specification and our answer; a row that is no longer needed fails.
 */
#include <cjson/cJSON.h>
#include <fcntl.h>
#include "core_cleanup.h"
#include "core_fd.h"
#include "core_policy_request.h"
#include "test.h"

#define VECTORS_MAX (4 * 1024 * 1024)
#define LIST_MAX 16

static const struct repaired {
	const char *id, *ours, *section, *why;
} repaired[] = {
	{ "T174", "deny", "spec/policy 2.11",
		"a tools/call without a readable tool may be any tool, so a deny rule for one "
		"meets it" },
	{ "T182", "deny", "spec/policy 2.6, 9",
		"JSON-RPC and MCP endpoints alone allow calls; a REST rule does not rescue them" },
	{ "T199", "allow", "spec/policy 2.2, 5 (E22)",
		"a malformed allow pattern never matches, and does not spoil the others" },
	{ "T200", "deny", "spec/policy 9, spec/network 3.5",
		"a deny rule without path means every path" },
	{ "T203", "allow", "spec/policy 1.3, 10.4", "protocol is lower-cased: MCP is mcp" },
	{ "T204", "deny", "spec/policy 1.3, 10.4", "so a REST rule on it allows no call" },
	{ "T205", "allow", "spec/policy 1.3, 10.4",
		"GraphQL is graphql: read-only allows a query" },
};

static const struct repaired *repair_of(const char *id)
{
	for (size_t i = 0; i < sizeof repaired / sizeof *repaired; i++)
		if (strcmp(repaired[i].id, id) == 0)
			return &repaired[i];
	return NULL;
}

static cJSON *vectors(void)
{
	AUTO_CLOSE int fd = open(TEST_DATA "/policy-vectors.json", O_RDONLY | O_CLOEXEC);
	AUTO_FREE char *text = NULL;
	struct err e = { 0 };
	size_t len;

	ASSERT(fd >= 0);
	ASSERT_OK(fd_read_all(fd, VECTORS_MAX, &text, &len, &e));
	return cJSON_Parse(text);
}

static const cJSON *get(const cJSON *o, const char *name)
{
	return cJSON_GetObjectItemCaseSensitive(o, name);
}

static const char *string(const cJSON *o, const char *name)
{
	const cJSON *v = get(o, name);

	return cJSON_IsString(v) ? v->valuestring : "";
}

static struct policy_bytes bytes(const cJSON *o, const char *name)
{
	const cJSON *v = get(o, name);

	if (!cJSON_IsString(v))
		return (struct policy_bytes){ NULL, 0 };
	return (struct policy_bytes){ v->valuestring, strlen(v->valuestring) };
}

struct question {
	char host[300];
	const char *ancestors[LIST_MAX], *cmdline[LIST_MAX];
	struct identity_caller caller;
	struct policy_connect who;
	struct policy_param params[LIST_MAX];
	struct policy_graphql_op ops[LIST_MAX];
	struct policy_bytes fields[LIST_MAX][LIST_MAX];
	struct policy_graphql graphql;
	struct policy_rpc_call call;
	struct policy_rpc rpc;
	struct policy_request request;
};

static size_t words(const cJSON *o, const char *name, const char **ret)
{
	const cJSON *v;
	size_t n = 0;

	cJSON_ArrayForEach(v, get(o, name))
	{
		ASSERT(n < LIST_MAX);
		ret[n++] = v->valuestring;
	}
	return n;
}

static void read_who(const cJSON *v, struct question *q)
{
	(void) snprintf(q->host, sizeof q->host, "%s", string(v, "host"));
	text_lower(q->host, strlen(q->host));
	q->caller = (struct identity_caller){ .assurance = IDENTITY_OBSERVED,
		.exe = string(v, "exe"),
		.ancestors = q->ancestors,
		.n_ancestors = words(v, "ancestors", q->ancestors),
		.cmdline_paths = q->cmdline,
		.n_cmdline_paths = words(v, "cmdline", q->cmdline),
		.sha256 = "",
		.reason = "" };
	q->who = (struct policy_connect){ .host = q->host,
		.port = (uint16_t) get(v, "port")->valueint,
		.identity_required = cJSON_IsTrue(get(v, "identity_required")),
		.caller = &q->caller };
}

static void read_graphql(const cJSON *g, struct question *q)
{
	const cJSON *o, *f;

	q->graphql = (struct policy_graphql){ .ops = q->ops };
	q->graphql.error = cJSON_IsString(get(g, "error")) ? string(g, "error") : NULL;
	cJSON_ArrayForEach(o, get(g, "operations"))
	{
		struct policy_bytes *fields = q->fields[q->graphql.n_ops];
		struct policy_graphql_op *op = &q->ops[q->graphql.n_ops++];

		*op = (struct policy_graphql_op){ .type = bytes(o, "operation_type"),
			.name = bytes(o, "operation_name"),
			.hash = bytes(o, "persisted_query_hash"),
			.id = bytes(o, "persisted_query_id"),
			.persisted = cJSON_IsTrue(get(o, "persisted_query")),
			.fields = fields };
		cJSON_ArrayForEach(f, get(o, "fields")) fields[op->n_fields++] =
			(struct policy_bytes){ f->valuestring, strlen(f->valuestring) };
	}
	q->request.graphql = &q->graphql;
}

static void read_rpc(const cJSON *r, struct question *q)
{
	q->call = (struct policy_rpc_call){ .method = bytes(r, "method"),
		.tool = bytes(r, "tool"),
		.response = cJSON_IsTrue(get(r, "has_response")) };
	q->rpc = (struct policy_rpc){ .calls = &q->call,
		.n_calls = q->call.method.at || q->call.response,
		.receive_stream = cJSON_IsTrue(get(r, "receive_stream")),
		.error = cJSON_IsString(get(r, "error")) ? string(r, "error") : NULL };
	q->request.rpc = &q->rpc;
}

static void read_request(const cJSON *r, struct question *q)
{
	const cJSON *key, *value;

	q->request = (struct policy_request){
		.method = bytes(r, "method"), .path = bytes(r, "path"), .query = q->params
	};
	cJSON_ArrayForEach(key, get(r, "query_params")) cJSON_ArrayForEach(value, key)
		q->params[q->request.n_query++] =
		(struct policy_param){ { key->string, strlen(key->string) },
			{ value->valuestring, strlen(value->valuestring) } };
	if (!cJSON_IsNull(get(r, "graphql")))
		read_graphql(get(r, "graphql"), q);
	if (!cJSON_IsNull(get(r, "jsonrpc")))
		read_rpc(get(r, "jsonrpc"), q);
}

static struct policy_snapshot *compile(const char *text)
{
	struct policy_report report = { 0 };
	struct policy_snapshot *s = NULL;
	struct policy_doc *d = NULL;
	struct err e = { 0 };

	ASSERT_OK(policy_load_yaml("test", text, strlen(text), POLICY_GATEWAY, &report, &d, &e));
	ASSERT_OK(policy_compile(d, 1, NULL, 0, &s, &e));
	policy_free(d);
	policy_report_done(&report);
	return s;
}

static const char *decide(const struct policy_snapshot *s, const cJSON *v, const char **ret_reason)
{
	static struct policy_request_decision r;
	static struct policy_decision c;
	static struct question q;

	read_who(v, &q);
	policy_decide_connect(s, &q.who, &c);
	*ret_reason = c.reason;
	if (strcmp(string(v, "kind"), "req") != 0)
		return c.allow ? "allow" : "deny";
	read_request(get(v, "request"), &q);
	policy_decide_request(s, &q.who, &q.request, &r);
	*ret_reason = r.reason;
	ASSERT(r.verdict != POLICY_AUDITED); /* all cases enforce */
	ASSERT((r.verdict == POLICY_ALLOWED) == (r.reason[0] == '\0'));
	return r.verdict == POLICY_ALLOWED ? "allow" : "deny";
}

TEST(every_decision_is_the_references_or_a_listed_repair)
{
	cJSON *all = vectors();
	size_t n = 0, n_repaired = 0;
	const cJSON *v;
	int bad = 0;

	cJSON_ArrayForEach(v, get(all, "vectors"))
	{
		struct policy_snapshot *s =
			compile(string(get(all, "fragments"), string(v, "fragment")));
		const struct repaired *repair = repair_of(string(v, "id"));
		const char *expect = string(v, "expect"), *reason, *got;

		got = decide(s, v, &reason);
		if (repair) {
			ASSERT(strcmp(repair->ours, expect) != 0);
			n_repaired++;
		}
		if (strcmp(got, repair ? repair->ours : expect) != 0) {
			fprintf(stderr, "%s: %s (%s), want %s: %s\n", string(v, "id"), got, reason,
				repair ? repair->ours : expect, string(v, "reason"));
			bad++;
		}
		n++;
		policy_snapshot_unref(s);
	}
	cJSON_Delete(all);
	ASSERT_EQ(n, 218);
	ASSERT_EQ(n_repaired, sizeof repaired / sizeof *repaired);
	ASSERT_EQ(bad, 0);
}

TEST(every_glob_matches_as_the_references)
{
	static const char letters[] = "PHVS";
	cJSON *all = vectors();
	int bad = 0, n = 0;
	const cJSON *v;

	cJSON_ArrayForEach(v, get(all, "globs"))
	{
		const char *dialect = string(v, "dialect"), *at = strchr(letters, dialect[0]);
		struct policy_bytes p = bytes(v, "pattern"), value = bytes(v, "value");
		struct policy_glob *g = NULL;
		struct err e = { 0 };

		ASSERT(at && !dialect[1]);
		ASSERT_OK(
			policy_glob_new((enum policy_dialect)(at - letters), p.at, p.len, &g, &e));
		if (policy_glob_match(g, value.at, value.len) != cJSON_IsTrue(get(v, "match"))) {
			fprintf(stderr, "%s %s on %s\n", dialect, p.at, value.at);
			bad++;
		}
		n++;
		policy_glob_free(g);
	}
	cJSON_Delete(all);
	ASSERT_EQ(n, 59);
	ASSERT_EQ(bad, 0);
}

TEST(every_path_is_canonical_as_the_references)
{
	static struct policy_path p;
	cJSON *all = vectors();
	int bad = 0, n = 0;
	const cJSON *v;

	cJSON_ArrayForEach(v, get(all, "canonical_path"))
	{
		struct policy_bytes target = bytes(v, "target");
		bool lenient = cJSON_IsTrue(get(v, "allow_encoded_slash"));
		bool fine = policy_path_canonical(target.at, target.len, lenient, &p) ==
			POLICY_PATH_FINE;

		if (strcmp(fine ? p.at : "refused", string(v, "result")) != 0) {
			fprintf(stderr, "%s: %s, want %s\n", target.at, fine ? p.at : "refused",
				string(v, "result"));
			bad++;
		}
		n++;
	}
	cJSON_Delete(all);
	ASSERT_EQ(n, 35);
	ASSERT_EQ(bad, 0);
}
