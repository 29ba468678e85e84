/* ssh_pty_modes.c - compiled against the private headers of the very libssh that is linked. */
#include "config.h" /* as each file of libssh does */
#include "ssh_pty_modes.h"
#include <stdbool.h>
#include <libssh/priv.h>
#include <libssh/messages.h>
#include <libssh/server.h>

size_t ssh_pty_modes(struct ssh_message_struct *m, const uint8_t **ret)
{
	ssh_string modes;

	if (ssh_message_type(m) != SSH_REQUEST_CHANNEL ||
		ssh_message_subtype(m) != SSH_CHANNEL_REQUEST_PTY)
		return 0;
	modes = m->channel_request.modes;
	*ret = modes ? ssh_string_data(modes) : NULL;
	return *ret ? ssh_string_len(modes) : 0;
}
