#include "policy_atoms.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "core_text.h"

#define CLAUSE_BYTES 512 /* of a sentence's part; rules that are longer are cut in it */

static int no_memory(struct err *e)
{
	return err_set(e, ENOMEM, "policy comparison");
}

static void add_matcher(struct text *t, const char *name, const PB(L7QueryMatcher) * m)
{
	text_addf(t, " %s=", name);
	if (!m)
		return;
	text_add(t, m->glob);
	for (size_t i = 0; i < m->n_any; i++)
		text_addf(t, "%s%s", i ? "|" : "", m->any[i]);
}

static void add_fields(struct text *t, char *const *fields, size_t n)
{
	for (size_t i = 0; i < n; i++)
		text_addf(t, "%s%s", i ? "," : " fields ", fields[i]);
}

static void say_words(struct text *t, const char *const *words, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (words[i][0])
			text_addf(t, "%s%s", t->len ? " " : "", words[i]);
}

static void say_allow(struct text *t, const PB(L7Allow) * a)
{
	const char *words[] = { a->method, a->path, a->command, a->operation_type,
		a->operation_name };

	say_words(t, words, sizeof words / sizeof *words);
	add_fields(t, a->fields, a->n_fields);
	for (size_t i = 0; i < a->n_query; i++)
		add_matcher(t, a->query[i]->key, a->query[i]->value);
	for (size_t i = 0; i < a->n_params; i++)
		add_matcher(t, strcmp(a->params[i]->key, "name") == 0 ? "tool" : a->params[i]->key,
			a->params[i]->value);
}

static void say_deny(struct text *t, const PB(L7DenyRule) * d)
{
	const char *words[] = { d->method[0]   ? d->method
			: d->operation_type[0] ? ""
					       : "*",
		d->path, d->command, d->operation_type, d->operation_name };

	say_words(t, words, sizeof words / sizeof *words);
	add_fields(t, d->fields, d->n_fields);
	for (size_t i = 0; i < d->n_query; i++)
		add_matcher(t, d->query[i]->key, d->query[i]->value);
	for (size_t i = 0; i < d->n_params; i++)
		add_matcher(t, strcmp(d->params[i]->key, "name") == 0 ? "tool" : d->params[i]->key,
			d->params[i]->value);
}

static void clause_free(struct clause *c)
{
	if (!c)
		return;
	free(c->text);
	free(c->bytes);
	free(c);
}
DEFINE_AUTO(struct clause, clause_free)

/* What stands for the clause in comparisons is the message, or the text itself. */
static const struct clause *add_clause(
	struct atoms *s, const char *text, const void *message, struct clause kind)
{
	AUTO(clause_free) struct clause *c = calloc(1, sizeof *c);
	const struct clause *made = c;

	if (!c)
		return NULL;
	*c = kind;
	c->text = strdup(text);
	c->len = message ? protobuf_c_message_get_packed_size(message) : strlen(text);
	c->bytes = malloc(c->len + 1);
	if (!c->text || !c->bytes)
		return NULL;
	if (message)
		(void) protobuf_c_message_pack(message, c->bytes);
	else
		(void) memcpy(c->bytes, text, c->len);
	if (!pb_add(&s->clauses, &s->n_clauses, c))
		return NULL;
	(void) TAKE_PTR(c);
	return made;
}

static const struct clause *text_clause(struct atoms *s, const char *text)
{
	return add_clause(s, text, NULL, (struct clause){ 0 });
}

struct site { /* what all atoms of an endpoint share */
	const rule_msg *rule;
	const endpoint_msg *ep;
	const char *key, *ips;
	unsigned line;
};

static int add_atom(struct atoms *s, const struct atom *a, struct err *e)
{
	if (s->n == POLICY_DIFF_ATOMS_MAX)
		return err_set(e, E2BIG, "more than %d single grants; compare smaller policies",
			POLICY_DIFF_ATOMS_MAX);
	if (s->n == s->size) {
		size_t size = s->size ? 2 * s->size : 256;
		struct atom *more = realloc(s->at, size * sizeof *more);

		if (!more)
			return no_memory(e);
		s->at = more;
		s->size = size;
	}
	s->at[s->n++] = *a;
	return 0;
}

/* One atom for each program and port; a clause of NULL is an error of memory unless it may be. */
static int spread(struct atoms *s, const struct site *p, enum atom_kind kind,
	const struct clause *clause, struct err *e)
{
	bool needs = kind >= ATOM_REQUEST && kind != ATOM_AUDIT && kind != ATOM_SCRUB;

	if (needs && !clause)
		return no_memory(e);
	for (size_t b = 0; b < p->rule->n_binaries; b++) {
		if (kind == ATOM_PRIVATE && p->rule->binaries[b]->harness)
			continue; /* proposed by the advisor: no such trust */
		for (size_t i = 0; i < pb_n_ports(p->ep); i++) {
			struct atom a = { .kind = kind,
				.port = (uint16_t) pb_port(p->ep, i),
				.host = p->ep->host,
				.exe = p->rule->binaries[b]->path,
				.path = p->ep->path,
				.protocol = p->ep->protocol,
				.ips = p->ips,
				.clause = clause,
				.rule = p->key,
				.line = p->line };

			if (add_atom(s, &a, e) < 0)
				return -e->code;
		}
	}
	return 0;
}

