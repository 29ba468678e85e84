/* core_hello.h - the first message each way on a channel between two of our programs.
 *
 * It says which version of the messages its sender speaks (IPC_MAJOR, IPC_MINOR of ipc_common.h) and,
 * for logs, its name and build.  Versions are compatible within one major number.
 */
#pragma once
#include <stdint.h>
#include "core_channel.h"
#include "core_err.h"

/* number is what this channel's table calls its greeting; executable a name of ours. */
int hello_send(struct channel *c, uint16_t number, const char *executable, struct err *e);
/* The peer's major version, whatever it is. */
int hello_read(const struct channel_msg *m, uint32_t *ret_major, struct err *e);
/* 0; -EPROTO with "PEER speaks version ..." when it is another major version than ours. */
int hello_check(const struct channel_msg *m, const char *peer, struct err *e);
