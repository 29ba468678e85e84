#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "core_text.h"
#include "policy_snapshot.h"

#define RULES_NAMED_MAX 4 /* rules that a reason spells out */
#define LOOKED_AT_MAX 256 /* endpoints looked at for a reason */

static int compare_path(const void *key, const void *b)
{
	return strcmp(key, ((const struct policy_binary *) b)->path);
}

static int path_in_rule(const struct policy_rule *r, const char *path)
{
	const struct policy_binary *b;
	int found = 0;

	if (!path[0])
		return 0;
	b = bsearch(path, r->binaries, r->n_binaries, sizeof *r->binaries, compare_path);
	if (b) {
		/* The same path may be there twice, once by the user. */
		while (b > r->binaries && strcmp(b[-1].path, path) == 0)
			b--;
		for (; b < r->binaries + r->n_binaries && strcmp(b->path, path) == 0; b++)
			if (!b->advisor)
				return 1;
		found = 2;
	}
	for (size_t i = 0; i < r->n_globs; i++) {
		if (policy_glob_match(r->globs[i].glob, path, strlen(path)) != 1)
			continue;
		if (!r->globs[i].advisor)
			return 1;
		found = 2;
	}
	return found;
}

int policy_rule_has_binary(const struct policy_rule *r, const struct identity_caller *c)
{
	int best = path_in_rule(r, c->exe);

	for (size_t i = 0; best != 1 && i < c->n_ancestors; i++) {
		int found = path_in_rule(r, c->ancestors[i]);

		if (found && best != 1)
			best = found;
	}
	return best;
}

/* What the endpoints of an allowed connection say together.  They come in any order, so the first
 * of a kind in the document's order is searched for. */
struct gathered {
	const struct policy_endpoint *first, *inspected, *carrying;
	bool uninspected_denied, uninspected_unpermitted, exact_declared, scrubs;
};

static bool is_earlier(const struct policy_endpoint *ep, const struct policy_endpoint *than)
{
	return !than || policy_endpoint_before(ep, than);
}

static void gather(struct gathered *g, const struct policy_endpoint *ep, int how)
{
	if (is_earlier(ep, g->first))
		g->first = ep;
	if (ep->inspected && is_earlier(ep, g->inspected))
		g->inspected = ep;
	if (ep->carries && is_earlier(ep, g->carrying))
		g->carrying = ep;
	g->uninspected_denied |= ep->uninspected_denied;
	g->uninspected_unpermitted |= ep->uninspected_unpermitted;
	g->scrubs |= ep->scrubs;
	g->exact_declared |= how == 1 && !ep->glob && ep->host[0] && !ep->advisor_proposed;
}

static void take_metadata(const struct gathered *g, struct policy_decision *d)
{
	d->policy = g->first->rule->key;
	d->endpoint = g->first->index;
	d->endpoint_line = g->first->line;
	d->credentialed_uninspected_denied = g->uninspected_denied;
	d->uninspected_unpermitted = g->uninspected_unpermitted;
	d->exact_declared = g->exact_declared;
	d->scrub_responses = g->scrubs;
	d->inspect = g->inspected != NULL;
	if (g->inspected)
		d->inspect_as = g->inspected->protocol;
	if (!g->carrying)
		return;
	d->tls = g->carrying->tls;
	d->has_allowed_ips = g->carrying->has_ips;
	d->allowed_ips_bad = g->carrying->ips_bad;
	d->allowed_ips = g->carrying->ips;
	d->n_allowed_ips = g->carrying->n_ips;
}

static void add_caller(struct text *t, const struct identity_caller *c)
{
	text_add(t, "ancestors: [");
	for (size_t i = 0; i < c->n_ancestors && i < 8; i++) {
		text_add(t, i ? " -> " : "");
		text_add(t, c->ancestors[i]);
	}
	text_add(t, "], cmdline: [");
	for (size_t i = 0; i < c->n_cmdline_paths && i < 4; i++) {
		text_add(t, i ? ", " : "");
		text_add(t, c->cmdline_paths[i]);
	}
	text_add(t, "]");
}

static void say_binary(
	struct policy_walk *w, const struct policy_endpoint *first, struct policy_decision *d)
{
	const struct policy_connect *q = w->q;
	const struct policy_rule *last = NULL;
	const struct policy_endpoint *ep;
	struct text reason, near;
	size_t n = 0;

