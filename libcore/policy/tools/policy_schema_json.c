/* policy_schema_json.c - JSON Schema of the YAML form, for editors.
 *
 * Shape and names come from the protobuf descriptors that the loader builds by;
 * the table below adds what a descriptor can't know.
 */
#include <cjson/cJSON.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include "core_cleanup.h"
#include "core_policy_tools.h"
#include "policy_doc.h"

#define SB(x) openshell__sandbox__v1__##x##__descriptor
#define TYPES_MAX 32

/* What is known of a field besides its type: members to set, as JSON with ' for ".  name NULL: of
 * the object itself. */
static const struct fact {
	const ProtobufCMessageDescriptor *type;
	const char *name, *json;
} facts[] = {
	{ &SB(sandbox_policy), NULL, "{'required':['version']}" },
	{ &SB(sandbox_policy), "version", "{'const':1,'description':'Always 1.'}" },
	{ &SB(sandbox_policy), "filesystem_policy",
		"{'description':'Paths the workload may use; changes need a restart.'}" },
	{ &SB(sandbox_policy), "network_policies",
		"{'propertyNames':{'not':{'pattern':'^_provider_'}},"
		"'description':'Rules: who may reach what. Nothing is reachable that no rule "
		"names.'}" },
	{ &SB(sandbox_policy), "network_middlewares", "{'maxProperties':10}" },
	{ &SB(filesystem_policy), "include_workdir",
		"{'description':'Make the working directory writable; false when left out.'}" },
	{ &SB(filesystem_policy), "read_only",
		"{'maxItems':256,'items':{'type':'string','pattern':'^/',"
		"'not':{'pattern':'(^|/)[.][.](/|$)'},'maxLength':4096}}" },
	{ &SB(filesystem_policy), "read_write",
		"{'maxItems':256,'items':{'type':'string','pattern':'^/+[^/]',"
		"'not':{'pattern':'(^|/)[.][.](/|$)'},'maxLength':4096}}" },
	{ &SB(landlock_policy), "compatibility", "{'enum':['best_effort','hard_requirement']}" },
	{ &SB(process_policy), "run_as_user",
		"{'type':['string','integer'],'minimum':1,'maximum':4294967294,"
		"'pattern':'^(sandbox|[1-9][0-9]{0,9}|)$','not':{'enum':['4294967295']}}" },
	{ &SB(process_policy), "run_as_group",
		"{'type':['string','integer'],'minimum':1,'maximum':4294967294,"
		"'pattern':'^(sandbox|[1-9][0-9]{0,9}|)$','not':{'enum':['4294967295']}}" },
	{ &SB(network_policy_rule), "binaries",
		"{'description':'Programs, by full path or glob; an empty list is nobody.'}" },
	{ &SB(network_binary), NULL, "{'required':['path']}" },
	{ &SB(network_binary), "path",
		"{'minLength':1,"
		"'description':'As the kernel resolves it; `*` stays inside a directory,"
		" `**` does not.'}" },
	{ &SB(network_endpoint), "host",
		"{'maxLength':253,"
		"'allOf':[{'not':{'pattern':'://|[ /]|^[*][*]?$|^[^.]*[*][^.]*[.][^.]*$'}},"
		"{'not':{'pattern':'[.][^.]*[^.*][*]|[.][*][^.]|[.][*][*]|^[^.]*[^.*][*][*]'}}],"
		"'description':'Name, address or glob: `*.example.com` is one label,"
		" `**.example.com` one or more.'}" },
	{ &SB(network_endpoint), "port", "{'minimum':1,'maximum':65535}" },
	{ &SB(network_endpoint), "ports",
		"{'minItems':1,'items':{'type':'integer','minimum':1,'maximum':65535}}" },
	{ &SB(network_endpoint), "protocol",
		"{'enum':['tcp','rest','websocket','graphql','sql','json-rpc','mcp'],"
		"'description':'Left out: bytes are relayed without a look at requests.'}" },
	{ &SB(network_endpoint), "tls",
		"{'anyOf':[{'enum':['skip','auto']},{'enum':['terminate','passthrough'],"
		"'deprecated':true}]}" },
	{ &SB(network_endpoint), "enforcement",
		"{'enum':['enforce','audit'],'default':'audit',"
		"'description':'audit only logs what the rules would refuse.'}" },
	{ &SB(network_endpoint), "access",
		"{'enum':['read-only','read-write','full'],"
		"'description':'read-write has no DELETE.'}" },
	{ &SB(network_endpoint), "rules", "{'minItems':1}" },
	{ &SB(network_endpoint), "path",
		"{'pattern':'^(/.*|[*][*])$',"
		"'description':'Requests that this endpoint is for.'}" },
	{ &SB(network_endpoint), "persisted_queries", "{'enum':['deny','allow_registered']}" },
	{ &SB(network_endpoint), "credential_signing",
		"{'enum':['sigv4','sigv4:body','sigv4:no_body']}" },
	{ &SB(network_endpoint), "json_rpc", "{'$ref':'#/$defs/BodyLimit'}" },
	{ &SB(network_credential_binding), NULL, "{'required':['provider']}" },
	{ &SB(network_credential_binding), "provider", "{'minLength':1}" },
	{ &SB(mcp_options), "max_body_bytes",
		"{'type':'integer','minimum':0,'maximum':4294967295}" },
	{ &SB(l7_rule), NULL, "{'required':['allow']}" },
	{ &SB(l7_allow), "tool", "{'$ref':'#/$defs/L7QueryMatcher'}" },
	{ &SB(l7_allow), "path",
		"{'description':'Glob over the canonical path: `*` and `?` stay in a segment,"
		" `/x/**` is not `/x`.'}" },
	{ &SB(l7_allow), "operation_type", "{'enum':['query','mutation','subscription','*']}" },
	{ &SB(l7_allow), "params", "{'propertyNames':{'const':'name'}}" },
	{ &SB(l7_deny_rule), "tool", "{'$ref':'#/$defs/L7QueryMatcher'}" },
	{ &SB(l7_deny_rule), "path",
		"{'description':'Glob over the canonical path: `*` and `?` stay in a segment,"
		" `/x/**` is not `/x`.'}" },
	{ &SB(l7_deny_rule), "operation_type", "{'enum':['query','mutation','subscription','*']}" },
	{ &SB(l7_deny_rule), "params", "{'propertyNames':{'const':'name'}}" },
	{ &SB(graphql_operation), NULL, "{'required':['operation_type']}" },
	{ &SB(graphql_operation), "operation_type",
		"{'enum':['query','mutation','subscription']}" },
	{ &SB(network_middleware_config), NULL, "{'required':['middleware','endpoints']}" },
	{ &SB(network_middleware_config), "middleware", "{'minLength':1}" },
	{ &SB(network_middleware_config), "on_error", "{'enum':['fail_closed','fail_open']}" },
	{ &SB(middleware_endpoint_selector), "include",
		"{'minItems':1,'maxItems':32,'items':{'type':'string','pattern':'^[^ {}]+$'}}" },
	{ &SB(middleware_endpoint_selector), "exclude",
		"{'maxItems':32,'items':{'type':'string','pattern':'^[^ {}]+$'}}" },
	{ &SB(middleware_endpoint_selector), NULL, "{'required':['include']}" },
};

