/* policy_build.c - YAML nodes to the protobuf message, by the message's own description.
 *
 * Field names, types and nesting come from protobuf-c's descriptors; only what
 * the two forms write differently stands here.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "core_text.h"
#include "policy_doc.h"

#define SB(x) openshell__sandbox__v1__##x##__descriptor
#define SUGGEST_DISTANCE_MAX 3

static void set_message(struct check *c, ProtobufCMessage *m, const struct node *n);

static struct place place_of(const struct node *n)
{
	return (struct place){ n->line, n->column };
}

static void complain(struct check *c, const struct node *n, const char *code, const char *problem,
	const char *hint)
{
	report_add(c->report, POLICY_ERROR, code, place_of(n), c->trail.text, problem, hint);
}

static const char *kind_name(const struct node *n)
{
	return n->kind == NODE_LIST ? "a list" : n->kind == NODE_MAP ? "a map" : "text";
}

static void wrong_type(struct check *c, const struct node *n, const char *wanted)
{
	char problem[512], value[QUOTE_SIZE];

	if (n->kind == NODE_SCALAR)
		(void) snprintf(problem, sizeof problem, "expected %s, found %s", wanted,
			quote(n->text, value));
	else
		(void) snprintf(
			problem, sizeof problem, "expected %s, found %s", wanted, kind_name(n));
	complain(c, n, "E04", problem, NULL);
}

/* Levenshtein over short names. */
static unsigned distance(const char *a, const char *b)
{
	unsigned row[64], n = (unsigned) strlen(b);

	if (n >= 63 || strlen(a) >= 63)
		return 99;
	for (unsigned j = 0; j <= n; j++)
		row[j] = j;
	for (unsigned i = 1; a[i - 1]; i++) {
		unsigned diagonal = row[0];

		row[0] = i;
		for (unsigned j = 1; j <= n; j++) {
			unsigned best = diagonal + (a[i - 1] != b[j - 1]);

			if (row[j] + 1 < best)
				best = row[j] + 1;
			if (row[j - 1] + 1 < best)
				best = row[j - 1] + 1;
			diagonal = row[j];
			row[j] = best;
		}
	}
	return row[n];
}

struct naming { /* a field that YAML names otherwise, or hides */
	const ProtobufCMessageDescriptor *type;
	const char *wire, *yaml; /* yaml NULL: not authorable */
};

static const struct naming namings[] = {
	{ &SB(sandbox_policy), "filesystem", "filesystem_policy" },
	{ &SB(network_endpoint), "advisor_proposed", NULL },
	{ &SB(network_endpoint), "provider_credentialed", NULL },
	{ &SB(network_endpoint), "json_rpc_max_body_bytes", NULL },
};

/* Keys that are no field of the message. */
static const struct {
	const ProtobufCMessageDescriptor *type;
	const char *yaml;
} extras[] = {
	{ &SB(network_endpoint), "json_rpc" },
	{ &SB(l7_allow), "tool" },
	{ &SB(l7_deny_rule), "tool" },
};

const char *policy_yaml_name(const ProtobufCMessageDescriptor *type, const char *wire)
{
	for (size_t i = 0; i < sizeof namings / sizeof *namings; i++)
		if (namings[i].type == type && strcmp(namings[i].wire, wire) == 0)
			return namings[i].yaml;
	return wire;
}

static const ProtobufCFieldDescriptor *field_of(
	const ProtobufCMessageDescriptor *type, const char *yaml)
{
	for (unsigned i = 0; i < type->n_fields; i++) {
		const char *name = policy_yaml_name(type, type->fields[i].name);

		if (name && strcmp(name, yaml) == 0)
			return &type->fields[i];
	}
	return NULL;
}

static void unknown_key(
	struct check *c, const ProtobufCMessageDescriptor *type, const struct node *key)
{
	char problem[512], hint[128] = "", value[QUOTE_SIZE];
	const char *best = NULL;
	unsigned least = SUGGEST_DISTANCE_MAX + 1;

	for (unsigned i = 0; i < type->n_fields; i++) {
		const char *name = policy_yaml_name(type, type->fields[i].name);
		unsigned d = name ? distance(key->text, name) : 99;

		/* "prot" is nearer to "port" than its letters say: same letters count as one off. */
		if (name && strlen(name) == strlen(key->text) &&
			strspn(key->text, name) == strlen(name) && d > 1)
			d = 1;
		if (d < least) {
			least = d;
			best = name;
		}
	}
	(void) snprintf(problem, sizeof problem, "no such field %s", quote(key->text, value));
	if (best)
		(void) snprintf(hint, sizeof hint, "did you mean `%s`?", best);
	complain(c, key, "E03", problem, hint);
}

