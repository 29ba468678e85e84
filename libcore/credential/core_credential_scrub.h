/* core_credential_scrub.h - a secret that comes back is blanked (`scrub_responses: true`).
 *
 * Made from the values that one request was given, for its response.  Each is
 * looked for as it is, JSON-escaped, percent-encoded and in the base64 text of
 * the Authorization field that carried it.  What is found is overwritten with
 * as many bytes (CREDENTIAL_REDACTED, then "*"), so that lengths, and thus
 * framing, stay the same.  A value shorter than CREDENTIAL_SCRUB_MIN is not
 * looked for: it would hit by chance.  A server that encodes otherwise, or
 * sends the secret in parts, is not stopped: this limits accidents, no attack.
 */
#pragma once
#include "core_credential_rewrite.h"

#define CREDENTIAL_SCRUB_MIN 6 /* bytes */
#define CREDENTIAL_SCRUB_PIECE_MAX \
	4096 /* bytes looked for together; longer forms are cut in pieces */
#define CREDENTIAL_SCRUB_FORMS_MAX 128 /* forms and pieces of one response; more is an error */

struct credential_scrub;

/* *ret is NULL when there is nothing to look for.  basic (may be NULL): the base64 text of an
 * Authorization field as it was sent.  Copies what it needs into locked memory. */
int credential_scrub_new(const struct credential_use *u, const char *basic, size_t basic_len,
	struct credential_scrub **ret, struct err *e);
void credential_scrub_free(struct credential_scrub *s);
/* Whole text in place: header values. Returns how many were blanked. */
size_t credential_scrub_text(const struct credential_scrub *s, char *text, size_t len);
/* How many bytes may be held back between two calls: CREDENTIAL_SCRUB_PIECE_MAX at most. */
size_t credential_scrub_held_max(const struct credential_scrub *s);
/* A body, piece by piece: at most held_max more than len are written to out. in and out differ. */
void credential_scrub_feed(
	struct credential_scrub *s, const char *in, size_t len, char *out, size_t *ret_len);
size_t credential_scrub_finish(struct credential_scrub *s, char *out);
/* Is this a type whose bodies are looked through? JSON, text/, form, XML, JavaScript. */
bool credential_scrub_wants(const char *type, size_t len);
DEFINE_AUTO(struct credential_scrub, credential_scrub_free)
