/* core_credential.h - credentials that the workload knows by placeholders only.
 *
 * A store holds the current snapshot of credentials and up to
 * CREDENTIAL_GENERATIONS_MAX - 1 earlier ones, so that a placeholder handed to
 * a process that started before a rotation goes on resolving.  Values lie in
 * core_secret memory; nothing here allocates a copy elsewhere, logs, or does
 * I/O.  Time is the caller's (wall clock, milliseconds since 1970).
 *
 * Placeholder forms (spec/network 5.1), KEY = [A-Za-z0-9_]+:
 *
 *     openshell:resolve:env:KEY             canonical: only credentials without endpoints
 *     openshell:resolve:env:v<digits>_KEY   the value of one revision
 *     openshell:resolve:env:s<64 hex>_KEY   stable: the newest value of one identity
 *     <prefix>OPENSHELL-RESOLVE-ENV-TAIL    alias, TAIL as in the three above; prefix is
 *                                           [A-Za-z0-9_.~-]+, for tools that check a token's shape
 *
 * A credential with endpoints is used at those only, and never by the canonical
 * form or an alias of it: these carry no identity.
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "core_cleanup.h"
#include "core_err.h"
#include "core_text.h"

#define CREDENTIAL_MAX 128		   /* credentials of one snapshot */
#define CREDENTIAL_NAME_MAX 128		   /* bytes */
#define CREDENTIAL_VALUE_MAX 8192	   /* bytes */
#define CREDENTIAL_VALUES_MAX (256 * 1024) /* bytes, all values of one snapshot */
#define CREDENTIAL_ENDPOINTS_MAX 32	   /* of one credential */
#define CREDENTIAL_ENDPOINTS_ALL_MAX 1024  /* of all credentials */
#define CREDENTIAL_BUNDLE_MAX (384 * 1024) /* bytes of a snapshot on its way to the network leaf */
#define CREDENTIAL_HANDLE_LEN 64	   /* lower-case hex digits */
#define CREDENTIAL_IDENTITY_MAX 256	   /* bytes */
#define CREDENTIAL_GENERATIONS_MAX 8	   /* snapshots kept, the current one included */
#define CREDENTIAL_REVISIONS_MAX 64    /* revisions remembered of one identity; oldest forgotten */
#define CREDENTIAL_PREFIX_MAX 64       /* bytes before the infix of an alias that we issue */
#define CREDENTIAL_PLACEHOLDER_MAX 512 /* bytes of one that we issue, NUL included */

#define CREDENTIAL_MARKER "openshell:resolve:env:"
#define CREDENTIAL_ALIAS "OPENSHELL-RESOLVE-ENV-"
#define CREDENTIAL_MARKER_LEN 22	   /* bytes of either */
#define CREDENTIAL_REDACTED "[CREDENTIAL]" /* what policy, logs and events see instead */

struct credential_store;
struct credential_value; /* one value, while the store is not changed */

struct credential_endpoint {
	const char *host; /* labels; "*" inside one label, "**" for one or more labels */
	uint16_t port;
	const char *path; /* dialect S (spec/policy 2.2); "" = every path */
};

struct credential_spec {
	const char *name;
	const char *value; /* NULL: revoked, or not to be had now */
	size_t len;
	const char *handle;	/* CREDENTIAL_HANDLE_LEN digits, or "" */
	const char *identity;	/* while it stays the same, a new value is a rotation */
	uint64_t expires_at_ms; /* 0 = never */
	const struct credential_endpoint *endpoints;
	size_t n_endpoints;
	bool require; /* requests to its endpoints must carry it */
};

int credential_store_new(struct credential_store **ret, struct err *e);
void credential_store_free(struct credential_store *s);
/* The new snapshot; 0 of n clears everything, tombstones too.  A credential whose identity, handle
 * or endpoints differ from before loses its retained generations.  On failure nothing changes. */
int credential_store_update(struct credential_store *s, uint64_t revision,
	const struct credential_spec *at, size_t n, struct err *e);
/* No value is left; identities and their revisions are remembered, so that a later good update of
 * the same identity revives the placeholders. */
void credential_store_revoke(struct credential_store *s);
uint64_t credential_store_revision(const struct credential_store *s); /* 0 before the first */
/* How many credentials the current snapshot has; a NULL store has none. */
size_t credential_store_count(const struct credential_store *s);
/* Is some credential bound to this host and port, at whatever path? (the guard of spec/network 5.7) */
bool credential_store_covers(const struct credential_store *s, const char *host, uint16_t port);

enum credential_verdict {
	CREDENTIAL_FINE,
	CREDENTIAL_ELSEWHERE,	/* bound to other endpoints: 403 */
	CREDENTIAL_UNAVAILABLE, /* unknown, expired, revoked, or not usable in that place: 500 */
	CREDENTIAL_MISPLACED,	/* a marker where none is replaced: 500 */
	CREDENTIAL_REQUIRED,	/* the request came with a key of its own, or none: 403 */
};

/* Where the request goes. */
struct credential_where {
	const char *host; /* lower case, no brackets */
	uint16_t port;
	const char *path; /* canonical, redacted, without query */
	size_t path_len;
	uint64_t now_ms; /* wall clock */
};

/* What a placeholder's tail (behind marker or infix, KEY characters only) stands for here.
 * *ret_why is a constant sentence when the verdict is not FINE. */
enum credential_verdict credential_resolve(const struct credential_store *s,
	const struct credential_where *at, const char *tail, size_t len,
	const struct credential_value **ret, const char **ret_why);
/* Must a request there carry one of the credentials that require it? */
bool credential_store_requires(const struct credential_store *s, const struct credential_where *at);
/* Is this value one of theirs? */
bool credential_value_is_required(
	const struct credential_store *s, const struct credential_value *v);
const char *credential_value_bytes(const struct credential_value *v);
size_t credential_value_len(const struct credential_value *v);

/* ---- names and texts ---- */

/* [A-Za-z0-9_]+, at most CREDENTIAL_NAME_MAX, not v<digits>_X and not s<64 hex>_X. */
bool credential_name_is_valid(const char *name, size_t len);
/* false, and a sentence, for a pattern that could never match or means something else. */
bool credential_endpoint_is_valid(const struct credential_endpoint *ep, const char **ret_why);
bool credential_host_matches(const char *pattern, const char *host);
/* prefix "" or NULL: the canonical family; else an alias. Stable form when there is a handle, else
 * v<revision>_ when revision is not 0. */
void credential_placeholder(
	const struct credential_spec *c, uint64_t revision, const char *prefix, struct text *out);

/* ---- markers ---- */

struct credential_found {
	size_t at, len;	       /* of the whole placeholder, an alias's prefix included */
	size_t tail, tail_len; /* tail_len 0: a marker without a key */
	bool alias;
};
/* The first marker in text at or behind from, as it stands (nothing is decoded). */
bool credential_find(const char *text, size_t len, size_t from, struct credential_found *ret);
/* Is there a marker, raw or after one percent-decoding pass? */
bool credential_has_marker(const char *bytes, size_t len);
/* Is there a marker, raw or percent-encoded, that no credential's name follows? */
bool credential_has_incomplete(const char *bytes, size_t len);
/* The text with every placeholder, raw or percent-encoded, as CREDENTIAL_REDACTED. */
void credential_redact(const char *text, size_t len, struct text *out);
/* A request target for a log or event: query and fragment cut, the rest redacted. */
void credential_redact_target(const char *target, size_t len, struct text *out);
DEFINE_AUTO(struct credential_store, credential_store_free)
