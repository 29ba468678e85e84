/* policy_format.c - a document as canonical YAML, through libyaml's emitter.
 *
 * The inverse of policy_build.c: fields by their descriptors, and the few forms
 * that YAML writes otherwise than the wire.
 */
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <yaml.h>
#include "core_policy_tools.h"
#include "policy_doc.h"

#define SB(x) openshell__sandbox__v1__##x##__descriptor
#define FLOW_BYTES_MAX 60 /* lists of words that are no longer stand on one line */

struct emit {
	yaml_emitter_t emitter;
	char *text;
	size_t len, size;
	bool failed, unsayable;
};

static int write_bytes(void *owner, unsigned char *bytes, size_t n)
{
	struct emit *w = owner;

	if (w->len + n + 1 > w->size) {
		size_t size = 2 * (w->size + n + 1);
		char *more = size > POLICY_FORMAT_BYTES_MAX ? NULL : realloc(w->text, size);

		if (!more)
			return 0;
		w->text = more;
		w->size = size;
	}
	(void) memcpy(w->text + w->len, bytes, n);
	w->len += n;
	w->text[w->len] = '\0';
	return 1;
}

static void put(struct emit *w, yaml_event_t *ev, int made)
{
	if (made && w->failed)
		yaml_event_delete(ev); /* nothing more after a failure */
	else if (!made || !yaml_emitter_emit(&w->emitter, ev))
		w->failed = true;
}

/* Words that some reader takes for something else than text. */
static bool is_word(const char *s)
{
	static const char *const taken[] = { "true", "false", "yes", "no", "on", "off", "null", "y",
		"n", NULL };
	bool letter =
		strchr("/_", s[0]) || (s[0] >= 'a' && s[0] <= 'z') || (s[0] >= 'A' && s[0] <= 'Z');

	if (!s[0] || !letter)
		return false;
	for (size_t i = 0; taken[i]; i++)
		if (strcasecmp(s, taken[i]) == 0)
			return false;
	return s[strspn(s,
		       "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
		       "_./@+-")] == '\0';
}

static bool has_control(const char *s)
{
	for (; *s; s++)
		if ((unsigned char) *s < 0x20 || *s == 0x7f)
			return true;
	return false;
}

static void put_scalar(struct emit *w, const char *s, yaml_scalar_style_t style)
{
	yaml_event_t ev;

	put(w, &ev,
		yaml_scalar_event_initialize(
			&ev, NULL, NULL, (const yaml_char_t *) s, (int) strlen(s), 1, 1, style));
}

static void put_text(struct emit *w, const char *s)
{
	put_scalar(w, s,
		is_word(s)		 ? YAML_PLAIN_SCALAR_STYLE
			: has_control(s) ? YAML_DOUBLE_QUOTED_SCALAR_STYLE
					 : YAML_SINGLE_QUOTED_SCALAR_STYLE);
}

static void put_number(struct emit *w, int64_t v)
{
	char buf[32];

	(void) snprintf(buf, sizeof buf, "%lld", (long long) v);
	put_scalar(w, buf, YAML_PLAIN_SCALAR_STYLE);
}

static void open_map(struct emit *w)
{
	yaml_event_t ev;

	put(w, &ev,
		yaml_mapping_start_event_initialize(&ev, NULL, NULL, 1, YAML_BLOCK_MAPPING_STYLE));
}

static void close_map(struct emit *w)
{
	yaml_event_t ev;

	put(w, &ev, yaml_mapping_end_event_initialize(&ev));
}

static void open_list(struct emit *w, bool flow)
{
	yaml_event_t ev;

	put(w, &ev,
		yaml_sequence_start_event_initialize(&ev, NULL, NULL, 1,
			flow ? YAML_FLOW_SEQUENCE_STYLE : YAML_BLOCK_SEQUENCE_STYLE));
}

static void close_list(struct emit *w)
{
	yaml_event_t ev;

	put(w, &ev, yaml_sequence_end_event_initialize(&ev));
}

