/* fuzz_policy_wire.c - protobuf to snapshot and a decision. */
#include <stdint.h>
#include "core_policy_snapshot.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	static struct policy_decision decision;
	struct identity_caller caller = {
		.assurance = IDENTITY_OBSERVED, .exe = "/usr/bin/curl", .sha256 = "", .reason = ""
	};
	struct policy_connect q = { "origin.test", 80, true, &caller };
	struct policy_report report = { 0 };
	struct policy_snapshot *s = NULL;
	struct policy_doc *d = NULL;
	struct err e = { 0 };

	if (policy_load_wire("fuzz", data, len, POLICY_GATEWAY, &report, &d, &e) == 0 &&
		policy_compile(d, 1, NULL, 0, &s, &e) == 0)
		policy_decide_connect(s, &q, &decision);
	policy_snapshot_unref(s);
	policy_free(d);
	policy_report_done(&report);
	return 0;
}
