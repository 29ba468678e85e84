/* ipc_network.h - every message between the orchestrator and the network leaf.
 *
 * Row: X(NAME, number, min bytes, max bytes, fds, states it is legal in).
 * Numbers are wire format: append, never reuse.  Sizes are in bytes, without
 * the channel header.
 */
#pragma once
#include <stdint.h>
#include "ipc_common.h"

enum net_state {
	NET_NEW = 1 << 0,
	NET_GREETED = 1 << 1,
	NET_CONFIGURED = 1 << 2, /* takes listener, identity channel, hosts, policy in any order */
	NET_SERVING = 1 << 3,	 /* accept gate open */
};
#define NET_ANY 0xfu

/* Orchestrator to network leaf; state kept by the leaf.
 * NET_CREDENTIALS carries NetCredentials (sealed memfd), all of them, before NET_ENTRYPOINT and at each change.
 * NET_HOSTS carries the text of the workload's /etc/hosts (sealed memfd).
 * NET_AUTHORITY carries the sandbox's certificate authority: its key as sealed memfd (SEC 1 DER).
 * NET_ROOTS carries the certificates that upstreams are verified with (sealed memfd; DER, one
 * behind the other).
 * Without both, TLS is not terminated, and such tunnels are refused.
 * NET_ENTRYPOINT says that the workload exists (held): resolve the binaries that the policy names
 * through the identity channel, open the gate, answer NET_READY.  A later one changes the pid. */
#define NET_REQUESTS(X) \
	X(NET_HELLO, 1, 0, 256, 0, NET_NEW) \
	X(NET_CONFIGURE, 2, 0, 4096, 0, NET_GREETED) \
	X(NET_LISTENER, 3, 0, 0, 1, NET_CONFIGURED) \
	X(NET_IDENTITY, 4, 0, 0, 1, NET_CONFIGURED | NET_SERVING) \
	X(NET_HOSTS, 5, 0, 0, 1, NET_CONFIGURED | NET_SERVING) \
	X(NET_POLICY, 6, 0, 16, 1, NET_CONFIGURED | NET_SERVING) \
	X(NET_ENTRYPOINT, 7, 0, 16, 0, NET_CONFIGURED | NET_SERVING) \
	X(NET_NAMESERVERS, 8, 0, 4096, 0, \
		NET_CONFIGURED | NET_SERVING) /* NetConfigure, nameservers only */ \
	X(NET_STOP, 9, 0, 0, 0, NET_ANY) \
	X(NET_AUTHORITY, 10, 0, 4096, 1, NET_CONFIGURED) \
	X(NET_ROOTS, 11, 0, 0, 1, NET_CONFIGURED) \
	X(NET_CREDENTIALS, 12, 0, 0, 1, NET_CONFIGURED | NET_SERVING)

/* Network leaf to orchestrator; state kept by the orchestrator. */
#define NET_ANSWERS(X) \
	X(NET_GREETING, 65, 0, 256, 0, NET_NEW) \
	X(NET_POLICY_RESULT, 66, 0, 4096, 0, NET_CONFIGURED | NET_SERVING) \
	X(NET_READY, 67, 0, 16, 0, NET_CONFIGURED | NET_SERVING) \
	X(NET_FAILED, 68, 0, 4096, 0, NET_ANY) \
	X(NET_EVENT, 69, 0, 16384, 0, NET_ANY)

#define X(name, number, min, max, fds, states) name = (number),
enum net_msg { NET_REQUESTS(X) NET_ANSWERS(X) };
#undef X
