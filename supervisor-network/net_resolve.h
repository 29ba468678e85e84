/* net_resolve.h - names to addresses: the hosts file's text first, then DNS through c-ares.
 *
 * No file is opened here: the hosts text and the name servers come over the
 * control channel.  One look-up per connection, never a second one.
 */
#pragma once
#include "net_leaf.h"

struct net_addresses {
	struct addr at[NET_ADDRESSES_MAX];
	size_t n;
};

/* n == 0: why says it.  May be called before net_resolve_name() returns. */
typedef void (*net_resolve_fn)(void *owner, const struct net_addresses *a, const char *why);
struct net_query;

/* Before the leaf is confined: c-ares reads its configuration files here, which are then replaced. */
int net_resolve_new(struct loop *l, struct net_resolve **ret, struct err *e);
void net_resolve_free(struct net_resolve *r);
int net_resolve_servers(struct net_resolve *r, char *const *servers, size_t n, struct err *e);
int net_resolve_hosts(struct net_resolve *r, int fd, struct err *e);
/* NULL when it was answered already; otherwise for net_resolve_cancel(). */
struct net_query *net_resolve_name(
	struct net_resolve *r, const char *host, net_resolve_fn fn, void *owner);
void net_resolve_cancel(struct net_query *q);
/* Pure: addresses of this name in the text of a hosts file. */
void net_resolve_in_hosts(
	const char *text, size_t len, const char *host, struct net_addresses *ret);
