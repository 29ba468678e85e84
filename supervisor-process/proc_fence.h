/* proc_fence.h - default deny for every protocol and both families, in one nftables transaction. */
#pragma once
#include <stdbool.h>
#include <stdint.h>
#include "core_err.h"
#include "proc_netns.h"

/* NFLOG group of one sandbox, from its tag: 1 to 65535. */
uint16_t proc_fence_group(const char *tag);
/* Installs the fence inside, replacing what is there; a rule that the kernel refuses is an error
 * with nftables' own words.  watched: a bypass monitor answers the first packet of a TCP
 * connection (proc_monitor.h); *ret_watched is false when the kernel can't log to it. */
int proc_fence_install(const struct proc_netns *n, const char *tag, bool watched, bool *ret_watched,
	struct err *e);
