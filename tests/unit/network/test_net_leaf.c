/* test_net_leaf.c - NET_CREDENTIALS as the leaf takes it: state, size, descriptors, content. */
#include "net_lab.h"

static struct lab_bundle { /* room for more than is legal */
	Openshell__Ipc__NetCredentials m;
	Openshell__Ipc__NetCredential at[CREDENTIAL_MAX + 1], *list[CREDENTIAL_MAX + 1];
	Openshell__Ipc__NetCredentialEndpoint ep, *eps[CREDENTIAL_ENDPOINTS_ALL_MAX + 1];
	char names[CREDENTIAL_MAX + 1][24];
	uint8_t bytes[CREDENTIAL_BUNDLE_MAX + 4096];
	size_t len;
} b;

/* n credentials N0, N1, ... for origin.test:80; the tests change them before they are packed. */
static void make(size_t n)
{
	openshell__ipc__net_credentials__init(&b.m);
	openshell__ipc__net_credential_endpoint__init(&b.ep);
	b.ep.host = (char *) "origin.test";
	b.ep.port = 80;
	for (size_t i = 0; i <= CREDENTIAL_ENDPOINTS_ALL_MAX; i++)
		b.eps[i] = &b.ep;
	for (size_t i = 0; i < n; i++) {
		Openshell__Ipc__NetCredential *c = b.list[i] = &b.at[i];

		openshell__ipc__net_credential__init(c);
		(void) snprintf(b.names[i], sizeof b.names[i], "N%zu", i);
		c->name = b.names[i];
		c->identity = (char *) "lab";
		c->has_value = true;
		c->value = (ProtobufCBinaryData){ 6, (uint8_t *) (uintptr_t) "s3cret" };
		c->endpoints = b.eps;
		c->n_endpoints = 1;
	}
	b.m.revision = 1;
	b.m.credentials = b.list;
	b.m.n_credentials = n;
}

static void pack(void)
{
	b.len = openshell__ipc__net_credentials__get_packed_size(&b.m);
	ASSERT(b.len <= sizeof b.bytes);
	ASSERT_EQ(openshell__ipc__net_credentials__pack(&b.m, b.bytes), b.len);
}

static void begin(struct lab *l)
{
	lab_greet(l);
	lab_configure(l);
	LAB_UNTIL(l, l->leaf->state == NET_CONFIGURED);
}

static void send_bundle(struct lab *l)
{
	lab_send_file(l, NET_CREDENTIALS, NULL, b.bytes, b.len);
}

static bool covers(struct lab *l)
{
	return net_credential_covers(l->leaf, "origin.test", 80);
}

static bool resolves(struct lab *l)
{
	static const char ph[] = "openshell:resolve:env:v1_N0";
	struct net_credential_where at = { "origin.test", 80, { "/", 1 } };
	struct net_slice path = at.path;
	struct net_injected *injected = NULL;
	struct net_credential_refusal why;
	struct net_head h = { .n_fields = 1 };
	bool yes;

	h.fields[0] = (struct net_field){ { "X", 1 }, { ph, sizeof ph - 1 } };
	yes = net_credential_apply(l->leaf, &at, &h, &path, NULL, &injected, &why) == 0;
	net_injected_done(l->leaf, injected);
	return yes;
}

/* A leaf that holds a good credential is told something wrong: it ends, and resolves nothing more. */
static void expect_end(const char *what)
{
	static uint8_t wrong[sizeof b.bytes];
	size_t len = b.len;
	struct lab l;

	(void) memcpy(wrong, b.bytes, len);
	begin(&l);
	make(1);
	pack();
	send_bundle(&l);
	LAB_UNTIL(&l, covers(&l));
	ASSERT(resolves(&l));
	lab_send_file(&l, NET_CREDENTIALS, NULL, wrong, len);
	for (int i = 0; i < 1000 && !l.ended; i++)
		lab_turn(&l);
	if (!l.ended || resolves(&l))
		FAIL_("%s: it %s", what, l.ended ? "still resolves" : "goes on");
	lab_end(&l);
}

TEST(good_credentials_are_taken_and_replaced)
{
	struct lab l;

	begin(&l);
	make(1);
	pack();
	send_bundle(&l);
	LAB_UNTIL(&l, covers(&l));
	make(0); /* an empty list is an answer, too */
	b.m.revision = 2;
	pack();
	send_bundle(&l);
	LAB_UNTIL(&l, !covers(&l));
	ASSERT(!l.ended);
	lab_end(&l);
}

TEST(credentials_before_the_configuration_end_the_channel)
{
	struct lab l;

	lab_greet(&l);
	make(1);
	pack();
	send_bundle(&l);
	LAB_UNTIL(&l, l.ended);
	ASSERT(!l.leaf->credentials);
	lab_end(&l);
}

