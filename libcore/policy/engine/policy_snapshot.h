/* policy_snapshot.h - the compiled form, shared by the files of the engine only.
 *
 * Endpoints are found through two tables keyed by host and port (exact names) or
 * literal suffix and port (wildcards); request rules through a table per
 * endpoint, keyed by the literal beginning of their path, their method or their
 * tool.  What a table yields is then compared in full.
 */
#pragma once
#include "core_policy_request.h"
#include "core_policy_snapshot.h"

struct policy_rule;

enum policy_pattern_kind {
	PATTERN_ABSENT,
	PATTERN_ANY,
	PATTERN_TEXT, /* no character is special */
	PATTERN_GLOB,
	PATTERN_BAD, /* does not compile: an allow rule never matches, a deny rule always */
};

struct policy_pattern {
	enum policy_pattern_kind kind;
	const char *text; /* in the document's message */
	size_t len;
	struct policy_glob *glob;
};

struct policy_matcher { /* of one query key, or of the tool: one pattern has to match */
	const char *key;
	size_t key_len;
	struct policy_pattern *at;
	size_t n;
};

enum policy_rule_kind { RULE_HTTP, RULE_GRAPHQL, RULE_RPC };

struct policy_request_rule {
	enum policy_rule_kind kind;
	bool deny;
	size_t place;	    /* in rules or deny_rules; POLICY_RULE_NONE for a preset */
	const char *method; /* HTTP: "" absent, "*" every one */
	size_t method_len;
	struct policy_pattern path;
	struct policy_matcher *query;
	size_t n_query;
	const char *operation_type; /* GraphQL, "*" for every one */
	struct policy_pattern operation_name;
	struct policy_pattern *fields;
	size_t n_fields;
	struct policy_pattern rpc_method;
	struct policy_matcher tool;
	size_t next; /* in the same bucket of the table; POLICY_RULE_NONE at the end */
	char *owned; /* a path that was completed */
};

struct policy_rule_set { /* the allow rules or the deny rules of one endpoint */
	struct policy_request_rule *at;
	size_t n;
	size_t *slots; /* first rule of a bucket; NULL: few rules, look at all */
	size_t n_slots;
	size_t anywhere; /* first of those that have no key */
	size_t longest;	 /* key that is the beginning of a path, in bytes */
};

struct policy_operation { /* a registered GraphQL query */
	const char *id;
	struct policy_graphql_op op;
	struct policy_bytes *fields;
};

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
	bool has_ips, ips_bad, dead; /* dead: a pattern that does not compile never allows */

	/* requests */
	bool inspected;
	bool carries; /* protocol, tls or allowed_ips: metadata may come from here */
	bool advisor_proposed;
	bool uninspected_unpermitted; /* nothing would look at the traffic, nor may that be */
	bool uninspected_denied;      /* and it is credentialed */
	bool scrubs;		      /* scrub_responses without an inspector */
	struct policy_route route;    /* ready to copy */
	struct policy_pattern path;   /* as rules read it */
	struct policy_glob *select;   /* as selection reads it; NULL: every path */
	struct policy_rule_set allow, deny;
	bool graphql_allow, graphql_messages; /* some rule of that kind */
	bool every_method, names_tools;	      /* mcp */
	bool registered;		      /* persisted_queries: allow_registered */
	struct policy_operation *operations;  /* sorted by id */
	size_t n_operations;
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

/* Endpoints of one host (or suffix) and port, in key order, then list order.  Port 0 holds those
 * with so many ports that they are compared instead. */
struct policy_bucket {
	const char *key;
	size_t key_len;
	uint16_t port;
	uint64_t hash;
	struct policy_endpoint **at;
	size_t n;
};

struct policy_table {
	struct policy_bucket *slots;
	size_t n_slots; /* a power of two, or 0 */
	size_t n_used;
};

/* Rules that name one program without a pattern, ascending. */
struct policy_holder {
	const char *path;
	uint64_t hash;
	const struct policy_rule **at;
	size_t n;
};

struct policy_holders {
	struct policy_holder *slots;
	size_t n_slots;			  /* a power of two, or 0 */
	const struct policy_rule **lists; /* what the slots point into */
	const struct policy_rule **globs; /* rules with a pattern among their programs, ascending */
	size_t n_globs;
};

struct policy_snapshot {
	size_t refs;
	uint64_t generation;
	Openshell__Sandbox__V1__SandboxPolicy *message; /* our own copy */
	struct policy_rule *rules;			/* in byte order of the key */
	size_t n_rules;
	struct policy_table exact, wild; /* exact: also "" for hostless endpoints */
	struct policy_table hosts; /* the first endpoint of each exact host, on whatever port */
	struct policy_holders holders;
	bool many_ports; /* some endpoint is under port 0 */
	char **owned;	 /* alias texts and the like */
	size_t n_owned;
	const char **binaries; /* paths without glob */
	size_t n_binaries;
};

