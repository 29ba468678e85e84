/* core_policy.h - the policy document: one model, one loader, one validator.
 *
 * The model IS the protobuf message SandboxPolicy (proto/policy): the YAML
 * loader builds it, the wire loader unpacks it, everything behind works on it.
 * A document remembers where each value stood, so that problems and decisions
 * can name file, line and column.
 *
 * Two strictness levels (spec/policy 5): POLICY_AUTHOR for files that a person
 * edits - every Exx problem is an error; POLICY_GATEWAY for what a gateway may
 * legally push - "accepted" rows load with a warning and take the safe reading.
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "core_cleanup.h"
#include "core_err.h"
#include "core_text.h"
#include "sandbox_policy.pb-c.h"

#define POLICY_YAML_BYTES_MAX (256 * 1024) /* document of an author; else POLICY_WIRE_BYTES_MAX */
#define POLICY_WIRE_BYTES_MAX (4 * 1024 * 1024)
#define POLICY_DEPTH_MAX 32	/* YAML nesting; protobuf nesting 64 */
#define POLICY_PROBLEMS_MAX 200 /* further ones are counted, not kept */
#define POLICY_RULES_MAX 20000
#define POLICY_ENDPOINTS_MAX 65536 /* all rules together */
#define POLICY_BINARIES_MAX 65536
#define POLICY_PATHS_MAX 256	 /* read_only and read_write together */
#define POLICY_PATH_LEN_MAX 4096 /* bytes */
#define POLICY_QUOTE_MAX 80	 /* bytes of a value that a message repeats */

enum policy_strictness { POLICY_AUTHOR, POLICY_GATEWAY };
enum policy_level { POLICY_ERROR, POLICY_WARNING };

struct policy_problem {
	enum policy_level level;
	char code[8];	       /* "E10", "W01": stable */
	unsigned line, column; /* from 1; 0 = unknown (wire) */
	char *path;	       /* network_policies.web.endpoints[2].host */
	char *problem;	       /* what is wrong */
	char *hint;	       /* what to write instead; may be "" */
};

struct policy_report { /* zero-initialise; owns its strings */
	struct policy_problem *at;
	size_t n, n_errors, n_warnings; /* n_errors and n_warnings count also what was not kept */
};

void policy_report_done(struct policy_report *r);
/* Sorts by line and column.  "file:line:column: path: problem; hint [E10]" and newline. */
void policy_report_text(struct policy_report *r, const char *file, char **ret);
/* {"file":...,"ok":...,"problems":[{"code","level","line","column","path","problem","hint"}]} */
void policy_report_json(struct policy_report *r, const char *file, char **ret);

struct policy_doc;

/* Parse, build, validate.  0 and *ret when the report has no error; -EINVAL otherwise, with the
 * report holding every problem that was found (not only the first).  name is copied. */
int policy_load_yaml(const char *name, const char *text, size_t len, enum policy_strictness s,
	struct policy_report *report, struct policy_doc **ret, struct err *e);
int policy_load_wire(const char *name, const uint8_t *bytes, size_t len, enum policy_strictness s,
	struct policy_report *report, struct policy_doc **ret, struct err *e);
/* Protobuf bytes of the document (malloc'd), deterministic: map keys in byte order. */
int policy_encode(const struct policy_doc *d, uint8_t **ret, size_t *ret_len, struct err *e);
void policy_free(struct policy_doc *d);

const Openshell__Sandbox__V1__SandboxPolicy *policy_message(const struct policy_doc *d);
const char *policy_name(const struct policy_doc *d);
/* Line of rule (by its place in network_policies) and endpoint; 0 when unknown. */
unsigned policy_endpoint_line(const struct policy_doc *d, size_t rule, size_t endpoint);
/* true when the section was written at all (absent and empty differ, spec/policy 1.1, 6) */
bool policy_has_filesystem(const struct policy_doc *d);
/* The embedded default document (YAML text) of spec/policy 4, "no policy". */
const char *policy_default_yaml(void);
/* Lexical normalisation of spec/policy 4: "//", "." and trailing "/" removed. */
void policy_path_normalise(char *path);

DEFINE_AUTO(struct policy_doc, policy_free)
