/* orch_policy_unbuilt.h - what a policy may ask for and this build can't do: refused, by name. */
#pragma once
#include "core_err.h"
#include "core_policy.h"

/* -ENOTSUP for transparent capture (`protocol: tcp`) and for a middleware without which traffic must
 * not flow.  Protocols and signatures are refused request by request, in the network leaf. */
int orch_policy_unbuilt(const struct policy_doc *d, struct err *e);
