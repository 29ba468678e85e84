/* policy_merge_endpoint.c - one endpoint taken into another: the first value stays. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include "policy_merge.h"

static int no_memory(struct merge *g)
{
	return err_set(g->e, ENOMEM, "policy");
}

static int keep_first(struct merge *g, const char *field, char **at, const char *in)
{
	if (!in[0] || strcmp(*at, in) == 0)
		return 0;
	if (!(*at)[0])
		return pb_text(at, in) ? 0 : no_memory(g);
	merge_warn(g, "M03", "change it in the document", "%s stays `%.40s`, not `%.40s`", field,
		*at, in);
	return 0;
}

int merge_allow(struct merge *g, endpoint_msg *ep, const PB(L7Allow) * allow)
{
	AUTO_PB PB(L7Rule) *rule = NULL;
	PB(L7Rule) wrapper = OPENSHELL__SANDBOX__V1__L7_RULE__INIT;

	if (!allow)
		return err_set(g->e, EINVAL, "add allow: no rule is given");
	for (size_t i = 0; i < ep->n_rules; i++)
		if (ep->rules[i]->allow && pb_same(ep->rules[i]->allow, allow))
			return 0;
	wrapper.allow = (PB(L7Allow) *) (uintptr_t) allow; /* only read */
	rule = pb_copy(&wrapper);
	if (!rule || !pb_add(&ep->rules, &ep->n_rules, rule))
		return no_memory(g);
	(void) TAKE_PTR(rule);
	return 0;
}

int merge_deny(struct merge *g, endpoint_msg *ep, const PB(L7DenyRule) * deny)
{
	AUTO_PB PB(L7DenyRule) *rule = NULL;

	if (!deny)
		return err_set(g->e, EINVAL, "add deny: no rule is given");
	for (size_t i = 0; i < ep->n_deny_rules; i++)
		if (pb_same(ep->deny_rules[i], deny))
			return 0;
	rule = pb_copy(deny);
	if (!rule || !pb_add(&ep->deny_rules, &ep->n_deny_rules, rule))
		return no_memory(g);
	(void) TAKE_PTR(rule);
	return 0;
}

static int merge_lists(struct merge *g, endpoint_msg *ep, const endpoint_msg *in)
{
	for (size_t i = 0; i < in->n_rules; i++)
		if (in->rules[i]->allow && merge_allow(g, ep, in->rules[i]->allow) < 0)
			return -g->e->code;
	for (size_t i = 0; i < in->n_deny_rules; i++)
		if (merge_deny(g, ep, in->deny_rules[i]) < 0)
			return -g->e->code;
	for (size_t i = 0; i < in->n_allowed_ips; i++)
		if (!pb_has_text(ep->allowed_ips, ep->n_allowed_ips, in->allowed_ips[i]) &&
			!pb_add_text(&ep->allowed_ips, &ep->n_allowed_ips, in->allowed_ips[i]))
			return no_memory(g);
	return 0;
}

/* Rules win over presets: an existing preset is written out for incoming rules, an incoming one
 * is dropped beside existing rules. */
static int merge_access(struct merge *g, endpoint_msg *ep, const endpoint_msg *in)
{
	if (in->n_rules && ep->access[0]) {
		merge_warn(g, "M02", NULL, "`access: %.20s` is written out as rules", ep->access);
		return pb_expand_access(ep) ? 0 : no_memory(g);
	}
	if (in->access[0] && ep->n_rules) {
		merge_warn(g, "M04", "add the rules that are missing",
			"`access: %.20s` is ignored beside rules", in->access);
		return 0;
	}
	return keep_first(g, "access", &ep->access, in->access);
}

static void or_flags(endpoint_msg *ep, const endpoint_msg *in)
{
	ep->allow_encoded_slash |= in->allow_encoded_slash;
	ep->websocket_credential_rewrite |= in->websocket_credential_rewrite;
	ep->request_body_credential_rewrite |= in->request_body_credential_rewrite;
	ep->scrub_responses |= in->scrub_responses;
	ep->advisor_proposed |= in->advisor_proposed;
	ep->allow_uninspected_credentials |= in->allow_uninspected_credentials;
	ep->provider_credentialed |= in->provider_credentialed;
}

/* Fields that are not merged; the reference drops them without a word. */
static void warn_dropped(struct merge *g, const endpoint_msg *ep, const endpoint_msg *in)
{
	if (in->persisted_queries[0] && strcmp(in->persisted_queries, ep->persisted_queries) != 0)
		merge_warn(
			g, "M05", "change it in the document", "persisted_queries is not merged");
	if (in->n_graphql_persisted_queries)
		merge_warn(g, "M05", "change it in the document",
			"graphql_persisted_queries is not merged");
	if (in->graphql_max_body_bytes && in->graphql_max_body_bytes != ep->graphql_max_body_bytes)
		merge_warn(g, "M05", "change it in the document",
			"graphql_max_body_bytes is not merged");
	if (in->credential_signing[0] &&
		strcmp(in->credential_signing, ep->credential_signing) != 0)
		merge_warn(g, "M05", "change it in the document",
			"credential_signing and what belongs to it are not merged");
	if (in->credential_binding &&
		(!ep->credential_binding ||
			!pb_same(in->credential_binding, ep->credential_binding)))
		merge_warn(
			g, "M05", "change it in the document", "credential_binding is not merged");
}

