/* fuzz_packet.c - a logged packet: no read past its end, and an answer only to a SYN. */
#include <netinet/in.h>
#include <stdint.h>
#include <stdlib.h>
#include "proc_packet.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	uint8_t reset[PROC_PACKET_RESET_MAX];
	struct proc_packet p, again;
	size_t n;

	if (proc_packet_parse(data, size, &p) < 0)
		return 0;
	n = proc_packet_reset(&p, reset);
	if ((n != 0) != (p.protocol == IPPROTO_TCP && p.is_syn) || n > sizeof reset)
		abort();
	if (n &&
		(proc_packet_parse(reset, n, &again) < 0 || again.is_syn ||
			!addr_equal(&again.source, &p.destination) ||
			again.destination_port != p.source_port))
		abort();
	return 0;
}
