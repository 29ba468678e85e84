/* fuzz_policy_wire.c - protobuf to snapshot and a decision. */
#include <stdint.h>
#include "fuzz_ask.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	struct policy_report report = { 0 };
	struct policy_snapshot *s = NULL;
	struct policy_doc *d = NULL;
	struct err e = { 0 };

	if (policy_load_wire("fuzz", data, len, POLICY_GATEWAY, &report, &d, &e) == 0 &&
		policy_compile(d, 1, NULL, 0, &s, &e) == 0)
		fuzz_ask(d, s);
	policy_snapshot_unref(s);
	policy_free(d);
	policy_report_done(&report);
	return 0;
}
