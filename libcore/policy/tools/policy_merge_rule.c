/* policy_merge_rule.c - a rule taken into another, within what the operation declares.
 *
 * After the merge, no program may have a destination that was neither there before nor named by
 * the operation: binaries x endpoints x ports is checked, not each list alone.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include "core_text.h"
#include "policy_merge.h"

#define NAMED_BYTES 400 /* of a list in an error */

static int no_memory(struct merge *g)
{
	return err_set(g->e, ENOMEM, "policy");
}

static bool has_binary(const rule_msg *r, const char *path)
{
	for (size_t i = 0; i < r->n_binaries; i++)
		if (strcmp(r->binaries[i]->path, path) == 0)
			return true;
	return false;
}

/* An empty list is "anybody" for these questions. */
static bool covers_binary(const rule_msg *r, const char *path)
{
	return r->n_binaries == 0 || has_binary(r, path);
}

static bool declares(const rule_msg *in, const endpoint_msg *ep, uint32_t port)
{
	for (size_t i = 0; i < in->n_endpoints; i++)
		if (pb_same_place(in->endpoints[i], ep) && pb_has_port(in->endpoints[i], port))
			return true;
	return false;
}

/* First program of in that rule did not have; "" for anybody; NULL for none. */
static const char *new_binary(const rule_msg *rule, const rule_msg *in)
{
	if (rule->n_binaries == 0)
		return NULL;
	if (in->n_binaries == 0)
		return "";
	for (size_t i = 0; i < in->n_binaries; i++)
		if (!has_binary(rule, in->binaries[i]->path))
			return in->binaries[i]->path;
	return NULL;
}

static bool has_allow(const endpoint_msg *ep, const PB(L7Allow) * allow)
{
	for (size_t i = 0; i < ep->n_rules; i++) {
		const PB(L7Allow) *a = ep->rules[i]->allow;

		if (a &&
			(pb_same(a, allow) ||
				(strcmp(a->method, "*") == 0 && !a->n_query &&
					strcmp(a->path, "**") == 0)))
			return true;
	}
	return false;
}

/* ep allows requests that the declaration of the same endpoint does not. */
static bool exceeds(const endpoint_msg *ep, const endpoint_msg *declared)
{
	AUTO_PB endpoint_msg *x = pb_copy(ep);
	AUTO_PB endpoint_msg *y = pb_copy(declared);

	if (!declared->protocol[0])
		return false; /* everything is declared */
	if (!x || !y || !pb_expand_access(x) || !pb_expand_access(y) || !ep->protocol[0])
		return true;
	for (size_t i = 0; i < x->n_rules; i++)
		if (x->rules[i]->allow && !has_allow(y, x->rules[i]->allow))
			return true;
	return false;
}

static int check_new_requests(
	struct merge *g, const rule_msg *rule, const rule_msg *in, const char *binary)
{
	for (size_t i = 0; i < rule->n_endpoints; i++)
		for (size_t k = 0; k < in->n_endpoints; k++)
			if (pb_same_place(rule->endpoints[i], in->endpoints[k]) &&
				pb_has_port(in->endpoints[k], pb_port(rule->endpoints[i], 0)) &&
				exceeds(rule->endpoints[i], in->endpoints[k]))
				return err_set(g->e, EPERM,
					"rule `%.80s`: %s would inherit requests to %.200s that "
					"are "
					"not declared; declare them too, or use a rule of its own",
					g->key, *binary ? binary : "every program",
					rule->endpoints[i]->host);
	return 0;
}

static int check_new_binaries(struct merge *g, const rule_msg *rule, const rule_msg *in)
{
	const char *binary = new_binary(rule, in);

	for (size_t i = 0; binary && i < rule->n_endpoints; i++) {
		const endpoint_msg *ep = rule->endpoints[i];

		for (size_t p = 0; p < pb_n_ports(ep); p++)
			if (!declares(in, ep, pb_port(ep, p)))
				return err_set(g->e, EPERM,
					"rule `%.80s`: %s would inherit %.200s:%u, which is not "
					"declared; declare that endpoint too, or use a rule of its "
					"own",
					g->key, *binary ? binary : "every program", ep->host,
					pb_port(ep, p));
	}
	return binary ? check_new_requests(g, rule, in, binary) : 0;
}

/* Programs of rule that in does not name, as a list; false: none. */
static bool undeclared_binaries(const rule_msg *rule, const rule_msg *in, struct text *ret)
{
	if (in->n_binaries == 0)
		return false;
	if (rule->n_binaries == 0)
		text_add(ret, "every program");
	for (size_t i = 0; i < rule->n_binaries; i++)
		if (!covers_binary(in, rule->binaries[i]->path))
			text_addf(ret, "%s%s", ret->len ? ", " : "", rule->binaries[i]->path);
	return ret->len > 0;
}

static int check_changed(
	struct merge *g, const rule_msg *before, const rule_msg *in, const endpoint_msg *ep)
{
	char list[NAMED_BYTES];
	struct text named;

