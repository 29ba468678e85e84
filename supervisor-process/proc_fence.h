/* proc_fence.h - default deny for every protocol and both families, in one nftables transaction. */
#pragma once
#include <stdbool.h>
#include <stdint.h>
#include "core_cleanup.h"
#include "core_err.h"
#include "proc_netns.h"

/* NFLOG group of one sandbox, from its tag: 1 to 65535. */
uint16_t proc_fence_group(const char *tag);
/* Installs the fence inside, replacing what is there; a rule that the kernel refuses is an error
 * with nftables' own words.  watched: a bypass monitor answers the first packet of a TCP
 * connection (proc_monitor.h); *ret_watched is false when the kernel can't log to it. */
int proc_fence_install(const struct proc_netns *n, const char *tag, bool watched, bool *ret_watched,
	struct err *e);

/* veth: the other side of the same fence, in the host's network.  Nothing that comes from the workload
 * is taken or forwarded but answers to what the host began; should the workload's own fence ever be
 * gone, this one stands.  The table belongs to this object's netlink socket (NFT_TABLE_F_OWNER): the
 * kernel removes it with the process, however that ends. */
struct proc_fence_host;
int proc_fence_host_new(
	const struct proc_netns *n, const char *tag, struct proc_fence_host **ret, struct err *e);
void proc_fence_host_free(struct proc_fence_host *h);
DEFINE_AUTO(struct proc_fence_host, proc_fence_host_free)