static void put_words(struct emit *w, char *const *words, size_t n)
{
	size_t bytes = 0;

	for (size_t i = 0; i < n; i++)
		bytes += strlen(words[i]) + 2;
	open_list(w, bytes <= FLOW_BYTES_MAX);
	for (size_t i = 0; i < n; i++)
		put_text(w, words[i]);
	close_list(w);
}

static void put_message(struct emit *w, const ProtobufCMessage *m);
static void put_value(struct emit *w, const Google__Protobuf__Value *v);

static void put_struct(struct emit *w, const Google__Protobuf__Struct *s)
{
	open_map(w);
	for (size_t i = 0; i < s->n_fields; i++) {
		put_text(w, s->fields[i]->key);
		put_value(w, s->fields[i]->value);
	}
	close_map(w);
}

/* The shortest decimal that reads back as the same number. */
static void put_double(struct emit *w, double v)
{
	char buf[40];

	if (!isfinite(v))
		w->unsayable = true;
	for (int digits = 1; digits <= 17; digits++) {
		(void) snprintf(buf, sizeof buf, "%.*g", digits, v);
		if (strtod(buf, NULL) == v)
			break;
	}
	put_scalar(w, buf, YAML_PLAIN_SCALAR_STYLE);
}

static void put_value(struct emit *w, const Google__Protobuf__Value *v)
{
	switch (v ? v->kind_case : GOOGLE__PROTOBUF__VALUE__KIND__NOT_SET) {
	case GOOGLE__PROTOBUF__VALUE__KIND_NUMBER_VALUE:
		put_double(w, v->number_value);
		return;
	case GOOGLE__PROTOBUF__VALUE__KIND_STRING_VALUE:
		put_text(w, v->string_value);
		return;
	case GOOGLE__PROTOBUF__VALUE__KIND_BOOL_VALUE:
		put_scalar(w, v->bool_value ? "true" : "false", YAML_PLAIN_SCALAR_STYLE);
		return;
	case GOOGLE__PROTOBUF__VALUE__KIND_STRUCT_VALUE:
		put_struct(w, v->struct_value);
		return;
	case GOOGLE__PROTOBUF__VALUE__KIND_LIST_VALUE:
		open_list(w, false);
		for (size_t i = 0; i < v->list_value->n_values; i++)
			put_value(w, v->list_value->values[i]);
		close_list(w);
		return;
	case _GOOGLE__PROTOBUF__VALUE__KIND__CASE_IS_INT_SIZE:
	case GOOGLE__PROTOBUF__VALUE__KIND__NOT_SET:
	case GOOGLE__PROTOBUF__VALUE__KIND_NULL_VALUE:
	default: /* no YAML of ours is read as null */
		w->unsayable = true;
		put_text(w, "");
	}
}

static void put_matcher(struct emit *w, const Openshell__Sandbox__V1__L7QueryMatcher *m)
{
	if (m->n_any == 0) {
		put_text(w, m->glob);
		return;
	}
	w->unsayable |= m->glob[0] != '\0';
	open_map(w);
	put_text(w, "any");
	put_words(w, m->any, m->n_any);
	close_map(w);
}

static const void *field_at(const ProtobufCMessage *m, const ProtobufCFieldDescriptor *f)
{
	return (const char *) m + f->offset;
}

static size_t count(const ProtobufCMessage *m, const ProtobufCFieldDescriptor *f)
{
	return *(const size_t *) (const void *) ((const char *) m + f->quantifier_offset);
}