static bool read_bool(struct check *c, const struct node *n, bool *ret)
{
	static const char *const words[] = { "true", "True", "TRUE", "false", "False", "FALSE" };

	for (unsigned i = 0; n->kind == NODE_SCALAR && n->plain && i < 6; i++) {
		if (strcmp(n->text, words[i]) == 0) {
			*ret = i < 3;
			return true;
		}
	}
	wrong_type(c, n, "true or false");
	return false;
}

static bool read_number(
	struct check *c, const struct node *n, int64_t min, int64_t max, int64_t *ret)
{
	bool negative = n->kind == NODE_SCALAR && n->len > 1 && n->text[0] == '-';
	char wanted[64];
	uint64_t v;

	if (n->kind == NODE_SCALAR && n->plain &&
		text_to_u64(n->text + negative, n->len - negative, 0, INT64_MAX, &v) == 0) {
		*ret = negative ? -(int64_t) v : (int64_t) v;
		if (*ret >= min && *ret <= max)
			return true;
	}
	(void) snprintf(wanted, sizeof wanted, "a whole number from %lld to %lld", (long long) min,
		(long long) max);
	wrong_type(c, n, wanted);
	return false;
}

static char *read_text(struct check *c, const struct node *n)
{
	if (n->kind != NODE_SCALAR) {
		wrong_type(c, n, "text");
		return NULL;
	}
	/* A plain "null" or "~" is nothing, which no text field may be. */
	if (n->plain &&
		(n->len == 0 || strcmp(n->text, "null") == 0 || strcmp(n->text, "~") == 0)) {
		wrong_type(c, n, "text");
		return NULL;
	}
	return strdup(n->text);
}

static ProtobufCMessage *new_message(const ProtobufCMessageDescriptor *type)
{
	ProtobufCMessage *m = calloc(1, type->sizeof_message);

	if (m)
		protobuf_c_message_init(type, m);
	return m;
}

/* A matcher is text, or {any: [text, ...]}. */
static void set_matcher(
	struct check *c, Openshell__Sandbox__V1__L7QueryMatcher *m, const struct node *n)
{
	spot_set(c->doc, m, place_of(n));
	if (n->kind == NODE_SCALAR && n->plain && n->len > 0 &&
		(strspn(n->text, "0123456789.") == n->len || strcmp(n->text, "true") == 0 ||
			strcmp(n->text, "false") == 0)) {
		complain(c, n, "E23", "a matcher must be text or {any: [text, ...]}",
			"put it in quotes");
		return;
	}
	if (n->kind == NODE_SCALAR) {
		char *text = read_text(c, n);

		if (text)
			m->glob = text;
		return;
	}
	if (n->kind != NODE_MAP || n->n != 1 ||
		strcmp(n->first->text ? n->first->text : "", "any") != 0 ||
		n->first->next->kind != NODE_LIST || n->first->next->n == 0) {
		complain(c, n, "E23", "a matcher must be text or {any: [text, ...]}", NULL);
		return;
	}
	set_message(c, &m->base, n);
}

static void *grow(const ProtobufCFieldDescriptor *f, ProtobufCMessage *m, size_t n, size_t each)
{
	void **list = (void **) (void *) ((char *) m + f->offset);
	size_t *count = (size_t *) (void *) ((char *) m + f->quantifier_offset);
	void *more = calloc(n + 1, each); /* exact: element addresses are remembered */

	if (!more)
		return NULL;
	free(*list);
	*list = more;
	*count = 0;
	return more;
}

static size_t *count_of(const ProtobufCFieldDescriptor *f, ProtobufCMessage *m)
{
	return (size_t *) (void *) ((char *) m + f->quantifier_offset);
}

/* An item of `rules` is {allow: {...}}; binaries are maps, a frequent mistake is plain text. */
static bool item_is_usable(
	struct check *c, const ProtobufCMessageDescriptor *type, const struct node *n)
{
	if (n->kind == NODE_MAP)
		return true;
	if (type == &SB(network_binary)) {
		char hint[QUOTE_SIZE + 32], value[QUOTE_SIZE];

		(void) snprintf(hint, sizeof hint, "write `- path: %.100s`",
			n->kind == NODE_SCALAR ? n->text : "/usr/bin/curl");
		(void) value;
		complain(
			c, n, "E32", "expected a map like `path: /usr/bin/curl`, found text", hint);
		return false;
	}
	wrong_type(c, n, "a map");
	return false;
}

