/* policy_merge.c - the operations, one function each (spec/policy 3.3). */
#include "policy_merge.h"
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include "policy_report.h"

#define NOWHERE ((size_t) -1)

void merge_warn(struct merge *g, const char *code, const char *hint, const char *fmt, ...)
{
	char problem[512], path[POLICY_LAYER_KEY_MAX + 32];
	va_list ap;

	va_start(ap, fmt);
	(void) vsnprintf(problem, sizeof problem, fmt, ap);
	va_end(ap);
	(void) snprintf(path, sizeof path, "network_policies.%.200s", g->key ? g->key : "");
	report_add(g->report, POLICY_WARNING, code, (struct place){ 0, 0 }, path, problem, hint);
}

static int no_memory(struct merge *g)
{
	return err_set(g->e, ENOMEM, "policy");
}

static bool rules_share(const rule_msg *a, const rule_msg *b)
{
	for (size_t i = 0; i < a->n_endpoints; i++)
		for (size_t k = 0; k < b->n_endpoints; k++) {
			const endpoint_msg *x = a->endpoints[i], *y = b->endpoints[k];

			for (size_t p = 0; pb_same_place(x, y) && p < pb_n_ports(x); p++)
				if (pb_has_port(y, pb_port(x, p)))
					return true;
		}
	return false;
}

/* The rule of the user's with the smallest key that shares host, path and a port. */
static size_t find_sharing(const policy_msg *m, const rule_msg *in)
{
	size_t best = NOWHERE;

	for (size_t i = 0; i < m->n_network_policies; i++) {
		const PB(SandboxPolicy__NetworkPoliciesEntry) *entry = m->network_policies[i];

		if (!pb_is_provider_key(entry->key) && entry->value &&
			rules_share(entry->value, in) &&
			(best == NOWHERE || strcmp(entry->key, m->network_policies[best]->key) < 0))
			best = i;
	}
	return best;
}

/* The rule at "at" replaced by a copy that has taken in over; the copy is dropped on failure. */
static int merge_into(struct merge *g, size_t at, const rule_msg *in)
{
	AUTO_PB rule_msg *copy = pb_copy(g->m->network_policies[at]->value);
	int r;

	if (!copy)
		return no_memory(g);
	g->key = g->m->network_policies[at]->key;
	r = merge_rule(g, copy, in);
	if (r < 0)
		return r;
	pb_free(g->m->network_policies[at]->value);
	g->m->network_policies[at]->value = TAKE_PTR(copy);
	return 0;
}

static int insert(struct merge *g, const char *key, const rule_msg *in)
{
	return pb_insert_rule(g->m, key, in) ? 0 : no_memory(g);
}

static int fold(struct merge *g, size_t at, const char *key, const rule_msg *in)
{
	const char *other = g->m->network_policies[at]->key;
	struct policy_report aside = { 0 }, *report = g->report;
	int r;

	/* Warnings of an attempt that is given up would only confuse. */
	g->report = &aside;
	r = merge_into(g, at, in);
	g->report = report;
	for (size_t i = 0; r == 0 && i < aside.n; i++)
		report_add(report, aside.at[i].level, aside.at[i].code, (struct place){ 0, 0 },
			aside.at[i].path, aside.at[i].problem, aside.at[i].hint);
	policy_report_done(&aside);
	g->key = key;
	if (r != -EPERM)
		return r;
	merge_warn(g, "M01", NULL,
		"kept as a rule of its own: folded into `%.80s`, which has the same endpoint, it "
		"would grant what it does not declare",
		other);
	return insert(g, key, in);
}

