#include "core_hello.h"
#include <errno.h>
#include "ipc_common.h"
#include "ipc_common.pb-c.h"

int hello_send(struct channel *c, uint16_t number, const char *executable, struct err *e)
{
	Openshell__Ipc__Hello m = OPENSHELL__IPC__HELLO__INIT;

	m.major = IPC_MAJOR;
	m.minor = IPC_MINOR;
	m.executable = (char *) (uintptr_t) executable;
	m.build = (char *) OPENSHELL_VERSION;
	return channel_send(c, number, 0, &m.base, e);
}

int hello_read(const struct channel_msg *m, uint32_t *ret_major, struct err *e)
{
	ProtobufCMessage *base;

	if (channel_unpack(m, &openshell__ipc__hello__descriptor, &base, e) < 0)
		return -e->code;
	*ret_major = ((Openshell__Ipc__Hello *) base)->major;
	protobuf_c_message_free_unpacked(base, NULL);
	return 0;
}

int hello_check(const struct channel_msg *m, const char *peer, struct err *e)
{
	uint32_t major;

	if (hello_read(m, &major, e) < 0)
		return -e->code;
	return major == IPC_MAJOR
		? 0
		: err_set(e, EPROTO,
			  "%s speaks version %u, this program %u; install both from one release",
			  peer, major, IPC_MAJOR);
}