static bool is_inspected(const endpoint_msg *ep)
{
	return ep->protocol[0] && strcmp(ep->protocol, "tcp") != 0 &&
		strcmp(ep->protocol, "sql") != 0;
}

static int add_option(struct atoms *s, const struct site *p, const char *text, struct err *e)
{
	return spread(s, p, ATOM_OPTION, text_clause(s, text), e);
}

static int add_flags(struct atoms *s, const struct site *p, struct err *e)
{
	const endpoint_msg *ep = p->ep;
	const struct {
		bool on;
		const char *text;
	} rows[] = {
		{ ep->allow_encoded_slash, "encoded slashes in paths" },
		{ ep->websocket_credential_rewrite, "credentials in WebSocket messages" },
		{ ep->request_body_credential_rewrite, "credentials in request bodies" },
		{ ep->allow_uninspected_credentials, "credentials where nothing is inspected" },
		{ strcmp(ep->tls, "skip") == 0, "TLS that is passed through unseen" },
		{ ep->mcp && ep->mcp->_strict_tool_names_case && !ep->mcp->strict_tool_names,
			"tool names of any characters" },
		{ ep->provider_credentialed, "credentials of an attached provider" },
	};

	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
		if (rows[i].on && add_option(s, p, rows[i].text, e) < 0)
			return -e->code;
	return 0;
}

static int add_worded(struct atoms *s, const struct site *p, struct err *e)
{
	const endpoint_msg *ep = p->ep;
	char text[CLAUSE_BYTES];
	const struct {
		const char *what, *value, *more;
	} rows[] = {
		{ "credentials of provider",
			ep->credential_binding ? ep->credential_binding->provider : "", "" },
		{ "requests signed by", ep->credential_signing, ep->signing_service },
	};

	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		(void) snprintf(text, sizeof text, "%s %.200s %.100s %.100s", rows[i].what,
			rows[i].value, rows[i].more, i == 1 ? ep->signing_region : "");
		if (rows[i].value[0] && add_option(s, p, text, e) < 0)
			return -e->code;
	}
	(void) snprintf(text, sizeof text, "bodies of up to %u (GraphQL) and %u (JSON-RPC) bytes",
		ep->graphql_max_body_bytes ? ep->graphql_max_body_bytes : 65536,
		ep->json_rpc_max_body_bytes ? ep->json_rpc_max_body_bytes : 65536);
	if ((ep->graphql_max_body_bytes || ep->json_rpc_max_body_bytes) &&
		add_option(s, p, text, e) < 0)
		return -e->code;
	for (size_t i = 0; strcmp(ep->persisted_queries, "allow_registered") == 0 &&
		i < ep->n_graphql_persisted_queries;
		i++) {
		const void *entry = ep->graphql_persisted_queries[i];

		(void) snprintf(text, sizeof text, "the registered query %.200s",
			ep->graphql_persisted_queries[i]->key);
		if (spread(s, p, ATOM_OPTION, add_clause(s, text, entry, (struct clause){ 0 }), e) <
			0)
			return -e->code;
	}
	return 0;
}

static bool names_tool(const endpoint_msg *ep)
{
	for (size_t i = 0; i < ep->n_rules; i++)
		if (ep->rules[i]->allow && ep->rules[i]->allow->n_params)
			return true;
	return false;
}

static int add_requests(struct atoms *s, const struct site *p, struct err *e)
{
	const endpoint_msg *ep = p->ep;
	char buf[CLAUSE_BYTES];
	struct text t;

	for (size_t i = 0; i < ep->n_rules; i++) {
		const PB(L7Allow) *allow = ep->rules[i]->allow;

		if (!allow)
			continue;
		text_init(&t, buf, sizeof buf);
		say_allow(&t, allow);
		if (spread(s, p, ATOM_REQUEST,
			    add_clause(s, buf, allow, (struct clause){ .allow = allow }), e) < 0)
			return -e->code;
	}
	if (ep->mcp && ep->mcp->allow_all_known_mcp_methods && strcmp(ep->protocol, "mcp") == 0 &&
		spread(s, p, ATOM_REQUEST,
			text_clause(s,
				names_tool(ep) ? "every MCP method but tools/call"
					       : "every MCP method"),
			e) < 0)
		return -e->code;
	for (size_t i = 0; i < ep->n_deny_rules; i++) {
		const PB(L7DenyRule) *deny = ep->deny_rules[i];

		text_init(&t, buf, sizeof buf);
		say_deny(&t, deny);
		if (spread(s, p, ATOM_DENY,
			    add_clause(s, buf, deny, (struct clause){ .deny = deny }), e) < 0)
			return -e->code;
	}
	return 0;
}

