/* core_peer.h - who is at the other end of a Unix socket (SO_PEERCRED, unix(7)).
 *
 * The kernel notes the identity of whoever connected, at that time.
 */
#pragma once
#include "core_err.h"

/* 0 when it is root or has our own uid, and does not live in the network namespace netns_fd (-1:
 * there is none yet): that is the workload's, which may have our uid where there is no root.  There,
 * it must live in our own one, too, as the workload of another sandbox has our uid as well. */
int peer_check(int fd, int netns_fd, struct err *e);
