/* fuzz_shell.c - what an SSH client or a session program may say: addresses, signals, variables, and
 * the packets of a shell channel. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include "core_channel.h"
#include "ipc_shell.pb-c.h"
#include "proc_shell.h"
#include "ssh_address.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static void unpack(const ProtobufCMessageDescriptor *type, const uint8_t *data, size_t len)
{
	struct channel_msg m = { "fuzz", 1, 1, data, len };
	ProtobufCMessage *base;
	struct err e = { 0 };

	if (channel_unpack(&m, type, &base, &e) < 0)
		return;
	if (type == &openshell__ipc__shell_start__descriptor) {
		Openshell__Ipc__ShellStart *s = (Openshell__Ipc__ShellStart *) base;

		for (size_t i = 0; i < s->n_env; i++)
			(void) proc_shell_is_allowed_var(s->env[i]->name, s->env[i]->value);
	}
	protobuf_c_message_free_unpacked(base, NULL);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	char *text = calloc(1, len + 1);
	uint8_t address[16];

	if (!text)
		return 0;
	if (len)
		(void) memcpy(text, data, len);
	/* Whatever the spelling, nothing but loopback comes out. */
	if (ssh_address_is_loopback(text, address) && address[12] != 127 && address[15] != 1)
		abort();
	(void) ssh_signal_number(text);
	(void) proc_shell_is_allowed_var("LANG", text);
	(void) proc_shell_is_allowed_var(text, "C");
	unpack(&openshell__ipc__shell_start__descriptor, data, len);
	unpack(&openshell__ipc__shell_dial__descriptor, data, len);
	unpack(&openshell__ipc__shell_report__descriptor, data, len);
	free(text);
	return 0;
}
