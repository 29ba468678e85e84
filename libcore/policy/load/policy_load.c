#include <errno.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "core_text.h"
#include "policy_doc.h"

#define WIRE_DEPTH_MAX 64
#define SPOT_SLOTS_MAX (1u << 22)

size_t trail_field(struct trail *t, const char *name)
{
	size_t back = t->len;
	struct text x = { t->text, sizeof t->text, t->len, false };

	if (t->len)
		text_add(&x, ".");
	text_add_quoted(&x, name, strlen(name), 128);
	t->len = x.len;
	return back;
}

size_t trail_index(struct trail *t, size_t i)
{
	size_t back = t->len;
	struct text x = { t->text, sizeof t->text, t->len, false };

	text_addf(&x, "[%zu]", i);
	t->len = x.len;
	return back;
}

void trail_back(struct trail *t, size_t len)
{
	t->len = len;
	t->text[len] = '\0';
}

static void complain(struct check *c, enum policy_level level, const char *code, const void *at,
	const char *field, const char *hint, const char *problem)
{
	size_t back = c->trail.len;

	if (field)
		(void) trail_field(&c->trail, field);
	report_add(c->report, level, code, spot_of(c->doc, at), c->trail.text, problem, hint);
	trail_back(&c->trail, back);
}

void check_error(struct check *c, const char *code, const void *at, const char *field,
	const char *hint, const char *fmt, ...)
{
	char problem[1024];
	va_list ap;

	va_start(ap, fmt);
	(void) vsnprintf(problem, sizeof problem, fmt, ap);
	va_end(ap);
	complain(c, c->lenient ? POLICY_WARNING : POLICY_ERROR, code, at, field, hint, problem);
}

void check_warn(struct check *c, const char *code, const void *at, const char *field,
	const char *hint, const char *fmt, ...)
{
	char problem[1024];
	va_list ap;

	va_start(ap, fmt);
	(void) vsnprintf(problem, sizeof problem, fmt, ap);
	va_end(ap);
	complain(c, POLICY_WARNING, code, at, field, hint, problem);
}

static size_t spot_slot(const struct policy_doc *d, const void *at)
{
	/* Neighbours stay neighbours inside 4 KiB, which caches like; the blocks are scattered. */
	uintptr_t block = (uintptr_t) at >> 12, place = (uintptr_t) at >> 3 & 511;
	size_t i = (size_t) ((block * 0x9e3779b97f4a7c15u >> 20) * 8 + place) & (d->n_slots - 1);

	while (d->spots[i].at && d->spots[i].at != at)
		i = (i + 1) & (d->n_slots - 1);
	return i;
}

static int spot_grow(struct policy_doc *d)
{
	struct spot *old = d->spots;
	size_t n = d->n_slots;

	if (n >= SPOT_SLOTS_MAX)
		return -E2BIG;
	d->n_slots = n ? 2 * n : 1024;
	d->spots = calloc(d->n_slots, sizeof *d->spots);
	if (!d->spots) {
		d->spots = old;
		d->n_slots = n;
		return -ENOMEM;
	}
	for (size_t i = 0; i < n; i++)
		if (old[i].at)
			d->spots[spot_slot(d, old[i].at)] = old[i];
	free(old);
	return 0;
}

/* Positions are a courtesy: without memory for one, a message has no line. */
void spot_set(struct policy_doc *d, const void *at, struct place place)
{
	size_t i;

	if (d->n_spots * 2 >= d->n_slots && spot_grow(d) < 0)
		return;
	i = spot_slot(d, at);
	d->n_spots += !d->spots[i].at;
	d->spots[i] = (struct spot){ at, place };
}

struct place spot_of(const struct policy_doc *d, const void *at)
{
	if (!d->n_slots)
		return (struct place){ 0, 0 };
	return d->spots[spot_slot(d, at)].place;
}

