/* core_policy_snapshot.h - a compiled, immutable policy and its decisions.
 *
 * A snapshot indexes hosts (by name and port; wildcards by the literal labels at
 * their end) and holds every glob compiled, so that the cost of a decision does
 * not grow with rules that cannot match.  Decisions allocate nothing and do no
 * I/O.  A snapshot is reference-counted: a connection pins the one that decided
 * it.  Decisions about requests (method, path, ...) are in core_policy_request.h.
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "core_addr.h"
#include "core_identity.h"
#include "core_policy.h"

#define POLICY_REASON_MAX 1024 /* bytes of a reason, NUL included */
#define POLICY_HOST_MAX 253    /* bytes of a host name */

struct policy_snapshot;

/* An executable that a policy names by a symbolic link: target is added beside path. */
struct policy_alias {
	const char *path, *target;
};

/* A snapshot of d, of which it has its own copy: d may go.  aliases: for this compilation only.  One
 * reference is the caller's. */
int policy_compile(const struct policy_doc *d, uint64_t generation,
	const struct policy_alias *aliases, size_t n_aliases, struct policy_snapshot **ret,
	struct err *e);
struct policy_snapshot *policy_snapshot_ref(struct policy_snapshot *s);
void policy_snapshot_unref(struct policy_snapshot *s);
uint64_t policy_snapshot_generation(const struct policy_snapshot *s);
/* Paths of binaries without glob, for resolving links; borrowed, n in *ret_n. */
const char *const *policy_snapshot_binaries(const struct policy_snapshot *s, size_t *ret_n);

enum policy_tls { POLICY_TLS_AUTO, POLICY_TLS_SKIP };
enum policy_protocol {
	POLICY_L4, /* "" */
	POLICY_TCP,
	POLICY_SQL,
	POLICY_REST,
	POLICY_WEBSOCKET,
	POLICY_GRAPHQL,
	POLICY_JSON_RPC,
	POLICY_MCP,
};

struct policy_connect {	  /* the question */
	const char *host; /* lower-cased by the caller, no brackets, no trailing dot */
	uint16_t port;
	bool identity_required;
	const struct identity_caller *caller;
};

/* Borrowed from the snapshot; valid while it is referenced. */
struct policy_decision {
	bool allow;
	uint64_t generation;
	const char *policy;		/* matched rule key: smallest in byte order; "" on denial */
	unsigned endpoint_line;		/* 0 = unknown */
	size_t endpoint;		/* index in that rule */
	char reason[POLICY_REASON_MAX]; /* denial: the reasons of spec/network 3.2 */
	char near[POLICY_REASON_MAX]; /* what nearly matched, and the smallest change; may be "" */
	/* metadata of an allowed connection (spec/policy 2.1.4) */
	enum policy_tls tls;
	bool inspect;			      /* some matching endpoint has an inspected protocol */
	enum policy_protocol inspect_as;      /* the first such */
	bool credentialed_uninspected_denied; /* provider_credentialed without permission to tunnel */
	/* some matching endpoint is not inspected and does not allow uninspected credentials */
	bool uninspected_unpermitted;
	bool scrub_responses; /* some matching endpoint that is not inspected says so */
	bool has_allowed_ips, allowed_ips_bad; /* bad: the endpoint is unreachable */
	const struct addr_net *allowed_ips;
	size_t n_allowed_ips;
	bool exact_declared; /* exact host, user-declared endpoint and binary (2.16 mode 4) */
};

/* May this caller connect there?  Always answers, with a denial and its reason where nothing matches. */
void policy_decide_connect(const struct policy_snapshot *s, const struct policy_connect *q,
	struct policy_decision *ret);

/* ---- glob dialects (spec/policy 2.2), exposed for tools and tests ---- */
enum policy_dialect {
	POLICY_GLOB_PATH,   /* P */
	POLICY_GLOB_HOST,   /* H */
	POLICY_GLOB_VALUE,  /* V */
	POLICY_GLOB_SELECT, /* S */
	/* V as deny rules read it: "*", "?" and classes take a dot too (docs/policy-differences.md) */
	POLICY_GLOB_DENY,
};
struct policy_glob;
#define POLICY_GLOB_BYTES_MAX 4096	/* pattern */
#define POLICY_GLOB_ALTERNATIVES_MAX 64 /* {a,b,...} in one pattern, all braces together */
#define POLICY_GLOB_STEPS_MAX 1000000	/* matcher steps; beyond: no match, and the deny reading */

/* -EINVAL with "unclosed '[' at character 5" in e for a malformed pattern. */
int policy_glob_new(enum policy_dialect d, const char *pattern, size_t len,
	struct policy_glob **ret, struct err *e);
/* 1 match, 0 no match, -E2BIG when the step bound was reached. */
int policy_glob_match(const struct policy_glob *g, const char *value, size_t len);
void policy_glob_free(struct policy_glob *g);

DEFINE_AUTO(struct policy_snapshot, policy_snapshot_unref)
DEFINE_AUTO(struct policy_glob, policy_glob_free)
