/* net_client_deadline.c - how long a client may take, and what it is told when it took longer.
 *
 * Runs in the network leaf (openshell-supervisor-network), without privilege.  All clients share one
 * timer of the leaf, so a deadline costs nothing to move; it may be noticed NET_TICK_MS late.  Waiting
 * too long for an answer means deny.
 */
#include <stdio.h>
#include "net_client.h"
#include "net_relay.h"

static void on_tick(void *owner);

static void start_tick(struct net_leaf *n, uint64_t now, uint64_t at_ms)
{
	struct err e = { 0 };

	if (!n->tick && loop_timer_new(n->loop, on_tick, n, &n->tick, &e) < 0)
		return;
	n->tick_at_ms = at_ms;
	(void) loop_timer_start(n->tick, at_ms - now);
}

/* The one timer of all clients; not sooner than NET_TICK_MS from now. */
static void arm_tick(struct net_leaf *n, uint64_t now, uint64_t at_ms)
{
	if (at_ms < now + NET_TICK_MS)
		at_ms = now + NET_TICK_MS;
	if (!n->tick_at_ms || n->tick_at_ms > at_ms)
		start_tick(n, now, at_ms);
}

void net_client_deadline(struct net_client *c, uint64_t after_ms)
{
	uint64_t now = loop_now_ms(c->leaf->loop);

	c->deadline_ms = now + after_ms;
	arm_tick(c->leaf, now, c->deadline_ms);
}

static void too_late(struct net_client *c)
{
	char detail[512], name[400];

	net_client_name(c, name, sizeof name);
	switch (c->phase) {
	case NET_PHASE_HEAD:
		if (c->in_len == 0) {
			net_client_free(c);
			return;
		}
		net_client_refuse(
			c, 408, "request_timeout", "the request head was not complete in time", "");
		break;
	case NET_PHASE_IDENTITY:
		(void) snprintf(detail, sizeof detail, "%s not permitted by policy", name);
		net_client_refuse(c, 403, "policy_denied", detail,
			"the calling program could not be identified in time; try again");
		break;
	case NET_PHASE_RESOLVE:
	case NET_PHASE_DIAL:
		(void) snprintf(detail, sizeof detail, "connection to %s:%u failed", c->to.host,
			c->to.port);
		net_client_refuse(c, 502, "upstream_unreachable", detail, "no answer in time");
		break;
	case NET_PHASE_SECURE_UPSTREAM:
		(void) snprintf(detail, sizeof detail,
			"%s:%u did not finish the TLS handshake in time", c->to.host, c->to.port);
		net_client_refuse(c, 504, "upstream_timeout", detail, "");
		break;
	case NET_PHASE_BODY:
		net_client_refuse(
			c, 408, "request_timeout", "the request body was not complete in time", "");
		break;
	case NET_PHASE_PEEK:
		net_client_peek_late(c);
		break;
	case NET_PHASE_RELAY:
		net_relay_late(c);
		break;
	case NET_PHASE_SECURE:
	case NET_PHASE_TUNNEL:
	case NET_PHASE_COPY:
	case NET_PHASE_LINGER:
		net_client_free(c);
		break;
	}
}

/* A tunnel moves its deadline by being used; it is asked only when the deadline is reached. */
static bool is_late(struct net_client *c, uint64_t now)
{
	if (c->tunnel)
		c->deadline_ms = net_tunnel_active_ms(c->tunnel) + NET_IDLE_MS;
	return c->deadline_ms <= now;
}

void net_client_expire(struct net_leaf *n, uint64_t now_ms)
{
	for (struct net_client *c = n->clients, *after; c; c = after) {
		after = c->next;
		if (is_late(c, now_ms))
			too_late(c);
	}
}

static void on_tick(void *owner)
{
	struct net_leaf *n = owner;
	uint64_t now = loop_now_ms(n->loop), next = 0;

	n->tick_at_ms = 0;
	net_client_expire(n, now);
	for (struct net_client *c = n->clients; c; c = c->next)
		if (!next || c->deadline_ms < next)
			next = c->deadline_ms;
	if (next)
		arm_tick(n, now, next);
}
