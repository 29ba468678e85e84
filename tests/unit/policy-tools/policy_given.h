/* policy_given.h - documents from a few lines of YAML, for the tests of this folder. */
#pragma once
#include "core_policy.h"
#include "test.h"

#define HEAD "version: 1\n"
#define CURL "    binaries: [{path: /usr/bin/curl}]\n"
#define WGET "    binaries: [{path: /usr/bin/wget}]\n"

static inline struct policy_doc *given(const char *text)
{
	struct policy_report report = { 0 };
	struct policy_doc *d = NULL;
	struct err e = { 0 };

	if (policy_load_yaml("given", text, strlen(text), POLICY_AUTHOR, &report, &d, &e) < 0)
		FAIL_("%s\n%s", e.text, text);
	policy_report_done(&report);
	return d;
}
