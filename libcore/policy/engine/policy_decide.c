#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "core_text.h"
#include "policy_snapshot.h"

#define RULES_NAMED_MAX 4 /* rules that a reason spells out */

static bool has_port(const struct policy_endpoint *ep, uint16_t port)
{
	for (size_t i = 0; i < ep->n_ports; i++)
		if (ep->ports[i] == port)
			return true;
	return false;
}

static void add_match(struct policy_matches *m, const struct policy_endpoint *ep)
{
	if (m->n == POLICY_CONNECT_MATCHES_MAX)
		m->more = true;
	else
		m->at[m->n++] = ep;
}

static void match_chain(
	const struct policy_endpoint *ep, const char *host, uint16_t port, struct policy_matches *m)
{
	for (; ep; ep = ep->next)
		if (has_port(ep, port) &&
			(!ep->glob || policy_glob_match(ep->glob, host, strlen(host)) == 1))
			add_match(m, ep);
}

/* Endpoints of one rule are one array, and rules another, both in the wanted order. */
static int by_place(const void *a, const void *b)
{
	const struct policy_endpoint *x = *(const struct policy_endpoint *const *) a;
	const struct policy_endpoint *y = *(const struct policy_endpoint *const *) b;

	if (x->rule != y->rule)
		return x->rule < y->rule ? -1 : 1;
	return x->index < y->index ? -1 : x->index > y->index;
}

void policy_match(const struct policy_snapshot *s, const char *host, uint16_t port,
	struct policy_matches *ret)
{
	ret->n = 0;
	ret->more = false;
	if (host[0])
		match_chain(policy_table_find(&s->exact, host, strlen(host)), host, port, ret);
	for (const char *p = host; host[0] && p; p = strchr(p, '.') ? strchr(p, '.') + 1 : NULL)
		match_chain(policy_table_find(&s->wild, p, strlen(p)), host, port, ret);
	match_chain(policy_table_find(&s->wild, "", 0), host, port, ret);
	match_chain(s->hostless, host, port, ret);
	qsort(ret->at, ret->n, sizeof ret->at[0], by_place);
}

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

static bool is_inspected(enum policy_protocol p)
{
	return p != POLICY_L4 && p != POLICY_TCP && p != POLICY_SQL;
}

static void take_metadata(const struct policy_endpoint *ep, bool *have, struct policy_decision *d)
{
	const Openshell__Sandbox__V1__NetworkEndpoint *pb = ep->pb;

	if (is_inspected(ep->protocol) && !d->inspect) {
		d->inspect = true;
		d->inspect_as = ep->protocol;
	}
	if (!pb->allow_uninspected_credentials &&
		(!is_inspected(ep->protocol) || ep->tls == POLICY_TLS_SKIP)) {
		d->uninspected_unpermitted = true;
		d->credentialed_uninspected_denied |= pb->provider_credentialed;
	}
	if (*have || !(ep->protocol != POLICY_L4 || pb->tls[0] || ep->has_ips))
		return;
	*have = true;
	d->tls = ep->tls;
	d->has_allowed_ips = ep->has_ips;
	d->allowed_ips_bad = ep->ips_bad;
	d->allowed_ips = ep->ips;
	d->n_allowed_ips = ep->n_ips;
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
	const struct policy_connect *q, const struct policy_matches *m, struct policy_decision *d)
{
	const struct policy_rule *last = NULL;
	struct text reason, near;
	size_t n = 0;

	text_init(&reason, d->reason, sizeof d->reason);
	text_init(&near, d->near, sizeof d->near);
	for (size_t i = 0; i < m->n; i++) {
		const struct policy_rule *r = m->at[i]->rule;

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
		text_addf(&reason, "; and %zu more", n - RULES_NAMED_MAX);
	text_add(&reason, ". SYMLINK HINT: paths are as the kernel resolves them (readlink -f)");
	text_addf(&near, "host and port match rule \"%s\"", m->at[0]->rule->key);
	if (m->at[0]->line)
		text_addf(&near, " (line %u)", m->at[0]->line);
	text_addf(&near, ", but %s is not in its binaries; add \"- path: %s\" there to allow it",
		q->caller->exe, q->caller->exe);
}

/* The first rule that names this host on other ports. */
static void say_endpoint(
	const struct policy_snapshot *s, const struct policy_connect *q, struct policy_decision *d)
{
	const struct policy_endpoint *ep = policy_table_find(&s->exact, q->host, strlen(q->host));
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

static void deny(const struct policy_snapshot *s, const struct policy_connect *q,
	const struct policy_matches *m, struct policy_decision *d)
{
	if (s->n_rules == 0) {
		(void) snprintf(
			d->reason, sizeof d->reason, "network connections not allowed by policy");
		(void) snprintf(d->near, sizeof d->near,
			"the policy has no network_policies; a rule with endpoint \"- {host: %s, "
			"port: %u}\" would allow it",
			q->host, q->port);
	} else if (m->n == 0) {
		say_endpoint(s, q, d);
	} else if (q->identity_required && q->caller->assurance == IDENTITY_NONE) {
		(void) snprintf(d->reason, sizeof d->reason, "%s",
			q->caller->reason[0] ? q->caller->reason
					     : "the calling program is not known");
		(void) snprintf(d->near, sizeof d->near,
			"host and port match rule \"%s\", but the calling program could not be "
			"identified; try again",
			m->at[0]->rule->key);
	} else {
		say_binary(q, m, d);
	}
}

void policy_decide_connect(const struct policy_snapshot *s, const struct policy_connect *q,
	struct policy_decision *ret)
{
	struct policy_matches m;
	const struct policy_rule *rule = NULL;
	bool known = !q->identity_required || q->caller->assurance != IDENTITY_NONE, have = false;
	int how = 0;

	ret->allow = ret->inspect = ret->credentialed_uninspected_denied = ret->exact_declared =
		false;
	ret->has_allowed_ips = ret->allowed_ips_bad = ret->uninspected_unpermitted = false;
	ret->generation = s->generation;
	ret->policy = "";
	ret->endpoint = ret->n_allowed_ips = 0;
	ret->endpoint_line = 0;
	ret->reason[0] = ret->near[0] = '\0';
	ret->tls = POLICY_TLS_AUTO;
	ret->inspect_as = POLICY_L4;
	ret->allowed_ips = NULL;
	policy_match(s, q->host, q->port, &m);
	if (m.more) {
		(void) snprintf(ret->reason, sizeof ret->reason,
			"more than %d endpoints of the policy name %s:%u; remove repeated ones",
			POLICY_CONNECT_MATCHES_MAX, q->host, q->port);
		return;
	}
	for (size_t i = 0; known && i < m.n; i++) {
		const struct policy_endpoint *ep = m.at[i];

		if (i == 0 || ep->rule != m.at[i - 1]->rule)
			how = q->identity_required ? policy_rule_has_binary(ep->rule, q->caller)
						   : 1;
		if (!how)
			continue;
		if (!rule) {
			rule = ep->rule;
			ret->endpoint = ep->index;
			ret->endpoint_line = ep->line;
		}
		take_metadata(ep, &have, ret);
		ret->exact_declared |=
			how == 1 && !ep->glob && ep->host[0] && !ep->pb->advisor_proposed;
	}
	ret->allow = rule != NULL;
	if (rule)
		ret->policy = rule->key;
	else
		deny(s, q, &m, ret);
}
