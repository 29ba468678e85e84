/* policy_pb.h - editing protobuf messages of a policy; files of the tools only.
 *
 * Messages are those that protobuf-c's own allocator (malloc) made; a function
 * that takes a message into a list owns it only on success.  What changes a message returns
 * false when there was no memory; the message is then as it was.
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "core_policy.h"

#define PB(x) Openshell__Sandbox__V1__##x

typedef PB(SandboxPolicy) policy_msg;
typedef PB(NetworkPolicyRule) rule_msg;
typedef PB(NetworkEndpoint) endpoint_msg;

/* Deep copy, or NULL without memory. */
void *pb_copy(const void *message);
/* The same bytes on the wire. */
bool pb_same(const void *a, const void *b);
void pb_free(void *message); /* NULL is fine */
/* Replace a string field; false without memory. */
bool pb_text(char **at, const char *text);
/* Lists of pointers: list is the address of the field, n of its count.  item is taken over. */
bool pb_add(void *list, size_t *n, void *item);
void pb_remove(void *list, size_t *n, size_t at); /* frees the message there */
/* Texts: whole, by bytes; what is added is copied. */
bool pb_has_text(char *const *list, size_t n, const char *text);
bool pb_add_text(char ***list, size_t *n, const char *text);

bool pb_is_provider_key(const char *key); /* begins with _provider_ */
/* Place of the rule, or (size_t) -1. */
size_t pb_find_rule(const policy_msg *m, const char *key);
/* A copy of rule, behind the others; the key must be new. */
bool pb_insert_rule(policy_msg *m, const char *key, const rule_msg *rule);
void pb_remove_rule(policy_msg *m, size_t at);

/* Ports as they count: `ports` if there is one, else `port`. */
size_t pb_n_ports(const endpoint_msg *ep);
uint32_t pb_port(const endpoint_msg *ep, size_t i);
bool pb_has_port(const endpoint_msg *ep, uint32_t port);
/* Sorted, each once, in `port` when it is one. */
bool pb_set_ports(endpoint_msg *ep, const uint32_t *ports, size_t n);
bool pb_same_place(const endpoint_msg *a, const endpoint_msg *b); /* host without case, and path */

/* `access` written out as rules, as spec/policy 2.13 has it; false without memory. */
bool pb_expand_access(endpoint_msg *ep);

/* A document from a message (which stays the caller's): validated like one from the wire. */
int policy_from_message(const char *name, const policy_msg *m, struct policy_report *report,
	struct policy_doc **ret, struct err *e);

static inline void pb_freep(void *p)
{
	pb_free(*(void **) p);
}
#define AUTO_PB __attribute__((cleanup(pb_freep)))
