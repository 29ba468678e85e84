/* core_policy_diff.h - what two documents allow differently, not how they are spelled.
 *
 * A document is taken apart into what it grants (program, host, port, request) and what it holds
 * back (deny rules, inspection).  Something granted by one and covered by nothing in the other is
 * a difference; so is something held back no longer.  Where it can't be told without solving for
 * patterns the answer is "different": a difference may be reported that no request could show, but
 * none is missed.
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include "core_policy.h"

#define POLICY_DIFF_ATOMS_MAX 1000000 /* grants of one document */
#define POLICY_DIFF_TEXT_MAX 1024     /* bytes of one sentence */

enum policy_change_kind {
	POLICY_CHANGE_ADDED,   /* b allows what a does not */
	POLICY_CHANGE_REMOVED, /* a allows what b does not */
	POLICY_CHANGE_OTHER,   /* neither, or not to be told */
};

struct policy_change {
	enum policy_change_kind kind;
	bool restart;  /* in a section that takes effect at the next start only */
	char *section; /* filesystem_policy, landlock, process, network_policies, ... */
	char *rule;    /* key of the rule or middleware; "" if none */
	unsigned line; /* in the document that has it; 0 = unknown */
	char *text;    /* one sentence without the end */
};

struct policy_diff { /* zero-initialise; owns its strings */
	struct policy_change *at;
	size_t n, n_added, n_removed, n_restart;
};

/* n is 0 when both decide everything the same. */
int policy_diff(const struct policy_doc *a, const struct policy_doc *b, struct policy_diff *ret,
	struct err *e);
void policy_diff_done(struct policy_diff *d);
