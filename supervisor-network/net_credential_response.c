/* net_credential_response.c - is a response that may repeat a credential looked through, or refused?
 *
 * Runs in the network leaf (openshell-supervisor-network).  Pure.  The head itself is always looked
 * through; this is about the body.
 */
#include <errno.h>
#include "net_credential.h"

/* A body without a type is shown as text by many a program. */
static bool wants_scrub(const struct net_head *h)
{
	const struct net_field *type;
	size_t n;

	type = net_head_field(h, "content-type", &n);
	return n != 1 || type->value.len == 0 ||
		credential_scrub_wants(type->value.at, type->value.len);
}

int net_credential_scrub_body(const struct net_head *h, bool *ret, struct err *e)
{
	const struct net_field *coding;
	size_t n;

	coding = net_head_field(h, "content-encoding", &n);
	*ret = false;
	if (h->status == 206)
		return err_set(e, EPROTO,
			"the response is a part although the whole was asked for, so that a secret "
			"in it can't be found; scrub_responses: false would let it through");
	if (!wants_scrub(h))
		return 0;
	if (n > 1 || (coding && !net_slice_ieq(coding->value, "identity")))
		return err_set(e, EPROTO,
			"the response is compressed although that was not asked for, so that a "
			"secret in it can't be found; scrub_responses: false would let it through");
	*ret = true;
	return 0;
}
