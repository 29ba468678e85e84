#include <errno.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <yaml.h>
#include "core_text.h"
#include "policy_node.h"
#include "policy_report.h"

#define CHUNK_BYTES (64 * 1024)

/* Nodes and their texts lie in chunks, as a document has many small ones; they are freed together. */
struct chunk {
	struct chunk *next;
	size_t used, size;
	_Alignas(max_align_t) char at[];
};

struct tree {
	struct node root; /* first: what node_parse() returns is the tree */
	struct chunk *chunks;
};

struct parse {
	yaml_parser_t parser;
	struct policy_report *report;
	struct tree *tree;
	struct node *root, *open[POLICY_DEPTH_MAX];
	size_t depth, n_nodes;
	unsigned documents;
	bool failed;
};

static void complain(struct parse *p, const yaml_mark_t *m, const char *problem, const char *hint)
{
	report_add(p->report, POLICY_ERROR, "E01",
		(struct place){ (unsigned) m->line + 1, (unsigned) m->column + 1 }, "", problem,
		hint);
	p->failed = true;
}

void node_free(struct node *root)
{
	struct tree *t = (struct tree *) root;

	while (t && t->chunks) {
		struct chunk *next = t->chunks->next;

		free(t->chunks);
		t->chunks = next;
	}
	free(t);
}

static void *take(struct tree *t, size_t n)
{
	struct chunk *c = t->chunks;
	size_t size = n > CHUNK_BYTES ? n : CHUNK_BYTES;

	n = (n + _Alignof(max_align_t) - 1) & ~(_Alignof(max_align_t) - 1);
	if (!c || c->size - c->used < n) {
		size = n > size ? n : size;
		c = malloc(sizeof *c + size);
		if (!c)
			return NULL;
		c->next = t->chunks;
		c->used = 0;
		c->size = size;
		t->chunks = c;
	}
	c->used += n;
	return c->at + c->used - n;
}

static struct node *node_new(struct parse *p)
{
	struct node *n = p->root ? take(p->tree, sizeof *n) : &p->tree->root;

	if (n)
		*n = (struct node){ 0 };
	return n;
}

static char *copy(struct parse *p, const void *text, size_t len)
{
	char *to = take(p->tree, len + 1);

	if (!to)
		return NULL;
	(void) memcpy(to, text, len);
	to[len] = '\0';
	return to;
}

static struct node *add(struct parse *p, enum node_kind kind, const yaml_mark_t *m)
{
	struct node *parent = p->depth ? p->open[p->depth - 1] : NULL, *n;

	if (++p->n_nodes > NODES_MAX) {
		complain(p, m, "document has too many values", "split the policy");
		return NULL;
	}
	if (!parent && p->root)
		return NULL; /* a second document, which is refused */
	n = node_new(p);
	if (!n) {
		complain(p, m, "out of memory", NULL);
		return NULL;
	}
	n->kind = kind;
	n->line = (unsigned) m->line + 1;
	n->column = (unsigned) m->column + 1;
	if (!parent) {
		p->root = n;
		return n;
	}
	if (parent->last)
		parent->last->next = n;
	else
		parent->first = n;
	parent->last = n;
	parent->n++;
	return n;
}

static void push(struct parse *p, enum node_kind kind, const yaml_mark_t *m)
{
	struct node *n;

	if (p->depth == POLICY_DEPTH_MAX) {
		complain(p, m, "nested too deeply", "a policy needs fewer than 32 levels");
		return;
	}
	n = add(p, kind, m);
	if (n)
		p->open[p->depth++] = n;
}

static void refuse_tag(struct parse *p, const yaml_char_t *tag, const yaml_mark_t *m)
{
	if (tag)
		complain(p, m, "tags are not allowed", "remove the word that begins with `!`");
}