static int add_rule(struct merge *g, const struct policy_op *op)
{
	AUTO_PB rule_msg *in = op->rule ? pb_copy(op->rule) : NULL;
	size_t at;

	if (!op->key || strspn(op->key, " \t") == strlen(op->key))
		return err_set(g->e, EINVAL, "add rule: the rule has no name; give one");
	if (pb_is_provider_key(op->key))
		return err_set(g->e, EINVAL,
			"add rule `%.80s`: names that begin with _provider_ are made from attached "
			"providers; choose another",
			op->key);
	if (!op->rule || op->rule->n_endpoints == 0)
		return err_set(g->e, EINVAL,
			"add rule `%.80s`: it has no endpoints; name a host and a port", op->key);
	g->key = op->key;
	if (!in)
		return no_memory(g);
	if (merge_tidy(g, in) < 0)
		return -g->e->code;
	at = pb_find_rule(g->m, op->key);
	if (at != NOWHERE)
		return merge_into(g, at, in);
	at = find_sharing(g->m, in);
	return at == NOWHERE ? insert(g, op->key, in) : fold(g, at, op->key, in);
}

static int remove_rule(struct merge *g, const struct policy_op *op)
{
	size_t at = pb_find_rule(g->m, op->key ? op->key : "");

	if (at != NOWHERE && !pb_is_provider_key(op->key))
		pb_remove_rule(g->m, at);
	return 0;
}

static int drop_port(struct merge *g, endpoint_msg *ep, uint32_t port)
{
	AUTO_FREE uint32_t *left = calloc(pb_n_ports(ep) + 1, sizeof *left);
	size_t n = 0;

	if (!left)
		return no_memory(g);
	for (size_t i = 0; i < pb_n_ports(ep); i++)
		if (pb_port(ep, i) != port)
			left[n++] = pb_port(ep, i);
	return pb_set_ports(ep, left, n) ? 0 : no_memory(g);
}

static int drop_endpoints(struct merge *g, rule_msg *rule, const struct policy_op *op)
{
	for (size_t i = rule->n_endpoints; i-- > 0;) {
		endpoint_msg *ep = rule->endpoints[i];

		if (strcasecmp(ep->host, op->host) != 0 || !pb_has_port(ep, op->port))
			continue;
		if (drop_port(g, ep, op->port) < 0)
			return -g->e->code;
		if (pb_n_ports(ep) == 0)
			pb_remove(&rule->endpoints, &rule->n_endpoints, i);
	}
	return 0;
}

static int remove_endpoint(struct merge *g, const struct policy_op *op)
{
	for (size_t i = g->m->n_network_policies; i-- > 0;) {
		PB(SandboxPolicy__NetworkPoliciesEntry) *entry = g->m->network_policies[i];
		size_t before = entry->value ? entry->value->n_endpoints : 0;

		if (!before || pb_is_provider_key(entry->key) ||
			(op->key && strcmp(op->key, entry->key) != 0))
			continue;
		if (drop_endpoints(g, entry->value, op) < 0)
			return -g->e->code;
		if (entry->value->n_endpoints == 0)
			pb_remove_rule(g->m, i);
	}
	return 0;
}

static int remove_binary(struct merge *g, const struct policy_op *op)
{
	size_t at = pb_find_rule(g->m, op->key ? op->key : "");
	rule_msg *rule;

	if (at == NOWHERE || pb_is_provider_key(op->key) || !g->m->network_policies[at]->value)
		return 0;
	rule = g->m->network_policies[at]->value;
	if (rule->n_binaries == 0)
		return err_set(g->e, EINVAL,
			"remove binary: rule `%.80s` has no binaries to remove one from; remove "
			"the rule",
			op->key);
	for (size_t i = rule->n_binaries; i-- > 0;)
		if (strcmp(rule->binaries[i]->path, op->binary) == 0)
			pb_remove(&rule->binaries, &rule->n_binaries, i);
	/* Never to become the empty list, which some read as "anybody". */
	if (rule->n_binaries == 0)
		pb_remove_rule(g->m, at);
	return 0;
}

/* The one endpoint of the user's with this host and port. */
static int find_endpoint(
	struct merge *g, const struct policy_op *op, const char *what, endpoint_msg **ret)
{
	size_t found = 0;

