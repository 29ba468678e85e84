/* core_credential_rewrite.h - a request's parts with placeholders replaced by values.
 *
 * Pure, and after the decision: policy never sees what is written here.  Each
 * function writes the part anew to out - byte by byte what it was, but for the
 * replaced placeholders - or refuses.  out then holds secrets: the caller
 * wipes its buffer.  A part without a marker is written as it stands.
 *
 * After a refusal use->verdict and use->why say what and why, without the
 * secret, the placeholder or the name of the credential.  out->cut means that
 * the result did not fit; it is for the caller to refuse.
 */
#pragma once
#include "core_credential.h"

#define CREDENTIAL_WHY_MAX 256		 /* bytes, NUL included */
#define CREDENTIAL_USED_MAX 16		 /* different values in one request */
#define CREDENTIAL_BODY_MAX (256 * 1024) /* bytes of a body that is rewritten, framing included */

struct credential_use {			      /* one request; zero-initialise, set store and at */
	const struct credential_store *store; /* NULL: none, and every marker refuses */
	struct credential_where at;
	enum credential_verdict verdict;
	char why[CREDENTIAL_WHY_MAX];
	const struct credential_value *used[CREDENTIAL_USED_MAX]; /* what was injected */
	size_t n_used;
};

/* Each: 0, or -EACCES with use->verdict. */

/* The value of a header field: all of it a placeholder; "<word> <placeholder>"; "Basic <base64>"
 * with placeholders in the decoded text (its user and password); in Cookie, whole cookie values.
 * A marker elsewhere in the value refuses. */
int credential_rewrite_header(struct credential_use *u, const char *name, size_t name_len,
	const char *value, size_t len, struct text *out);
/* A path, also inside a segment.  The value may not change the path's structure. */
int credential_rewrite_path(
	struct credential_use *u, const char *path, size_t len, struct text *out);
/* A query without "?": values only; a marker in a name refuses. */
int credential_rewrite_query(
	struct credential_use *u, const char *query, size_t len, struct text *out);
/* A whole body that the endpoint has opted in for, without its framing: application/json and
 * +json (values are JSON-escaped), text/ (as they are), application/x-www-form-urlencoded
 * (values).  Another type that holds a marker refuses. */
int credential_rewrite_body(struct credential_use *u, const char *type, size_t type_len,
	const char *body, size_t len, struct text *out);
/* Every placeholder of a text message (WebSocket), all or nothing; JSON-escaped when it is JSON. */
int credential_rewrite_text(
	struct credential_use *u, const char *text, size_t len, bool is_json, struct text *out);
/* Nothing is replaced here: refuse when there is a marker (header names, and what was rewritten). */
int credential_refuse_marker(struct credential_use *u, const char *bytes, size_t len);
