#include "core_addr.h"
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include "core_text.h"

static const uint8_t mapped[12] = { 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff };

struct range {
	const char *net;
	enum addr_class class;
};

/* IANA special-purpose registries (RFC 6890 and successors), worst class first within a net. */
static const struct range v4_ranges[] = {
	{ "0.0.0.0/32", ADDR_BLOCKED },
	{ "127.0.0.0/8", ADDR_BLOCKED },
	{ "169.254.0.0/16", ADDR_BLOCKED },
	{ "168.63.129.16/32", ADDR_METADATA },
	{ "100.100.100.200/32", ADDR_METADATA },
	{ "0.0.0.0/8", ADDR_INTERNAL },
	{ "10.0.0.0/8", ADDR_INTERNAL },
	{ "100.64.0.0/10", ADDR_INTERNAL },
	{ "172.16.0.0/12", ADDR_INTERNAL },
	{ "192.0.0.0/24", ADDR_INTERNAL },
	{ "192.0.2.0/24", ADDR_INTERNAL },
	{ "192.168.0.0/16", ADDR_INTERNAL },
	{ "198.18.0.0/15", ADDR_INTERNAL },
	{ "198.51.100.0/24", ADDR_INTERNAL },
	{ "203.0.113.0/24", ADDR_INTERNAL },
	{ "224.0.0.0/4", ADDR_INTERNAL },
	{ "240.0.0.0/4", ADDR_INTERNAL },
};

static const struct range v6_ranges[] = {
	{ "::/128", ADDR_BLOCKED }, { "::1/128", ADDR_BLOCKED }, { "fe80::/10", ADDR_BLOCKED },
	{ "fd00:ec2::254/128", ADDR_METADATA }, { "fc00::/7", ADDR_INTERNAL },
	{ "fec0::/10", ADDR_INTERNAL }, { "ff00::/8", ADDR_INTERNAL },
	{ "2001:db8::/32", ADDR_INTERNAL }, { "3fff::/20", ADDR_INTERNAL },
	{ "100::/64", ADDR_INTERNAL }, { "::/96", ADDR_INTERNAL }, /* compatible, deprecated */
	{ "64:ff9b::/96", ADDR_INTERNAL },			   /* NAT64 */
	{ "64:ff9b:1::/48", ADDR_INTERNAL }, { "2001::/32", ADDR_INTERNAL }, /* Teredo */
	{ "2002::/16", ADDR_INTERNAL },					     /* 6to4 */
};

/* Where an IPv4 address may hide: net, byte offset, xor mask. */
static const struct {
	const char *net;
	unsigned at;
	uint8_t flip;
} embeddings[] = {
	{ "::/96", 12, 0 }, { "64:ff9b::/96", 12, 0 }, { "64:ff9b:1::/48", 12, 0 },
	{ "2002::/16", 2, 0 }, { "2001::/32", 12, 0xff }, /* Teredo client, RFC 4380 4 */
	{ "2001::/32", 4, 0 },				  /* Teredo server */
};

bool addr_is_v4(const struct addr *a)
{
	return memcmp(a->b, mapped, sizeof mapped) == 0;
}

static void from_v4(const uint8_t v4[4], struct addr *ret)
{
	(void) memcpy(ret->b, mapped, sizeof mapped);
	(void) memcpy(ret->b + 12, v4, 4);
}

/* inet_pton(3) for AF_INET takes only four decimal parts, without leading zeros in glibc. */
int addr_parse(const char *s, size_t len, struct addr *ret)
{
	char text[ADDR_TEXT_MAX];
	uint8_t v4[4];

	if (len == 0 || len >= sizeof text || memchr(s, '\0', len))
		return -EINVAL;
	(void) memcpy(text, s, len);
	text[len] = '\0';
	if (inet_pton(AF_INET, text, v4) == 1) {
		from_v4(v4, ret);
		return 0;
	}
	return inet_pton(AF_INET6, text, ret->b) == 1 ? 0 : -EINVAL;
}