static void set_list_item(struct check *c, const ProtobufCFieldDescriptor *f, ProtobufCMessage *m,
	void *list, const struct node *n)
{
	size_t *count = count_of(f, m);

	if (f->type == PROTOBUF_C_TYPE_STRING) {
		char *text = read_text(c, n);

		if (!text)
			return;
		spot_set(c->doc, &((char **) list)[*count], place_of(n));
		((char **) list)[(*count)++] = text;
	} else if (f->type == PROTOBUF_C_TYPE_UINT32) {
		int64_t v;

		if (!read_number(c, n, 0, UINT16_MAX, &v))
			return;
		spot_set(c->doc, &((uint32_t *) list)[*count], place_of(n));
		((uint32_t *) list)[(*count)++] = (uint32_t) v;
	} else if (item_is_usable(c, f->descriptor, n)) {
		ProtobufCMessage *item = new_message(f->descriptor);

		if (!item)
			return;
		((ProtobufCMessage **) list)[(*count)++] = item;
		set_message(c, item, n);
	}
}

static void set_list(struct check *c, const ProtobufCFieldDescriptor *f, ProtobufCMessage *m,
	const struct node *n)
{
	size_t each = f->type == PROTOBUF_C_TYPE_UINT32 ? sizeof(uint32_t) : sizeof(void *), i = 0;
	void *list;

	if (n->kind != NODE_LIST) {
		wrong_type(c, n, f->type == PROTOBUF_C_TYPE_MESSAGE ? "a list of maps" : "a list");
		return;
	}
	list = grow(f, m, n->n, each);
	for (const struct node *item = n->first; list && item; item = item->next) {
		size_t back = trail_index(&c->trail, i++);

		set_list_item(c, f, m, list, item);
		trail_back(&c->trail, back);
	}
}

static bool repeats(const struct node *map, const struct node *key)
{
	for (const struct node *k = map->first; k != key; k = k->next->next)
		if (k->kind == NODE_SCALAR && strcmp(k->text, key->text) == 0)
			return true;
	return false;
}

/* Large maps are compared by sorting instead: quadratic only below this size. */
#define REPEATS_MAX 64

static int by_text(const void *a, const void *b)
{
	const struct node *x = *(const struct node *const *) a,
			  *y = *(const struct node *const *) b;
	int r = strcmp(x->text, y->text);

	return r ? r : x->line < y->line ? -1 : x->line > y->line;
}

static void refuse_repeats(struct check *c, const struct node *map)
{
	const struct node **keys;
	size_t n = 0;

	if (map->n > REPEATS_MAX) {
		keys = calloc(map->n, sizeof *keys);
		if (!keys)
			return;
		for (const struct node *k = map->first; k; k = k->next->next)
			if (k->kind == NODE_SCALAR)
				keys[n++] = k;
		qsort(keys, n, sizeof *keys, by_text);
		for (size_t i = 1; i < n; i++)
			if (strcmp(keys[i]->text, keys[i - 1]->text) == 0)
				complain(c, keys[i], "E03", "duplicate key", "keep one of them");
		free(keys);
		return;
	}
	for (const struct node *k = map->first; k; k = k->next->next)
		if (k->kind == NODE_SCALAR && repeats(map, k))
			complain(c, k, "E03", "duplicate key", "keep one of them");
}

static void set_entry(
	struct check *c, ProtobufCMessage *entry, const struct node *key, const struct node *value)
{
	const ProtobufCFieldDescriptor *k = &entry->descriptor->fields[0];
	const ProtobufCFieldDescriptor *v = &entry->descriptor->fields[1];
	ProtobufCMessage *m = new_message(v->descriptor);

	*(char **) (void *) ((char *) entry + k->offset) = strdup(key->text);
	*(ProtobufCMessage **) (void *) ((char *) entry + v->offset) = m;
	spot_set(c->doc, entry, place_of(key));
	if (!m)
		return;
	if (v->descriptor == &SB(l7_query_matcher))
		set_matcher(c, (Openshell__Sandbox__V1__L7QueryMatcher *) m, value);
	else
		set_message(c, m, value);
}

