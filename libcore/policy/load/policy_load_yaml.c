/* policy_load_yaml.c - apart from the rest, so that a leaf, which loads the wire form only, neither
 * links nor needs libyaml. */
#include <errno.h>
#include "policy_doc.h"

int policy_load_yaml(const char *name, const char *text, size_t len, enum policy_strictness s,
	struct policy_report *report, struct policy_doc **ret, struct err *e)
{
	AUTO(policy_free) struct policy_doc *d = NULL;
	struct check c = { .report = report, .strictness = s };
	struct node *root;
	int r;

	if (policy_doc_new(name, &d, e) < 0)
		return -e->code;
	c.doc = d;
	if (len > (s == POLICY_AUTHOR ? POLICY_YAML_BYTES_MAX : POLICY_WIRE_BYTES_MAX)) {
		report_add(report, POLICY_ERROR, "E01", (struct place){ 1, 1 }, "",
			s == POLICY_AUTHOR ? "document of more than 256 KiB"
					   : "document of more than 4 MiB",
			"split or shorten the policy");
		return policy_doc_finish(&c, e);
	}
	root = node_parse(text, len, report);
	if (root && policy_build(&c, root) < 0) {
		node_free(root);
		return err_set(e, ENOMEM, "policy");
	}
	node_free(root);
	r = policy_doc_finish(&c, e);
	if (r == 0)
		*ret = TAKE_PTR(d);
	return r;
}