/* Conditions that an endpoint meets, all of them. */
static const char *const endpoint_conditions[] = {
	"{'anyOf':[{'required':['host']},{'required':['allowed_ips']}]}",
	"{'anyOf':[{'required':['port']},{'required':['ports']}]}",
	"{'not':{'required':['access','rules']}}",
	"{'not':{'required':['credential_signing','request_body_credential_rewrite'],"
	"'properties':{'request_body_credential_rewrite':{'const':true}}}}",
	"{'not':{'required':['scrub_responses'],'properties':{'scrub_responses':{'const':true}},"
	"'anyOf':[{'required':['tls'],'properties':{'tls':{'const':'skip'}}},"
	"{'required':['protocol'],'properties':{'protocol':{'const':'sql'}}}]}}",
	"{'if':{'required':['protocol'],'properties':{'protocol':{'enum':['rest',"
	"'websocket','graphql','sql']}}},'then':{'anyOf':[{'required':['access']},"
	"{'required':['rules']}]}}",
	"{'if':{'required':['protocol'],'properties':{'protocol':{'enum':['sql']}}},"
	"'then':{'properties':{'enforcement':{'const':'audit'}}}}",
	"{'if':{'required':['protocol'],"
	"'properties':{'protocol':{'enum':['graphql']}}},"
	"'then':{'properties':{'rules':{'items':{'properties':{'allow':{'required':['operation_"
	"type']}}}},"
	"'deny_rules':{'items':{'required':['operation_type']}}}}}",
	"{'if':{'required':['protocol'],"
	"'properties':{'protocol':{'enum':['json-rpc']}}},"
	"'then':{'required':['rules'],'not':{'required':['access']},"
	"'properties':{'rules':{'items':{'properties':{'allow':{'$ref':'#/$defs/JsonRpcRule'}}}},"
	"'deny_rules':{'items':{'$ref':'#/$defs/JsonRpcRule'}}}}}",
	"{'if':{'required':['protocol'],'properties':{'protocol':{'enum':['mcp']}}},"
	"'then':{'required':['host'],'anyOf':[{'required':['rules']},"
	"{'required':['mcp']}],'not':{'required':['access']},"
	"'properties':{'rules':{'items':{'properties':{'allow':{'$ref':'#/$defs/McpRule'}}}},"
	"'deny_rules':{'items':{'$ref':'#/$defs/McpRule'}}}}}",
	"{'if':{'required':['protocol'],'properties':{'protocol':{'enum':['tcp']}}},"
	"'then':{'required':['host'],"
	"'properties':{'host':{'not':{'pattern':'[.]$|[{}?:]|^[0-9.]+$'}}},"
	"'not':{'anyOf':[{'required':['access']},{'required':['rules']},"
	"{'required':['deny_rules']},{'required':['enforcement']},"
	"{'required':['path']},{'required':['allow_encoded_slash']},"
	"{'required':['scrub_responses'],'properties':{'scrub_responses':{'const':true}}},"
	"{'required':['mcp']},{'required':['json_rpc']},"
	"{'required':['persisted_queries']},{'required':['credential_signing']},"
	"{'required':['credential_binding']}]}}}",
	NULL
};