static bool is_number(const char *s, size_t len)
{
	bool hex = len > 2 && s[0] == '0' && (s[1] == 'x' || s[1] == 'X');

	for (size_t i = hex ? 2 : 0; i < len; i++) {
		bool digit = s[i] >= '0' && s[i] <= '9';
		bool letter = (s[i] >= 'a' && s[i] <= 'f') || (s[i] >= 'A' && s[i] <= 'F');

		if (!digit && !(hex && letter))
			return false;
	}
	return len > 0;
}

/* A last label that is a number makes a resolver read the whole as an address (WHATWG URL 3.5). */
bool addr_is_odd_ipv4(const char *s, size_t len)
{
	struct addr a;
	size_t last;

	if (addr_parse(s, len, &a) == 0)
		return false;
	if (len > 0 && s[len - 1] == '.')
		len--;
	for (last = len; last > 0 && s[last - 1] != '.'; last--)
		;
	if (len - last == 2 && s[last] == '0' && (s[last + 1] == 'x' || s[last + 1] == 'X'))
		return true;
	return is_number(s + last, len - last);
}

int addr_net_parse(const char *s, size_t len, struct addr_net *ret)
{
	const char *slash = memchr(s, '/', len);
	size_t n = slash ? (size_t) (slash - s) : len;
	uint64_t prefix = 128;

	if (addr_parse(s, n, &ret->base) < 0)
		return -EINVAL;
	/* ::ffff:a.b.c.d/NN in IPv6 spelling counts its 128 bits. */
	bool v4 = addr_is_v4(&ret->base) && !memchr(s, ':', n);

	if (slash) {
		const char *digits = slash + 1;
		size_t left = len - n - 1;

		if ((left > 1 && digits[0] == '0') ||
			text_to_u64(digits, left, 0, v4 ? 32 : 128, &prefix) < 0)
			return -EINVAL;
		prefix += v4 ? 96 : 0;
	}
	ret->prefix = (uint8_t) prefix;
	return 0;
}

bool addr_equal(const struct addr *a, const struct addr *b)
{
	return memcmp(a->b, b->b, sizeof a->b) == 0;
}

static bool same_prefix(const struct addr *a, const struct addr *b, unsigned bits)
{
	unsigned bytes = bits / 8, rest = bits % 8;

	if (memcmp(a->b, b->b, bytes) != 0)
		return false;
	return rest == 0 || ((a->b[bytes] ^ b->b[bytes]) >> (8 - rest)) == 0;
}

bool addr_net_has(const struct addr_net *n, const struct addr *a)
{
	return same_prefix(&n->base, a, n->prefix);
}

bool addr_net_overlaps(const struct addr_net *a, const struct addr_net *b)
{
	return same_prefix(&a->base, &b->base, a->prefix < b->prefix ? a->prefix : b->prefix);
}

static void known_net(const char *text, struct addr_net *ret)
{
	/* The tables above are tested to parse. */
	if (addr_net_parse(text, strlen(text), ret) < 0)
		*ret = (struct addr_net){ .prefix = 0 };
}

bool addr_net_touches_blocked(const struct addr_net *n)
{
	struct addr_net net;

	for (size_t i = 0; i < sizeof v4_ranges / sizeof *v4_ranges; i++) {
		known_net(v4_ranges[i].net, &net);
		if (v4_ranges[i].class == ADDR_BLOCKED && addr_net_overlaps(n, &net))
			return true;
	}
	for (size_t i = 0; i < sizeof v6_ranges / sizeof *v6_ranges; i++) {
		known_net(v6_ranges[i].net, &net);
		if (v6_ranges[i].class == ADDR_BLOCKED && addr_net_overlaps(n, &net))
			return true;
	}
	return false;
}

