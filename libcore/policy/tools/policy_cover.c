/* policy_cover.c - does one grant contain another?  "No" wherever it is not plain. */
#include <string.h>
#include <strings.h>
#include "policy_atoms.h"
#include "policy_doc.h"

static bool is_pattern(const char *s)
{
	return strpbrk(s, "*?[{\\") != NULL;
}

static bool glob_covers(
	struct policy_glob **g, enum policy_dialect d, const char *pattern, const char *value)
{
	struct err why = { 0 };

	if (!*g && policy_glob_new(d, pattern, strlen(pattern), g, &why) < 0)
		return false;
	return policy_glob_match(*g, value, strlen(value)) == 1;
}

static bool host_covers(struct atom *a, const struct atom *b)
{
	size_t n, m;

	if (strcmp(a->host, b->host) == 0)
		return true;
	if (!a->host[0])
		return true; /* any name; ips are compared beside */
	if (!strchr(a->host, '*'))
		return false;
	if (!strchr(b->host, '*'))
		return b->host[0] && glob_covers(&a->host_glob, POLICY_GLOB_HOST, a->host, b->host);
	/* "**.rest" covers any pattern with more labels before the same rest. */
	n = strlen(a->host);
	m = strlen(b->host);
	return strncmp(a->host, "**.", 3) == 0 && !is_pattern(a->host + 3) && m > n - 2 &&
		strcmp(b->host + m - (n - 2), a->host + 2) == 0;
}

static bool exe_covers(struct atom *a, const struct atom *b)
{
	if (strcmp(a->exe, b->exe) == 0 || strcmp(a->exe, "**") == 0)
		return true;
	if (strcmp(a->exe, "/**") == 0)
		return b->exe[0] == '/';
	return strchr(a->exe, '*') && !strchr(b->exe, '*') &&
		glob_covers(&a->exe_glob, POLICY_GLOB_PATH, a->exe, b->exe);
}

static bool path_covers(const char *a, const char *b)
{
	return !a[0] || strcmp(a, "**") == 0 || strcmp(a, b) == 0;
}

static bool place_covers(struct atom *a, const struct atom *b)
{
	return a->port == b->port && host_covers(a, b) && exe_covers(a, b);
}

static bool same_clause(const struct atom *a, const struct atom *b)
{
	if (!a->clause || !b->clause)
		return a->clause == b->clause;
	return a->clause->len == b->clause->len &&
		memcmp(a->clause->bytes, b->clause->bytes, a->clause->len) == 0;
}

static bool method_covers(const char *a, const char *b, const char *protocol)
{
	if (strcmp(protocol, "json-rpc") == 0 || strcmp(protocol, "mcp") == 0)
		return strcmp(a, b) == 0 || strcmp(a, "*") == 0;
	return a[0] &&
		(strcmp(a, "*") == 0 || strcasecmp(a, b) == 0 ||
			(strcasecmp(a, "GET") == 0 && strcasecmp(b, "HEAD") == 0));
}

static bool rule_path_covers(const char *a, const char *b)
{
	struct policy_glob *g = NULL;
	bool covers;

	if (strcmp(a, "**") == 0 || strcmp(a, b) == 0)
		return true;
	covers = a[0] && b[0] && !is_pattern(b) && glob_covers(&g, POLICY_GLOB_PATH, a, b);
	policy_glob_free(g);
	return covers;
}

bool policy_allow_covers(const PB(L7Allow) * a, const PB(L7Allow) * b, const char *protocol)
{
	bool graphql = a->operation_type[0] || b->operation_type[0];

	if (a->n_query || a->n_params || a->n_fields || a->operation_name[0] || a->command[0])
		return false; /* narrower in some way; equal ones were found before */
	if (graphql)
		return a->operation_type[0] && b->operation_type[0] &&
			(strcmp(a->operation_type, "*") == 0 ||
				strcasecmp(a->operation_type, b->operation_type) == 0);
	if (!method_covers(a->method, b->method, protocol))
		return false;
	if (strcmp(protocol, "json-rpc") == 0 || strcmp(protocol, "mcp") == 0)
		return true;
	return rule_path_covers(a->path, b->path);
}

