/* net_syscalls.h - every system call of the network leaf, with its reason. */
#pragma once
#include "core_confine.h"

extern const struct confine_call net_syscalls[];
