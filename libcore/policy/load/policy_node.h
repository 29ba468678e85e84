/* policy_node.h - a YAML document as bounded nodes with positions; files of the loader only. */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include "core_policy.h"

#define NODES_MAX 1000000

enum node_kind { NODE_SCALAR, NODE_LIST, NODE_MAP };

struct node {
	enum node_kind kind;
	unsigned line, column; /* from 1 */
	bool plain;	       /* scalar without quotes */
	char *text;	       /* scalar, NUL-terminated, no NUL inside */
	size_t len;
	struct node *first, *last, *next; /* children; of a map: key, value, key, value ... */
	size_t n;			  /* children; of a map: pairs */
};

/* Problems of syntax go to the report.  NULL when there is no document to go on with. */
struct node *node_parse(const char *text, size_t len, struct policy_report *report);
/* What node_parse() returned, and all below it. */
void node_free(struct node *root);
