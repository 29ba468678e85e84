#include "proc_packet.h"
#include <errno.h>
#include <netinet/in.h>
#include "proc_bypass.h"
#include "test.h"

/* 10.200.0.1:40000 -> 192.0.2.7:443, SYN, sequence 0xfffffffe */
static const uint8_t syn4[] = { 0x45, 0, 0, 40, 0, 1, 0x40, 0, 64, 6, 0, 0, 10, 200, 0, 1, 192, 0,
	2, 7, 0x9c, 0x40, 0x01, 0xbb, 0xff, 0xff, 0xff, 0xfe, 0, 0, 0, 0, 0x50, 0x02, 0x10, 0, 0, 0,
	0, 0 };
/* ::1 -> 2001:db8::7, hop-by-hop options, then the same TCP header */
static const uint8_t syn6[] = { 0x60, 0, 0, 0, 0, 28, 0, 64, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
	0, 0, 1, 0x20, 0x01, 0x0d, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 7, 6, 0, 1, 4, 0, 0, 0, 0,
	0x9c, 0x40, 0x01, 0xbb, 0xff, 0xff, 0xff, 0xfe, 0, 0, 0, 0, 0x50, 0x02, 0x10, 0, 0, 0, 0,
	0 };

static uint16_t ones_sum(const uint8_t *p, size_t len, uint32_t s)
{
	for (size_t i = 0; i < len; i += 2)
		s += (uint32_t) (p[i] << 8 | p[i + 1]);
	while (s >> 16)
		s = (s & 0xffff) + (s >> 16);
	return (uint16_t) s;
}

TEST(syn_is_understood)
{
	struct proc_packet p;
	char text[ADDR_TEXT_MAX];

	ASSERT_OK(proc_packet_parse(syn4, sizeof syn4, &p));
	ASSERT(p.v4 && p.is_syn);
	ASSERT_EQ(p.protocol, IPPROTO_TCP);
	ASSERT_EQ(p.source_port, 40000);
	ASSERT_EQ(p.destination_port, 443);
	ASSERT_EQ(p.sequence, 0xfffffffe);
	ASSERT_STR(addr_text(&p.destination, text), "192.0.2.7");
	ASSERT_OK(proc_packet_parse(syn6, sizeof syn6, &p));
	ASSERT(!p.v4 && p.is_syn);
	ASSERT_EQ(p.destination_port, 443);
	ASSERT_STR(addr_text(&p.destination, text), "2001:db8::7");
}

TEST(every_truncation_is_refused)
{
	struct proc_packet p;

	for (size_t n = 0; n < sizeof syn4; n++)
		ASSERT_ERR(proc_packet_parse(syn4, n, &p), EBADMSG);
	for (size_t n = 0; n < sizeof syn6; n++)
		ASSERT_ERR(proc_packet_parse(syn6, n, &p), EBADMSG);
}

TEST(later_fragments_have_no_ports)
{
	uint8_t bytes[sizeof syn4];
	struct proc_packet p;

	memcpy(bytes, syn4, sizeof bytes);
	bytes[7] = 1;
	ASSERT_OK(proc_packet_parse(bytes, sizeof bytes, &p));
	ASSERT_EQ(p.destination_port, 0);
	ASSERT(!p.is_syn);
}

TEST(other_versions_and_short_headers_are_refused)
{
	uint8_t bytes[sizeof syn4];
	struct proc_packet p;

	memcpy(bytes, syn4, sizeof bytes);
	bytes[0] = 0x55;
	ASSERT_ERR(proc_packet_parse(bytes, sizeof bytes, &p), EBADMSG);
	bytes[0] = 0x44;
	ASSERT_ERR(proc_packet_parse(bytes, sizeof bytes, &p), EBADMSG);
	bytes[0] = 0x4f; /* options that are not there */
	ASSERT_ERR(proc_packet_parse(bytes, sizeof bytes, &p), EBADMSG);
}

TEST(reset_acknowledges_and_its_checksums_hold)
{
	uint8_t out[PROC_PACKET_RESET_MAX];
	struct proc_packet p;

	ASSERT_OK(proc_packet_parse(syn4, sizeof syn4, &p));
	ASSERT_EQ(proc_packet_reset(&p, out), 40);
	ASSERT_EQ(ones_sum(out, 20, 0), 0xffff);
	ASSERT_EQ(ones_sum(out + 20, 20, ones_sum(out + 12, 8, IPPROTO_TCP + 20)), 0xffff);
	ASSERT_EQ(out[33], 0x14);			      /* RST, ACK */
	ASSERT(memcmp(out + 28, "\xff\xff\xff\xff", 4) == 0); /* sequence + 1 */
	ASSERT_OK(proc_packet_parse(syn6, sizeof syn6, &p));
	ASSERT_EQ(proc_packet_reset(&p, out), 60);
	ASSERT_EQ(ones_sum(out + 40, 20, ones_sum(out + 8, 32, IPPROTO_TCP + 20)), 0xffff);
}

TEST(nothing_but_a_syn_is_answered)
{
	uint8_t bytes[sizeof syn4], out[PROC_PACKET_RESET_MAX];
	struct proc_packet p;

	memcpy(bytes, syn4, sizeof bytes);
	for (unsigned flags = 0; flags < 0x40; flags++) {
		bytes[33] = (uint8_t) flags;
		ASSERT_OK(proc_packet_parse(bytes, sizeof bytes, &p));
		ASSERT_EQ(proc_packet_reset(&p, out) != 0, (flags & 0x16) == 2);
	}
	bytes[9] = IPPROTO_UDP;
	ASSERT_OK(proc_packet_parse(bytes, sizeof bytes, &p));
	ASSERT_EQ(proc_packet_reset(&p, out), 0);
}

static const char *reason_of(struct event *ev, uint8_t protocol, uint16_t port)
{
	struct proc_packet p = { .protocol = protocol, .destination_port = port, .v4 = true };
	struct identity_caller c = {
		.assurance = IDENTITY_OBSERVED, .exe = "/usr/bin/tool", .pid = 7
	};

	proc_bypass_event(&p, &c, 1000, ev);
	return ev->msg.reason;
}

TEST(three_hints)
{
	struct event ev;

	ASSERT(strstr(reason_of(&ev, IPPROTO_TCP, 443), "NODE_USE_ENV_PROXY=1"));
	ASSERT(strstr(ev.msg.reason, "binaries: [{path: /usr/bin/tool}]"));
	ASSERT_STR(ev.msg.stage, "bypass");
	ASSERT_EQ(ev.msg.pid, 7);
	ASSERT(strstr(reason_of(&ev, IPPROTO_UDP, 53), "looked up by the proxy"));
	ASSERT(strstr(reason_of(&ev, IPPROTO_UDP, 443), "QUIC"));
	ASSERT(strstr(reason_of(&ev, 200, 0), "protocol 200"));
}

TEST(unknown_program_is_named_by_its_uid)
{
	struct proc_packet p = { .protocol = IPPROTO_TCP, .destination_port = 1, .v4 = true };
	struct event ev;

	proc_bypass_event(&p, NULL, 1234, &ev);
	ASSERT(strstr(ev.msg.reason, "uid 1234"));
	ASSERT_STR(ev.msg.binary, "");
	ASSERT(!strstr(ev.msg.reason, "binaries"));
}
