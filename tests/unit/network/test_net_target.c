/* test_net_target.c - how a destination may be spelled. */
#include <errno.h>
#include "net_target.h"
#include "test.h"

static int authority(const char *text, struct net_target *t)
{
	struct err e = { 0 };
	int r = net_target_authority((struct net_slice){ text, strlen(text) }, t, &e);

	/* A refusal says why. */
	ASSERT(r == 0 || e.text[0]);
	return r;
}

TEST(names_are_lower_cased_and_lose_one_trailing_dot)
{
	struct net_target t;

	ASSERT_OK(authority("API.Example.COM.:443", &t));
	ASSERT_STR(t.host, "api.example.com");
	ASSERT_EQ(t.port, 443);
	ASSERT(!t.is_ip);
}

TEST(addresses_are_recognised)
{
	struct net_target t;

	ASSERT_OK(authority("192.0.2.1:80", &t));
	ASSERT(t.is_ip && addr_is_v4(&t.ip));
	ASSERT_OK(authority("[2001:DB8::5]:8443", &t));
	ASSERT(t.is_ip);
	ASSERT_STR(t.host, "2001:db8::5");
	ASSERT_OK(authority("[::1]:443", &t));
	ASSERT_STR(t.host, "::1");
	ASSERT_OK(authority("a:65535", &t));
	ASSERT_EQ(t.port, 65535);
}

TEST(odd_spellings_are_refused)
{
	static const char *const bad[] = { "2130706433:80", "0177.0.0.1:80", "0x7f.1:80",
		"127.1:80", "127.0.0.01:80", "1:80", "[::1%lo]:80", "[a.b]:80", "[::1:80",
		"::1]:80", "a@b:80", "a:80:443", "a:0", "a:65536", "a:+80", "a:-1", "a:", "a",
		":80", "a..b:80", ".a:80", "a/b:80", "a%2eb:80", "\xc3\xb6.test:80", "-a.test:80",
		"a-.test:80", "*:80", "" };
	struct net_target t;

	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
		if (authority(bad[i], &t) != -EINVAL)
			FAIL_("accepted: %s", bad[i]);
}

TEST(labels_of_63_and_names_of_253_bytes_are_the_limit)
{
	char text[400];
	struct net_target t;

	(void) memset(text, 'a', sizeof text);
	for (size_t i = 63; i < 250; i += 64)
		text[i] = '.';
	(void) memcpy(text + 253, ":80", 4);
	ASSERT_OK(authority(text, &t));
	ASSERT_EQ(strlen(t.host), 253);
	(void) memcpy(text + 253, "a:80", 5);
	ASSERT_ERR(authority(text, &t), EINVAL);
	(void) memset(text, 'a', 64);
	(void) memcpy(text + 64, ".b:80", 6);
	ASSERT_ERR(authority(text, &t), EINVAL);
	(void) memcpy(text + 63, ".b:80", 6);
	ASSERT_OK(authority(text, &t));
}

static int absolute(const char *text, struct net_target *t, enum net_scheme *scheme)
{
	struct err e = { 0 };

	return net_target_absolute((struct net_slice){ text, strlen(text) }, t, scheme, &e);
}

TEST(absolute_form_has_default_ports_path_and_query)
{
	enum net_scheme scheme;
	struct net_target t;

	ASSERT_OK(absolute("http://a.test?q=1", &t, &scheme));
	ASSERT_EQ(t.port, 80);
	ASSERT(net_slice_is(t.path, "/") && t.has_query && net_slice_is(t.query, "q=1"));
	ASSERT_OK(absolute("HTTPS://a.test:8443/x/y", &t, &scheme));
	ASSERT_EQ(scheme, NET_SCHEME_HTTPS);
	ASSERT_EQ(t.port, 8443);
	ASSERT(net_slice_is(t.path, "/x/y") && !t.has_query);
	ASSERT_OK(absolute("http://[::1]?q=1", &t, &scheme));
	ASSERT(net_slice_is(t.path, "/") && net_slice_is(t.query, "q=1"));
	ASSERT_STR(t.host, "::1");
	ASSERT_EQ(t.port, 80);
	ASSERT_OK(absolute("http://[::1]:8080/p", &t, &scheme));
	ASSERT_EQ(t.port, 8080);
	ASSERT_OK(absolute("https://a.test", &t, &scheme));
	ASSERT_EQ(t.port, 443);
	ASSERT(net_slice_is(t.path, "/"));
	ASSERT_ERR(absolute("http://a.test/#f", &t, &scheme), EINVAL);
	ASSERT_ERR(absolute("http:///x", &t, &scheme), EINVAL);
	ASSERT_ERR(absolute("/x?u=http://a.test/", &t, &scheme), EINVAL);
}
