/* orch_policy_summary.c - a policy in sentences, rule by rule. */
#include "orch_policy_summary.h"
#include <stdio.h>
#include <string.h>
#include "core_text.h"
#include "orch_policy_args.h"

#define SB(x) Openshell__Sandbox__V1__##x
#define LIST_BYTES 2048 /* of one printed list; cut beyond */

/* Marks a list that did not fit. */
static const char *rest(const struct text *t)
{
	return t->cut ? " ..." : "";
}

static void add_list(struct text *t, char *const *words, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		text_add(t, i ? ", " : "");
		text_add_quoted(t, words[i], strlen(words[i]), 256);
	}
}

static void add_ports(struct text *t, const SB(NetworkEndpoint) * ep)
{
	if (!ep->n_ports)
		text_addf(t, ":%u", ep->port);
	for (size_t i = 0; i < ep->n_ports; i++)
		text_addf(t, "%s%u", i ? "," : ":", ep->ports[i]);
}

static bool is_inspected(const SB(NetworkEndpoint) * ep)
{
	return ep->protocol[0] && strcmp(ep->protocol, "tcp") != 0 &&
		strcmp(ep->protocol, "sql") != 0;
}

static bool is_enforced(const SB(NetworkEndpoint) * ep)
{
	return ep->enforcement[0] && strcmp(ep->enforcement, "audit") != 0;
}

/* The presets of spec/policy 2.13. */
static const char *preset(const SB(NetworkEndpoint) * ep)
{
	bool graphql = strcmp(ep->protocol, "graphql") == 0;
	bool websocket = strcmp(ep->protocol, "websocket") == 0;

	if (strcmp(ep->access, "full") == 0)
		return graphql ? "every operation" : websocket ? "every message" : "every method";
	if (strcmp(ep->access, "read-write") == 0)
		return graphql	    ? "query, mutation"
			: websocket ? "GET, WEBSOCKET_TEXT"
				    : "GET, HEAD, OPTIONS, POST, PUT, PATCH (no DELETE)";
	if (strcmp(ep->access, "read-only") == 0)
		return graphql ? "query" : websocket ? "GET" : "GET, HEAD, OPTIONS";
	return "nothing (unknown access)";
}

static void add_matcher(struct text *t, const char *name, const SB(L7QueryMatcher) * m)
{
	text_addf(t, " %s=", name);
	if (m && m->glob[0])
		text_add_quoted(t, m->glob, strlen(m->glob), 256);
	if (m)
		add_list(t, m->any, m->n_any);
}

struct words {
	const char *at[5];
	char *const *fields;
	size_t n_fields;
};

static void add_words(struct text *t, const struct words *w)
{
	size_t before = t->len;

	for (size_t i = 0; i < 5; i++) {
		if (!w->at[i][0])
			continue;
		text_add(t, t->len > before ? " " : "");
		text_add_quoted(t, w->at[i], strlen(w->at[i]), 512);
	}
	if (w->n_fields) {
		text_add(t, " {");
		add_list(t, w->fields, w->n_fields);
		text_add(t, "}");
	}
}

static void say_allow(struct text *t, const SB(L7Allow) * a)
{
	const struct words w = { { a->method, a->path, a->command, a->operation_type,
					 a->operation_name },
		a->fields, a->n_fields };

	add_words(t, &w);
	for (size_t i = 0; i < a->n_query; i++)
		add_matcher(t, a->query[i]->key, a->query[i]->value);
	for (size_t i = 0; i < a->n_params; i++)
		add_matcher(t, "tool", a->params[i]->value);
}

static void say_deny(struct text *t, const SB(L7DenyRule) * d)
{
	const struct words w = { { d->method[0] || d->operation_type[0] ? d->method : "*", d->path,
					 d->command, d->operation_type, d->operation_name },
		d->fields, d->n_fields };

	add_words(t, &w);
	for (size_t i = 0; i < d->n_query; i++)
		add_matcher(t, d->query[i]->key, d->query[i]->value);
	for (size_t i = 0; i < d->n_params; i++)
		add_matcher(t, "tool", d->params[i]->value);
}