	for (size_t i = 0; i < g->m->n_network_policies; i++) {
		PB(SandboxPolicy__NetworkPoliciesEntry) *entry = g->m->network_policies[i];

		if (pb_is_provider_key(entry->key))
			continue;
		for (size_t k = 0; entry->value && k < entry->value->n_endpoints; k++) {
			endpoint_msg *ep = entry->value->endpoints[k];

			if (strcasecmp(ep->host, op->host) != 0 || !pb_has_port(ep, op->port))
				continue;
			found++;
			*ret = ep;
			g->key = entry->key;
		}
	}
	if (found == 0)
		return err_set(g->e, ENOENT,
			"%s: no rule has an endpoint %.253s:%u; add the rule first", what, op->host,
			op->port);
	if (found > 1)
		return err_set(g->e, EEXIST,
			"%s: %zu endpoints are %.253s:%u, so it is not clear which is meant; "
			"change "
			"the rule by its name",
			what, found, op->host, op->port);
	if (strcmp((*ret)->protocol, "rest") != 0 && strcmp((*ret)->protocol, "websocket") != 0)
		return err_set(g->e, EINVAL,
			"%s: endpoint %.253s:%u has protocol `%.20s`; only rest and websocket take "
			"request rules this way",
			what, op->host, op->port, (*ret)->protocol);
	return 0;
}

static int add_allow(struct merge *g, const struct policy_op *op)
{
	endpoint_msg *ep;

	if (find_endpoint(g, op, "add allow", &ep) < 0)
		return -g->e->code;
	if (pb_n_ports(ep) > 1)
		return err_set(g->e, EPERM,
			"add allow: the endpoint of `%.80s` has more ports than %u, which would "
			"get "
			"the rule too; declare a rule with all of them",
			g->key, op->port);
	if (ep->access[0])
		merge_warn(g, "M02", NULL, "`access: %.20s` is written out as rules", ep->access);
	if (!pb_expand_access(ep))
		return no_memory(g);
	return merge_allow(g, ep, op->allow);
}

static int add_deny(struct merge *g, const struct policy_op *op)
{
	endpoint_msg *ep;

	if (find_endpoint(g, op, "add deny", &ep) < 0)
		return -g->e->code;
	if (!ep->access[0] && ep->n_rules == 0)
		return err_set(g->e, EINVAL,
			"add deny: endpoint %.253s:%u allows nothing that could be denied; add "
			"`access:` or `rules:` first",
			op->host, op->port);
	return merge_deny(g, ep, op->deny);
}

static int apply(struct merge *g, const struct policy_op *op)
{
	switch (op->kind) {
	case POLICY_OP_ADD_RULE:
		return add_rule(g, op);
	case POLICY_OP_REMOVE_RULE:
		return remove_rule(g, op);
	case POLICY_OP_REMOVE_ENDPOINT:
		return remove_endpoint(g, op);
	case POLICY_OP_REMOVE_BINARY:
		return remove_binary(g, op);
	case POLICY_OP_ADD_ALLOW:
		return add_allow(g, op);
	case POLICY_OP_ADD_DENY:
		return add_deny(g, op);
	}
	return err_set(g->e, EINVAL, "unknown operation %d", (int) op->kind);
}

int policy_merge(const struct policy_doc *base, const struct policy_op *ops, size_t n_ops,
	struct policy_report *report, struct policy_doc **ret, bool *ret_changed, struct err *e)
{
	AUTO_PB policy_msg *m = pb_copy(policy_message(base));
	struct merge g = { .m = m, .report = report, .e = e };
	AUTO(policy_free) struct policy_doc *d = NULL;
	int r;

	if (!m)
		return err_set(e, ENOMEM, "policy");
	if (n_ops > POLICY_OPERATIONS_MERGE_MAX)
		return err_set(e, E2BIG, "%zu operations at once, more than %d", n_ops,
			POLICY_OPERATIONS_MERGE_MAX);
	for (size_t i = 0; i < n_ops; i++) {
		if ((r = apply(&g, &ops[i])) < 0)
			return n_ops > 1 ? err_wrap(e, "operation %zu of %zu", i + 1, n_ops) : r;
	}
	if ((r = merge_check_mcp(&g, policy_message(base))) < 0 ||
		(r = policy_from_message(policy_name(base), m, report, &d, e)) < 0)
		return r;
	*ret_changed = !pb_same(policy_message(base), policy_message(d));
	*ret = TAKE_PTR(d);
	return 0;
}
