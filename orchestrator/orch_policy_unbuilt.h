/* orch_policy_unbuilt.h - what a policy may ask for and this build can't do: refused, or left out, by name. */
#pragma once
#include "core_err.h"
#include "core_policy.h"

/* -ENOTSUP for transparent capture (`protocol: tcp`) and for a middleware without which traffic must
 * not flow.  Protocols and signatures are refused request by request, in the network leaf. */
int orch_policy_unbuilt(const struct policy_doc *d, struct err *e);
/* What is left out, as the policy allows: one sentence, or "" when nothing is.  Of a document that
 * orch_policy_unbuilt() accepted. */
void orch_policy_left_out(const struct policy_doc *d, char ret[ERR_TEXT_MAX]);