static void say_endpoint(struct text *t, const SB(NetworkEndpoint) * ep, unsigned line)
{
	if (ep->host[0])
		text_add_quoted(t, ep->host, strlen(ep->host), 300);
	else
		text_add(t, "any host");
	add_ports(t, ep);
	if (ep->path[0]) {
		text_add(t, " below ");
		text_add_quoted(t, ep->path, strlen(ep->path), 512);
	}
	if (is_inspected(ep))
		text_addf(t, ", requests inspected as %s%s", ep->protocol,
			is_enforced(ep) ? "" : ", but only logged (audit)");
	else
		text_add(t, ", any bytes, not inspected");
	if (ep->n_allowed_ips) {
		text_add(t, ", at ");
		add_list(t, ep->allowed_ips, ep->n_allowed_ips);
	} else if (ep->host[0] && !strchr(ep->host, '*') && !ep->advisor_proposed) {
		text_add(t, ", also at private addresses");
	}
	if (line)
		text_addf(t, " (line %u)", line);
}

static bool mcp_everything(const SB(NetworkEndpoint) * ep)
{
	return strcmp(ep->protocol, "mcp") == 0 && ep->mcp && ep->mcp->allow_all_known_mcp_methods;
}

static void print_endpoint(const SB(NetworkEndpoint) * ep, unsigned line)
{
	char buf[LIST_BYTES];
	struct text t;

	text_init(&t, buf, sizeof buf);
	say_endpoint(&t, ep, line);
	orch_policy_line("  to %s%s", buf, rest(&t));
	if (!is_inspected(ep))
		return;
	if (ep->access[0])
		orch_policy_line("    may %s (access: %.40s)", preset(ep), ep->access);
	if (mcp_everything(ep))
		orch_policy_line("    may every MCP method");
	for (size_t i = 0; i < ep->n_rules; i++) {
		text_init(&t, buf, sizeof buf);
		if (ep->rules[i]->allow)
			say_allow(&t, ep->rules[i]->allow);
		orch_policy_line("    may %s%s", buf, rest(&t));
	}
	for (size_t i = 0; i < ep->n_deny_rules; i++) {
		text_init(&t, buf, sizeof buf);
		say_deny(&t, ep->deny_rules[i]);
		orch_policy_line("    never %s%s", buf, rest(&t));
	}
}

static void print_rule(
	const struct policy_doc *d, size_t at, const SB(NetworkPolicyRule) * r, const char *key)
{
	char buf[LIST_BYTES];
	struct text t;

	text_init(&t, buf, sizeof buf);
	for (size_t i = 0; i < r->n_binaries; i++) {
		text_add(&t, i ? ", " : "");
		text_add_quoted(&t, r->binaries[i]->path, strlen(r->binaries[i]->path), 512);
	}
	orch_policy_line(
		"%.200s: %s%s", key, r->n_binaries ? buf : "nobody (no binaries)", rest(&t));
	for (size_t k = 0; k < r->n_endpoints; k++)
		print_endpoint(r->endpoints[k], policy_endpoint_line(d, at, k));
}

static void print_files(const struct policy_doc *d)
{
	const SB(SandboxPolicy) *m = policy_message(d);
	char buf[LIST_BYTES];
	struct text t;

	if (!m->filesystem) {
		orch_policy_line("files: only the working directory, writable");
		return;
	}
	text_init(&t, buf, sizeof buf);
	add_list(&t, m->filesystem->read_write, m->filesystem->n_read_write);
	orch_policy_line("files, writable: %s%s%s%s", buf, rest(&t),
		m->filesystem->include_workdir && buf[0] ? ", " : "",
		m->filesystem->include_workdir ? "the working directory"
			: buf[0]	       ? ""
					       : "none");
	text_init(&t, buf, sizeof buf);
	add_list(&t, m->filesystem->read_only, m->filesystem->n_read_only);
	orch_policy_line("files, readable: %s%s", buf[0] ? buf : "none", rest(&t));
}

static void print_fixed(const struct policy_doc *d)
{
	const SB(SandboxPolicy) *m = policy_message(d);

	print_files(d);
	orch_policy_line("what Landlock can't do: %s",
		m->landlock && strcmp(m->landlock->compatibility, "hard_requirement") == 0
			? "ends the start"
			: "is reported and left out");
	orch_policy_line("runs as: %.40s, group %.40s",
		m->process && m->process->run_as_user[0] ? m->process->run_as_user
							 : "the driver's choice",
		m->process && m->process->run_as_group[0] ? m->process->run_as_group
							  : "the driver's choice");
}