static void scalar(struct parse *p, const yaml_event_t *ev)
{
	struct node *n;

	refuse_tag(p, ev->data.scalar.tag, &ev->start_mark);
	if (ev->data.scalar.anchor)
		complain(p, &ev->start_mark, "anchors are not allowed", "write the value out");
	if (p->failed)
		return;
	if (memchr(ev->data.scalar.value, '\0', ev->data.scalar.length)) {
		complain(p, &ev->start_mark, "a NUL character is not allowed", NULL);
		return;
	}
	n = add(p, NODE_SCALAR, &ev->start_mark);
	if (!n)
		return;
	n->plain = ev->data.scalar.style == YAML_PLAIN_SCALAR_STYLE;
	n->text = copy(p, ev->data.scalar.value, ev->data.scalar.length);
	n->len = ev->data.scalar.length;
	if (!n->text)
		complain(p, &ev->start_mark, "out of memory", NULL);
}

static void pop(struct parse *p)
{
	struct node *n = p->depth ? p->open[--p->depth] : NULL;

	if (n && n->kind == NODE_MAP)
		n->n /= 2;
}

static void handle(struct parse *p, const yaml_event_t *ev)
{
	switch (ev->type) {
	case YAML_DOCUMENT_START_EVENT:
		if (++p->documents > 1)
			complain(p, &ev->start_mark, "more than one document in the file",
				"keep one document per file");
		break;
	case YAML_ALIAS_EVENT:
		complain(p, &ev->start_mark, "aliases are not allowed", "write the value out");
		break;
	case YAML_SCALAR_EVENT:
		scalar(p, ev);
		break;
	case YAML_SEQUENCE_START_EVENT:
		refuse_tag(p, ev->data.sequence_start.tag, &ev->start_mark);
		if (ev->data.sequence_start.anchor)
			complain(p, &ev->start_mark, "anchors are not allowed",
				"write the value out");
		else
			push(p, NODE_LIST, &ev->start_mark);
		break;
	case YAML_MAPPING_START_EVENT:
		refuse_tag(p, ev->data.mapping_start.tag, &ev->start_mark);
		if (ev->data.mapping_start.anchor)
			complain(p, &ev->start_mark, "anchors are not allowed",
				"write the value out");
		else
			push(p, NODE_MAP, &ev->start_mark);
		break;
	case YAML_SEQUENCE_END_EVENT:
	case YAML_MAPPING_END_EVENT:
		pop(p);
		break;
	case YAML_NO_EVENT:
	case YAML_STREAM_START_EVENT:
	case YAML_STREAM_END_EVENT:
	case YAML_DOCUMENT_END_EVENT:
		break;
	}
}

static void run(struct parse *p)
{
	bool end = false;

	while (!end && !p->failed) {
		yaml_event_t ev;

		if (!yaml_parser_parse(&p->parser, &ev)) {
			char text[256];

			(void) snprintf(text, sizeof text, "not valid YAML: %.200s",
				p->parser.problem ? p->parser.problem : "unreadable");
			complain(p, &p->parser.problem_mark, text, NULL);
			return;
		}
		handle(p, &ev);
		end = ev.type == YAML_STREAM_END_EVENT;
		yaml_event_delete(&ev);
	}
}

struct node *node_parse_any(const char *text, size_t len, struct policy_report *report)
{
	struct parse p = { .report = report };
	yaml_mark_t start = { 0 };

	if (!text_is_utf8(text, len)) {
		complain(&p, &start, "not valid YAML: the file is not UTF-8 text", NULL);
		return NULL;
	}
	p.tree = calloc(1, sizeof *p.tree);
	if (!p.tree || !yaml_parser_initialize(&p.parser)) {
		free(p.tree);
		complain(&p, &start, "out of memory", NULL);
		return NULL;
	}
	yaml_parser_set_encoding(&p.parser, YAML_UTF8_ENCODING);
	yaml_parser_set_input_string(&p.parser, (const unsigned char *) text, len);
	run(&p);
	yaml_parser_delete(&p.parser);
	if (p.failed || !p.root) { /* or there was nothing in it */
		node_free(&p.tree->root);
		return NULL;
	}
	return p.root;
}

struct node *node_parse(const char *text, size_t len, struct policy_report *report)
{
	size_t errors = report->n_errors;
	struct node *root = node_parse_any(text, len, report);

	if (root && root->kind == NODE_MAP)
		return root;
	node_free(root);
	if (report->n_errors == errors)
		report_add(report, POLICY_ERROR, "E01", (struct place){ 1, 1 }, "",
			"not valid YAML: a policy is a map that begins with `version: 1`", NULL);
	return NULL;
}