static enum addr_class worse(enum addr_class a, enum addr_class b)
{
	return a > b ? a : b;
}

static enum addr_class in_ranges(const struct addr *a, const struct range *r, size_t n)
{
	enum addr_class found = ADDR_PUBLIC;
	struct addr_net net;

	for (size_t i = 0; i < n; i++) {
		known_net(r[i].net, &net);
		if (addr_net_has(&net, a))
			found = worse(found, r[i].class);
	}
	return found;
}

static enum addr_class classify_v4(const uint8_t v4[4])
{
	struct addr a;

	from_v4(v4, &a);
	return in_ranges(&a, v4_ranges, sizeof v4_ranges / sizeof *v4_ranges);
}

enum addr_class addr_classify(const struct addr *a)
{
	enum addr_class found;
	uint8_t v4[4];

	if (addr_is_v4(a))
		return classify_v4(a->b + 12);
	found = in_ranges(a, v6_ranges, sizeof v6_ranges / sizeof *v6_ranges);
	for (size_t i = 0; i < sizeof embeddings / sizeof *embeddings; i++) {
		struct addr_net net;

		known_net(embeddings[i].net, &net);
		if (!addr_net_has(&net, a))
			continue;
		for (unsigned k = 0; k < 4; k++)
			v4[k] = a->b[embeddings[i].at + k] ^ embeddings[i].flip;
		found = worse(found, classify_v4(v4));
	}
	/* ISATAP, RFC 5214 6.1: interface identifier ::0:5efe:a.b.c.d or ::200:5efe:a.b.c.d. */
	if ((a->b[8] & 0xfd) == 0 && a->b[9] == 0 && a->b[10] == 0x5e && a->b[11] == 0xfe)
		found = worse(found, worse(ADDR_INTERNAL, classify_v4(a->b + 12)));
	return found;
}

const char *addr_text(const struct addr *a, char buf[ADDR_TEXT_MAX])
{
	bool v4 = addr_is_v4(a);

	if (!inet_ntop(v4 ? AF_INET : AF_INET6, v4 ? a->b + 12 : a->b, buf, ADDR_TEXT_MAX))
		(void) snprintf(buf, ADDR_TEXT_MAX, "?");
	return buf;
}

int addr_from_sockaddr(
	const struct sockaddr *sa, socklen_t len, struct addr *ret, uint16_t *ret_port)
{
	if (sa->sa_family == AF_INET && len >= sizeof(struct sockaddr_in)) {
		struct sockaddr_in in;

		(void) memcpy(&in, sa, sizeof in);
		from_v4((const uint8_t *) &in.sin_addr, ret);
		*ret_port = ntohs(in.sin_port);
		return 0;
	}
	if (sa->sa_family == AF_INET6 && len >= sizeof(struct sockaddr_in6)) {
		struct sockaddr_in6 in6;

		(void) memcpy(&in6, sa, sizeof in6);
		(void) memcpy(ret->b, &in6.sin6_addr, sizeof ret->b);
		*ret_port = ntohs(in6.sin6_port);
		return 0;
	}
	return -EAFNOSUPPORT;
}

void addr_to_sockaddr(
	const struct addr *a, uint16_t port, struct sockaddr_storage *ret, socklen_t *ret_len)
{
	(void) memset(ret, 0, sizeof *ret);
	if (addr_is_v4(a)) {
		struct sockaddr_in in = { .sin_family = AF_INET, .sin_port = htons(port) };

		(void) memcpy(&in.sin_addr, a->b + 12, 4);
		(void) memcpy(ret, &in, sizeof in);
		*ret_len = sizeof in;
		return;
	}
	struct sockaddr_in6 in6 = { .sin6_family = AF_INET6, .sin6_port = htons(port) };

	(void) memcpy(&in6.sin6_addr, a->b, sizeof a->b);
	(void) memcpy(ret, &in6, sizeof in6);
	*ret_len = sizeof in6;
}