/* Definitions that no descriptor gives; they go before those of the same name. */
static const struct {
	const char *name, *json;
} definitions[] = {
	{ "L7QueryMatcher",
		"{'description':'Glob, in which `*` does not cross a dot,"
		" or a list of them.','anyOf':[{'type':'string','minLength':1},"
		"{'type':'object','properties':{'any':{'type':'array','minItems':1,"
		"'items':{'type':'string','minLength':1}}},'required':['any'],"
		"'additionalProperties':false}]}" },
	{ "BodyLimit",
		"{'type':'object','properties':{'max_body_bytes':{'type':'integer',"
		"'minimum':0,'maximum':4294967295}},'additionalProperties':false}" },
	{ "JsonRpcRule",
		"{'required':['method'],"
		"'properties':{'method':{'pattern':'^([^][*?{]+|[*])$'},'path':{'const':''},"
		"'query':{'maxProperties':0},'params':{'maxProperties':0},'tool':false}}" },
	{ "McpRule",
		"{'properties':{'method':{'pattern':'^(tools/.*|[^][*?{]*)$'},"
		"'path':{'const':''},'query':{'maxProperties':0}},'if':{'required':['tool',"
		"'method']},'then':{'properties':{'method':{'const':'tools/call'}}}}" },
};

struct schema {
	cJSON *defs;
	const ProtobufCMessageDescriptor *open[TYPES_MAX]; /* seen; those behind done are to do */
	size_t n, done;
};

static cJSON *parse(const char *quoted)
{
	AUTO_FREE char *text = strdup(quoted);

	for (char *p = text; p && *p; p++)
		if (*p == '\'')
			*p = '"';
	return text ? cJSON_Parse(text) : NULL;
}

/* Without memory cJSON answers NULL, which it also takes everywhere: a member is missing then.  The
 * schema advises editors and decides nothing, so that is no danger. */
static void add_facts(cJSON *to, const ProtobufCMessageDescriptor *type, const char *name)
{
	for (size_t i = 0; i < sizeof facts / sizeof *facts; i++) {
		cJSON *from, *member;

		if (facts[i].type != type || (name == NULL) != (facts[i].name == NULL) ||
			(name && strcmp(name, facts[i].name) != 0))
			continue;
		from = parse(facts[i].json);
		while (from && (member = from->child)) {
			(void) cJSON_DetachItemViaPointer(from, member);
			cJSON_DeleteItemFromObjectCaseSensitive(to, member->string);
			(void) cJSON_AddItemToObject(to, member->string, member);
		}
		cJSON_Delete(from);
	}
}

static cJSON *reference(struct schema *s, const ProtobufCMessageDescriptor *type)
{
	cJSON *ref = cJSON_CreateObject();
	char text[128] = "#/$defs/";
	size_t i = 0;

	if (type == &google__protobuf__struct__descriptor) {
		(void) cJSON_AddStringToObject(ref, "type", "object");
		return ref;
	}
	while (i < s->n && s->open[i] != type)
		i++;
	if (i == s->n && s->n < TYPES_MAX)
		s->open[s->n++] = type;
	(void) strncat(text, type->short_name, sizeof text - strlen(text) - 1);
	(void) cJSON_AddStringToObject(ref, "$ref", text);
	return ref;
}

