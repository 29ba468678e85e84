/* test_core_tls_constraints.c - which hosts an authority with name constraints may vouch for. */
#include "core_tls_constraints.h"
#include "test.h"

struct bytes {
	uint8_t at[512];
	size_t len;
};

/* One DER element of up to two parts. */
static struct bytes der(uint8_t tag, struct bytes a, struct bytes b)
{
	struct bytes r = { .at = { tag, 0x82, (uint8_t) ((a.len + b.len) >> 8),
				   (uint8_t) (a.len + b.len) },
		.len = 4 };

	ASSERT(a.len + b.len + 4 < sizeof r.at);
	memcpy(r.at + 4, a.at, a.len);
	memcpy(r.at + 4 + a.len, b.at, b.len);
	r.len += a.len + b.len;
	return r;
}

static const struct bytes none = { .len = 0 };

static struct bytes raw(const void *at, size_t len)
{
	struct bytes r = { .len = len };

	memcpy(r.at, at, len);
	return r;
}

static struct bytes name(const char *s)
{
	return der(0x30, der(0x82, raw(s, strlen(s)), none), none);
}

static struct bytes address(const void *base, size_t len)
{
	return der(0x30, der(0x87, raw(base, len), none), none);
}

#define PERMITTED(...) der(0xa0, __VA_ARGS__)
#define EXCLUDED(...) der(0xa1, __VA_ARGS__)

/* Extensions with these constraints behind another extension. */
static struct bytes extensions(struct bytes a, struct bytes b)
{
	struct bytes other = der(0x30, der(0x06, raw("\x55\x1d\x0f", 3), none),
		der(0x04, raw("\x03\x02\x01\x06", 4), none));
	struct bytes critical = raw("\x01\x01\xff", 3);
	struct bytes value = der(0x04, der(0x30, a, b), none);

	memcpy(critical.at + 3, value.at, value.len);
	critical.len += value.len;
	return der(0x30, other, der(0x30, der(0x06, raw("\x55\x1d\x1e", 3), none), critical));
}

static bool allows(struct bytes e, const char *host)
{
	return tls_constraints_allow(e.at, e.len, host);
}

TEST(an_authority_without_constraints_vouches_for_all)
{
	ASSERT(tls_constraints_allow(NULL, 0, "a.test"));
	ASSERT(allows(der(0x30, none, none), "a.test"));
	ASSERT(allows(extensions(none, none), "a.test"));
}

TEST(permitted_names_are_those_and_what_is_below)
{
	struct bytes e = extensions(PERMITTED(name("Corp.Test"), name("b.test")), none);

	ASSERT(allows(e, "corp.test"));
	ASSERT(allows(e, "x.y.corp.test"));
	ASSERT(allows(e, "b.test"));
	ASSERT(!allows(e, "xcorp.test"));
	ASSERT(!allows(e, "test"));
	ASSERT(!allows(e, "corp.test.evil"));
}

TEST(a_leading_dot_leaves_out_the_name_itself)
{
	struct bytes e = extensions(PERMITTED(name(".corp.test"), none), none);

	ASSERT(allows(e, "x.corp.test"));
	ASSERT(!allows(e, "corp.test"));
	ASSERT(!allows(e, "xcorp.test"));
}

TEST(excluded_wins)
{
	struct bytes e = extensions(
		PERMITTED(name("corp.test"), none), EXCLUDED(name("secret.corp.test"), none));

	ASSERT(allows(e, "a.corp.test"));
	ASSERT(!allows(e, "secret.corp.test"));
	ASSERT(!allows(e, "x.secret.corp.test"));
	ASSERT(!allows(extensions(EXCLUDED(name(""), none), none), "a.test"));
}

TEST(addresses_are_compared_under_their_mask)
{
	struct bytes e = extensions(PERMITTED(address("\x0a\x01\0\0\xff\xff\0\0", 8), none), none);

	ASSERT(allows(e, "10.1.2.3"));
	ASSERT(!allows(e, "10.2.2.3"));
	ASSERT(!allows(e, "2001:db8::1")); /* another length is in no such net */
	/* Names are of another kind, and not constrained by it. */
	ASSERT(allows(e, "a.test"));
	ASSERT(!allows(
		extensions(EXCLUDED(address("\0\0\0\0\0\0\0\0", 8), none), none), "10.1.2.3"));
}

TEST(what_can_not_be_read_vouches_for_nobody)
{
	struct bytes e = extensions(PERMITTED(name("a.test"), none), none);

	for (size_t len = 1; len < e.len; len++)
		ASSERT(!tls_constraints_allow(e.at, len, "a.test"));
	ASSERT(allows(e, "a.test"));
	/* a minimum behind the base; a third list; not a sequence */
	ASSERT(!allows(extensions(PERMITTED(der(0x30, der(0x82, raw("a.test", 6), none),
						    raw("\x80\x01\x05", 3)),
					  none),
			       none),
		"a.test"));
	ASSERT(!allows(extensions(der(0xa2, name("a.test"), none), none), "a.test"));
	ASSERT(!allows(extensions(raw("\x05\0", 2), none), "a.test"));
	ASSERT(!allows(raw("\x30\x84\xff\xff\xff\xff", 6), "a.test"));
}
