/* fuzz_credential_scan.c - the streaming scanner must agree with the whole text's, whatever the
 * pieces, and pass on every byte of what is no marker. The first byte chooses the pieces. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include "core_credential_scan.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static bool scan(const char *in, size_t len, size_t step, char *out, size_t *ret_len)
{
	struct credential_scan s = { 0 };
	size_t got;

	*ret_len = 0;
	for (size_t at = 0; at < len; at += step) {
		bool fine = credential_scan_feed(
			&s, in + at, len - at < step ? len - at : step, out + *ret_len, &got);

		*ret_len += got;
		if (!fine)
			return true;
	}
	*ret_len += credential_scan_finish(&s, out + *ret_len);
	return false;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	const char *in = (const char *) data + 1;
	size_t n;
	bool hit;
	char *out;

	if (len < 2)
		return 0;
	out = malloc(len + CREDENTIAL_SCAN_HELD_MAX);
	if (!out)
		return 0;
	hit = scan(in, len - 1, data[0] % 97 + 1, out, &n);
	if (hit != credential_has_marker(in, len - 1) || memcmp(out, in, n) != 0)
		abort();
	if (!hit && n != len - 1)
		abort();
	if (hit && credential_has_marker(out, n))
		abort(); /* a marker got through */
	free(out);
	return 0;
}
