#include <stdlib.h>
#include "core_policy_cases.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct policy_report report = { 0 };
	struct policy_cases cases = { 0 };
	struct err e = { 0 };

	/* every text of a file that loads is there */
	if (policy_cases_load((const char *) data, size, &report, &cases, &e) == 0)
		for (size_t i = 0; i < cases.n; i++)
			if (!cases.at[i].host[0] || !cases.at[i].rule || !cases.at[i].port)
				abort();
	policy_cases_done(&cases);
	policy_report_done(&report);
	return 0;
}
