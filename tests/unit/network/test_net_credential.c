#include <errno.h>
#include <unistd.h>
#include "core_fd.h"
#include "ipc_network.pb-c.h"
#include "net_credential.h"
#include "net_leaf.h"
#include "net_refuse.h"
#include "test.h"

#define HANDLE "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
#define PH CREDENTIAL_MARKER "s" HANDLE "_TOKEN"
#define SECRET "s3cr3t-value/1"

/* The message that the orchestrator sends, in a memory file. */
static bool require;

static int bundle(const char *handle, const char *value)
{
	Openshell__Ipc__NetCredentialEndpoint ep = OPENSHELL__IPC__NET_CREDENTIAL_ENDPOINT__INIT;
	Openshell__Ipc__NetCredential c = OPENSHELL__IPC__NET_CREDENTIAL__INIT;
	Openshell__Ipc__NetCredentials m = OPENSHELL__IPC__NET_CREDENTIALS__INIT;
	Openshell__Ipc__NetCredentialEndpoint *eps[] = { &ep };
	Openshell__Ipc__NetCredential *list[] = { &c };
	static uint8_t bytes[CREDENTIAL_VALUE_MAX + 1024];
	struct err e = { 0 };
	int fd;

	ep.host = (char *) "api.test";
	ep.port = 80;
	ep.path = (char *) "/v1/**";
	c.name = (char *) "TOKEN";
	c.has_value = value != NULL;
	c.value = (ProtobufCBinaryData){ value ? strlen(value) : 0, (uint8_t *) (uintptr_t) value };
	c.handle = (char *) (uintptr_t) handle;
	c.identity = (char *) "x";
	c.require = require;
	c.endpoints = eps;
	c.n_endpoints = 1;
	m.revision = 3;
	m.credentials = list;
	m.n_credentials = 1;
	ASSERT_OK(fd_sealed_new(
		"c", bytes, openshell__ipc__net_credentials__pack(&m, bytes), &fd, &e));
	return fd;
}

static void give(struct net_leaf *n, const char *value)
{
	int fd = bundle(HANDLE, value);
	struct err e = { 0 };

	ASSERT_OK(net_credential_take(n, fd, &e));
	(void) close(fd);
}

struct request {
	struct net_head head;
	struct net_slice path, query;
	struct net_injected *injected;
	struct net_credential_refusal why;
};

static struct net_slice slice(const char *s)
{
	return (struct net_slice){ s, strlen(s) };
}

static int apply(struct net_leaf *n, const char *path, const char *name, const char *value,
	struct request *q)
{
	struct net_credential_where at = { "api.test", 80, slice(path) };

	*q = (struct request){ .path = slice(path), .query = slice("a=1") };
	q->head.method = slice("GET");
	q->head.n_fields = 2;
	q->head.fields[0] = (struct net_field){ slice("Accept"), slice("*/*") };
	q->head.fields[1] = (struct net_field){ slice(name), slice(value) };
	return net_credential_apply(n, &at, &q->head, &q->path, &q->query, &q->injected, &q->why);
}

static bool is(struct net_slice s, const char *text)
{
	return s.len == strlen(text) && memcmp(s.at, text, s.len) == 0;
}

TEST(head_is_rewritten_in_place_and_the_rest_is_left)
{
	struct net_leaf n = { 0 };
	struct request q;
	const char *at;

	give(&n, SECRET);
	ASSERT_OK(apply(&n, "/v1/x", "X-Key", PH, &q));
	ASSERT(is(q.head.fields[1].value, SECRET));
	ASSERT(is(q.head.fields[0].value, "*/*") && is(q.path, "/v1/x") && is(q.query, "a=1"));
	at = q.head.fields[1].value.at;
	net_injected_done(&n, q.injected);
	/* The memory is kept for the next request, and was wiped. */
	for (size_t i = 0; i < strlen(SECRET); i++)
		ASSERT_EQ(at[i], 0);
	ASSERT_OK(apply(&n, "/v1/x", "X-Key", "Bearer " PH, &q));
	ASSERT(is(q.head.fields[1].value, "Bearer " SECRET));
	net_injected_done(&n, q.injected);
	net_credential_free(&n);
}

