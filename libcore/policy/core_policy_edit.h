/* core_policy_edit.h - documents made from documents: provider layers, incremental operations, and
 * what may change under a running sandbox (spec/policy 3.1, 3.3, 6).
 *
 * Pure: documents in, documents out; nothing is changed in place.  A result is validated like a
 * document from the gateway, and knows no lines.
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "core_policy.h"

#define POLICY_LAYERS_MAX 256		 /* attached providers */
#define POLICY_OPERATIONS_MERGE_MAX 1024 /* operations of one merge */
#define POLICY_LAYER_KEY_MAX 256	 /* bytes of a provider rule's key, NUL included */

/* ---- composition with provider layers (3.1) ---- */

struct policy_layer {
	const char *instance;				       /* name of the attached provider */
	const Openshell__Sandbox__V1__NetworkPolicyRule *rule; /* of its profile */
};

struct policy_sources {
	const struct policy_doc *user;
	const struct policy_doc *global; /* NULL: none; else it replaces everything */
	bool compose_providers;		 /* the gateway's setting */
	const struct policy_layer *layers;
	size_t n_layers;
};

/* The policy in force: user, plus one rule "_provider_NAME" per layer.  -EINVAL with the report
 * when the result is not a valid policy (an overlap, say), or the user document has such a key. */
int policy_compose(const struct policy_sources *s, struct policy_report *report,
	struct policy_doc **ret, struct err *e);
/* The document without provider rules: what may be written back from a sandbox. */
int policy_strip_layers(const struct policy_doc *d, struct policy_doc **ret, struct err *e);

/* ---- incremental operations (3.3) ---- */

enum policy_op_kind {
	POLICY_OP_ADD_RULE,	   /* key, rule */
	POLICY_OP_REMOVE_RULE,	   /* key */
	POLICY_OP_REMOVE_ENDPOINT, /* host, port; key or NULL for every rule of the user's */
	POLICY_OP_REMOVE_BINARY,   /* key, binary */
	POLICY_OP_ADD_ALLOW,	   /* host, port, allow */
	POLICY_OP_ADD_DENY,	   /* host, port, deny */
};

struct policy_op {
	enum policy_op_kind kind;
	const char *key, *host, *binary;
	uint16_t port;
	const Openshell__Sandbox__V1__NetworkPolicyRule *rule;
	const Openshell__Sandbox__V1__L7Allow *allow;
	const Openshell__Sandbox__V1__L7DenyRule *deny;
};

/* Applied in order to a copy; all or nothing.  Differences that were not taken over are warnings
 * (M01 and up) in the report.  *ret_changed: the result differs from base.  -EPERM: an operation
 * would grant what it does not declare; -ENOENT, -EEXIST, -EINVAL: it can't be applied. */
int policy_merge(const struct policy_doc *base, const struct policy_op *ops, size_t n_ops,
	struct policy_report *report, struct policy_doc **ret, bool *ret_changed, struct err *e);

/* ---- change under a running sandbox (6) ---- */

enum policy_live {
	POLICY_LIVE_SAME,	/* nothing differs */
	POLICY_LIVE_HOT,	/* network sections only: at once */
	POLICY_LIVE_NEXT_START, /* file system additions too: those at the next start only */
	POLICY_LIVE_REFUSED,	/* the running sandbox can't follow */
};

/* started: what the sandbox was started with (landlock, process and the file system are compared
 * with it); now: what it enforces; next: the candidate.  why gets one sentence per section that
 * is not hot; it stays empty for SAME and HOT. */
enum policy_live policy_live_compare(const struct policy_doc *started, const struct policy_doc *now,
	const struct policy_doc *next, struct text *why);
