/* test_policy_scrub.c - the field scrub_responses of an endpoint. */
#include "core_cleanup.h"
#include "core_policy.h"
#include "test.h"

#define HEAD \
	"version: 1\nnetwork_policies:\n  a:\n    name: a\n    endpoints:\n      - host: a.test\n" \
	"        port: 443\n"
#define TAIL "    binaries:\n      - path: /usr/bin/curl\n"

static struct policy_doc *load(const char *text, struct policy_report *report)
{
	struct policy_doc *d = NULL;
	struct err e = { 0 };

	(void) policy_load_yaml("p.yaml", text, strlen(text), POLICY_AUTHOR, report, &d, &e);
	return d;
}

static const Openshell__Sandbox__V1__NetworkEndpoint *endpoint(const struct policy_doc *d)
{
	return policy_message(d)->network_policies[0]->value->endpoints[0];
}

static bool says(const struct policy_report *r, enum policy_level level)
{
	for (size_t i = 0; i < r->n; i++)
		if (r->at[i].level == level &&
			(strstr(r->at[i].path, "scrub_responses") ||
				strstr(r->at[i].problem, "scrub_responses")))
			return true;
	return false;
}

TEST(scrub_responses_is_loaded_and_survives_the_wire)
{
	static const char text[] = HEAD "        protocol: rest\n        access: full\n        "
					"scrub_responses: true\n" TAIL;
	struct policy_report report = { 0 };
	struct policy_doc *d = load(text, &report), *again = NULL;
	AUTO_FREE uint8_t *bytes = NULL;
	struct err e = { 0 };
	size_t len;

	ASSERT(d);
	ASSERT(endpoint(d)->scrub_responses);
	ASSERT_OK(policy_encode(d, &bytes, &len, &e));
	ASSERT_OK(policy_load_wire("w", bytes, len, POLICY_GATEWAY, &report, &again, &e));
	ASSERT(endpoint(again)->scrub_responses);
	policy_free(d);
	policy_free(again);
	policy_report_done(&report);
}

TEST(scrub_responses_is_off_by_default)
{
	struct policy_report report = { 0 };
	struct policy_doc *d = load(HEAD TAIL, &report);

	ASSERT(d);
	ASSERT(!endpoint(d)->scrub_responses);
	policy_free(d);
	policy_report_done(&report);
}

/* Also from a gateway: it is our own field, and whoever set it relies on it. */
TEST(scrub_responses_is_refused_where_nothing_is_read)
{
	static const char *const texts[] = { HEAD
		"        tls: skip\n        scrub_responses: true\n" TAIL,
		HEAD "        tls: skip\n        protocol: rest\n        access: full\n"
		     "        scrub_responses: true\n" TAIL,
		HEAD "        protocol: sql\n        access: full\n        enforcement: audit\n"
		     "        scrub_responses: true\n" TAIL };

	for (size_t i = 0; i < 3; i++) {
		struct policy_report report = { 0 };

		ASSERT(!load(texts[i], &report));
		ASSERT(says(&report, POLICY_ERROR));
		ASSERT_STR(report.at[report.n - 1].code, "E36");
		policy_report_done(&report);
	}
}

TEST(scrub_responses_is_refused_on_tcp)
{
	static const char text[] =
		HEAD "        protocol: tcp\n        scrub_responses: true\n" TAIL;
	struct policy_report report = { 0 };

	ASSERT(!load(text, &report));
	ASSERT_STR(report.at[0].code, "E29");
	policy_report_done(&report);
}

TEST(scrub_responses_may_not_differ_between_overlapping_endpoints)
{
	static const char text[] =
		HEAD "        protocol: rest\n        access: full\n        scrub_responses: true\n"
		     "      - host: a.test\n        port: 443\n        protocol: rest\n"
		     "        access: full\n" TAIL;
	struct policy_report report = { 0 };

	ASSERT(!load(text, &report));
	ASSERT(says(&report, POLICY_ERROR));
	policy_report_done(&report);
}