static void set_map(struct check *c, const ProtobufCFieldDescriptor *f, ProtobufCMessage *m,
	const struct node *n)
{
	ProtobufCMessage **list;

	if (n->kind != NODE_MAP) {
		wrong_type(c, n, "a map");
		return;
	}
	/* params behind tool: the more detailed one stands, as in the reference. */
	list = *(ProtobufCMessage ***) (void *) ((char *) m + f->offset);
	for (size_t i = 0; i < *count_of(f, m); i++)
		protobuf_c_message_free_unpacked(list[i], NULL);
	list = grow(f, m, n->n, sizeof(void *));
	refuse_repeats(c, n);
	for (const struct node *k = n->first; list && k; k = k->next->next) {
		size_t back;

		if (k->kind != NODE_SCALAR) {
			wrong_type(c, k, "text as key");
			continue;
		}
		back = trail_field(&c->trail, k->text);
		list[*count_of(f, m)] = new_message(f->descriptor);
		if (list[*count_of(f, m)])
			set_entry(c, list[(*count_of(f, m))++], k, k->next);
		trail_back(&c->trail, back);
	}
}

static void mark_present(const ProtobufCFieldDescriptor *f, ProtobufCMessage *m)
{
	if (f->flags & PROTOBUF_C_FIELD_FLAG_ONEOF)
		*(uint32_t *) (void *) ((char *) m + f->quantifier_offset) = f->id;
}

/* version: exactly the unquoted number; every other number is a port, a size or an order. */
static void limits_of(const ProtobufCFieldDescriptor *f, int64_t *min, int64_t *max)
{
	*min = f->type == PROTOBUF_C_TYPE_INT32 ? INT32_MIN : 0;
	*max = f->type == PROTOBUF_C_TYPE_INT32 ? INT32_MAX
		: strcmp(f->name, "port") == 0	? UINT16_MAX
						: UINT32_MAX;
}

/* google.protobuf.Struct: plain conversion, numbers and booleans by their spelling. */
static Google__Protobuf__Value *value_of(const struct node *n);

static Google__Protobuf__Struct *struct_of(const struct node *n)
{
	Google__Protobuf__Struct *s =
		(Google__Protobuf__Struct *) new_message(&google__protobuf__struct__descriptor);

	if (!s)
		return NULL;
	s->fields = calloc(n->n + 1, sizeof *s->fields);
	for (const struct node *k = n->first; s->fields && k; k = k->next->next) {
		Google__Protobuf__Struct__FieldsEntry *entry =
			(Google__Protobuf__Struct__FieldsEntry *) new_message(
				&google__protobuf__struct__fields_entry__descriptor);

		if (!entry)
			break;
		entry->key = strdup(k->kind == NODE_SCALAR ? k->text : "");
		entry->value = value_of(k->next);
		s->fields[s->n_fields++] = entry;
	}
	return s;
}

static void scalar_value(Google__Protobuf__Value *v, const struct node *n)
{
	char *end;

	if (n->plain && (strcmp(n->text, "true") == 0 || strcmp(n->text, "false") == 0)) {
		v->kind_case = GOOGLE__PROTOBUF__VALUE__KIND_BOOL_VALUE;
		v->bool_value = n->text[0] == 't';
		return;
	}
	if (n->plain && n->len && strspn(n->text, "+-.0123456789eE") == n->len) {
		v->number_value = strtod(n->text, &end);
		if (*end == '\0') {
			v->kind_case = GOOGLE__PROTOBUF__VALUE__KIND_NUMBER_VALUE;
			return;
		}
	}
	v->kind_case = GOOGLE__PROTOBUF__VALUE__KIND_STRING_VALUE;
	v->string_value = strdup(n->text);
}

static Google__Protobuf__Value *value_of(const struct node *n)
{
	Google__Protobuf__Value *v =
		(Google__Protobuf__Value *) new_message(&google__protobuf__value__descriptor);

	if (!v)
		return NULL;
	if (n->kind == NODE_SCALAR) {
		scalar_value(v, n);
	} else if (n->kind == NODE_MAP) {
		v->kind_case = GOOGLE__PROTOBUF__VALUE__KIND_STRUCT_VALUE;
		v->struct_value = struct_of(n);
	} else {
		Google__Protobuf__ListValue *l = (Google__Protobuf__ListValue *) new_message(
			&google__protobuf__list_value__descriptor);

		v->kind_case = GOOGLE__PROTOBUF__VALUE__KIND_LIST_VALUE;
		v->list_value = l;
		if (l)
			l->values = calloc(n->n + 1, sizeof *l->values);
		for (const struct node *i = n->first; l && l->values && i; i = i->next)
			l->values[l->n_values++] = value_of(i);
	}
	return v;
}