/* An L4 endpoint becomes an MCP one: the whole contract, so that nothing of it is half there. */
static int adopt_mcp(struct merge *g, endpoint_msg *ep, const endpoint_msg *in)
{
	PB(McpOptions) *options = in->mcp ? pb_copy(in->mcp) : NULL;

	if (in->mcp && !options)
		return no_memory(g);
	pb_free(ep->mcp);
	ep->mcp = options;
	ep->json_rpc_max_body_bytes = in->json_rpc_max_body_bytes;
	if (!pb_text(&ep->protocol, in->protocol) || !pb_text(&ep->enforcement, in->enforcement) ||
		!pb_text(&ep->access, in->access))
		return no_memory(g);
	or_flags(ep, in);
	return merge_lists(g, ep, in);
}

int merge_endpoint(struct merge *g, endpoint_msg *ep, const endpoint_msg *in)
{
	if (!ep->protocol[0] && strcmp(in->protocol, "mcp") == 0)
		return adopt_mcp(g, ep, in);
	if (keep_first(g, "protocol", &ep->protocol, in->protocol) < 0 ||
		keep_first(g, "tls", &ep->tls, in->tls) < 0 ||
		keep_first(g, "enforcement", &ep->enforcement, in->enforcement) < 0 ||
		merge_access(g, ep, in) < 0)
		return -g->e->code;
	or_flags(ep, in);
	warn_dropped(g, ep, in);
	return merge_lists(g, ep, in);
}

static void drop_repeated(void *list, size_t *n)
{
	void **items = *(void ***) list;

	for (size_t i = *n; i-- > 1;)
		for (size_t k = 0; k < i; k++)
			if (pb_same(items[i], items[k])) {
				pb_remove(list, n, i);
				break;
			}
}

static void drop_repeated_ips(endpoint_msg *ep)
{
	size_t kept = 0;

	for (size_t i = 0; i < ep->n_allowed_ips; i++) {
		char *ip = ep->allowed_ips[i];

		if (pb_has_text(ep->allowed_ips, kept, ip))
			free(ip);
		else
			ep->allowed_ips[kept++] = ip;
	}
	ep->n_allowed_ips = kept;
}

int merge_tidy(struct merge *g, rule_msg *rule)
{
	for (size_t i = 0; i < rule->n_endpoints; i++) {
		endpoint_msg *ep = rule->endpoints[i];
		uint32_t one = ep->port;

		if (!pb_set_ports(ep, ep->n_ports ? ep->ports : &one, pb_n_ports(ep)))
			return no_memory(g);
		drop_repeated_ips(ep);
		drop_repeated(&ep->rules, &ep->n_rules);
		drop_repeated(&ep->deny_rules, &ep->n_deny_rules);
	}
	drop_repeated(&rule->endpoints, &rule->n_endpoints);
	drop_repeated(&rule->binaries, &rule->n_binaries);
	return 0;
}

static bool is_inspected(const endpoint_msg *ep)
{
	return ep->protocol[0] && strcmp(ep->protocol, "tcp") != 0 &&
		strcmp(ep->protocol, "sql") != 0;
}

static bool same_options(const endpoint_msg *a, const endpoint_msg *b)
{
	if (!a->mcp != !b->mcp || (a->mcp && !pb_same(a->mcp, b->mcp)))
		return false;
	return a->json_rpc_max_body_bytes == b->json_rpc_max_body_bytes;
}

static bool clash(const endpoint_msg *mcp, const endpoint_msg *other, uint32_t port)
{
	if (mcp == other || !is_inspected(other) || strcasecmp(mcp->host, other->host) != 0 ||
		!pb_has_port(other, port))
		return false;
	return strcmp(other->protocol, "mcp") != 0 || !same_options(mcp, other);
}

static const endpoint_msg *clashing(const policy_msg *m, const endpoint_msg *mcp, uint32_t port)
{
	for (size_t i = 0; i < m->n_network_policies; i++) {
		const rule_msg *r = m->network_policies[i]->value;

		for (size_t k = 0; r && k < r->n_endpoints; k++)
			if (clash(mcp, r->endpoints[k], port))
				return r->endpoints[k];
	}
	return NULL;
}

static bool had_clash(const policy_msg *before, const char *host, uint32_t port)
{
	for (size_t i = 0; i < before->n_network_policies; i++) {
		const rule_msg *r = before->network_policies[i]->value;

		for (size_t k = 0; r && k < r->n_endpoints; k++) {
			const endpoint_msg *ep = r->endpoints[k];

			if (strcmp(ep->protocol, "mcp") == 0 && strcasecmp(ep->host, host) == 0 &&
				pb_has_port(ep, port) && clashing(before, ep, port))
				return true;
		}
	}
	return false;
}

static int check_mcp_endpoint(struct merge *g, const policy_msg *before, const endpoint_msg *ep)
{
	for (size_t p = 0; p < pb_n_ports(ep); p++) {
		uint32_t port = pb_port(ep, p);
		const endpoint_msg *other = clashing(g->m, ep, port);

		if (!other || had_clash(before, ep->host, port))
			continue;
		if (strcmp(other->protocol, "mcp") == 0)
			return err_set(g->e, EINVAL,
				"two MCP endpoints for %.253s:%u have different mcp options; make "
				"them equal",
				ep->host, port);
		return err_set(g->e, EINVAL,
			"%.253s:%u is an MCP endpoint and also `protocol: %.20s`; give MCP a host "
			"or port of its own",
			ep->host, port, other->protocol);
	}
	return 0;
}

int merge_check_mcp(struct merge *g, const policy_msg *before)
{
	for (size_t i = 0; i < g->m->n_network_policies; i++) {
		const rule_msg *r = g->m->network_policies[i]->value;

		for (size_t k = 0; r && k < r->n_endpoints; k++)
			if (strcmp(r->endpoints[k]->protocol, "mcp") == 0 &&
				check_mcp_endpoint(g, before, r->endpoints[k]) < 0)
				return -g->e->code;
	}
	return 0;
}
