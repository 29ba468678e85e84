/* net_credential_refusal.h - why a request gets no credential.
 *
 * For the files of net_credential.  Each fills in *ret and returns -EACCES, so that "return
 * net_credential_refuse...(...)" is the whole failure path.  A reason names cause and remedy, and holds
 * no value, no placeholder and no name; what is beyond CREDENTIAL_WHY_MAX bytes is cut.
 */
#pragma once
#include "net_credential.h"

/* The rewriter's verdict u: 403 where the credential belongs elsewhere, else 500. */
int net_credential_refuse(
	const struct credential_use *u, const char *reason, struct net_credential_refusal *ret);
/* It can't be resolved, for a reason of ours: 500. */
int net_credential_refuse_text(const char *reason, struct net_credential_refusal *ret);
/* A credential with `require: true` belongs here, and is missing or not alone: 403. */
int net_credential_refuse_required(struct net_credential_refusal *ret);