/* Everything is in the file: a payload, no descriptor, or two, are somebody else's message. */
TEST(credentials_of_wrong_size_or_with_wrong_descriptors_end_the_channel)
{
	for (int way = 0; way < 3; way++) {
		Openshell__Ipc__NetPolicy payload = OPENSHELL__IPC__NET_POLICY__INIT;
		struct err e = { 0 };
		struct lab l;
		int fds[2];

		payload.generation = 1;
		begin(&l);
		make(1);
		pack();
		ASSERT_OK(fd_sealed_new("lab", b.bytes, b.len, &fds[0], &e));
		fds[1] = fds[0];
		lab_send(&l, NET_CREDENTIALS, way == 0 ? &payload.base : NULL, fds,
			way == 1	   ? 0
				: way == 2 ? 2
					   : 1);
		(void) close(fds[0]);
		LAB_UNTIL(&l, l.ended);
		ASSERT(!l.leaf->credentials);
		lab_end(&l);
	}
}

TEST(malformed_or_cut_credentials_end_the_channel)
{
	make(1);
	pack();
	for (size_t cut = 1; cut < b.len; cut += 7) {
		make(1);
		pack();
		b.len -= cut;
		/* Cut between two fields of the list it is a shorter list, which is legal. */
		if (b.len > 2)
			expect_end("cut");
	}
	b.len = 1;
	b.bytes[0] = 0xff;
	expect_end("malformed");
	/* bytes behind the message that are no field */
	make(1);
	pack();
	b.bytes[b.len++] = 0x07;
	expect_end("trailing byte");
	make(1);
	pack();
	(void) memcpy(b.bytes + b.len, "\x12\x7f", 2); /* one more credential, of 127 bytes */
	b.len += 2;
	expect_end("trailing begin");
}

/* A later minor version may say more. */
TEST(unknown_fields_are_skipped)
{
	struct lab l;

	begin(&l);
	make(1);
	pack();
	(void) memcpy(b.bytes + b.len, "\xfa\x3f\x02hi", 5); /* field 1023 */
	b.len += 5;
	send_bundle(&l);
	LAB_UNTIL(&l, covers(&l));
	ASSERT(!l.ended);
	lab_end(&l);
}

TEST(credentials_beyond_a_limit_end_the_channel)
{
	static uint8_t big[CREDENTIAL_VALUE_MAX + 1];
	struct lab l;

	(void) memset(big, 'x', sizeof big);
	make(CREDENTIAL_MAX + 1);
	pack();
	expect_end("too many");
	make(1);
	b.at[0].n_endpoints = CREDENTIAL_ENDPOINTS_MAX + 1;
	pack();
	expect_end("endpoints of one");
	make(CREDENTIAL_ENDPOINTS_ALL_MAX / CREDENTIAL_ENDPOINTS_MAX + 1);
	for (size_t i = 0; i < b.m.n_credentials; i++)
		b.at[i].n_endpoints = CREDENTIAL_ENDPOINTS_MAX;
	pack();
	expect_end("endpoints of all");
	make(1);
	b.at[0].value = (ProtobufCBinaryData){ sizeof big, big };
	pack();
	expect_end("long value");
	make(40); /* the values together */
	for (size_t i = 0; i < 40; i++)
		b.at[i].value = (ProtobufCBinaryData){ CREDENTIAL_VALUE_MAX, big };
	pack();
	expect_end("values together");
	make(1);
	pack();
	b.len = CREDENTIAL_BUNDLE_MAX + 1;
	expect_end("long file");
	/* and all of it at the limit is taken */
	begin(&l);
	make(CREDENTIAL_MAX);
	for (size_t i = 0; i < CREDENTIAL_MAX; i++)
		b.at[i].n_endpoints = CREDENTIAL_ENDPOINTS_ALL_MAX / CREDENTIAL_MAX;
	pack();
	send_bundle(&l);
	LAB_UNTIL(&l, covers(&l) || l.ended);
	ASSERT(!l.ended);
	lab_end(&l);
}

TEST(credentials_that_make_no_sense_end_the_channel)
{
	make(2);
	b.at[1].name = b.names[0];
	pack();
	expect_end("the same name twice");
	make(1);
	b.at[0].name = (char *) "v1_X";
	pack();
	expect_end("name that reads as a revision");
	make(1);
	b.at[0].identity = (char *) "";
	pack();
	expect_end("no identity");
	make(1);
	b.at[0].handle = (char *) "abc";
	pack();
	expect_end("short handle");
	make(1);
	b.ep.port = 65536;
	pack();
	expect_end("port");
	make(1);
	b.ep.host = (char *) "**";
	pack();
	expect_end("every host");
	make(1);
	b.ep.path = (char *) "x";
	pack();
	expect_end("path without slash");
}

/* On the wire an empty value is none: the source could not be read. */
TEST(credential_without_value_does_not_resolve)
{
	for (int way = 0; way < 2; way++) {
		struct lab l;

		begin(&l);
		make(1);
		b.at[0].value.len = 0;
		b.at[0].has_value = way;
		pack();
		send_bundle(&l);
		LAB_UNTIL(&l, covers(&l));
		ASSERT(!l.ended && !resolves(&l));
		lab_end(&l);
	}
}