TEST(head_without_a_marker_costs_nothing)
{
	struct net_leaf n = { 0 };
	struct request q;

	ASSERT_OK(apply(&n, "/anything//../", "X-Key", "Bearer abc", &q));
	ASSERT(!q.injected);
}

TEST(refusal_leaves_the_head_as_it_was)
{
	struct net_leaf n = { 0 };
	struct request q;

	give(&n, SECRET);
	ASSERT_ERR(apply(&n, "/v2/x", "X-Key", PH, &q), EACCES);
	ASSERT(is(q.head.fields[1].value, PH) && is(q.path, "/v2/x") && !q.injected);
	ASSERT_EQ(q.why.status, 403);
	ASSERT_STR(q.why.error, "credential_endpoint_mismatch");
	ASSERT_STR(q.why.engine, "credential-binding");
	ASSERT_ERR(apply(&n, "/v1/x", "X-Key", "a " PH " b", &q), EACCES);
	ASSERT_EQ(q.why.status, 500);
	ASSERT_STR(q.why.error, "credential_unavailable");
	net_credential_free(&n);
}

TEST(path_that_is_not_canonical_is_bound_nowhere)
{
	static const char *const bad[] = { "/v1/../x", "/v1//x", "/v1/./x", "/v1/..", "/v1/.",
		"/v1/%2e%2e/x", "/v1/%2E/x", "/v1/..;/x", "v1/x", "" };
	static const char *const good[] = { "/v1/x", "/v1/", "/v1", "/v1/..a", "/v1/...", "/v1/a;b",
		"/v1/%2F" };
	struct net_leaf n = { 0 };
	struct request q;

	give(&n, SECRET);
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
		ASSERT_ERR(apply(&n, bad[i], "X", PH, &q), EACCES);
		ASSERT_EQ(q.why.verdict, CREDENTIAL_ELSEWHERE);
	}
	for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
		ASSERT_OK(apply(&n, good[i], "X", PH, &q));
		net_injected_done(&n, q.injected);
	}
	net_credential_free(&n);
}

TEST(binding_is_checked_on_the_masked_path)
{
	struct net_leaf n = { 0 };
	struct request q;

	give(&n, "value-without-slash");
	ASSERT_OK(apply(&n, "/v1/bot" PH "/x", "X", "y", &q));
	ASSERT(is(q.path, "/v1/botvalue-without-slash/x"));
	net_injected_done(&n, q.injected);
	give(&n, SECRET); /* has a slash */
	ASSERT_ERR(apply(&n, "/v1/bot" PH "/x", "X", "y", &q), EACCES);
	ASSERT_EQ(q.why.status, 500);
	net_credential_free(&n);
}

TEST(field_that_spells_the_marker_with_its_colon_is_refused)
{
	struct net_leaf n = { 0 };
	struct request q;

	give(&n, SECRET);
	ASSERT_ERR(apply(&n, "/v1/x", "openshell", "resolve:env:s" HANDLE "_TOKEN", &q), EACCES);
	ASSERT_ERR(apply(&n, "/v1/x", "X-OPENSHELL-RESOLVE-ENV-TOKEN", "a", &q), EACCES);
	net_credential_free(&n);
}

TEST(trace_never_carries_a_credential)
{
	struct net_credential_where at = { "api.test", 80, slice("/v1/x") };
	struct net_leaf n = { 0 };
	struct request q;

	give(&n, SECRET);
	ASSERT_OK(apply(&n, "/v1/x", "X", PH, &q));
	net_injected_done(&n, q.injected);
	q.head.method = slice("TRACE");
	q.head.fields[1].value = slice(PH);
	ASSERT_ERR(
		net_credential_apply(&n, &at, &q.head, &q.path, NULL, &q.injected, &q.why), EACCES);
	ASSERT(is(q.head.fields[1].value, PH));
	q.head.fields[1].value = slice("Basic dXNlcjpwYXNz");
	ASSERT_OK(net_credential_apply(&n, &at, &q.head, &q.path, NULL, &q.injected, &q.why));
	net_injected_done(&n, q.injected);
	net_credential_free(&n);
}

