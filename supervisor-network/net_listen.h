/* net_listen.h - accepts the workload's connections; pauses at descriptor exhaustion, never ends
 * for it (spec/network 10.1). */
#pragma once
#include "net_leaf.h"

/* Watches nothing until net_listen_open_gate(): connections wait in the kernel's backlog. */
int net_listen_new(struct net_leaf *n, int take_fd, struct net_listen **ret, struct err *e);
int net_listen_open_gate(struct net_listen *l, struct err *e);
void net_listen_free(struct net_listen *l);