	text_init(&named, list, sizeof list);
	if (undeclared_binaries(before, in, &named))
		return err_set(g->e, EPERM,
			"rule `%.80s`: %s would inherit the changed endpoint %.200s; declare %s "
			"too, or use a rule of its own",
			g->key, list, ep->host, before->n_binaries > 1 ? "them" : "it");
	for (size_t p = 0; p < pb_n_ports(ep); p++)
		if (!declares(in, ep, pb_port(ep, p)))
			return err_set(g->e, EPERM,
				"rule `%.80s`: the change of %.200s would reach port %u, which is "
				"not declared; declare it too, or use a rule of its own",
				g->key, ep->host, pb_port(ep, p));
	return 0;
}

static endpoint_msg *sharing(rule_msg *rule, const endpoint_msg *in)
{
	for (size_t i = 0; i < rule->n_endpoints; i++)
		for (size_t p = 0; pb_same_place(rule->endpoints[i], in) && p < pb_n_ports(in); p++)
			if (pb_has_port(rule->endpoints[i], pb_port(in, p)))
				return rule->endpoints[i];
	return NULL;
}

static int append_endpoint(struct merge *g, rule_msg *rule, const endpoint_msg *in,
	const uint32_t *ports, size_t n_ports)
{
	AUTO_PB endpoint_msg *copy = pb_copy(in);

	if (!copy || !pb_set_ports(copy, ports, n_ports) ||
		!pb_add(&rule->endpoints, &rule->n_endpoints, copy))
		return no_memory(g);
	(void) TAKE_PTR(copy);
	return 0;
}

static bool same_but_ports(const endpoint_msg *a, const endpoint_msg *b)
{
	AUTO_PB endpoint_msg *x = pb_copy(a);
	AUTO_PB endpoint_msg *y = pb_copy(b);

	return x && y && pb_set_ports(x, NULL, 0) && pb_set_ports(y, NULL, 0) && pb_same(x, y);
}

/* New ports come to the endpoint when it is then just what was declared; else they get one of
 * their own, so that they don't inherit what the old one allows beyond. */
static int add_ports(struct merge *g, rule_msg *rule, endpoint_msg *ep, const endpoint_msg *in)
{
	size_t n = 0, old = pb_n_ports(ep);
	AUTO_FREE uint32_t *all = calloc(old + pb_n_ports(in) + 1, sizeof *all);

	if (!all)
		return no_memory(g);
	for (size_t i = 0; i < old; i++)
		all[n++] = pb_port(ep, i);
	for (size_t i = 0; i < pb_n_ports(in); i++)
		if (!pb_has_port(ep, pb_port(in, i)))
			all[n++] = pb_port(in, i);
	if (n == old)
		return 0;
	if (!same_but_ports(ep, in))
		return append_endpoint(g, rule, in, all + old, n - old);
	return pb_set_ports(ep, all, n) ? 0 : no_memory(g);
}

static int merge_one(
	struct merge *g, rule_msg *rule, const rule_msg *before, const rule_msg *in, size_t at)
{
	const endpoint_msg *from = in->endpoints[at];
	endpoint_msg *ep = sharing(rule, from);
	AUTO_PB endpoint_msg *old = ep ? pb_copy(ep) : NULL;
	size_t n = rule->n_endpoints;

	if (!ep) {
		AUTO_FREE uint32_t *ports = calloc(pb_n_ports(from) + 1, sizeof *ports);

		for (size_t i = 0; ports && i < pb_n_ports(from); i++)
			ports[i] = pb_port(from, i);
		if (!ports || append_endpoint(g, rule, from, ports, pb_n_ports(from)) < 0)
			return no_memory(g);
		return check_changed(g, before, in, from);
	}
	if (!old)
		return no_memory(g);
	if (merge_endpoint(g, ep, from) < 0)
		return -g->e->code;
	if (!pb_same(ep, old) && check_changed(g, before, in, ep) < 0)
		return -g->e->code;
	if (add_ports(g, rule, ep, from) < 0)
		return -g->e->code;
	if (rule->n_endpoints == n && pb_same(ep, old))
		return 0;
	return check_changed(g, before, in, rule->n_endpoints > n ? rule->endpoints[n] : ep);
}

static int merge_binaries(struct merge *g, rule_msg *rule, const rule_msg *in)
{
	/* "Anybody" is not narrowed behind the author's back; with us it is nobody. */
	if (rule->n_binaries == 0) {
		if (in->n_binaries)
			merge_warn(g, "M06", "remove the rule and add it with its binaries",
				"the rule has no binaries, which allows nobody; that stays so");
		return 0;
	}
	for (size_t i = 0; i < in->n_binaries; i++) {
		AUTO_PB PB(NetworkBinary) *copy = NULL;

		if (has_binary(rule, in->binaries[i]->path))
			continue;
		copy = pb_copy(in->binaries[i]);
		if (!copy || !pb_add(&rule->binaries, &rule->n_binaries, copy))
			return no_memory(g);
		(void) TAKE_PTR(copy);
	}
	return 0;
}

int merge_rule(struct merge *g, rule_msg *rule, const rule_msg *in)
{
	AUTO_PB rule_msg *before = pb_copy(rule);

	if (!before)
		return no_memory(g);
	for (size_t i = 0; i < in->n_endpoints; i++)
		if (merge_one(g, rule, before, in, i) < 0)
			return -g->e->code;
	if (check_new_binaries(g, rule, in) < 0)
		return -g->e->code;
	return merge_binaries(g, rule, in);
}
