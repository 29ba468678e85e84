/* net_destination.h - may this destination's addresses be dialled (spec/network 3.8)?  Pure. */
#pragma once
#include "core_policy_snapshot.h"
#include "net_leaf.h"
#include "net_resolve.h"
#include "net_target.h"

enum net_plan {
	NET_PLAN_GATEWAY,  /* host alias: only the trusted gateway */
	NET_PLAN_LISTED,   /* allowed_ips */
	NET_PLAN_LITERAL,  /* the policy names the address itself */
	NET_PLAN_DECLARED, /* exact host of the user's: private addresses are meant */
	NET_PLAN_PUBLIC,
};

struct net_destination {
	enum net_plan plan;
	const char *kind; /* the short text that the caller sees; "" when allowed */
	char reason[512]; /* the long one */
};

/* The plan, from the decision alone. */
enum net_plan net_destination_plan(
	const struct net_leaf *n, const struct net_target *to, const struct policy_decision *d);
/* true when every address may be dialled. */
bool net_destination_check(const struct net_leaf *n, const struct net_target *to,
	const struct policy_decision *d, const struct net_addresses *a,
	struct net_destination *ret);