static cJSON *one(struct schema *s, const ProtobufCFieldDescriptor *f)
{
	cJSON *v;

	if (f->type == PROTOBUF_C_TYPE_MESSAGE)
		return reference(s, f->descriptor);
	v = cJSON_CreateObject();
	(void) cJSON_AddStringToObject(v, "type",
		f->type == PROTOBUF_C_TYPE_STRING	  ? "string"
			: f->type == PROTOBUF_C_TYPE_BOOL ? "boolean"
							  : "integer");
	if (f->type == PROTOBUF_C_TYPE_UINT32) {
		(void) cJSON_AddNumberToObject(v, "minimum", 0);
		(void) cJSON_AddNumberToObject(v, "maximum", UINT32_MAX);
	} else if (f->type == PROTOBUF_C_TYPE_INT32) {
		(void) cJSON_AddNumberToObject(v, "minimum", INT32_MIN);
		(void) cJSON_AddNumberToObject(v, "maximum", INT32_MAX);
	}
	return v;
}

static cJSON *field(struct schema *s, const ProtobufCFieldDescriptor *f)
{
	const ProtobufCMessageDescriptor *entry = f->descriptor;
	cJSON *v;

	if (f->label != PROTOBUF_C_LABEL_REPEATED)
		return one(s, f);
	v = cJSON_CreateObject();
	if (f->type == PROTOBUF_C_TYPE_MESSAGE && policy_is_map_entry(f->descriptor)) {
		(void) cJSON_AddStringToObject(v, "type", "object");
		(void) cJSON_AddItemToObject(v, "additionalProperties", one(s, &entry->fields[1]));
		return v;
	}
	(void) cJSON_AddStringToObject(v, "type", "array");
	(void) cJSON_AddItemToObject(v, "items", one(s, f));
	return v;
}

/* Fields that have facts but no descriptor: what YAML has and the wire keeps elsewhere. */
static void add_extras(cJSON *properties, const ProtobufCMessageDescriptor *type)
{
	for (size_t i = 0; i < sizeof facts / sizeof *facts; i++) {
		const char *name = facts[i].type == type ? facts[i].name : NULL;

		if (!name || cJSON_GetObjectItemCaseSensitive(properties, name))
			continue;
		add_facts(cJSON_AddObjectToObject(properties, name), type, name);
	}
}

static void describe(struct schema *s, const ProtobufCMessageDescriptor *type, cJSON *to)
{
	cJSON *properties;

	(void) cJSON_AddStringToObject(to, "type", "object");
	properties = cJSON_AddObjectToObject(to, "properties");
	for (unsigned i = 0; i < type->n_fields; i++) {
		const char *name = policy_yaml_name(type, type->fields[i].name);
		cJSON *v = name ? field(s, &type->fields[i]) : NULL;

		if (!v)
			continue;
		add_facts(v, type, name);
		(void) cJSON_AddItemToObject(properties, name, v);
	}
	add_extras(properties, type);
	(void) cJSON_AddFalseToObject(to, "additionalProperties");
	add_facts(to, type, NULL);
}

static void add_conditions(cJSON *endpoint)
{
	cJSON *all = cJSON_AddArrayToObject(endpoint, "allOf");
	cJSON *needs;

	for (size_t i = 0; endpoint_conditions[i]; i++)
		(void) cJSON_AddItemToArray(all, parse(endpoint_conditions[i]));
	needs = parse("{'deny_rules':['protocol'],'credential_signing':['signing_service']}");
	(void) cJSON_AddItemToObject(endpoint, "dependentRequired", needs);
}

static cJSON *build(void)
{
	cJSON *root = cJSON_CreateObject();
	struct schema s = { .defs = cJSON_CreateObject() };

	(void) cJSON_AddStringToObject(
		root, "$schema", "https://json-schema.org/draft/2020-12/schema");
	(void) cJSON_AddStringToObject(root, "title", "OpenShell sandbox policy");
	for (size_t i = 0; i < sizeof definitions / sizeof *definitions; i++)
		(void) cJSON_AddItemToObject(
			s.defs, definitions[i].name, parse(definitions[i].json));
	describe(&s, &SB(sandbox_policy), root);
	for (; s.done < s.n; s.done++) {
		const ProtobufCMessageDescriptor *type = s.open[s.done];
		cJSON *def;

		if (cJSON_GetObjectItemCaseSensitive(s.defs, type->short_name))
			continue;
		def = cJSON_AddObjectToObject(s.defs, type->short_name);
		describe(&s, type, def);
		if (type == &SB(network_endpoint))
			add_conditions(def);
	}
	(void) cJSON_AddItemToObject(root, "$defs", s.defs);
	return root;
}

int policy_schema_json(char **ret, struct err *e)
{
	cJSON *root = build();
	char *text = cJSON_Print(root);

	cJSON_Delete(root);
	*ret = text ? strdup(text) : NULL;
	cJSON_free(text);
	return *ret ? 0 : err_set(e, ENOMEM, "policy schema");
}