static void set_submessage(struct check *c, const ProtobufCFieldDescriptor *f, ProtobufCMessage *m,
	const struct node *n)
{
	ProtobufCMessage **at = (ProtobufCMessage **) (void *) ((char *) m + f->offset);

	if (n->kind != NODE_MAP) {
		wrong_type(c, n, "a map");
		return;
	}
	if (f->descriptor == &google__protobuf__struct__descriptor) {
		*at = (ProtobufCMessage *) struct_of(n);
		return;
	}
	*at = new_message(f->descriptor);
	if (*at)
		set_message(c, *at, n);
}

static void set_scalar(struct check *c, const ProtobufCFieldDescriptor *f, ProtobufCMessage *m,
	const struct node *n)
{
	void *at = (char *) m + f->offset;
	int64_t v, min, max;
	bool b;

	if (f->type == PROTOBUF_C_TYPE_BOOL) {
		if (read_bool(c, n, &b))
			*(protobuf_c_boolean *) at = b;
	} else if (f->type == PROTOBUF_C_TYPE_STRING) {
		char *text = read_text(c, n);

		if (text)
			*(char **) at = text;
		if (text && n->plain && strncmp(f->name, "run_as_", 7) == 0 &&
			strspn(text, "0123456789") == n->len)
			check_warn(c, "E05", at, NULL, "write user ids in quotes: \"1000\"",
				"number without quotes");
	} else {
		limits_of(f, &min, &max);
		if (read_number(c, n, min, max, &v))
			*(uint32_t *) at = (uint32_t) v; /* INT32 has the same bits */
	}
	mark_present(f, m);
}

static void set_field(struct check *c, const ProtobufCFieldDescriptor *f, ProtobufCMessage *m,
	const struct node *n)
{
	spot_set(c->doc, (char *) m + f->offset, place_of(n));
	if (f->label == PROTOBUF_C_LABEL_REPEATED && f->type == PROTOBUF_C_TYPE_MESSAGE &&
		policy_is_map_entry(f->descriptor))
		set_map(c, f, m, n);
	else if (f->label == PROTOBUF_C_LABEL_REPEATED)
		set_list(c, f, m, n);
	else if (f->type == PROTOBUF_C_TYPE_MESSAGE)
		set_submessage(c, f, m, n);
	else
		set_scalar(c, f, m, n);
}

/* tool: X is params: {name: X}. */
static void set_tool(struct check *c, ProtobufCMessage *m, const struct node *n)
{
	const ProtobufCFieldDescriptor *f =
		protobuf_c_message_descriptor_get_field_by_name(m->descriptor, "params");
	const ProtobufCMessageDescriptor *type = f->descriptor;
	Openshell__Sandbox__V1__L7QueryMatcher *matcher;
	ProtobufCMessage *entry, **list;

	if (*count_of(f, m)) {
		check_warn(c, "E28", m, NULL, "keep one of them",
			"tool and params say the same thing; params counts");
		return;
	}
	matcher = (Openshell__Sandbox__V1__L7QueryMatcher *) new_message(&SB(l7_query_matcher));
	entry = new_message(f->descriptor);
	list = grow(f, m, 1, sizeof(void *));
	if (!list || !entry || !matcher)
		return;
	*(char **) (void *) ((char *) entry + type->fields[0].offset) = strdup("name");
	*(void **) (void *) ((char *) entry + type->fields[1].offset) = matcher;
	list[(*count_of(f, m))++] = entry;
	spot_set(c->doc, entry, place_of(n));
	set_matcher(c, matcher, n);
}

/* json_rpc: {max_body_bytes: N}, and the same key inside mcp. */
static void set_body_limit(
	struct check *c, Openshell__Sandbox__V1__NetworkEndpoint *ep, const struct node *n)
{
	int64_t v;

