/* net_tls.h - what this leaf terminates TLS with: the sandbox's authority and the trusted roots,
 * as the orchestrator lent them (NET_AUTHORITY, NET_ROOTS).
 *
 * Both must have come; until then net_tls_is_ready() is false and a tunnel that would need them is
 * refused (503 tls_termination_unavailable).  Streams: core_tls.h.
 */
#pragma once
#include <stdbool.h>
#include "core_err.h"
#include "core_tls.h"

struct net_tls;

/* Each makes *tls if it is NULL. fd is borrowed. */
int net_tls_authority(struct net_tls **tls, const char *certificate, int fd, struct err *e);
int net_tls_roots(struct net_tls **tls, int fd, struct err *e);
void net_tls_free(struct net_tls *t); /* after every stream */

bool net_tls_is_ready(const struct net_tls *t); /* t may be NULL */
struct tls_server *net_tls_server(struct net_tls *t);
struct tls_client *net_tls_client(struct net_tls *t);
