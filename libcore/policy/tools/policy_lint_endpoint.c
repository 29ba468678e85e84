/* policy_lint_endpoint.c - destinations that are never reached, and fields without effect. */
#include <stdio.h>
#include <string.h>
#include "core_addr.h"
#include "core_text.h"
#include "policy_lint.h"

static bool is(const char *a, const char *b)
{
	return strcmp(a, b) == 0;
}

static bool is_inspected(const endpoint_msg *ep)
{
	return ep->protocol[0] && !is(ep->protocol, "tcp") && !is(ep->protocol, "sql");
}

static bool in_allowed_ips(const endpoint_msg *ep, const struct addr *a)
{
	for (size_t i = 0; i < ep->n_allowed_ips; i++) {
		struct addr_net net;

		if (addr_net_parse(ep->allowed_ips[i], strlen(ep->allowed_ips[i]), &net) == 0 &&
			addr_net_has(&net, a))
			return true;
	}
	return false;
}

static void lint_address(struct lint *l, const endpoint_msg *ep, const struct addr *a)
{
	char text[ADDR_TEXT_MAX], hint[ADDR_TEXT_MAX + 16];

	(void) snprintf(hint, sizeof hint, "write `%s`", addr_text(a, text));
	if (strcasecmp(text, ep->host) != 0)
		check_warn(&l->c, "W06", &ep->host, "host", hint,
			"addresses are compared as text, and this is not how they are written");
	if (addr_classify(a) == ADDR_BLOCKED)
		check_warn(&l->c, "W06", &ep->host, "host", "remove the endpoint",
			"this address is never reachable from a sandbox");
	else if (ep->n_allowed_ips && !in_allowed_ips(ep, a))
		check_warn(&l->c, "W06", &ep->allowed_ips, "allowed_ips", "remove allowed_ips",
			"the address of `host` is not in the list, so it is never reached");
}

/* Names that the proxy answers for itself, before policy is asked. */
static bool is_local_service(const endpoint_msg *ep)
{
	return (strcasecmp(ep->host, "inference.local") == 0 && pb_has_port(ep, 443)) ||
		(strcasecmp(ep->host, "policy.local") == 0 && pb_has_port(ep, 80));
}

static void lint_name(struct lint *l, const endpoint_msg *ep)
{
	const char *label = ep->host;

	if (strcasecmp(ep->host, "localhost") == 0)
		check_warn(&l->c, "W06", &ep->host, "host",
			"use host.openshell.internal for servers of the host",
			"`localhost` is loopback, which is never reachable through the proxy");
	if (is_local_service(ep))
		check_warn(&l->c, "W06", &ep->host, "host", "remove the endpoint",
			"the proxy answers for this name itself; no rule is asked");
	if (strlen(ep->host) > POLICY_HOST_MAX)
		check_warn(&l->c, "W06", &ep->host, "host", NULL,
			"names of more than %d bytes never match", POLICY_HOST_MAX);
	for (const unsigned char *p = (const unsigned char *) ep->host; *p; p++)
		if (*p >= 0x80) {
			check_warn(&l->c, "W06", &ep->host, "host",
				"write the name as programs send it, like `xn--bcher-kva.example`",
				"names on the wire are ASCII, so this never matches");
			break;
		}
	while (label) {
		const char *end = strchrnul(label, '.');

		if (end == label || end - label > 63) {
			check_warn(&l->c, "W06", &ep->host, "host", "correct the name",
				end == label ? "an empty label: no name has one"
					     : "a label of more than 63 bytes: no name has one");
			break;
		}
		label = *end ? end + 1 : NULL;
	}
}

static void lint_host(struct lint *l, const endpoint_msg *ep)
{
	static const uint16_t refused[] = { 2379, 2380, 6443, 10250, 10255 };
	struct addr a;

	if (!ep->host[0])
		return;
	if (addr_parse(ep->host, strlen(ep->host), &a) == 0)
		lint_address(l, ep, &a);
	else if (addr_is_odd_ipv4(ep->host, strlen(ep->host)))
		check_warn(&l->c, "W06", &ep->host, "host", "write it as a.b.c.d",
			"an address in this spelling is always refused");
	else
		lint_name(l, ep);
	for (size_t i = 0; i < sizeof refused / sizeof *refused; i++)
		if (pb_has_port(ep, refused[i]) && (!strchr(ep->host, '*') || ep->n_allowed_ips))
			check_warn(&l->c, "W06", &ep->port, "port", "remove the port",
				"port %u (cluster control) is refused for such an endpoint",
				refused[i]);
}