TEST(required_credential_is_the_only_key_that_passes)
{
	struct net_leaf n = { 0 };
	struct request q;

	require = true;
	give(&n, SECRET);
	ASSERT_ERR(apply(&n, "/v1/x", "Authorization", "Bearer own-key", &q), EACCES);
	ASSERT_EQ(q.why.verdict, CREDENTIAL_REQUIRED);
	ASSERT_STR(q.why.error, "credential_required");
	ASSERT_ERR(apply(&n, "/v1/x", "X", "no key at all", &q), EACCES);
	ASSERT_ERR(apply(&n, "/v1/../v1/x", "X", "y", &q), EACCES);
	ASSERT_OK(apply(&n, "/v2/x", "Authorization", "Bearer own-key", &q)); /* not its endpoint */
	ASSERT_OK(apply(&n, "/v1/x", "Authorization", "Bearer " PH, &q));
	net_injected_done(&n, q.injected);
	/* The placeholder beside a key of the workload's own. */
	q.head.fields[0] = (struct net_field){ slice("X-Api-Key"), slice("own-key") };
	q.head.fields[1].value = slice("Bearer " PH);
	ASSERT_ERR(net_credential_apply(&n,
			   &(struct net_credential_where){ "api.test", 80, slice("/v1/x") },
			   &q.head, &q.path, NULL, &q.injected, &q.why),
		EACCES);
	ASSERT(is(q.head.fields[1].value, "Bearer " PH));
	net_credential_free(&n);
}

TEST(without_credentials_every_marker_is_refused)
{
	struct net_leaf n = { 0 };
	struct request q;

	ASSERT_ERR(apply(&n, "/v1/x", "X-Key", PH, &q), EACCES);
	ASSERT_EQ(q.why.status, 500);
	ASSERT(!net_credential_covers(&n, "api.test", 80));
	ASSERT(!net_credential_scans(&n, false, false));
	ASSERT(net_credential_scans(&n, true, false));
	net_credential_free(&n);
}

TEST(malformed_bundle_revokes)
{
	struct net_leaf n = { 0 };
	struct request q;
	struct err e = { 0 };
	int fd;

	give(&n, SECRET);
	ASSERT(net_credential_covers(&n, "api.test", 80));
	ASSERT(net_credential_scans(&n, false, false) && !net_credential_scans(&n, false, true));
	ASSERT_OK(fd_sealed_new("c", "\xff\xff\xff", 3, &fd, &e));
	ASSERT_ERR(net_credential_take(&n, fd, &e), EBADMSG);
	(void) close(fd);
	ASSERT_ERR(apply(&n, "/v1/x", "X", PH, &q), EACCES);
	give(&n, SECRET);
	ASSERT_OK(apply(&n, "/v1/x", "X", PH, &q));
	net_injected_done(&n, q.injected);
	fd = bundle("short", SECRET);
	ASSERT_ERR(net_credential_take(&n, fd, &e), EINVAL);
	(void) close(fd);
	ASSERT_ERR(apply(&n, "/v1/x", "X", PH, &q), EACCES);
	net_credential_free(&n);
}

TEST(bundle_that_could_still_change_is_refused)
{
	int ends[2];
	struct net_leaf n = { 0 };
	struct err e = { 0 };

	ASSERT(pipe(ends) == 0);
	ASSERT(net_credential_take(&n, ends[0], &e) < 0);
	(void) close(ends[0]);
	(void) close(ends[1]);
	net_credential_free(&n);
}

