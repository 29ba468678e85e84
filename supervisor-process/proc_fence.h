/* proc_fence.h - default deny for every protocol and both families, in one nftables transaction. */
#pragma once
#include <stdint.h>
#include "core_err.h"
#include "proc_netns.h"

/* NFLOG group of one sandbox, from its tag: 1 to 65535. */
uint16_t proc_fence_group(const char *tag);
/* Installs the fence inside; a rule that the kernel refuses is an error with nftables' own words. */
int proc_fence_install(const struct proc_netns *n, const char *tag, struct err *e);