static bool request_covers(struct atom *a, const struct atom *b)
{
	if (strcmp(a->protocol, b->protocol) != 0 || !path_covers(a->path, b->path) ||
		!place_covers(a, b))
		return false;
	if (same_clause(a, b))
		return true;
	if (!a->clause->allow) /* of the mcp profile */
		return strcmp(a->clause->text, "every MCP method") == 0 ||
			(b->clause->allow && b->clause->allow->method[0] &&
				!is_pattern(b->clause->allow->method) &&
				strcmp(b->clause->allow->method, "tools/call") != 0);
	return b->clause->allow &&
		policy_allow_covers(a->clause->allow, b->clause->allow, a->protocol);
}

static bool deny_covers(struct atom *a, const struct atom *b)
{
	return strcmp(a->protocol, b->protocol) == 0 && path_covers(a->path, b->path) &&
		place_covers(a, b) && same_clause(a, b);
}

static bool covers(struct atom *a, const struct atom *b)
{
	switch (a->kind) {
	case ATOM_CONNECT:
		return strcmp(a->ips, b->ips) == 0 && place_covers(a, b);
	case ATOM_PRIVATE:
		return a->port == b->port && strcmp(a->host, b->host) == 0 && exe_covers(a, b);
	case ATOM_RAW:
		return place_covers(a, b);
	case ATOM_REQUEST:
		return request_covers(a, b);
	case ATOM_OPTION:
	case ATOM_AUDIT:
		return path_covers(a->path, b->path) && strcmp(a->protocol, b->protocol) == 0 &&
			place_covers(a, b) && same_clause(a, b);
	case ATOM_DENY:
		return deny_covers(a, b);
	case ATOM_INSPECT:
		return strcmp(a->protocol, b->protocol) == 0 && strcmp(a->path, b->path) == 0 &&
			place_covers(a, b) && same_clause(a, b);
	case ATOM_SCRUB:
		return strcmp(a->protocol, b->protocol) == 0 && path_covers(a->path, b->path) &&
			place_covers(a, b);
	case ATOM_KINDS:
		break;
	}
	return false;
}

static bool meets(const struct atom *a, const struct atom *b)
{
	return a->port == b->port && policy_hosts_overlap(a->host, b->host);
}

/* A grant of no looking into, or of logging only, holds where nothing else looks (or blocks). */
static bool is_free(struct atoms *s, const struct atom *grant)
{
	for (size_t i = s->begin[ATOM_INSPECT]; i < s->begin[ATOM_INSPECT + 1]; i++) {
		bool blocks = grant->kind == ATOM_RAW ||
			strstr(s->at[i].clause->text, "enforced") ||
			strcmp(s->at[i].protocol, grant->protocol) != 0;

		if (blocks && meets(&s->at[i], grant))
			return false;
	}
	return true;
}

static bool covered_by_kind(struct atoms *s, enum atom_kind kind, const struct atom *b)
{
	for (size_t i = s->begin[kind]; i < s->begin[kind + 1]; i++) {
		struct atom *a = &s->at[i];

		if (a->port != b->port)
			continue;
		if (kind == b->kind ? covers(a, b)
				    : place_covers(a, b) &&
					(kind == ATOM_RAW || path_covers(a->path, b->path)) &&
					is_free(s, a))
			return true;
	}
	return false;
}

bool atoms_cover(struct atoms *s, const struct atom *b)
{
	if (covered_by_kind(s, b->kind, b))
		return true;
	if (b->kind == ATOM_REQUEST)
		return covered_by_kind(s, ATOM_RAW, b) || covered_by_kind(s, ATOM_AUDIT, b);
	return b->kind == ATOM_AUDIT && covered_by_kind(s, ATOM_RAW, b);
}

/* Who calls is left out: a process may be several programs, by its ancestors. */
bool atoms_restrain(struct atoms *s, const struct atom *r)
{
	for (size_t i = s->begin[ATOM_RAW]; i < s->begin[ATOM_AUDIT + 1]; i++) {
		const struct atom *g = &s->at[i];

		if (!meets(g, r))
			continue;
		if (r->kind == ATOM_SCRUB)
			return true;
		if (r->kind == ATOM_DENY
				? g->kind != ATOM_RAW
				: g->kind != ATOM_REQUEST || strcmp(g->protocol, r->protocol) != 0)
			return true;
	}
	return false;
}