static int add_inspected(struct atoms *s, const struct site *p, struct err *e)
{
	bool enforce = p->ep->enforcement[0] && strcmp(p->ep->enforcement, "audit") != 0;
	char how[128];

	(void) snprintf(how, sizeof how, "%.20s, %s%s", p->ep->protocol,
		enforce ? "enforced" : "only logged",
		p->ep->allow_encoded_slash ? ", encoded slashes pass" : "");
	if (spread(s, p, ATOM_INSPECT, text_clause(s, how), e) < 0 ||
		(!enforce && spread(s, p, ATOM_AUDIT, NULL, e) < 0))
		return -e->code;
	return add_requests(s, p, e);
}

static int add_endpoint(struct atoms *s, const struct site *p, struct err *e)
{
	const endpoint_msg *ep = p->ep;
	bool exact = ep->host[0] && !strchr(ep->host, '*') && !ep->n_allowed_ips;

	if (!ep->host[0] && !ep->n_allowed_ips)
		return 0;
	if (spread(s, p, ATOM_CONNECT, NULL, e) < 0 ||
		(exact && !ep->advisor_proposed && spread(s, p, ATOM_PRIVATE, NULL, e) < 0) ||
		add_flags(s, p, e) < 0 || add_worded(s, p, e) < 0 ||
		(ep->scrub_responses && spread(s, p, ATOM_SCRUB, NULL, e) < 0))
		return -e->code;
	return is_inspected(ep) ? add_inspected(s, p, e) : spread(s, p, ATOM_RAW, NULL, e);
}

static int by_text(const void *a, const void *b)
{
	return strcmp(*(char *const *) a, *(char *const *) b);
}

static const char *join_ips(struct atoms *s, endpoint_msg *ep)
{
	size_t size = 1;
	char *joined;
	struct text t;

	for (size_t i = 0; i < ep->n_allowed_ips; i++) {
		text_lower(ep->allowed_ips[i], strlen(ep->allowed_ips[i]));
		size += strlen(ep->allowed_ips[i]) + 1;
	}
	if (ep->n_allowed_ips)
		qsort(ep->allowed_ips, ep->n_allowed_ips, sizeof *ep->allowed_ips, by_text);
	joined = malloc(size + 1);
	if (!joined || !pb_add(&s->texts, &s->n_texts, joined)) {
		free(joined);
		return NULL;
	}
	text_init(&t, joined, size + 1);
	for (size_t i = 0; i < ep->n_allowed_ips; i++)
		text_addf(&t, "%s%s", i ? "," : "", ep->allowed_ips[i]);
	return joined;
}

int atom_compare(const struct atom *a, const struct atom *b)
{
	const char *x[] = { a->host, a->exe, a->path, a->protocol, a->ips };
	const char *y[] = { b->host, b->exe, b->path, b->protocol, b->ips };
	size_t n = a->clause ? a->clause->len : 0, m = b->clause ? b->clause->len : 0;
	int r;

	if (a->kind != b->kind)
		return a->kind < b->kind ? -1 : 1;
	if (a->port != b->port)
		return a->port < b->port ? -1 : 1;
	for (size_t i = 0; i < sizeof x / sizeof *x; i++)
		if ((r = strcmp(x[i], y[i])))
			return r;
	if (n != m)
		return n < m ? -1 : 1;
	return n ? memcmp(a->clause->bytes, b->clause->bytes, n) : 0;
}

static int by_atom(const void *a, const void *b)
{
	return atom_compare(a, b);
}

static int collect(struct atoms *s, const struct policy_doc *d, struct err *e)
{
	for (size_t i = 0; i < s->m->n_network_policies; i++) {
		rule_msg *rule = s->m->network_policies[i]->value;

		for (size_t k = 0; rule && k < rule->n_endpoints; k++) {
			endpoint_msg *ep = rule->endpoints[k];
			struct site p = { rule, ep, s->m->network_policies[i]->key, NULL,
				policy_endpoint_line(d, i, k) };

			text_lower(ep->host, strlen(ep->host));
			if (!pb_expand_access(ep) || !(p.ips = join_ips(s, ep)))
				return no_memory(e);
			if (add_endpoint(s, &p, e) < 0)
				return -e->code;
		}
	}
	return 0;
}

int atoms_init(struct atoms *s, const struct policy_doc *d, struct err *e)
{
	*s = (struct atoms){ .m = pb_copy(policy_message(d)) };
	if (!s->m)
		return no_memory(e);
	if (collect(s, d, e) < 0)
		return -e->code;
	if (s->n)
		qsort(s->at, s->n, sizeof *s->at, by_atom);
	for (size_t i = 0, kind = 0; kind <= ATOM_KINDS; kind++) {
		while (i < s->n && s->at[i].kind < kind)
			i++;
		s->begin[kind] = i;
	}
	return 0;
}

void atoms_done(struct atoms *s)
{
	for (size_t i = 0; i < s->n; i++) {
		policy_glob_free(s->at[i].host_glob);
		policy_glob_free(s->at[i].exe_glob);
	}
	for (size_t i = 0; i < s->n_clauses; i++)
		clause_free(s->clauses[i]);
	for (size_t i = 0; i < s->n_texts; i++)
		free(s->texts[i]);
	free(s->clauses);
	free(s->texts);
	free(s->at);
	pb_free(s->m);
	*s = (struct atoms){ 0 };
}
