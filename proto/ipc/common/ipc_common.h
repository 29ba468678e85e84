/* ipc_common.h - what all channels of ours agree on. */
#pragma once

#define IPC_MAJOR 1u
#define IPC_MINOR 0u
#define IPC_FD 3 /* where a leaf finds its end of the control channel */
