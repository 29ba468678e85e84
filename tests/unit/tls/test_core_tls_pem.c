#include "core_tls_pem.h"
#include <stdlib.h>
#include <string.h>
#include "test.h"

#define BEGIN "-----BEGIN CERTIFICATE-----"
#define END "-----END CERTIFICATE-----"

/* Heap of the exact size, so that the sanitizer sees a byte too many. */
static bool decode(const char *block, unsigned char *ret, size_t *ret_len)
{
	size_t len = strlen(block);
	char *copy = malloc(len ? len : 1);
	unsigned char *out = malloc(tls_pem_room(len));
	bool r;

	(void) memcpy(copy, block, len);
	r = tls_pem_decode(copy, len, out, ret_len);
	if (r)
		(void) memcpy(ret, out, *ret_len);
	free(copy);
	free(out);
	return r;
}

static void expect(const char *body, const char *want)
{
	unsigned char got[256];
	char block[512];
	size_t n;

	(void) snprintf(block, sizeof block, BEGIN "%s" END, body);
	if (!decode(block, got, &n))
		FAIL_("refused: %s", body);
	ASSERT_EQ((long long) n, (long long) strlen(want));
	ASSERT(memcmp(got, want, n) == 0);
}

static void refuse(const char *body)
{
	unsigned char got[256];
	char block[512];
	size_t n;

	(void) snprintf(block, sizeof block, BEGIN "%s" END, body);
	if (decode(block, got, &n))
		FAIL_("taken: %s", body);
}

TEST(base64_is_decoded_with_each_padding_and_either_line_end)
{
	expect("\nYWJj\n", "abc"); /* RFC 4648 */
	expect("\nYWI=\n", "ab");
	expect("\nYQ==\n", "a");
	expect("\r\nYWJj\r\nZGVm\r\n", "abcdef");
	expect("\nYWJj\nZGVm\nZw==\n", "abcdefg");
	expect("\n+/+/\n", "\xfb\xff\xbf");
}

TEST(every_value_of_the_alphabet_is_its_own)
{
	static const char alphabet[] =
		"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

	for (int c = 1; c < 256; c++) {
		const char *at = c ? strchr(alphabet, c) : NULL;
		char block[] = BEGIN "\nAAA.\n" END;
		unsigned char out[16];
		size_t n;
		bool taken;

		*strchr(block, '.') = (char) c;
		taken = decode(block, out, &n);
		if (c == '=')
			continue; /* padding: the test above */
		ASSERT_EQ(taken, at != NULL);
		if (at)
			ASSERT(n == 3 && out[2] == at - alphabet);
	}
}

TEST(anything_unusual_is_left_to_mbedtls)
{
	static const char *const bodies[] = { "", "\n", "YWJj\n", "\nYWJj", "\n\nYWJj\n",
		"\nYWJj\n\n", "\nYWJ\n", "\nYW Jj\n", "\n YWJj\n", "\nYWJj \n", "\nYWJj\rZGVm\n",
		"\nYWI=YWJj\n", "\nYWI=\nYWJj\n", "\nY===\n", "\n====\n", "\nYQ=Q\n", "\nYR==\n",
		"\nYWJ=\n", "\nYW-_\n", "\nProc-Type: 4,ENCRYPTED\n\nYWJj\n", "\r\r\nYWJj\n" };

	for (size_t i = 0; i < sizeof bodies / sizeof *bodies; i++)
		refuse(bodies[i]);
}

TEST(a_block_is_found_and_one_without_end_is_told)
{
	static const char text[] = "x" BEGIN "1" END "y" BEGIN "2" END BEGIN "3";
	const char *at = text, *end = text + sizeof text - 1, *block;
	size_t len;

	block = tls_pem_next(&at, end, &len);
	ASSERT(block == text + 1 && len == sizeof BEGIN + sizeof END - 1);
	block = tls_pem_next(&at, end, &len);
	ASSERT(block && block[sizeof BEGIN - 1] == '2' && len);
	block = tls_pem_next(&at, end, &len);
	ASSERT(block && len == 0 && at == end);
	ASSERT(!tls_pem_next(&at, end, &len));
}

TEST(dashes_that_begin_and_end_share_are_no_block)
{
	static const char text[] = "-----BEGIN CERTIFICATE-----END CERTIFICATE-----";
	const char *at = text;
	unsigned char out[64];
	size_t len, n;

	ASSERT(tls_pem_next(&at, text + sizeof text - 1, &len) == text);
	ASSERT_EQ((long long) len, (long long) sizeof text - 1);
	ASSERT(!tls_pem_decode(text, len, out, &n));
}

static size_t der(const char *bytes, size_t len)
{
	unsigned char *copy = malloc(len ? len : 1);
	const unsigned char *at = copy, *found;
	size_t n = 0;

	(void) memcpy(copy, bytes, len);
	found = tls_der_next(&at, copy + len, &n);
	ASSERT(found ? found == copy && at == copy + n : at == copy && n == 0);
	free(copy);
	return n;
}

TEST(der_has_its_length_in_every_form)
{
	ASSERT_EQ((long long) der("\x30\x00", 2), 2);
	ASSERT_EQ((long long) der("\x30\x01z-", 4), 3);
	ASSERT_EQ((long long) der("\x30\x81\x01z-", 5), 4);
	ASSERT_EQ((long long) der("\x30\x82\x00\x01z-", 6), 5);
	ASSERT_EQ((long long) der("\x30\x84\x00\x00\x00\x01z", 7), 7);
}

TEST(what_is_no_sequence_or_is_cut_is_not_taken)
{
	ASSERT_EQ((long long) der("", 0), 0);
	ASSERT_EQ((long long) der("\x30", 1), 0);
	ASSERT_EQ((long long) der("\x31\x00", 2), 0);
	ASSERT_EQ((long long) der("\x30\x01", 2), 0);
	ASSERT_EQ((long long) der("\x30\x80", 2), 0);
	ASSERT_EQ((long long) der("\x30\x81", 2), 0);
	ASSERT_EQ((long long) der("\x30\x82\x01", 3), 0);
	ASSERT_EQ((long long) der("\x30\x84\xff\xff\xff\xff", 6), 0);
	ASSERT_EQ((long long) der("\x30\x85\x00\x00\x00\x00\x00", 7), 0);
	ASSERT_EQ((long long) der("\x30\xff\x00", 3), 0);
}
