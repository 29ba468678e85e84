/* net_target.h - strict request targets: authority-form of CONNECT and absolute-form (RFC 9112 3.2).
 *
 * Pure.  A host is a DNS name of letters, digits, hyphens and underscores (an
 * IDN comes as A-label), a dotted quad, or an IPv6 address in brackets.  What
 * some resolver might read as another address is refused, never passed on.
 */
#pragma once
#include <stdbool.h>
#include "core_addr.h"
#include "net_http_head.h"

#define NET_HOST_MAX 253 /* bytes */

struct net_target {
	char host[NET_HOST_MAX + 1]; /* lower case, without brackets and trailing dot */
	bool is_ip;
	struct addr ip;
	uint16_t port;
	struct net_slice path, query; /* absolute form; path begins with "/"; query without "?" */
	bool has_query;
};

enum net_scheme { NET_SCHEME_HTTP, NET_SCHEME_HTTPS, NET_SCHEME_OTHER };

/* host:port, the port is mandatory.  -EINVAL with a sentence. */
int net_target_authority(struct net_slice s, struct net_target *ret, struct err *e);
/* host[:port], as in a Host field. */
int net_target_host(
	struct net_slice s, uint16_t default_port, struct net_target *ret, struct err *e);
/* scheme://authority/path?query; *ret_scheme is set before a failure when it could be read. */
int net_target_absolute(
	struct net_slice s, struct net_target *ret, enum net_scheme *ret_scheme, struct err *e);
