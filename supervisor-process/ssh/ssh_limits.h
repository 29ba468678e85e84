/* ssh_limits.h - every bound of the SSH session program, with its unit. */
#pragma once

#define SSH_LOGIN_MS 30000	/* from the connection to the end of authentication */
#define SSH_IDLE_MS 600000	/* without a channel */
#define SSH_KEEPALIVE_MS 15000	/* between keep-alives */
#define SSH_REFUSED_MS 1000	/* after a refused login, before anything more is read */
#define SSH_AUTH_TRIES_MAX 10	/* then the connection is closed */
#define SSH_CHANNELS_MAX 64	/* of one connection */
#define SSH_BUFFER (128 * 1024) /* bytes of one direction of a channel */
#define SSH_CHUNK 32768		/* bytes read at a time */
#define SSH_DRAIN_MS 2000	/* after the end: output that others still hold */
#define SSH_COMMAND_MAX 49152	/* bytes of an exec request */
#define SSH_VARS_MAX 32		/* variables of a channel */
#define SSH_TEXT_MAX 256	/* bytes of a name or a value of one */
#define SSH_MODES_MAX 128	/* terminal modes of a channel: more than there are */
#define SSH_KEY_BYTES_MAX 8192	/* a private host key */