int policy_doc_new(const char *name, struct policy_doc **ret, struct err *e)
{
	AUTO(policy_free) struct policy_doc *d = calloc(1, sizeof *d);

	if (!d || !(d->name = strdup(name)))
		return err_set(e, ENOMEM, "policy");
	*ret = TAKE_PTR(d);
	return 0;
}

static const struct policy_problem *first_error(const struct policy_report *r)
{
	for (size_t i = 0; i < r->n; i++)
		if (r->at[i].level == POLICY_ERROR)
			return &r->at[i];
	return NULL;
}

int policy_doc_finish(struct check *c, struct err *e)
{
	const struct policy_problem *first;

	if (c->doc->pb) {
		/* What decides is the same, whatever the order of writing. */
		policy_sort_maps(&c->doc->pb->base);
		policy_check(c);
	}
	if (!c->report->n_errors)
		return 0;
	first = first_error(c->report);
	if (first)
		return err_set(e, EINVAL, "%s: %zu problem%s; the first: %s%s%s", c->doc->name,
			c->report->n_errors, c->report->n_errors == 1 ? "" : "s", first->path,
			first->path[0] ? ": " : "", first->problem);
	return err_set(e, EINVAL, "%s: %zu problems", c->doc->name, c->report->n_errors);
}

static bool varint(const uint8_t **p, const uint8_t *end, uint64_t *ret)
{
	*ret = 0;
	for (unsigned shift = 0; *p < end && shift < 64; shift += 7) {
		uint8_t b = *(*p)++;

		*ret |= (uint64_t) (b & 0x7f) << shift;
		if (!(b & 0x80))
			return true;
	}
	return false;
}

/* protobuf-c recurses without a limit, so the nesting is walked first.  Any length-delimited field
 * may be a message; only fields of the descriptor are followed. */
static bool depth_is_bounded(
	const uint8_t *p, size_t len, const ProtobufCMessageDescriptor *type, unsigned depth)
{
	const uint8_t *end = p + len;

	if (depth > WIRE_DEPTH_MAX)
		return false;
	while (p < end) {
		const ProtobufCFieldDescriptor *f;
		uint64_t tag, n;

		if (!varint(&p, end, &tag))
			return false;
		if ((tag & 7) == 0) {
			if (!varint(&p, end, &n))
				return false;
			continue;
		}
		n = (tag & 7) == 1 ? 8 : (tag & 7) == 5 ? 4 : 0;
		if ((tag & 7) == 2 && !varint(&p, end, &n))
			return false;
		if ((tag & 7) == 3 || (tag & 7) == 4 || (tag & 7) > 5 || n > (uint64_t) (end - p))
			return false;
		f = (tag & 7) == 2 && tag >> 3 <= UINT32_MAX
			? protobuf_c_message_descriptor_get_field(type, (unsigned) (tag >> 3))
			: NULL;
		if (f && f->type == PROTOBUF_C_TYPE_MESSAGE &&
			!depth_is_bounded(p, (size_t) n, f->descriptor, depth + 1))
			return false;
		if (f && f->type == PROTOBUF_C_TYPE_STRING &&
			(!text_is_utf8((const char *) p, (size_t) n) ||
				memchr(p, '\0', (size_t) n)))
			return false;
		p += n;
	}
	return true;
}

static int refuse_repeated_keys(struct check *c)
{
	const Openshell__Sandbox__V1__SandboxPolicy *pb = c->doc->pb;

	for (size_t i = 1; i < pb->n_network_policies; i++)
		if (strcmp(pb->network_policies[i]->key, pb->network_policies[i - 1]->key) == 0)
			report_add(c->report, POLICY_ERROR, "E03", (struct place){ 0, 0 },
				"network_policies", "two rules have the same key", NULL);
	return 0;
}

int policy_load_wire(const char *name, const uint8_t *bytes, size_t len, enum policy_strictness s,
	struct policy_report *report, struct policy_doc **ret, struct err *e)
{
	AUTO(policy_free) struct policy_doc *d = NULL;
	struct check c = { .report = report, .strictness = s };
	int r;