static void json_endpoint(struct json *j, const SB(NetworkEndpoint) * ep, unsigned line)
{
	char buf[LIST_BYTES];
	struct text t;

	json_open(j, NULL, '{');
	json_add_text(j, "host", ep->host);
	json_open(j, "ports", '[');
	if (!ep->n_ports)
		json_add_number(j, NULL, ep->port);
	for (size_t i = 0; i < ep->n_ports; i++)
		json_add_number(j, NULL, ep->ports[i]);
	json_close(j, ']');
	json_add_text(j, "path", ep->path);
	json_add_text(j, "protocol", ep->protocol);
	json_add_flag(j, "inspected", is_inspected(ep));
	json_add_flag(j, "enforced", is_inspected(ep) && is_enforced(ep));
	json_add_number(j, "line", line);
	json_open(j, "may", '[');
	if (is_inspected(ep) && ep->access[0])
		json_add_text(j, NULL, preset(ep));
	if (mcp_everything(ep))
		json_add_text(j, NULL, "every MCP method");
	for (size_t i = 0; is_inspected(ep) && i < ep->n_rules; i++) {
		text_init(&t, buf, sizeof buf);
		if (ep->rules[i]->allow)
			say_allow(&t, ep->rules[i]->allow);
		json_add_text(j, NULL, buf);
	}
	json_close(j, ']');
	json_open(j, "never", '[');
	for (size_t i = 0; i < ep->n_deny_rules; i++) {
		text_init(&t, buf, sizeof buf);
		say_deny(&t, ep->deny_rules[i]);
		json_add_text(j, NULL, buf);
	}
	json_close(j, ']');
	json_close(j, '}');
}

static void json_words(struct json *j, const char *name, char *const *words, size_t n)
{
	json_open(j, name, '[');
	for (size_t i = 0; i < n; i++)
		json_add_text(j, NULL, words[i]);
	json_close(j, ']');
}

static void json_fixed(struct json *j, const SB(SandboxPolicy) * m)
{
	const SB(FilesystemPolicy) *f = m->filesystem;

	json_open(j, "filesystem", '{');
	json_add_flag(j, "include_workdir", !f || f->include_workdir);
	json_words(j, "read_only", f ? f->read_only : NULL, f ? f->n_read_only : 0);
	json_words(j, "read_write", f ? f->read_write : NULL, f ? f->n_read_write : 0);
	json_close(j, '}');
	json_add_text(j, "landlock",
		m->landlock && m->landlock->compatibility[0] ? m->landlock->compatibility
							     : "best_effort");
	json_add_text(j, "run_as_user", m->process ? m->process->run_as_user : "");
	json_add_text(j, "run_as_group", m->process ? m->process->run_as_group : "");
}

static void print_json(const struct policy_doc *d)
{
	const SB(SandboxPolicy) *m = policy_message(d);
	struct json j = { 0 };

	json_open(&j, NULL, '{');
	json_fixed(&j, m);
	json_open(&j, "rules", '[');
	for (size_t i = 0; i < m->n_network_policies; i++) {
		const SB(NetworkPolicyRule) *r = m->network_policies[i]->value;

		json_open(&j, NULL, '{');
		json_add_text(&j, "rule", m->network_policies[i]->key);
		json_open(&j, "binaries", '[');
		for (size_t k = 0; r && k < r->n_binaries; k++)
			json_add_text(&j, NULL, r->binaries[k]->path);
		json_close(&j, ']');
		json_open(&j, "endpoints", '[');
		for (size_t k = 0; r && k < r->n_endpoints; k++)
			json_endpoint(&j, r->endpoints[k], policy_endpoint_line(d, i, k));
		json_close(&j, ']');
		json_close(&j, '}');
	}
	json_close(&j, ']');
	json_close(&j, '}');
	(void) orch_policy_json(&j);
}

void orch_policy_summary(const struct policy_doc *d, bool json)
{
	const SB(SandboxPolicy) *m = policy_message(d);

	if (json) {
		print_json(d);
		return;
	}
	for (size_t i = 0; i < m->n_network_policies; i++)
		if (m->network_policies[i]->value)
			print_rule(
				d, i, m->network_policies[i]->value, m->network_policies[i]->key);
	orch_policy_line(m->n_network_policies ? "nothing else is reachable"
					       : "no network: nothing is reachable");
	print_fixed(d);
}