static bool is_set(const ProtobufCMessage *m, const ProtobufCFieldDescriptor *f)
{
	const void *at = field_at(m, f);

	if (f->flags & PROTOBUF_C_FIELD_FLAG_ONEOF)
		return *(const uint32_t *) (const void *) ((const char *) m +
			       f->quantifier_offset) == f->id;
	if (f->label == PROTOBUF_C_LABEL_REPEATED)
		return count(m, f) > 0;
	if (f->type == PROTOBUF_C_TYPE_STRING)
		return *(char *const *) at && (*(char *const *) at)[0];
	if (f->type == PROTOBUF_C_TYPE_MESSAGE)
		return *(void *const *) at != NULL;
	if (f->type == PROTOBUF_C_TYPE_BOOL)
		return *(const protobuf_c_boolean *) at;
	return *(const uint32_t *) at != 0;
}

static void put_entries(struct emit *w, ProtobufCMessage *const *list, size_t n)
{
	open_map(w);
	for (size_t i = 0; i < n; i++) {
		const ProtobufCFieldDescriptor *k = &list[i]->descriptor->fields[0], *v = k + 1;
		const ProtobufCMessage *value = *(ProtobufCMessage *const *) field_at(list[i], v);

		put_text(w, *(char *const *) field_at(list[i], k));
		if (!value) {
			open_map(w);
			close_map(w);
		} else if (value->descriptor == &SB(l7_query_matcher)) {
			put_matcher(w, (const Openshell__Sandbox__V1__L7QueryMatcher *) value);
		} else {
			put_message(w, value);
		}
	}
	close_map(w);
}

static void put_list(struct emit *w, const ProtobufCMessage *m, const ProtobufCFieldDescriptor *f)
{
	const void *list = *(void *const *) field_at(m, f);
	size_t n = count(m, f);

	if (f->type == PROTOBUF_C_TYPE_STRING) {
		put_words(w, list, n);
		return;
	}
	if (f->type == PROTOBUF_C_TYPE_MESSAGE && policy_is_map_entry(f->descriptor)) {
		put_entries(w, list, n);
		return;
	}
	open_list(w, f->type == PROTOBUF_C_TYPE_UINT32);
	for (size_t i = 0; i < n; i++) {
		if (f->type == PROTOBUF_C_TYPE_UINT32)
			put_number(w, ((const uint32_t *) list)[i]);
		else
			put_message(w, ((ProtobufCMessage *const *) list)[i]);
	}
	close_list(w);
}

static void put_field(struct emit *w, const ProtobufCMessage *m, const ProtobufCFieldDescriptor *f)
{
	const void *at = field_at(m, f);

	if (f->label == PROTOBUF_C_LABEL_REPEATED)
		put_list(w, m, f);
	else if (f->type == PROTOBUF_C_TYPE_STRING)
		put_text(w, *(char *const *) at);
	else if (f->type == PROTOBUF_C_TYPE_BOOL)
		put_scalar(w, *(const protobuf_c_boolean *) at ? "true" : "false",
			YAML_PLAIN_SCALAR_STYLE);
	else if (f->type == PROTOBUF_C_TYPE_INT32)
		put_number(w, *(const int32_t *) at);
	else if (f->type == PROTOBUF_C_TYPE_UINT32)
		put_number(w, *(const uint32_t *) at);
	else if (f->descriptor == &google__protobuf__struct__descriptor)
		put_struct(w, *(Google__Protobuf__Struct *const *) at);
	else
		put_message(w, *(ProtobufCMessage *const *) at);
}

static void put_body_limit(struct emit *w, uint32_t bytes)
{
	put_text(w, "max_body_bytes");
	put_number(w, bytes);
}

/* The wire keeps the limit of json_rpc and of mcp in the endpoint. */
static void put_stanza(struct emit *w, const Openshell__Sandbox__V1__NetworkEndpoint *ep)
{
	if (!ep->json_rpc_max_body_bytes || ep->mcp)
		return;
	put_text(w, "json_rpc");
	open_map(w);
	put_body_limit(w, ep->json_rpc_max_body_bytes);
	close_map(w);
}