	if (len > POLICY_WIRE_BYTES_MAX)
		return err_set(e, EFBIG, "%s: more than %d bytes", name, POLICY_WIRE_BYTES_MAX);
	if (!depth_is_bounded(bytes, len, &openshell__sandbox__v1__sandbox_policy__descriptor, 0))
		return err_set(e, EBADMSG, "%s: malformed, nested too deeply, or not UTF-8", name);
	if (policy_doc_new(name, &d, e) < 0)
		return -e->code;
	c.doc = d;
	d->pb = openshell__sandbox__v1__sandbox_policy__unpack(NULL, len, bytes);
	if (!d->pb)
		return err_set(e, EBADMSG, "%s: malformed", name);
	d->has_filesystem = d->pb->filesystem != NULL;
	r = policy_doc_finish(&c, e);
	if (r == 0) {
		(void) refuse_repeated_keys(&c);
		r = report->n_errors ? err_set(e, EINVAL, "%s: two rules have the same key", name)
				     : 0;
	}
	if (r == 0)
		*ret = TAKE_PTR(d);
	return r;
}

int policy_encode(const struct policy_doc *d, uint8_t **ret, size_t *ret_len, struct err *e)
{
	size_t len = openshell__sandbox__v1__sandbox_policy__get_packed_size(d->pb);
	uint8_t *bytes = malloc(len + 1);

	if (!bytes)
		return err_set(e, ENOMEM, "policy");
	*ret_len = openshell__sandbox__v1__sandbox_policy__pack(d->pb, bytes);
	*ret = bytes;
	return 0;
}

void policy_free(struct policy_doc *d)
{
	if (!d)
		return;
	if (d->pb)
		openshell__sandbox__v1__sandbox_policy__free_unpacked(d->pb, NULL);
	free(d->spots);
	free(d->name);
	free(d);
}

const Openshell__Sandbox__V1__SandboxPolicy *policy_message(const struct policy_doc *d)
{
	return d->pb;
}

const char *policy_name(const struct policy_doc *d)
{
	return d->name;
}

bool policy_has_filesystem(const struct policy_doc *d)
{
	return d->has_filesystem;
}

unsigned policy_endpoint_line(const struct policy_doc *d, size_t rule, size_t endpoint)
{
	const Openshell__Sandbox__V1__SandboxPolicy *pb = d->pb;

	if (rule >= pb->n_network_policies || !pb->network_policies[rule]->value ||
		endpoint >= pb->network_policies[rule]->value->n_endpoints)
		return 0;
	return spot_of(d, pb->network_policies[rule]->value->endpoints[endpoint]).line;
}

const char *policy_default_yaml(void)
{
	return "# The embedded default: files of an ordinary system to read, the working directory "
	       "and\n"
	       "# /tmp to write, no network.\n"
	       "version: 1\n"
	       "filesystem_policy:\n"
	       "  include_workdir: true\n"
	       "  read_only: [/usr, /lib, /proc, /dev/urandom, /app, /etc, /var/log]\n"
	       "  read_write: [/tmp, /dev/null]\n"
	       "landlock:\n"
	       "  compatibility: best_effort\n"
	       "network_policies: {}\n";
}

void policy_path_normalise(char *path)
{
	char *out = path;

	for (const char *p = path; *p;) {
		size_t n;

		if (p[0] == '/' && (p[1] == '/' || p[1] == '\0')) {
			p++;
			continue;
		}
		if (p[0] == '/' && p[1] == '.' && (p[2] == '/' || p[2] == '\0')) {
			p += 2;
			continue;
		}
		n = 1 + strcspn(p + 1, "/");
		(void) memmove(out, p, n);
		out += n;
		p += n;
	}
	if (out == path && path[0] == '/')
		out++;
	*out = '\0';
}
