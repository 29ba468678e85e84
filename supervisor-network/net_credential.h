/* net_credential.h - the leaf's credentials, and what a relay does with them.
 *
 * The relay's order (spec/network 1.8, 5): decide; then, right before the first
 * upstream byte, net_credential_apply() on the parsed head; write the head;
 * net_injected_done(), which wipes.  A body that is not rewritten goes through
 * credential_scan (core_credential_scan.h) when net_credential_scans() says so.
 * With scrub_responses, keep the net_scrub of the request for its response.
 *
 * Everything that holds a value is in locked memory and wiped; a buffer into
 * which a relay serialises a rewritten head is the relay's to wipe
 * (secret_wipe) once it has been sent.
 */
#pragma once
#include "core_credential.h"
#include "core_credential_scrub.h"
#include "net_http_head.h"

struct net_leaf;
struct net_injected; /* the rewritten parts of one head */

/* A sealed memory file with a NetCredentials message; replaces what the leaf has.  A malformed one
 * revokes everything, and is an error that ends the channel. */
int net_credential_take(struct net_leaf *n, int fd, struct err *e);

/* The leaf has none from then on; all are wiped. */
void net_credential_free(struct net_leaf *n);

struct net_credential_where {
	const char *host; /* of the decided destination */
	uint16_t port;
	/* Canonical, without query; placeholders may be in it: they are masked here. */
	struct net_slice path;
};

struct net_credential_refusal {
	enum credential_verdict verdict;
	unsigned status;   /* 403 or 500 */
	const char *error; /* of a tunnel; forward requests name another one */
	const char *detail;
	const char *engine;		 /* for the event: credential-binding or credentials */
	char reason[CREDENTIAL_WHY_MAX]; /* cause and remedy; no name, no placeholder, no value */
};

/* Replace placeholders in the head.  path, query and the values of h->fields are made to point into
 * *ret where they change; *ret is NULL when nothing was injected.  query may be NULL.
 * -EACCES: refused, nothing may be sent; *why is filled in, h, path and query are what they were. */
int net_credential_apply(struct net_leaf *n, const struct net_credential_where *at,
	struct net_head *h, struct net_slice *path, struct net_slice *query,
	struct net_injected **ret, struct net_credential_refusal *why);
/* Wiped; the leaf may keep it for the next request. */
void net_injected_done(struct net_leaf *n, struct net_injected *i);
void net_injected_free(struct net_injected *i);
/* For the response to that request, before the loop runs again; NULL when there is nothing to
 * scrub. */
int net_injected_scrub(const struct net_injected *i, struct credential_scrub **ret, struct err *e);

struct net_credential_text {
	struct net_slice type, text; /* value of Content-Type; the body without its framing */
};

/* A whole body of an endpoint with request_body_credential_rewrite (at most CREDENTIAL_BODY_MAX).
 * out is the caller's, and the caller's to wipe.  *inj is that of the head, or NULL: it is made
 * then, also when this fails; it only remembers, for the scrubber, what was injected. */
int net_credential_body(struct net_leaf *n, const struct net_credential_where *at,
	const struct net_credential_text *body, struct text *out, struct net_injected **inj,
	struct net_credential_refusal *why);

/* Must bodies that nothing rewrites be scanned?  (some credential exists, or the endpoint is
 * marked, and it does not allow uninspected credentials) */
bool net_credential_scans(
	const struct net_leaf *n, bool provider_credentialed, bool allow_uninspected);
/* Does a credential of ours belong to this destination?  Then traffic that nobody inspects is
 * refused like that of a gateway-marked endpoint (5.7). */
bool net_credential_covers(const struct net_leaf *n, const char *host, uint16_t port);

/* The answer: in_tunnel, the two-key form of spec/network 5.6; else the JSON error of a forward
 * request.  Both carry reason. */
void net_credential_answer(const struct net_credential_refusal *r, bool in_tunnel, struct text *t);
/* Is the body of a response to such a request to be looked through?  -EPROTO: it should be, and can't:
 * it is encoded (gzip, ...), or a part; refuse it.  The relay asks for the whole, unencoded. */
int net_credential_scrub_body(const struct net_head *h, bool *ret, struct err *e);
DEFINE_AUTO(struct net_injected, net_injected_free)