TEST(answers_have_the_two_forms)
{
	struct net_credential_refusal r = { .verdict = CREDENTIAL_ELSEWHERE,
		.status = 403,
		.error = "credential_endpoint_mismatch",
		.detail = "Credential is not authorized for this request endpoint",
		.reason = "because" };
	char buf[2048];
	struct text t;

	text_init(&t, buf, sizeof buf);
	net_credential_answer(&r, true, &t);
	ASSERT_STR(buf,
		"HTTP/1.1 403 Forbidden\r\nContent-Type: application/json\r\nContent-Length: "
		"126\r\nConnection: close\r\n\r\n"
		"{\"error\":\"credential_endpoint_mismatch\",\"message\":\"Credential is not "
		"authorized for this request endpoint\",\"reason\":\"because\"}");
	r.verdict = CREDENTIAL_UNAVAILABLE;
	r.status = 500;
	r.error = "credential_unavailable";
	text_init(&t, buf, sizeof buf);
	net_credential_answer(&r, false, &t);
	ASSERT(strstr(buf, "HTTP/1.1 500 Internal Server Error\r\n"));
	ASSERT(strstr(buf, "\"error\":\"credential_injection_failed\",\"detail\":\""));
}

TEST(a_reason_full_of_escapes_reaches_the_client_whole)
{
	struct net_credential_refusal r = { .verdict = CREDENTIAL_UNAVAILABLE,
		.status = 500,
		.error = "credential_unavailable",
		.detail = "Credential placeholder could not be resolved" };
	char buf[NET_REFUSAL_MAX];
	struct text t;

	(void) memset(r.reason, '\1', sizeof r.reason - 1);
	for (int in_tunnel = 0; in_tunnel < 2; in_tunnel++) {
		text_init(&t, buf, sizeof buf);
		net_credential_answer(&r, in_tunnel, &t);
		ASSERT(!t.cut);
		ASSERT(memcmp(buf + t.len - 8, "\\u0001\"}", 8) == 0);
	}
}

TEST(body_is_rewritten_and_its_secret_scrubbed_from_the_answer)
{
	struct net_credential_where at = { "api.test", 80, slice("/v1/x") };
	struct net_credential_text body = { slice("application/json"),
		slice("{\"k\":\"" PH "\"}") };
	struct credential_scrub *scrub = NULL;
	struct net_injected *injected = NULL;
	struct net_credential_refusal why;
	struct net_leaf n = { 0 };
	char out[256], in_head[] = "X: " SECRET "\r\n";
	struct err e = { 0 };
	struct text t;

	give(&n, SECRET);
	text_init(&t, out, sizeof out);
	ASSERT_OK(net_credential_body(&n, &at, &body, &t, &injected, &why));
	ASSERT_STR(out, "{\"k\":\"" SECRET "\"}");
	ASSERT_OK(net_injected_scrub(injected, &scrub, &e));
	ASSERT_EQ(credential_scrub_text(scrub, in_head, strlen(in_head)), 1);
	ASSERT_STR(in_head, "X: [CREDENTIAL]**\r\n");
	body.text = slice(PH);
	body.type = slice("image/png");
	ASSERT_ERR(net_credential_body(&n, &at, &body, &t, &injected, &why), EACCES);
	credential_scrub_free(scrub);
	net_injected_done(&n, injected);
	net_credential_free(&n);
}

