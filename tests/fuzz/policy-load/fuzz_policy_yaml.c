/* fuzz_policy_yaml.c - YAML to snapshot; what loads must encode, load again and compile. */
#include <stdint.h>
#include <stdlib.h>
#include "fuzz_ask.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static void again(const struct policy_doc *d)
{
	struct policy_report report = { 0 };
	struct policy_doc *copy = NULL;
	struct policy_snapshot *s = NULL;
	struct err e = { 0 };
	uint8_t *bytes;
	size_t n;

	if (policy_encode(d, &bytes, &n, &e) < 0 ||
		policy_load_wire("again", bytes, n, POLICY_GATEWAY, &report, &copy, &e) < 0 ||
		policy_compile(copy, 1, NULL, 0, &s, &e) < 0)
		abort();
	fuzz_ask(copy, s);
	policy_snapshot_unref(s);
	policy_free(copy);
	policy_report_done(&report);
	free(bytes);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	struct policy_report report = { 0 };
	struct policy_doc *d = NULL;
	struct err e = { 0 };
	char *text = NULL;

	if (policy_load_yaml("fuzz", (const char *) data, len, POLICY_AUTHOR, &report, &d, &e) == 0)
		again(d);
	else if (report.n_errors == 0)
		abort(); /* a refusal without a reason */
	policy_report_text(&report, "fuzz", &text);
	free(text);
	policy_report_done(&report);
	policy_free(d);
	return 0;
}
