/* fuzz_policy_tools.c - a document that loads has a canonical form that is the same document, can be
 * linted, and differs in nothing from itself. */
#include <stdlib.h>
#include <string.h>
#include "core_policy_diff.h"
#include "core_policy_tools.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct policy_doc *load(const char *text, size_t len)
{
	struct policy_report report = { 0 };
	struct policy_doc *d = NULL;
	struct err e = { 0 };

	(void) policy_load_yaml("fuzz", text, len, POLICY_AUTHOR, &report, &d, &e);
	policy_report_done(&report);
	return d;
}

static void compare(const struct policy_doc *a, const struct policy_doc *b)
{
	uint8_t *x = NULL, *y = NULL;
	struct err e = { 0 };
	size_t n = 0, m = 0;

	if (policy_encode(a, &x, &n, &e) < 0 || policy_encode(b, &y, &m, &e) < 0 || n != m ||
		memcmp(x, y, n) != 0 || policy_has_filesystem(a) != policy_has_filesystem(b))
		abort();
	free(x);
	free(y);
}

static void diff(const struct policy_doc *a, const struct policy_doc *b)
{
	struct policy_diff d = { 0 };
	struct err e = { 0 };

	if (policy_diff(a, b, &d, &e) == 0 && d.n)
		abort();
	policy_diff_done(&d);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct policy_doc *d = load((const char *) data, size), *again;
	struct policy_report report = { 0 };
	struct err e = { 0 };
	char *text = NULL;
	size_t len;

	if (!d)
		return 0;
	policy_lint(d, &report);
	policy_report_done(&report);
	if (policy_format(d, &text, &len, &e) == 0 && len <= POLICY_YAML_BYTES_MAX) {
		again = load(text, len);
		if (!again)
			abort();
		compare(d, again);
		diff(d, again);
		policy_free(again);
	}
	free(text);
	policy_free(d);
	return 0;
}
