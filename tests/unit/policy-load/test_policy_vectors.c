/* test_policy_vectors.c - the load cases of tests/data/policy-vectors.json.
 *
 * The cases were executed on the reference; where ours differs on purpose, the
 * difference stands in the table below with its reason.
 */
#include <cjson/cJSON.h>
#include <fcntl.h>
#include "core_cleanup.h"
#include "core_fd.h"
#include "core_policy.h"
#include "test.h"

#define VECTORS_MAX (4 * 1024 * 1024)

/* Load cases where we answer otherwise than the reference's gateway path. */
static const struct {
	const char *name, *why;
} differences[] = {
	{ "version 2", "spec/policy 1.1: new code refuses a version other than 1" },
	{ "user 1000 int", "spec/policy 10.1: an unquoted number is accepted and linted" },
	{ "graphql op * in rule", "spec/policy 9: `*` is documented, so it is accepted" },
	{ "graphql deny op *", "the same" },
	{ "ws graphql allow",
		"spec/policy 9: GraphQL over WebSocket is documented, so it is accepted" },
	{ 0 },
};

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

static bool differs(const char *name)
{
	for (size_t i = 0; differences[i].name; i++)
		if (strcmp(differences[i].name, name) == 0)
			return true;
	return false;
}

static int load(const char *text, struct policy_doc **ret, struct policy_report *report)
{
	struct err e = { 0 };

	return policy_load_yaml("test", text, strlen(text), POLICY_GATEWAY, report, ret, &e);
}

static const char *string(const cJSON *o, const char *name)
{
	const cJSON *v = cJSON_GetObjectItemCaseSensitive(o, name);

	return cJSON_IsString(v) ? v->valuestring : "";
}

TEST(load_cases_answer_as_the_reference)
{
	cJSON *all = vectors(), *cases = cJSON_GetObjectItemCaseSensitive(all, "load_cases"), *c;
	int bad = 0, n = 0;

	cJSON_ArrayForEach(c, cases)
	{
		char *text = cJSON_Print(cJSON_GetObjectItemCaseSensitive(c, "policy"));
		bool accept = strcmp(string(c, "gateway"), "refuse") != 0;
		struct policy_report report = { 0 };
		struct policy_doc *d = NULL;
		bool got = load(text, &d, &report) == 0;

		if (got != accept && !differs(string(c, "name"))) {
			char *why = NULL;

			policy_report_text(&report, "test", &why);
			fprintf(stderr, "%s: %s, reference %s\n%s%s\n", string(c, "name"),
				got ? "accepted" : "refused", accept ? "accepts" : "refuses", why,
				text);
			free(why);
			bad++;
		}
		n++;
		policy_free(d);
		policy_report_done(&report);
		cJSON_free(text);
	}
	cJSON_Delete(all);
	ASSERT_EQ(n, 178);
	ASSERT_EQ(bad, 0);
}
