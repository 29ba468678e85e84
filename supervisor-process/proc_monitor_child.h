/* proc_monitor_child.h - between the two files of the monitor only. */
#pragma once
#include <stdint.h>
#include "core_err.h"
#include "proc_nflog.h"
#include "proc_packet.h"

/* The channel between leaf and monitor; number, min, max bytes, descriptors, states. */
#define MON_OPEN 1u
#define MON_REQUESTS(X) X(MON_FLUSH, 1, 0, 0, 0, MON_OPEN)
#define MON_ANSWERS(X) \
	X(MON_EVENT, 65, 0, 16384, 0, MON_OPEN) \
	X(MON_FLUSHED, 66, 0, 0, 0, MON_OPEN)
#define X(name, number, min, max, fds, states) name = (number),
enum mon_msg { MON_REQUESTS(X) MON_ANSWERS(X) };
#undef X

#define MON_LOGS_MAX 2 /* the workload's, and with veth the host's */

struct mon_packet {
	struct proc_packet p;
	uint32_t uid;
};

struct mon_child; /* what the child works with; made before the fork */

int mon_child_new(struct mon_child **ret, struct err *e);
void mon_child_free(struct mon_child *m);
/* Inside the namespace. */
int mon_child_open(struct mon_child *m, uint16_t group, struct err *e);
/* In the host's, for veth. */
int mon_child_open_host(struct mon_child *m, uint16_t group, struct err *e);
/* Descriptors of its packet logs; how many. */
size_t mon_child_logs(const struct mon_child *m, int ret[MON_LOGS_MAX]);
/* In the child: never returns before its end.  Both channel ends are owned. */
int mon_child_run(struct mon_child *m, int take_leaf_fd, int take_identity_fd, struct err *e);
