/* policy_snapshot.h - the compiled form, shared by the files of the engine only.
 *
 * Request decisions are an addition here: a compiled endpoint gets its compiled
 * rules beside what it has now, and policy_decide_request() walks the same
 * matches that policy_match() finds.
 */
#pragma once
#include "core_policy_snapshot.h"

struct policy_rule;

struct policy_endpoint {
	const Openshell__Sandbox__V1__NetworkEndpoint *pb; /* in the document's message */
	struct policy_rule *rule;
	size_t index; /* in that rule */
	unsigned line;
	char *host;		  /* lower case; "" = any name, by allowed_ips */
	struct policy_glob *glob; /* NULL: exact */
	const char *suffix;	  /* of a wildcard: literal labels behind the last wildcard label */
	uint16_t *ports;
	size_t n_ports;
	enum policy_protocol protocol;
	enum policy_tls tls;
	struct addr_net *ips;
	size_t n_ips;
	bool has_ips, ips_bad, dead;  /* dead: a pattern that does not compile never allows */
	struct policy_endpoint *next; /* same bucket */
};

struct policy_binary {
	const char *path; /* exact, for bsearch */
	bool advisor;
};

struct policy_binary_glob {
	struct policy_glob *glob;
	bool advisor;
};

struct policy_rule {
	const char *key;
	struct policy_endpoint *endpoints;
	size_t n_endpoints;
	struct policy_binary *binaries; /* sorted by path */
	size_t n_binaries;
	struct policy_binary_glob *globs;
	size_t n_globs;
};

struct policy_table { /* text to chain of endpoints */
	struct policy_table_slot {
		const char *key;
		struct policy_endpoint *first, *last;
	} * slots;
	size_t n_slots; /* a power of two */
};

struct policy_snapshot {
	size_t refs;
	uint64_t generation;
	Openshell__Sandbox__V1__SandboxPolicy *message; /* our own copy */
	struct policy_rule *rules;			/* in byte order of the key */
	size_t n_rules;
	struct policy_table exact, wild; /* wild: by literal suffix, "" for none */
	struct policy_endpoint *hostless;
	char **owned; /* alias texts and the like */
	size_t n_owned;
	const char **binaries; /* paths without glob */
	size_t n_binaries;
};

struct policy_matches {
	const struct policy_endpoint *at[POLICY_CONNECT_MATCHES_MAX];
	size_t n;
	bool more; /* than fit */
};

/* Endpoints that name this host and port, in key order, then list order. */
void policy_match(const struct policy_snapshot *s, const char *host, uint16_t port,
	struct policy_matches *ret);
struct policy_endpoint *policy_table_find(
	const struct policy_table *t, const char *key, size_t len);
/* 0 no, 1 by a binary of the user's, 2 only by one that the advisor proposed. */
int policy_rule_has_binary(const struct policy_rule *r, const struct identity_caller *c);
