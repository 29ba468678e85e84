/* core_addr.h - IP addresses as policy sees them: strict text, classes, nets.
 *
 * Pure functions, no resolver.  Everything is kept as 16 bytes; IPv4 is the
 * mapped form ::ffff:a.b.c.d (RFC 4291 2.5.5.2) and compares equal to it.
 * An IPv6 address that embeds an IPv4 one (mapped, compatible, NAT64
 * 64:ff9b::/96 and 64:ff9b:1::/48, 6to4, Teredo client, ISATAP) is classified
 * by the worse of itself and what it embeds.
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>
#include "core_err.h"

#define ADDR_TEXT_MAX 46 /* bytes, NUL included (INET6_ADDRSTRLEN) */

struct addr {
	uint8_t b[16];
};

struct addr_net {
	struct addr base;
	uint8_t prefix; /* bits, 0-128 in the 16-byte form */
};

enum addr_class {
	ADDR_PUBLIC,
	ADDR_INTERNAL, /* private, shared, documentation, multicast, reserved: spec/network 3.8 */
	ADDR_METADATA, /* cloud metadata outside 169.254/16: 168.63.129.16, 100.100.100.200, fd00:ec2::254 */
	ADDR_BLOCKED, /* never reachable: loopback, link-local (all of 169.254/16), unspecified */
};

/* Strict: dotted quad of four decimal parts without leading zeros, or RFC 4291 text without zone
 * and without brackets.  -EINVAL otherwise. */
int addr_parse(const char *s, size_t len, struct addr *ret);
/* True for text that some resolver would read as an IPv4 address although addr_parse() refuses it:
 * 2130706433, 0x7f.1, 0177.0.0.1, 127.1 (inet_aton(3)).  Such a host is refused, never resolved. */
bool addr_is_odd_ipv4(const char *s, size_t len);
/* Address, or address/prefix with no host bits required to be zero. */
int addr_net_parse(const char *s, size_t len, struct addr_net *ret);
bool addr_is_v4(const struct addr *a);
bool addr_equal(const struct addr *a, const struct addr *b);
bool addr_net_has(const struct addr_net *n, const struct addr *a);
bool addr_net_overlaps(const struct addr_net *a, const struct addr_net *b);
/* Does the net overlap loopback, link-local or unspecified (0.0.0.0/0 and ::/0 do)? */
bool addr_net_touches_blocked(const struct addr_net *n);
enum addr_class addr_classify(const struct addr *a);
/* Canonical text (RFC 5952 for IPv6, dotted quad for IPv4); returns buf. */
const char *addr_text(const struct addr *a, char buf[ADDR_TEXT_MAX]);
int addr_from_sockaddr(
	const struct sockaddr *sa, socklen_t len, struct addr *ret, uint16_t *ret_port);
/* AF_INET for IPv4, AF_INET6 otherwise. */
void addr_to_sockaddr(
	const struct addr *a, uint16_t port, struct sockaddr_storage *ret, socklen_t *ret_len);