TEST(bodies_that_can_not_be_looked_through_are_refused)
{
	/* 1 looked through, 0 passed on, -1 refused; a type of NULL is none at all */
	static const struct {
		unsigned status;
		const char *type, *coding, *second;
		int want;
	} rows[] = {
		{ 200, "text/plain", NULL, NULL, 1 },
		{ 404, "application/json", NULL, NULL, 1 },
		{ 200, "application/problem+json; charset=utf-8", NULL, NULL, 1 },
		{ 200, NULL, NULL, NULL, 1 },
		{ 200, "", NULL, NULL, 1 },
		{ 200, "text/plain", "identity", NULL, 1 },
		{ 200, "text/plain", "Identity", NULL, 1 },
		{ 200, "image/png", NULL, NULL, 0 },
		{ 200, "image/png", "gzip", NULL, 0 },
		{ 200, "text/plain", "gzip", NULL, -1 },
		{ 200, "text/plain", "br", NULL, -1 },
		{ 200, "text/plain", "zstd", NULL, -1 },
		{ 200, "text/plain", "identity, gzip", NULL, -1 },
		{ 200, "text/plain", "identity", "gzip", -1 },
		{ 200, "text/plain", "", NULL, -1 },
		{ 200, NULL, "deflate", NULL, -1 },
		{ 206, "text/plain", NULL, NULL, -1 },
		{ 206, "image/png", NULL, NULL, -1 },
		{ 206, "multipart/byteranges; boundary=x", NULL, NULL, -1 },
	};

	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		struct net_head h = { .status = rows[i].status };
		struct err e = { 0 };
		bool looked = false;
		int r;

		if (rows[i].type)
			h.fields[h.n_fields++] =
				(struct net_field){ slice("Content-Type"), slice(rows[i].type) };
		if (rows[i].coding)
			h.fields[h.n_fields++] = (struct net_field){ slice("Content-Encoding"),
				slice(rows[i].coding) };
		if (rows[i].second)
			h.fields[h.n_fields++] = (struct net_field){ slice("content-encoding"),
				slice(rows[i].second) };
		r = net_credential_scrub_body(&h, &looked, &e);
		if (r != (rows[i].want < 0 ? -EPROTO : 0) || looked != (rows[i].want > 0))
			FAIL_("row %zu: %d %d %s", i, r, looked, e.text);
	}
}

TEST(basic_is_scrubbed_also_when_its_value_was_used_before)
{
	struct net_leaf n = { 0 };
	struct request q;
	struct credential_scrub *scrub = NULL;
	/* printf 'u:%s' openshell:resolve:env:s..._TOKEN | base64 -w0, and the same of the value */
	static const char in[] =
		"Basic dTpvcGVuc2hlbGw6cmVzb2x2ZTplbnY6czAxMjM0NTY3ODlhYmNkZWYwMTIzNDU2Nzg5YWJjZGVm"
		"MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWZfVE9LRU4=";
	char out[] = "dTpwbGFpbi12YWx1ZQ==";
	struct err e = { 0 };

	give(&n, "plain-value");
	ASSERT_OK(apply(&n, "/v1/" PH, "Authorization", in, &q));
	ASSERT(is(q.head.fields[1].value, "Basic dTpwbGFpbi12YWx1ZQ=="));
	ASSERT_OK(net_injected_scrub(q.injected, &scrub, &e));
	ASSERT_EQ(credential_scrub_text(scrub, out, strlen(out)), 1);
	credential_scrub_free(scrub);
	net_injected_done(&n, q.injected);
	net_credential_free(&n);
}

TEST(parts_that_do_not_fit_are_refused)
{
	static char value[CREDENTIAL_VALUE_MAX + 1];
	struct net_credential_where at = { "api.test", 80, slice("/v1/x") };
	struct request q = { .path = slice("/v1/x") };
	struct net_leaf n = { 0 };

	(void) memset(value, 'a', CREDENTIAL_VALUE_MAX);
	give(&n, value);
	q.head.method = slice("GET");
	for (q.head.n_fields = 0; q.head.n_fields < 7; q.head.n_fields++)
		q.head.fields[q.head.n_fields] = (struct net_field){ slice("X"), slice(PH) };
	ASSERT_OK(net_credential_apply(&n, &at, &q.head, &q.path, NULL, &q.injected, &q.why));
	net_injected_done(&n, q.injected);
	for (size_t i = 0; i < 8;
		i++) /* eight of the longest fill NET_INJECTED_BYTES and its NUL */
		q.head.fields[i] = (struct net_field){ slice("X"), slice(PH) };
	q.head.n_fields = 8;
	ASSERT_ERR(
		net_credential_apply(&n, &at, &q.head, &q.path, NULL, &q.injected, &q.why), EACCES);
	net_credential_free(&n);
}
