#include <errno.h>
#include <stdio.h>
#include <string.h>
#include "core_policy_edit.h"
#include "policy_pb.h"

#define PREFIX "_provider_"

static char key_char(char c)
{
	if (c >= 'A' && c <= 'Z')
		return (char) (c - 'A' + 'a');
	return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') ? c : '_';
}

/* Lower case, everything else an underscore, none at the ends; "" is "unnamed". */
static void make_key(const char *instance, char key[POLICY_LAYER_KEY_MAX])
{
	size_t at = strlen(PREFIX), start = at;

	(void) memcpy(key, PREFIX, at);
	for (; *instance && at < POLICY_LAYER_KEY_MAX - 8; instance++) {
		char c = key_char(*instance);

		if (c != '_' || at > start)
			key[at++] = c;
	}
	while (at > start && key[at - 1] == '_')
		at--;
	(void) snprintf(key + at, POLICY_LAYER_KEY_MAX - at, "%s", at == start ? "unnamed" : "");
}

static int add_layer(policy_msg *m, const struct policy_layer *layer, struct err *e)
{
	char key[POLICY_LAYER_KEY_MAX], base[POLICY_LAYER_KEY_MAX - 8];

	make_key(layer->instance, key);
	(void) snprintf(base, sizeof base, "%.*s", (int) sizeof base - 1, key);
	for (unsigned i = 2; pb_find_rule(m, key) != (size_t) -1; i++)
		(void) snprintf(key, sizeof key, "%s_%u", base, i);
	return pb_insert_rule(m, key, layer->rule) ? 0 : err_set(e, ENOMEM, "policy");
}

static int refuse_authored(const policy_msg *m, const char *name, struct err *e)
{
	for (size_t i = 0; i < m->n_network_policies; i++)
		if (pb_is_provider_key(m->network_policies[i]->key))
			return err_set(e, EINVAL,
				"%s: network_policies.%.100s: keys that begin with " PREFIX
				" are made from attached providers; rename the rule",
				name, m->network_policies[i]->key);
	return 0;
}

int policy_compose(const struct policy_sources *s, struct policy_report *report,
	struct policy_doc **ret, struct err *e)
{
	const struct policy_doc *base = s->global ? s->global : s->user;
	AUTO_PB policy_msg *m = pb_copy(policy_message(base));
	size_t n = s->global || !s->compose_providers ? 0 : s->n_layers;

	if (!m)
		return err_set(e, ENOMEM, "policy");
	if (refuse_authored(m, policy_name(base), e) < 0)
		return -e->code;
	if (n > POLICY_LAYERS_MAX)
		return err_set(
			e, E2BIG, "%zu providers, more than %d; detach some", n, POLICY_LAYERS_MAX);
	for (size_t i = 0; i < n; i++)
		if (add_layer(m, &s->layers[i], e) < 0)
			return -e->code;
	return policy_from_message(policy_name(base), m, report, ret, e);
}

int policy_strip_layers(const struct policy_doc *d, struct policy_doc **ret, struct err *e)
{
	AUTO_PB policy_msg *m = pb_copy(policy_message(d));
	struct policy_report report = { 0 };
	int r;

	if (!m)
		return err_set(e, ENOMEM, "policy");
	for (size_t i = m->n_network_policies; i-- > 0;)
		if (pb_is_provider_key(m->network_policies[i]->key))
			pb_remove_rule(m, i);
	r = policy_from_message(policy_name(d), m, &report, ret, e);
	policy_report_done(&report);
	return r;
}
