/* net_credential_refusal.c - why a request gets no credential, and the answer that says so.
 *
 * Runs in the network leaf (openshell-supervisor-network).  Pure.
 */
#include "net_credential_refusal.h"
#include <errno.h>
#include <stdio.h>
#include "net_refuse.h"

int net_credential_refuse_required(struct net_credential_refusal *ret)
{
	*ret = (struct net_credential_refusal){ .verdict = CREDENTIAL_REQUIRED,
		.status = 403,
		.error = "credential_required",
		.detail = "This request endpoint takes the sandbox's own credential only",
		.engine = "credential-binding" };
	(void) snprintf(ret->reason, sizeof ret->reason, "%s",
		"a credential with `require: true` belongs to this endpoint: send the placeholder "
		"from the environment, and no key of another kind");
	return -EACCES;
}

int net_credential_refuse(
	const struct credential_use *u, const char *reason, struct net_credential_refusal *ret)
{
	bool elsewhere = u->verdict == CREDENTIAL_ELSEWHERE;

	*ret = (struct net_credential_refusal){ .verdict = u->verdict,
		.status = elsewhere ? 403 : 500,
		.error = elsewhere ? "credential_endpoint_mismatch" : "credential_unavailable",
		.detail = elsewhere ? "Credential is not authorized for this request endpoint"
				    : "Credential placeholder could not be resolved",
		.engine = elsewhere ? "credential-binding" : "credentials" };
	(void) snprintf(ret->reason, sizeof ret->reason, "%s", reason);
	return -EACCES;
}

int net_credential_refuse_text(const char *reason, struct net_credential_refusal *ret)
{
	static const struct credential_use u = { .verdict = CREDENTIAL_UNAVAILABLE };

	return net_credential_refuse(&u, reason, ret);
}

void net_credential_answer(const struct net_credential_refusal *r, bool in_tunnel, struct text *t)
{
	/* In forward form the failure has a name of its own (spec/network 5.6). */
	const char *forward_error = r->status == 403 ? r->error : "credential_injection_failed";

	if (in_tunnel)
		net_refuse_message(r->status, r->error, r->detail, r->reason, t);
	else
		net_refuse_json(r->status, forward_error, r->detail, r->reason, t);
}
