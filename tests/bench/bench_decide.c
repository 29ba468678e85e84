/* bench_decide.c - the cost of one connection decision with 10 to 2,000 rules. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include "core_policy_snapshot.h"

#define QUESTIONS 400000

static double now_s(void)
{
	struct timespec t;

	(void) clock_gettime(CLOCK_MONOTONIC, &t);
	return (double) t.tv_sec + (double) t.tv_nsec / 1e9;
}

/* One rule per host; every tenth is a wildcard. */
static char *document(int rules)
{
	size_t size = (size_t) rules * 256 + 256, len;
	char *text = malloc(size);

	if (!text)
		exit(1);
	len = (size_t) snprintf(text, size, "version: 1\nnetwork_policies:\n");
	for (int i = 0; i < rules; i++)
		len += (size_t) snprintf(text + len, size - len,
			"  r%05d: {endpoints: [{host: \"%sh%d.example.com\", port: 443}], "
			"binaries: [{path: /usr/bin/curl}]}\n",
			i, i % 10 == 9 ? "*." : "", i);
	return text;
}

static struct policy_snapshot *compile(int rules, double *ret_load_ms)
{
	struct policy_report report = { 0 };
	struct policy_doc *yaml = NULL;
	struct policy_snapshot *s = NULL;
	struct err e = { 0 };
	char *text = document(rules);
	double t;

	/* YAML ends at 256 KiB. */
	if (strlen(text) <= POLICY_YAML_BYTES_MAX) {
		t = now_s();
		if (policy_load_yaml(
			    "bench", text, strlen(text), POLICY_GATEWAY, &report, &yaml, &e) < 0 ||
			policy_compile(yaml, 1, NULL, 0, &s, &e) < 0)
			exit(1);
		*ret_load_ms = (now_s() - t) * 1e3;
		policy_free(yaml);
		free(text);
		policy_report_done(&report);
		return s;
	}
	free(text);
	return NULL;
}

static void measure(int rules)
{
	static struct policy_decision d;
	struct identity_caller caller = {
		.assurance = IDENTITY_OBSERVED, .exe = "/usr/bin/curl", .sha256 = "", .reason = ""
	};
	double load_ms = 0, t;
	struct policy_snapshot *s = compile(rules, &load_ms);
	char host[64];
	int allowed = 0;

	if (!s) {
		printf("%6d rules: more than a YAML document may hold\n", rules);
		return;
	}
	t = now_s();
	for (int i = 0; i < QUESTIONS; i++) {
		struct policy_connect q = { host, 443, true, &caller };

		(void) snprintf(host, sizeof host, "h%d.example.com", i % (2 * rules));
		policy_decide_connect(s, &q, &d);
		allowed += d.allow;
	}
	printf("%6d rules: load and compile %.1f ms, %.0f ns a decision (%d of %d allowed)\n",
		rules, load_ms, (now_s() - t) / QUESTIONS * 1e9, allowed, QUESTIONS);
	policy_snapshot_unref(s);
}

int main(void)
{
	measure(10);
	measure(1000);
	measure(2000);
	return 0;
}