static void put_mcp(struct emit *w, const Openshell__Sandbox__V1__NetworkEndpoint *ep)
{
	const ProtobufCMessage *m = &ep->mcp->base;

	put_text(w, "mcp");
	open_map(w);
	for (unsigned i = 0; i < m->descriptor->n_fields; i++) {
		const ProtobufCFieldDescriptor *f = &m->descriptor->fields[i];

		if (!is_set(m, f))
			continue;
		put_text(w, f->name);
		put_field(w, m, f);
	}
	if (ep->json_rpc_max_body_bytes)
		put_body_limit(w, ep->json_rpc_max_body_bytes);
	close_map(w);
}

/* params: {name: X} is written tool: X. */
static bool put_tool(struct emit *w, const ProtobufCMessage *m, const ProtobufCFieldDescriptor *f)
{
	Openshell__Sandbox__V1__L7Allow__ParamsEntry *const *list =
		*(Openshell__Sandbox__V1__L7Allow__ParamsEntry * *const *) field_at(m, f);

	if (strcmp(f->name, "params") != 0 || count(m, f) != 1 ||
		strcmp(list[0]->key, "name") != 0 || !list[0]->value)
		return false;
	put_text(w, "tool");
	put_matcher(w, list[0]->value);
	return true;
}

static bool put_special(
	struct emit *w, const ProtobufCMessage *m, const ProtobufCFieldDescriptor *f)
{
	if (m->descriptor == &SB(network_endpoint) && strcmp(f->name, "mcp") == 0) {
		put_mcp(w, (const Openshell__Sandbox__V1__NetworkEndpoint *) m);
		return true;
	}
	return (m->descriptor == &SB(l7_allow) || m->descriptor == &SB(l7_deny_rule)) &&
		put_tool(w, m, f);
}

static void put_message(struct emit *w, const ProtobufCMessage *m)
{
	open_map(w);
	for (unsigned i = 0; i < m->descriptor->n_fields; i++) {
		const ProtobufCFieldDescriptor *f = &m->descriptor->fields[i];
		const char *name = policy_yaml_name(m->descriptor, f->name);

		if (!is_set(m, f))
			continue;
		if (!name) {
			/* advisor marks and the like can't be authored */
			w->unsayable |= strcmp(f->name, "json_rpc_max_body_bytes") != 0;
			continue;
		}
		if (put_special(w, m, f))
			continue;
		put_text(w, name);
		put_field(w, m, f);
	}
	if (m->descriptor == &SB(network_endpoint))
		put_stanza(w, (const Openshell__Sandbox__V1__NetworkEndpoint *) m);
	close_map(w);
}

static void run(struct emit *w, const struct policy_doc *d)
{
	yaml_event_t ev;

	yaml_emitter_set_output(&w->emitter, write_bytes, w);
	yaml_emitter_set_unicode(&w->emitter, 1);
	yaml_emitter_set_indent(&w->emitter, 2);
	yaml_emitter_set_width(&w->emitter, -1);
	put(w, &ev, yaml_stream_start_event_initialize(&ev, YAML_UTF8_ENCODING));
	put(w, &ev, yaml_document_start_event_initialize(&ev, NULL, NULL, NULL, 1));
	put_message(w, &d->pb->base);
	put(w, &ev, yaml_document_end_event_initialize(&ev, 1));
	put(w, &ev, yaml_stream_end_event_initialize(&ev));
}

int policy_format(const struct policy_doc *d, char **ret, size_t *ret_len, struct err *e)
{
	struct emit w = { 0 };
	AUTO_FREE char *text = NULL;

	if (!yaml_emitter_initialize(&w.emitter))
		return err_set(e, ENOMEM, "policy");
	run(&w, d);
	yaml_emitter_delete(&w.emitter);
	text = w.text;
	if (w.failed)
		return err_set(e, ENOMEM, "%s: too large to write, or no memory", d->name);
	if (w.unsayable)
		return err_set(e, EOVERFLOW,
			"%s: holds marks or values of the gateway that YAML can't say", d->name);
	*ret = TAKE_PTR(text);
	*ret_len = w.len;
	return 0;
}