	text_init(&reason, d->reason, sizeof d->reason);
	text_init(&near, d->near, sizeof d->near);
	policy_walk_again(w);
	for (size_t i = 0; i < LOOKED_AT_MAX && (ep = policy_walk_any(w)); i++) {
		const struct policy_rule *r = ep->rule;

		if (r == last)
			continue;
		last = r;
		if (++n > RULES_NAMED_MAX)
			continue;
		text_addf(&reason, "%sbinary '%s' not allowed in policy '%s' (", n > 1 ? "; " : "",
			q->caller->exe, r->key);
		add_caller(&reason, q->caller);
		text_add(&reason, ")");
	}
	if (n > RULES_NAMED_MAX)
		text_addf(&reason, "; and %zu more", n - RULES_NAMED_MAX); /* at least */
	text_add(&reason, ". SYMLINK HINT: paths are as the kernel resolves them (readlink -f)");
	text_addf(&near, "host and port match rule \"%s\"", first->rule->key);
	if (first->line)
		text_addf(&near, " (line %u)", first->line);
	text_addf(&near, ", but %s is not in its binaries; add \"- path: %s\" there to allow it",
		q->caller->exe, q->caller->exe);
}

/* The first rule that names this host on other ports. */
static void say_endpoint(
	const struct policy_snapshot *s, const struct policy_connect *q, struct policy_decision *d)
{
	const struct policy_endpoint *ep = policy_index_host(s, q->host);
	struct text near;

	(void) snprintf(d->reason, sizeof d->reason, "endpoint %s:%u is not allowed by any policy",
		q->host, q->port);
	text_init(&near, d->near, sizeof d->near);
	if (ep && ep->n_ports) {
		text_addf(&near,
			"rule \"%s\" allows %s on port %u, not on %u; add the port to its endpoint "
			"to allow it",
			ep->rule->key, q->host, ep->ports[0], q->port);
		return;
	}
	text_addf(&near,
		"no rule names this host; an endpoint \"- {host: %s, port: %u}\" in a rule with "
		"\"- path: %s\" would allow it",
		q->host, q->port, q->caller->exe[0] ? q->caller->exe : "the program");
}

static void deny(const struct policy_snapshot *s, struct policy_walk *w, struct policy_decision *d)
{
	const struct policy_endpoint *ep, *first = NULL;
	const struct policy_connect *q = w->q;

	policy_walk_again(w);
	for (size_t i = 0; i < LOOKED_AT_MAX && (ep = policy_walk_any(w)); i++)
		if (is_earlier(ep, first))
			first = ep;
	if (s->n_rules == 0) {
		(void) snprintf(
			d->reason, sizeof d->reason, "network connections not allowed by policy");
		(void) snprintf(d->near, sizeof d->near,
			"the policy has no network_policies; a rule with endpoint \"- {host: %s, "
			"port: %u}\" would allow it",
			q->host, q->port);
	} else if (!first) {
		say_endpoint(s, q, d);
	} else if (q->identity_required && q->caller->assurance == IDENTITY_NONE) {
		(void) snprintf(d->reason, sizeof d->reason, "%s",
			q->caller->reason[0] ? q->caller->reason
					     : "the calling program is not known");
		(void) snprintf(d->near, sizeof d->near,
			"host and port match rule \"%s\", but the calling program could not be "
			"identified; try again",
			first->rule->key);
	} else {
		say_binary(w, first, d);
	}
}

void policy_decide_connect(const struct policy_snapshot *s, const struct policy_connect *q,
	struct policy_decision *ret)
{
	struct gathered g = { 0 };
	const struct policy_endpoint *ep;
	struct policy_walk w;
	int how = 0;

	ret->allow = ret->inspect = ret->credentialed_uninspected_denied = ret->exact_declared =
		false;
	ret->has_allowed_ips = ret->allowed_ips_bad = ret->uninspected_unpermitted = false;
	ret->scrub_responses = false;
	ret->generation = s->generation;
	ret->policy = "";
	ret->endpoint = ret->n_allowed_ips = 0;
	ret->endpoint_line = 0;
	ret->reason[0] = ret->near[0] = '\0';
	ret->tls = POLICY_TLS_AUTO;
	ret->inspect_as = POLICY_L4;
	ret->allowed_ips = NULL;
	policy_walk_init(&w, s, q);
	while ((ep = policy_walk_next(&w, &how)))
		gather(&g, ep, how);
	ret->allow = g.first != NULL;
	if (g.first)
		take_metadata(&g, ret);
	else
		deny(s, &w, ret);
}
