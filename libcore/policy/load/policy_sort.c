#include <stdlib.h>
#include <string.h>
#include "policy_doc.h"

bool policy_is_map_entry(const ProtobufCMessageDescriptor *type)
{
	return type->n_fields == 2 && strcmp(type->fields[0].name, "key") == 0 &&
		strcmp(type->fields[1].name, "value") == 0;
}

/* A map entry's first field is its key, always text here. */
static const char *key_of(const void *entry)
{
	const ProtobufCMessage *m = entry;

	return *(char *const *) (const void *) ((const char *) m + m->descriptor->fields[0].offset);
}

static int by_key(const void *a, const void *b)
{
	return strcmp(key_of(*(void *const *) a), key_of(*(void *const *) b));
}

static void sort_field(ProtobufCMessage *m, const ProtobufCFieldDescriptor *f)
{
	void *at = (char *) m + f->offset;
	ProtobufCMessage **list;
	size_t n;

	if (f->flags & PROTOBUF_C_FIELD_FLAG_ONEOF &&
		*(const uint32_t *) (const void *) ((char *) m + f->quantifier_offset) != f->id)
		return;
	if (f->label != PROTOBUF_C_LABEL_REPEATED) {
		if (*(ProtobufCMessage **) at)
			policy_sort_maps(*(ProtobufCMessage **) at);
		return;
	}
	list = *(ProtobufCMessage ***) at;
	n = *(const size_t *) (const void *) ((char *) m + f->quantifier_offset);
	for (size_t i = 0; i < n; i++)
		if (list[i])
			policy_sort_maps(list[i]);
	if (n && policy_is_map_entry(f->descriptor))
		qsort(list, n, sizeof *list, by_key);
}

/* Nesting is bounded: by POLICY_DEPTH_MAX in YAML, before unpacking on the wire. */
void policy_sort_maps(ProtobufCMessage *m)
{
	for (unsigned i = 0; i < m->descriptor->n_fields; i++)
		if (m->descriptor->fields[i].type == PROTOBUF_C_TYPE_MESSAGE)
			sort_field(m, &m->descriptor->fields[i]);
}