static void ignored(struct lint *l, bool set, const void *at, const char *field, const char *why)
{
	if (set)
		check_warn(&l->c, "W02", at, field, "remove it", "has no effect: %s", why);
}

static void lint_ignored(struct lint *l, const endpoint_msg *ep)
{
	bool graphql = is(ep->protocol, "graphql") || is(ep->protocol, "websocket");
	const char *plain = "requests are looked at only with an inspected `protocol`";

	if (!is_inspected(ep)) {
		ignored(l, ep->enforcement[0] && !is(ep->protocol, "sql"), &ep->enforcement,
			"enforcement", plain);
		ignored(l, ep->path[0] != '\0', &ep->path, "path", plain);
		ignored(l, ep->allow_encoded_slash, &ep->allow_encoded_slash, "allow_encoded_slash",
			plain);
	}
	ignored(l, !graphql && ep->persisted_queries[0], &ep->persisted_queries,
		"persisted_queries", "the endpoint is not graphql");
	ignored(l, !graphql && ep->n_graphql_persisted_queries, &ep->graphql_persisted_queries,
		"graphql_persisted_queries", "the endpoint is not graphql");
	ignored(l, !graphql && ep->graphql_max_body_bytes, &ep->graphql_max_body_bytes,
		"graphql_max_body_bytes", "the endpoint is not graphql");
	ignored(l,
		graphql && ep->n_graphql_persisted_queries &&
			!is(ep->persisted_queries, "allow_registered"),
		&ep->graphql_persisted_queries, "graphql_persisted_queries",
		"`persisted_queries: allow_registered` is missing");
	ignored(l, !ep->credential_signing[0] && (ep->signing_service[0] || ep->signing_region[0]),
		&ep->signing_service, "signing_service", "`credential_signing` is missing");
	if (graphql && is(ep->persisted_queries, "allow_registered") &&
		!ep->n_graphql_persisted_queries)
		check_warn(&l->c, "W06", &ep->persisted_queries, "persisted_queries",
			"add graphql_persisted_queries",
			"no query is registered, so none is allowed");
	if (is(ep->protocol, "sql"))
		check_warn(&l->c, "W02", &ep->protocol, "protocol", "leave it out, or write tcp",
			"sql is not inspected: bytes are relayed and `command` decides nothing");
}

static void lint_lists(struct lint *l, const endpoint_msg *ep)
{
	if (!ep->n_rules && lint_is_written(l, &ep->rules))
		check_warn(&l->c, "E19", &ep->rules, "rules", "remove the key", "an empty list");
	if (!ep->n_deny_rules && lint_is_written(l, &ep->deny_rules))
		check_warn(&l->c, "E19", &ep->deny_rules, "deny_rules", "remove the key",
			"an empty list");
	if (!ep->n_allowed_ips && lint_is_written(l, &ep->allowed_ips))
		check_warn(&l->c, "E19", &ep->allowed_ips, "allowed_ips", "remove the key",
			"an empty list is no list: the usual rules for addresses hold");
	for (size_t i = 0; i < ep->n_ports; i++)
		for (size_t k = 0; k < i; k++)
			if (ep->ports[i] == ep->ports[k])
				check_warn(&l->c, "W07", &ep->ports[i], "ports", "keep one",
					"port %u is there twice", ep->ports[i]);
}

/* A broad endpoint of another protocol: with us the narrow one decides alone. */
static void lint_neighbours(struct lint *l, const endpoint_msg *ep)
{
	if (!is(ep->protocol, "mcp") && !is(ep->protocol, "json-rpc"))
		return;
	for (size_t i = 0; i < l->n_endpoints; i++) {
		const endpoint_msg *o = l->endpoints[i];

		if (!is(o->protocol, "rest") || !policy_hosts_overlap(o->host, ep->host))
			continue;
		for (size_t p = 0; p < pb_n_ports(ep); p++)
			if (pb_has_port(o, pb_port(ep, p))) {
				check_warn(&l->c, "W09", ep, NULL,
					"give it a host or port of its own",
					"the rest endpoint of line %u has the same host; calls are "
					"decided here alone, elsewhere that one lets any of them "
					"pass",
					spot_of(l->c.doc, o).line);
				return;
			}
	}
}

void lint_endpoint(struct lint *l, const endpoint_msg *ep)
{
	lint_host(l, ep);
	lint_ignored(l, ep);
	lint_lists(l, ep);
	if (!is_inspected(ep))
		return;
	lint_endpoint_path(l, ep);
	lint_neighbours(l, ep);
	lint_requests(l, ep);
	lint_repeated_rules(l, ep);
}
