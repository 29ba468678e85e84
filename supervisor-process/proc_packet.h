/* proc_packet.h - the head of a refused packet, and the reset that answers it.
 *
 * Pure: bytes in, struct out; no I/O.  The bytes are those of a packet that a
 * process of the workload sent and the fence logged (IPv4 or IPv6 header first),
 * possibly cut.
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "core_addr.h"

#define PROC_PACKET_COPY 128	 /* bytes of each packet that the kernel hands out */
#define PROC_PACKET_RESET_MAX 60 /* bytes of the answer */

struct proc_packet {
	struct addr source, destination;
	uint8_t protocol; /* of the last header that was understood, IPPROTO_x */
	bool v4;
	uint16_t source_port, destination_port; /* TCP, UDP and their kin; else 0 */
	uint32_t sequence;			/* TCP */
	bool is_syn;				/* TCP: the first packet of a connection */
};

/* -EBADMSG for what is no IP packet or is cut before its ports. */
int proc_packet_parse(const uint8_t *bytes, size_t len, struct proc_packet *ret);
/* The reset that the destination would send to a SYN: IP header, TCP header, checksums.  Returns
 * its length; 0 when the packet is no SYN. */
size_t proc_packet_reset(const struct proc_packet *p, uint8_t ret[PROC_PACKET_RESET_MAX]);
