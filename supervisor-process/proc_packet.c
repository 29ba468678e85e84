#include "proc_packet.h"
#include <errno.h>
#include <netinet/in.h>
#include <string.h>

#define V4_HEADER 20
#define V6_HEADER 40
#define TCP_HEADER 20
#define V6_EXTENSIONS_MAX 8
#define TCP_SYN 0x02
#define TCP_RST 0x04
#define TCP_ACK 0x10
#define TTL 64

static uint16_t get16(const uint8_t *p)
{
	return (uint16_t) (p[0] << 8 | p[1]);
}

static uint32_t get32(const uint8_t *p)
{
	return (uint32_t) get16(p) << 16 | get16(p + 2);
}

static void put16(uint8_t *p, uint32_t v)
{
	p[0] = (uint8_t) (v >> 8);
	p[1] = (uint8_t) v;
}

static void put32(uint8_t *p, uint32_t v)
{
	put16(p, v >> 16);
	put16(p + 2, v & 0xffff);
}

static void map_v4(const uint8_t *p, struct addr *ret)
{
	(void) memset(ret->b, 0, 10);
	(void) memset(ret->b + 10, 0xff, 2);
	(void) memcpy(ret->b + 12, p, 4);
}

static bool has_ports(uint8_t protocol)
{
	return protocol == IPPROTO_TCP || protocol == IPPROTO_UDP || protocol == IPPROTO_UDPLITE ||
		protocol == IPPROTO_SCTP || protocol == IPPROTO_DCCP;
}

static int parse_transport(const uint8_t *p, size_t len, struct proc_packet *ret)
{
	if (!has_ports(ret->protocol))
		return 0;
	if (len < 4)
		return -EBADMSG;
	ret->source_port = get16(p);
	ret->destination_port = get16(p + 2);
	if (ret->protocol != IPPROTO_TCP)
		return 0;
	if (len < TCP_HEADER)
		return -EBADMSG;
	ret->sequence = get32(p + 4);
	ret->is_syn = (p[13] & (TCP_SYN | TCP_ACK | TCP_RST)) == TCP_SYN;
	return 0;
}

static int parse_v4(const uint8_t *p, size_t len, struct proc_packet *ret)
{
	size_t header = (size_t) (p[0] & 15) * 4;

	if (header < V4_HEADER || len < header)
		return -EBADMSG;
	ret->v4 = true;
	ret->protocol = p[9];
	map_v4(p + 12, &ret->source);
	map_v4(p + 16, &ret->destination);
	/* Only the first fragment has the transport header. */
	if (get16(p + 6) & 0x1fff)
		return 0;
	return parse_transport(p + header, len - header, ret);
}

static bool is_extension(uint8_t next)
{
	return next == IPPROTO_HOPOPTS || next == IPPROTO_ROUTING || next == IPPROTO_DSTOPTS;
}

static int parse_v6(const uint8_t *p, size_t len, struct proc_packet *ret)
{
	size_t at = V6_HEADER;
	uint8_t next;

	if (len < V6_HEADER)
		return -EBADMSG;
	(void) memcpy(ret->source.b, p + 8, 16);
	(void) memcpy(ret->destination.b, p + 24, 16);
	next = p[6];
	for (int i = 0; i < V6_EXTENSIONS_MAX && is_extension(next); i++) {
		if (len - at < 8)
			return -EBADMSG;
		next = p[at];
		at += ((size_t) p[at + 1] + 1) * 8;
		if (at > len)
			return -EBADMSG;
	}
	ret->protocol = next;
	return parse_transport(p + at, len - at, ret);
}

int proc_packet_parse(const uint8_t *bytes, size_t len, struct proc_packet *ret)
{
	*ret = (struct proc_packet){ 0 };
	if (len < V4_HEADER)
		return -EBADMSG;
	if (bytes[0] >> 4 == 4)
		return parse_v4(bytes, len, ret);
	if (bytes[0] >> 4 == 6)
		return parse_v6(bytes, len, ret);
	return -EBADMSG;
}

static uint32_t sum(const uint8_t *p, size_t len, uint32_t start)
{
	for (size_t i = 0; i + 1 < len; i += 2)
		start += get16(p + i);
	return start;
}

static uint16_t fold(uint32_t s)
{
	while (s >> 16)
		s = (s & 0xffff) + (s >> 16);
	return (uint16_t) ~s;
}

static void put_tcp(const struct proc_packet *p, uint8_t *t)
{
	size_t skip = p->v4 ? 12 : 0;
	uint32_t s = IPPROTO_TCP + TCP_HEADER;

	put16(t, p->destination_port);
	put16(t + 2, p->source_port);
	put32(t + 8, p->sequence + 1);
	t[12] = TCP_HEADER / 4 << 4;
	t[13] = TCP_RST | TCP_ACK;
	s = sum(p->source.b + skip, 16 - skip, s);
	s = sum(p->destination.b + skip, 16 - skip, s);
	put16(t + 16, fold(sum(t, TCP_HEADER, s)));
}

size_t proc_packet_reset(const struct proc_packet *p, uint8_t ret[PROC_PACKET_RESET_MAX])
{
	size_t header = p->v4 ? V4_HEADER : V6_HEADER;

	if (p->protocol != IPPROTO_TCP || !p->is_syn)
		return 0;
	(void) memset(ret, 0, PROC_PACKET_RESET_MAX);
	put_tcp(p, ret + header);
	if (!p->v4) {
		ret[0] = 6 << 4;
		put16(ret + 4, TCP_HEADER);
		ret[6] = IPPROTO_TCP;
		ret[7] = TTL;
		(void) memcpy(ret + 8, p->destination.b, 16);
		(void) memcpy(ret + 24, p->source.b, 16);
		return V6_HEADER + TCP_HEADER;
	}
	ret[0] = 4 << 4 | V4_HEADER / 4;
	put16(ret + 2, V4_HEADER + TCP_HEADER);
	ret[8] = TTL;
	ret[9] = IPPROTO_TCP;
	(void) memcpy(ret + 12, p->destination.b + 12, 4);
	(void) memcpy(ret + 16, p->source.b + 12, 4);
	put16(ret + 10, fold(sum(ret, V4_HEADER, 0)));
	return V4_HEADER + TCP_HEADER;
}
