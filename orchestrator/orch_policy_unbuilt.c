#include "orch_policy_unbuilt.h"
#include <errno.h>
#include <string.h>
#include "core_text.h"

#define SANDBOX(x) Openshell__Sandbox__V1__##x

/* Transparent capture needs a substrate of its own (spec/orchestrator 2.3), so it is refused, not
 * quietly turned into something else. */
static int check_rule(const struct policy_doc *d, const char *key,
	const SANDBOX(NetworkPolicyRule) * rule, struct err *e)
{
	for (size_t i = 0; rule && i < rule->n_endpoints; i++) {
		const char *protocol = rule->endpoints[i]->protocol;

		if (text_ieq(protocol, strlen(protocol), "tcp", 3))
			return err_set(e, ENOTSUP,
				"%s: network_policies.%s.endpoints[%zu]: protocol tcp (transparent "
				"capture) is not built yet; leave protocol out and let the program "
				"use the proxy",
				policy_name(d), key, i);
	}
	return 0;
}

/* Left out, on_error is fail_closed. */
static int check_middleware(const struct policy_doc *d, const char *key,
	const SANDBOX(NetworkMiddlewareConfig) * m, struct err *e)
{
	if (m && strcmp(m->on_error, "fail_open") == 0)
		return 0;
	return err_set(e, ENOTSUP,
		"%s: network_middlewares.%s: middlewares are not built yet, and without this one "
		"(on_error: fail_closed) traffic must not flow; remove it, or write `on_error: "
		"fail_open`",
		policy_name(d), key);
}

int orch_policy_unbuilt(const struct policy_doc *d, struct err *e)
{
	const SANDBOX(SandboxPolicy) *m = policy_message(d);
	int r = 0;

	for (size_t i = 0; r == 0 && i < m->n_network_policies; i++)
		r = check_rule(d, m->network_policies[i]->key, m->network_policies[i]->value, e);
	for (size_t i = 0; r == 0 && i < m->n_network_middlewares; i++)
		r = check_middleware(
			d, m->network_middlewares[i]->key, m->network_middlewares[i]->value, e);
	return r;
}

void orch_policy_left_out(const struct policy_doc *d, char ret[ERR_TEXT_MAX])
{
	const SANDBOX(SandboxPolicy) *m = policy_message(d);
	struct text t;

	text_init(&t, ret, ERR_TEXT_MAX);
	if (m->n_network_middlewares == 0)
		return;
	text_addf(&t, "%s: network_middlewares.%s", policy_name(d), m->network_middlewares[0]->key);
	if (m->n_network_middlewares > 1)
		text_addf(&t, " and %zu more", m->n_network_middlewares - 1);
	text_addf(&t,
		": middlewares are not built yet; traffic flows without, as `on_error: fail_open` "
		"allows");
}
