/* fuzz_credential_file.c - any text: a list within the limits, or a report; never both. */
#include <stdint.h>
#include <stdlib.h>
#include "core_credential_file.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	struct policy_report report = { 0 };
	struct credential_file f = { 0 };
	uint64_t ms;
	int r;

	(void) credential_time((const char *) data, len, &ms);
	r = credential_file_parse((const char *) data, len, &report, &f, NULL);
	if ((r == 0) != (report.n_errors == 0) || f.n > CREDENTIAL_MAX)
		abort();
	for (size_t i = 0; i < f.n; i++)
		if (!f.at[i].name || !f.at[i].n_endpoints || (!f.at[i].text && !f.at[i].argv))
			abort();
	credential_file_done(&f);
	policy_report_done(&report);
	return 0;
}
