/* net_upgrade.h - does a request ask for another protocol, and in a valid way (RFC 6455 4.1)?  Pure. */
#pragma once
#include "net_http_head.h"

enum net_upgrade {
	NET_UPGRADE_NONE,
	NET_UPGRADE_WEBSOCKET,
	NET_UPGRADE_BAD, /* parts of a WebSocket handshake, but no whole one */
	NET_UPGRADE_H2C, /* HTTP/2 in the clear */
};

enum net_upgrade net_upgrade_of(const struct net_head *h);
/* 101 that answers a WebSocket handshake. */
bool net_upgrade_is_accepted(const struct net_head *h);