/* ---- policy_index.c ---- */
int policy_index_build(struct policy_snapshot *s, struct err *e);
void policy_table_done(struct policy_table *t);
/* The first endpoint that names exactly this host, on whatever port; NULL if none. */
const struct policy_endpoint *policy_index_host(const struct policy_snapshot *s, const char *host);

#define POLICY_WALK_BUCKETS_MAX 264 /* suffixes of a host name (128), twice, and some */

/* All endpoints that name the host and the port of a question, with how the caller stands to their
 * rule.  Buckets come one after the other, so the order is not that of the document. */
struct policy_walk {
	const struct policy_snapshot *s;
	const struct policy_connect *q;
	size_t host_len;
	const struct policy_bucket *buckets[POLICY_WALK_BUCKETS_MAX];
	size_t n_buckets, bucket, i;
	const struct policy_rule *rule; /* last one asked about */
	int how;			/* 0: its binaries do not hold the caller; 1, 2: below */
	/* In a crowded bucket the caller's rules are looked for, not the bucket's endpoints. */
	bool entered, by_caller; /* of the current bucket */
	size_t list, place;	 /* program (exe, ancestors, then patterns), place in its rules */
	const struct policy_rule *wanted;
};

void policy_walk_init(
	struct policy_walk *w, const struct policy_snapshot *s, const struct policy_connect *q);
void policy_walk_again(struct policy_walk *w);
/* The next endpoint whose rule holds the caller, with *ret_how 1 (by a binary of the user's) or 2
 * (only by one that the advisor proposed); NULL at the end. */
const struct policy_endpoint *policy_walk_next(struct policy_walk *w, int *ret_how);
/* The same without asking for the caller. */
const struct policy_endpoint *policy_walk_any(struct policy_walk *w);
/* Does x stand before y in the document's order (rule keys, then lists)? */
bool policy_endpoint_before(const struct policy_endpoint *x, const struct policy_endpoint *y);

/* 0 no, 1 by a binary of the user's, 2 only by one that the advisor proposed. */
int policy_rule_has_binary(const struct policy_rule *r, const struct identity_caller *c);

/* ---- policy_holders.c ---- */
int policy_holders_build(struct policy_snapshot *s, struct err *e);
void policy_holders_done(struct policy_holders *h);
/* The rules for program number list of the caller (0: exe, then ancestors, then all rules with
 * patterns); false when there is no such number. */
bool policy_holders_list(const struct policy_holders *h, const struct identity_caller *c,
	size_t list, const struct policy_rule *const **ret, size_t *ret_n);

/* ---- policy_compile_rules.c ---- */
int policy_compile_requests(struct policy_endpoint *ep, struct err *e);
void policy_requests_done(struct policy_endpoint *ep);
int policy_pattern_init(
	struct policy_pattern *p, enum policy_dialect d, const char *text, struct err *e);

/* ---- policy_rule_set.c ---- */
int policy_rule_set_index(struct policy_rule_set *set, struct err *e);
/* Rules that may match, each at least once.  Set path, method and tool behind init. */
struct policy_rule_scan {
	const struct policy_rule_set *set;
	struct policy_bytes path, method, tool; /* absent ones are not looked for */
	size_t rule, depth;
	uint64_t hash;
	unsigned stage;
};
void policy_rule_scan_init(struct policy_rule_scan *scan, const struct policy_rule_set *set);
const struct policy_request_rule *policy_rule_scan_next(struct policy_rule_scan *scan);

/* ---- policy_request_match.c ---- */
bool policy_pattern_match(const struct policy_pattern *p, struct policy_bytes v, bool deny);
/* The rule of the set that the request, operation or call meets; NULL if none. */
const struct policy_request_rule *policy_match_http(
	const struct policy_rule_set *set, const struct policy_request *r);
const struct policy_request_rule *policy_match_graphql(
	const struct policy_endpoint *ep, bool deny, const struct policy_graphql_op *op);
const struct policy_request_rule *policy_match_rpc(
	const struct policy_endpoint *ep, bool deny, const struct policy_rpc_call *call);
/* What a hash-only operation stands for at this endpoint; NULL: not registered there. */
const struct policy_graphql_op *policy_resolve_operation(
	const struct policy_endpoint *ep, const struct policy_graphql_op *op);
bool policy_matcher_match(const struct policy_matcher *m, struct policy_bytes v, bool deny);
