/* fuzz_ipc.c - the payload of every message that a peer could send; the first byte chooses which. */
#include <stdint.h>
#include "core_channel.h"
#include "event.pb-c.h"
#include "ipc_common.pb-c.h"
#include "ipc_identity.pb-c.h"
#include "ipc_network.pb-c.h"
#include "ipc_process.pb-c.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	const ProtobufCMessageDescriptor *const all[] = { &openshell__event__event__descriptor,
		&openshell__ipc__hello__descriptor, &openshell__ipc__failure__descriptor,
		&openshell__ipc__id_ask__descriptor, &openshell__ipc__id_answer__descriptor,
		&openshell__ipc__id_resolve__descriptor, &openshell__ipc__id_resolved__descriptor,
		&openshell__ipc__net_configure__descriptor, &openshell__ipc__net_policy__descriptor,
		&openshell__ipc__net_policy_result__descriptor,
		&openshell__ipc__net_ready__descriptor, &openshell__ipc__proc_attach__descriptor,
		&openshell__ipc__proc_claim__descriptor, &openshell__ipc__proc_claimed__descriptor,
		&openshell__ipc__proc_bind__descriptor, &openshell__ipc__proc_confirmed__descriptor,
		&openshell__ipc__proc_start__descriptor, &openshell__ipc__proc_signal__descriptor,
		&openshell__ipc__proc_exited__descriptor };
	struct channel_msg m = { 0 };
	ProtobufCMessage *base;
	struct err e = { 0 };

	if (len < 1)
		return 0;
	m.bytes = data + 1;
	m.len = len - 1;
	if (channel_unpack(&m, all[data[0] % (sizeof all / sizeof *all)], &base, &e) == 0)
		protobuf_c_message_free_unpacked(base, NULL);
	return 0;
}
