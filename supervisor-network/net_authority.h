/* net_authority.h - does a request inside a tunnel name the host that the tunnel was allowed for?
 *
 * Pure.  Host, an absolute target and the tunnel must agree (spec/network 1.3, 1.6).
 */
#pragma once
#include "net_target.h"

/* tunnel: host and port that were decided; its path and query are set from the target.
 * -EXDEV: well formed, but for another host or port; -EBADMSG: malformed. */
int net_authority_check(
	const struct net_head *h, struct net_target *tunnel, bool secure, struct err *e);
