/* test_core_addr.c - classes, embeddings, odd spellings, nets. */
#include "core_addr.h"
#include "test.h"

static enum addr_class class_of(const char *text)
{
	struct addr a;

	if (addr_parse(text, strlen(text), &a) < 0)
		FAIL_("%s does not parse", text);
	return addr_classify(&a);
}

TEST(special_ranges_have_their_class)
{
	static const struct {
		const char *text;
		enum addr_class class;
	} cases[] = { { "8.8.8.8", ADDR_PUBLIC }, { "2606:4700::1111", ADDR_PUBLIC },
		{ "127.0.0.1", ADDR_BLOCKED }, { "127.255.255.254", ADDR_BLOCKED },
		{ "169.254.169.254", ADDR_BLOCKED }, { "0.0.0.0", ADDR_BLOCKED },
		{ "::", ADDR_BLOCKED }, { "::1", ADDR_BLOCKED }, { "fe80::1", ADDR_BLOCKED },
		{ "febf::1", ADDR_BLOCKED }, { "0.1.2.3", ADDR_INTERNAL },
		{ "10.0.0.1", ADDR_INTERNAL }, { "100.64.0.9", ADDR_INTERNAL },
		{ "100.128.0.1", ADDR_PUBLIC }, { "172.16.0.1", ADDR_INTERNAL },
		{ "172.32.0.1", ADDR_PUBLIC }, { "192.0.0.8", ADDR_INTERNAL },
		{ "192.0.2.1", ADDR_INTERNAL }, { "192.168.0.1", ADDR_INTERNAL },
		{ "198.18.0.5", ADDR_INTERNAL }, { "198.20.0.1", ADDR_PUBLIC },
		{ "203.0.113.9", ADDR_INTERNAL }, { "224.0.0.1", ADDR_INTERNAL },
		{ "240.0.0.1", ADDR_INTERNAL }, { "255.255.255.255", ADDR_INTERNAL },
		{ "fc00::1", ADDR_INTERNAL }, { "fdff::1", ADDR_INTERNAL },
		{ "fec0::1", ADDR_INTERNAL }, { "ff02::1", ADDR_INTERNAL },
		{ "2001:db8::1", ADDR_INTERNAL }, { "168.63.129.16", ADDR_METADATA },
		{ "100.100.100.200", ADDR_METADATA }, { "fd00:ec2::254", ADDR_METADATA } };

	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
		if (class_of(cases[i].text) != cases[i].class)
			FAIL_("%s is %d", cases[i].text, (int) class_of(cases[i].text));
}

TEST(embedded_ipv4_counts_as_the_worse_of_the_two)
{
	ASSERT_EQ(class_of("::ffff:169.254.169.254"), ADDR_BLOCKED);
	ASSERT_EQ(class_of("::ffff:8.8.8.8"), ADDR_PUBLIC);
	ASSERT_EQ(class_of("64:ff9b::a9fe:a9fe"), ADDR_BLOCKED);
	ASSERT_EQ(class_of("64:ff9b::808:808"), ADDR_INTERNAL);
	ASSERT_EQ(class_of("64:ff9b:1::7f00:1"), ADDR_BLOCKED);
	ASSERT_EQ(class_of("::127.0.0.1"), ADDR_BLOCKED);
	ASSERT_EQ(class_of("2002:7f00:1::"), ADDR_BLOCKED);
	ASSERT_EQ(class_of("2001:0:4136:e378:8000:63bf:80ff:fffe"),
		ADDR_BLOCKED); /* client 127.0.0.1 */
	ASSERT_EQ(class_of("2606:4700::5efe:7f00:1"), ADDR_BLOCKED);
}

TEST(text_is_strict)
{
	static const char *const bad[] = { "", "1.2.3", "1.2.3.4.5", "01.2.3.4", "1.2.3.256",
		" 1.2.3.4", "1.2.3.4 ", "fe80::1%lo", "[::1]", "1::2::3", "::ffff:1.2.3",
		"0x1.2.3.4" };
	struct addr a;

	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
		if (addr_parse(bad[i], strlen(bad[i]), &a) == 0)
			FAIL_("accepted: %s", bad[i]);
}

TEST(odd_ipv4_is_recognised)
{
	static const char *const odd[] = { "2130706433", "0x7f.1", "0177.0.0.1", "127.1", "1",
		"0x7f000001", "a.1", "1.2.3.4.5", "0x", "1.", "a.0x1f" };
	static const char *const fine[] = { "1.2.3.4", "a1", "a.b", "1a", "x0", "0xg.com",
		"1.com" };

	for (size_t i = 0; i < sizeof odd / sizeof *odd; i++)
		if (!addr_is_odd_ipv4(odd[i], strlen(odd[i])))
			FAIL_("not odd: %s", odd[i]);
	for (size_t i = 0; i < sizeof fine / sizeof *fine; i++)
		if (addr_is_odd_ipv4(fine[i], strlen(fine[i])))
			FAIL_("odd: %s", fine[i]);
}

static struct addr_net net_of(const char *text)
{
	struct addr_net n;

	if (addr_net_parse(text, strlen(text), &n) < 0)
		FAIL_("%s does not parse", text);
	return n;
}

TEST(nets_hold_and_overlap)
{
	struct addr_net ten = net_of("10.0.0.0/8"), all4 = net_of("0.0.0.0/0"),
			all6 = net_of("::/0"), n;
	struct addr a;

	ASSERT_OK(addr_parse("10.255.0.1", 10, &a));
	ASSERT(addr_net_has(&ten, &a));
	ASSERT_OK(addr_parse("11.0.0.1", 8, &a));
	ASSERT(!addr_net_has(&ten, &a) && addr_net_has(&all4, &a));
	ASSERT(!addr_net_touches_blocked(&ten));
	ASSERT(addr_net_touches_blocked(&all4) && addr_net_touches_blocked(&all6));
	n = net_of("126.0.0.0/7");
	ASSERT(addr_net_touches_blocked(&n));
	ASSERT(addr_net_parse("10.0.0.0/33", 11, &n) < 0 &&
		addr_net_parse("10.0.0.0/", 9, &n) < 0 && addr_net_parse("::/129", 6, &n) < 0 &&
		addr_net_parse("1.2.3.4/08", 10, &n) < 0);
}
