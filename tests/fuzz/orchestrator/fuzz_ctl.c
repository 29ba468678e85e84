/* fuzz_ctl.c - packets of the control socket and of session channels, as the orchestrator gets them. */
#include <stdint.h>
#include "core_channel.h"
#include "ipc_common.pb-c.h"
#include "ipc_ctl.h"
#include "ipc_session.h"
#include "ipc_session.pb-c.h"
#include "orch_ctl_socket.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static int unpack(const struct channel_msg *m, const ProtobufCMessageDescriptor *type)
{
	ProtobufCMessage *base;
	struct err e = { 0 };

	if (channel_unpack(m, type, &base, &e) == 0)
		protobuf_c_message_free_unpacked(base, NULL);
	return 0;
}

static int handle(void *owner, const struct channel_msg *m, int *fds, struct err *e)
{
	static const ProtobufCMessageDescriptor *const types[] = {
		&openshell__ipc__hello__descriptor, &openshell__ipc__session_open__descriptor,
		&openshell__ipc__session_bytes__descriptor,
		&openshell__ipc__session_taken__descriptor,
		&openshell__ipc__session_resize__descriptor,
		&openshell__ipc__session_signal__descriptor
	};

	(void) owner;
	(void) fds;
	(void) e;
	for (size_t i = 0; i < sizeof types / sizeof *types; i++)
		(void) unpack(m, types[i]);
	return 0;
}

#define X(n, num, lo, hi, fds, st) { #n, (num), (lo), (hi), (fds), (st), handle },
static const struct channel_rule ctl_table[] = { CTL_REQUESTS(X){ 0 } };
static const struct channel_rule session_table[] = { SESSION_REQUESTS(X){ 0 } };
#undef X

static void take(const struct channel_rule *table, uint32_t state, const uint8_t *data, size_t len)
{
	struct err e = { 0 };
	uint16_t number = (uint16_t) (data[0] | data[1] << 8);
	const struct channel_rule *r =
		channel_admit(table, state, number, len - CHANNEL_HEADER_LEN, 0, &e);
	struct channel_msg m = { "fuzz", number, 0, data + CHANNEL_HEADER_LEN,
		len - CHANNEL_HEADER_LEN };

	if (r)
		(void) r->handle(NULL, &m, NULL, &e);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	char name[80];

	if (len < CHANNEL_HEADER_LEN)
		return 0;
	take(ctl_table, CTL_NEW | CTL_GREETED, data, len);
	take(session_table, SESSION_NEW | SESSION_OPEN_S, data, len);
	for (size_t i = 0; i < sizeof name; i++)
		name[i] = i < len && i < sizeof name - 1 ? (char) data[i] : '\0';
	(void) orch_ctl_is_name(name);
	return 0;
}