	if (n->kind != NODE_MAP) {
		wrong_type(c, n, "a map like {max_body_bytes: 65536}");
		return;
	}
	spot_set(c->doc, &ep->json_rpc_max_body_bytes, place_of(n));
	for (const struct node *k = n->first; k; k = k->next->next) {
		size_t back = trail_field(&c->trail, k->text ? k->text : "");

		if (k->kind != NODE_SCALAR || strcmp(k->text, "max_body_bytes") != 0)
			complain(c, k, "E03", "no such field", "did you mean `max_body_bytes`?");
		else if (read_number(c, k->next, 0, UINT32_MAX, &v))
			ep->json_rpc_max_body_bytes = (uint32_t) v;
		trail_back(&c->trail, back);
	}
}

static bool set_extra(struct check *c, ProtobufCMessage *m, const struct node *key)
{
	for (size_t i = 0; i < sizeof extras / sizeof *extras; i++) {
		if (extras[i].type != m->descriptor || strcmp(extras[i].yaml, key->text) != 0)
			continue;
		if (strcmp(key->text, "tool") == 0)
			set_tool(c, m, key->next);
		else
			set_body_limit(c, (Openshell__Sandbox__V1__NetworkEndpoint *) m, key->next);
		return true;
	}
	return false;
}

/* mcp.max_body_bytes shares the wire slot of json_rpc, which lies in the endpoint. */
static bool set_mcp_limit(
	struct check *c, Openshell__Sandbox__V1__NetworkEndpoint *ep, const struct node *mcp)
{
	int64_t v;

	for (const struct node *k = mcp->first; mcp->kind == NODE_MAP && k; k = k->next->next)
		if (k->kind == NODE_SCALAR && strcmp(k->text, "max_body_bytes") == 0 &&
			read_number(c, k->next, 0, UINT32_MAX, &v))
			ep->json_rpc_max_body_bytes = (uint32_t) v;
	return true;
}

static void set_key(struct check *c, ProtobufCMessage *m, const struct node *key)
{
	const ProtobufCFieldDescriptor *f = field_of(m->descriptor, key->text);

	if (m->descriptor == &SB(mcp_options) && strcmp(key->text, "max_body_bytes") == 0)
		return; /* taken by the endpoint */
	if (m->descriptor == &SB(network_endpoint) && strcmp(key->text, "mcp") == 0)
		(void) set_mcp_limit(c, (Openshell__Sandbox__V1__NetworkEndpoint *) m, key->next);
	if (f)
		set_field(c, f, m, key->next);
	else if (!set_extra(c, m, key))
		unknown_key(c, m->descriptor, key);
}

static void set_message(struct check *c, ProtobufCMessage *m, const struct node *n)
{
	spot_set(c->doc, m, place_of(n));
	if (n->kind != NODE_MAP) {
		wrong_type(c, n, "a map");
		return;
	}
	if (n->n > REPEATS_MAX) {
		complain(c, n, "E03", "more keys than there are fields", NULL);
		return;
	}
	refuse_repeats(c, n);
	for (const struct node *key = n->first; key; key = key->next->next) {
		size_t back;

		if (key->kind != NODE_SCALAR) {
			wrong_type(c, key, "text as key");
			continue;
		}
		if (repeats(n, key))
			continue; /* refused above; a second value would replace the first */
		back = trail_field(&c->trail, key->text);
		set_key(c, m, key);
		trail_back(&c->trail, back);
	}
}

static const struct node *value_for(const struct node *map, const char *name)
{
	for (const struct node *k = map->first; k; k = k->next->next)
		if (k->kind == NODE_SCALAR && strcmp(k->text, name) == 0)
			return k->next;
	return NULL;
}

/* Files that are easily taken for a policy. */
static const char *instead_of_version(const struct node *root)
{
	if (value_for(root, "credentials") || value_for(root, "category"))
		return "this is a provider profile; a policy begins with `version: 1`";
	if (value_for(root, "routes"))
		return "these are inference routes; a policy begins with `version: 1`";
	return "begin with `version: 1`";
}

int policy_build(struct check *c, const struct node *root)
{
	const struct node *version = value_for(root, "version");

	c->doc->pb = (Openshell__Sandbox__V1__SandboxPolicy *) new_message(&SB(sandbox_policy));
	if (!c->doc->pb)
		return -ENOMEM;
	c->doc->has_filesystem = value_for(root, "filesystem_policy") != NULL;
	if (!version)
		complain(c, root, "E02", "`version` is missing", instead_of_version(root));
	set_message(c, &c->doc->pb->base, root);
	if (version && c->doc->pb->version != 1 && version->kind == NODE_SCALAR && version->plain)
		check_error(c, "E02", &c->doc->pb->version, "version", NULL,
			"needs the whole number 1");
	return 0;
}
