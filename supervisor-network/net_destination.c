#include "net_destination.h"
#include <stdio.h>
#include <string.h>

static const char *const aliases[] = { "host.openshell.internal", "host.containers.internal",
	"host.docker.internal" };
static const uint16_t control_plane[] = { 2379, 2380, 6443, 10250, 10255 };

static bool is_alias(const char *host)
{
	for (size_t i = 0; i < sizeof aliases / sizeof *aliases; i++)
		if (strcmp(host, aliases[i]) == 0)
			return true;
	return false;
}

static bool is_control_plane(uint16_t port)
{
	for (size_t i = 0; i < sizeof control_plane / sizeof *control_plane; i++)
		if (port == control_plane[i])
			return true;
	return false;
}

enum net_plan net_destination_plan(
	const struct net_leaf *n, const struct net_target *to, const struct policy_decision *d)
{
	if (is_alias(to->host) && n->has_gateway)
		return NET_PLAN_GATEWAY;
	if (d->has_allowed_ips)
		return NET_PLAN_LISTED;
	if (to->is_ip)
		return NET_PLAN_LITERAL;
	return d->exact_declared ? NET_PLAN_DECLARED : NET_PLAN_PUBLIC;
}

static bool listed(const struct policy_decision *d, const struct addr *a)
{
	for (size_t i = 0; i < d->n_allowed_ips; i++)
		if (addr_net_has(&d->allowed_ips[i], a))
			return true;
	return false;
}

static bool refuse(struct net_destination *ret, const char *kind, const char *fmt, const char *host,
	const char *what)
{
	ret->kind = kind;
	(void) snprintf(ret->reason, sizeof ret->reason, "%s%s%s", host, fmt, what);
	return false;
}

static bool check_one(const struct net_leaf *n, const struct net_target *to,
	const struct policy_decision *d, const struct addr *a, struct net_destination *ret)
{
	static const char *const kinds[] = { "trusted-gateway check failed",
		"allowed_ips check failed", "allowed_ips check failed",
		"declared endpoint check failed", "internal address" };
	enum addr_class class = addr_classify(a);
	char text[ADDR_TEXT_MAX + 96];
	const char *kind = kinds[ret->plan];

	(void) addr_text(a, text);
	if (addr_equal(a, &n->proxy))
		return refuse(ret, kind, " resolves to the sandbox's own proxy ", to->host, text);
	if (ret->plan == NET_PLAN_GATEWAY)
		return (addr_equal(a, &n->gateway) && class != ADDR_METADATA) ||
			refuse(ret, kind, " is not the trusted gateway: ", to->host, text);
	if (class == ADDR_BLOCKED)
		return refuse(ret, kind, " resolves to always-blocked address ", to->host, text);
	if (class == ADDR_METADATA)
		return refuse(ret, kind, " resolves to cloud metadata address ", to->host, text);
	if (ret->plan == NET_PLAN_LISTED && !listed(d, a)) {
		(void) snprintf(text + strlen(text), 96, ", which is not in allowed_ips");
		return refuse(ret, kind, " resolves to ", to->host, text);
	}
	if (ret->plan == NET_PLAN_PUBLIC && class == ADDR_INTERNAL) {
		(void) snprintf(text + strlen(text), 96,
			", connection rejected; name the host exactly, or list allowed_ips");
		return refuse(ret, kind, " resolves to internal address ", to->host, text);
	}
	return true;
}

bool net_destination_check(const struct net_leaf *n, const struct net_target *to,
	const struct policy_decision *d, const struct net_addresses *a, struct net_destination *ret)
{
	char port[64];

	*ret = (struct net_destination){ .plan = net_destination_plan(n, to, d), .kind = "" };
	if (ret->plan == NET_PLAN_LISTED && d->allowed_ips_bad)
		return refuse(ret, "invalid allowed_ips in policy",
			": its allowed_ips hold an entry that is no net, or that is never "
			"reachable",
			to->host, "");
	if (ret->plan != NET_PLAN_PUBLIC && is_control_plane(to->port)) {
		(void) snprintf(port, sizeof port,
			"port %u is a blocked control-plane port, connection rejected", to->port);
		return refuse(ret,
			ret->plan == NET_PLAN_DECLARED		? "declared endpoint check failed"
				: ret->plan == NET_PLAN_GATEWAY ? "trusted-gateway check failed"
								: "allowed_ips check failed",
			": ", to->host, port);
	}
	for (size_t i = 0; i < a->n; i++)
		if (!check_one(n, to, d, &a->at[i], ret))
			return false;
	return a->n > 0 || refuse(ret, "internal address", " has no address", to->host, "");
}
