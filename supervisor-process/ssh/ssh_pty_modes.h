/* ssh_pty_modes.h - what libssh read of a pty-req and has no function for: the terminal modes. */
#pragma once
#include <stddef.h>
#include <stdint.h>

struct ssh_message_struct; /* libssh's ssh_message points to one */

/* The encoded modes (RFC 4254, section 8) of a pty-req; borrowed from the message.  Returns their
 * length, 0 where there are none, or where the system's libssh does not tell them. */
size_t ssh_pty_modes(struct ssh_message_struct *m, const uint8_t **ret);
