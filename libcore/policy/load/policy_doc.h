/* policy_doc.h - the document behind core_policy.h; files of the loader only. */
#pragma once
#include <stdbool.h>
#include "core_policy.h"
#include "policy_node.h"
#include "policy_report.h"

#define PATH_BYTES 2048

struct spot { /* where the value stored at this address stood */
	const void *at;
	struct place place;
};

struct policy_doc {
	char *name;
	Openshell__Sandbox__V1__SandboxPolicy *pb;
	bool has_filesystem;
	struct spot *spots; /* open addressing, a power of two */
	size_t n_spots, n_slots;
};

/* Line and column of a value; 0, 0 when unknown, as in a document from the wire. */
struct place spot_of(const struct policy_doc *d, const void *at);
/* Without memory the place is lost, no more. */
void spot_set(struct policy_doc *d, const void *at, struct place place);

/* The path of the value being looked at, extended and cut back. */
struct trail {
	char text[PATH_BYTES];
	size_t len;
};
size_t trail_field(struct trail *t, const char *name); /* returns what trail_back() takes */
/* A trail that is too long is cut: it is for people. */
size_t trail_index(struct trail *t, size_t i);
void trail_back(struct trail *t, size_t len);

struct check { /* what every validating function is handed */
	struct policy_doc *doc;
	struct policy_report *report;
	enum policy_strictness strictness;
	struct trail trail;
	bool lenient; /* problems of this part are warnings: the reference loads it (spec/policy 5) */
};

/* The path is the trail, with ".field" when field is not NULL; the place that of at. */
void check_error(struct check *c, const char *code, const void *at, const char *field,
	const char *hint, const char *fmt, ...) __attribute__((format(printf, 6, 7)));
void check_warn(struct check *c, const char *code, const void *at, const char *field,
	const char *hint, const char *fmt, ...) __attribute__((format(printf, 6, 7)));

/* policy_load.c */
int policy_doc_new(const char *name, struct policy_doc **ret, struct err *e);
/* Sort, validate, and turn the report into a result. */
int policy_doc_finish(struct check *c, struct err *e);

/* policy_build.c */
/* Fills the document from YAML; what is wrong goes to the report.  -errno: no memory. */
int policy_build(struct check *c, const struct node *root);
/* What YAML calls a field; NULL when it can't be written there. */
const char *policy_yaml_name(const ProtobufCMessageDescriptor *type, const char *wire);
/* policy_sort.c */
bool policy_is_map_entry(const ProtobufCMessageDescriptor *type);
/* Every map, however deep, in byte order of its keys */
void policy_sort_maps(ProtobufCMessage *m);
/* policy_check.c and its parts: every rule of the language */
void policy_check(struct check *c);
void policy_check_endpoint_l7(struct check *c, Openshell__Sandbox__V1__NetworkEndpoint *ep);
void policy_check_host(struct check *c, Openshell__Sandbox__V1__NetworkEndpoint *ep);
/* Two rules whose endpoints meet and say different things. */
void policy_check_overlap(struct check *c);
void policy_check_middlewares(struct check *c);
/* A pattern of hosts in a middleware; false and a sentence (static) when it is none. */
bool policy_check_selector(const char *pattern, const char **ret_why);
/* Some host name matches both patterns. */
bool policy_hosts_overlap(const char *a, const char *b);
