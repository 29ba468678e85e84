#include "policy_pb.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

void *pb_copy(const void *message)
{
	const ProtobufCMessage *m = message;
	size_t len = protobuf_c_message_get_packed_size(m);
	AUTO_FREE uint8_t *bytes = malloc(len + 1);

	if (!bytes)
		return NULL;
	(void) protobuf_c_message_pack(m, bytes);
	return protobuf_c_message_unpack(m->descriptor, NULL, len, bytes);
}

bool pb_same(const void *a, const void *b)
{
	size_t n = protobuf_c_message_get_packed_size(a);
	AUTO_FREE uint8_t *x = malloc(n + 1);
	AUTO_FREE uint8_t *y = malloc(n + 1);

	if (!x || !y || protobuf_c_message_get_packed_size(b) != n)
		return false;
	(void) protobuf_c_message_pack(a, x);
	(void) protobuf_c_message_pack(b, y);
	return memcmp(x, y, n) == 0;
}

void pb_free(void *message)
{
	if (message)
		protobuf_c_message_free_unpacked(message, NULL);
}

bool pb_text(char **at, const char *text)
{
	char *copy = strdup(text);

	if (!copy)
		return false;
	if (*at && *at != (const char *) protobuf_c_empty_string)
		free(*at);
	*at = copy;
	return true;
}

bool pb_add(void *list, size_t *n, void *item)
{
	void ***at = list;
	void **more = realloc(*at, (*n + 1) * sizeof *more);

	if (!more)
		return false;
	*at = more;
	more[(*n)++] = item;
	return true;
}

void pb_remove(void *list, size_t *n, size_t at)
{
	void **items = *(void ***) list;

	pb_free(items[at]);
	(void) memmove(&items[at], &items[at + 1], (--*n - at) * sizeof *items);
}

bool pb_has_text(char *const *list, size_t n, const char *text)
{
	for (size_t i = 0; i < n; i++)
		if (strcmp(list[i], text) == 0)
			return true;
	return false;
}

bool pb_add_text(char ***list, size_t *n, const char *text)
{
	char *copy = strdup(text);

	if (copy && pb_add(list, n, copy))
		return true;
	free(copy);
	return false;
}

bool pb_is_provider_key(const char *key)
{
	return strncmp(key, "_provider_", strlen("_provider_")) == 0;
}

size_t pb_find_rule(const policy_msg *m, const char *key)
{
	for (size_t i = 0; i < m->n_network_policies; i++)
		if (strcmp(m->network_policies[i]->key, key) == 0)
			return i;
	return (size_t) -1;
}

bool pb_insert_rule(policy_msg *m, const char *key, const rule_msg *rule)
{
	PB(SandboxPolicy__NetworkPoliciesEntry) *entry = calloc(1, sizeof *entry);

	if (!entry)
		return false;
	openshell__sandbox__v1__sandbox_policy__network_policies_entry__init(entry);
	entry->value = pb_copy(rule);
	if (entry->value && pb_text(&entry->key, key) &&
		pb_add(&m->network_policies, &m->n_network_policies, entry))
		return true;
	pb_free(entry);
	return false;
}

void pb_remove_rule(policy_msg *m, size_t at)
{
	pb_remove(&m->network_policies, &m->n_network_policies, at);
}

size_t pb_n_ports(const endpoint_msg *ep)
{
	return ep->n_ports ? ep->n_ports : ep->port ? 1 : 0;
}

uint32_t pb_port(const endpoint_msg *ep, size_t i)
{
	return ep->n_ports ? ep->ports[i] : ep->port;
}

bool pb_has_port(const endpoint_msg *ep, uint32_t port)
{
	for (size_t i = 0; i < pb_n_ports(ep); i++)
		if (pb_port(ep, i) == port)
			return true;
	return false;
}

static int by_number(const void *a, const void *b)
{
	uint32_t x = *(const uint32_t *) a, y = *(const uint32_t *) b;

	return x < y ? -1 : x > y;
}

bool pb_set_ports(endpoint_msg *ep, const uint32_t *ports, size_t n)
{
	uint32_t *sorted = calloc(n + 1, sizeof *sorted);
	size_t kept = 0;

	if (!sorted)
		return false;
	if (n)
		(void) memcpy(sorted, ports, n * sizeof *sorted);
	qsort(sorted, n, sizeof *sorted, by_number);
	for (size_t i = 0; i < n; i++)
		if (i == 0 || sorted[i] != sorted[i - 1])
			sorted[kept++] = sorted[i];
	free(ep->ports);
	ep->ports = sorted;
	ep->n_ports = kept;
	ep->port = 0;
	if (kept != 1)
		return true;
	ep->port = sorted[0];
	ep->n_ports = 0;
	ep->ports = NULL;
	free(sorted);
	return true;
}

bool pb_same_place(const endpoint_msg *a, const endpoint_msg *b)
{
	return strcasecmp(a->host, b->host) == 0 && strcmp(a->path, b->path) == 0;
}

static bool add_preset(endpoint_msg *ep, const char *method, const char *operation)
{
	PB(L7Rule) *rule = calloc(1, sizeof *rule);
	PB(L7Allow) *allow = calloc(1, sizeof *allow);

	if (!rule || !allow) {
		free(rule);
		free(allow);
		return false;
	}
	openshell__sandbox__v1__l7_rule__init(rule);
	openshell__sandbox__v1__l7_allow__init(allow);
	rule->allow = allow;
	if ((!method || (pb_text(&allow->method, method) && pb_text(&allow->path, "**"))) &&
		(!operation || pb_text(&allow->operation_type, operation)) &&
		pb_add(&ep->rules, &ep->n_rules, rule))
		return true;
	pb_free(rule);
	return false;
}

bool pb_expand_access(endpoint_msg *ep)
{
	static const struct {
		const char *kind, *access, *words[8];
	} rows[] = {
		{ "rest", "read-only", { "GET", "HEAD", "OPTIONS" } },
		{ "rest", "read-write", { "GET", "HEAD", "OPTIONS", "POST", "PUT", "PATCH" } },
		{ "rest", "full", { "*" } },
		{ "websocket", "read-only", { "GET" } },
		{ "websocket", "read-write", { "GET", "WEBSOCKET_TEXT" } },
		{ "websocket", "full", { "*" } },
		{ "graphql", "read-only", { "query" } },
		{ "graphql", "read-write", { "query", "mutation" } },
		{ "graphql", "full", { "*" } },
	};
	bool graphql = strcmp(ep->protocol, "graphql") == 0;
	const char *kind =
		graphql || strcmp(ep->protocol, "websocket") == 0 ? ep->protocol : "rest";

	if (!ep->access[0])
		return true;
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		if (strcmp(rows[i].kind, kind) != 0 || strcmp(rows[i].access, ep->access) != 0)
			continue;
		for (size_t k = 0; rows[i].words[k]; k++)
			if (!add_preset(ep, graphql ? NULL : rows[i].words[k],
				    graphql ? rows[i].words[k] : NULL))
				return false;
	}
	return pb_text(&ep->access, "");
}

int policy_from_message(const char *name, const policy_msg *m, struct policy_report *report,
	struct policy_doc **ret, struct err *e)
{
	size_t len = protobuf_c_message_get_packed_size(&m->base);
	AUTO_FREE uint8_t *bytes = malloc(len + 1);

	if (!bytes)
		return err_set(e, ENOMEM, "policy");
	(void) protobuf_c_message_pack(&m->base, bytes);
	return policy_load_wire(name, bytes, len, POLICY_GATEWAY, report, ret, e);
}
