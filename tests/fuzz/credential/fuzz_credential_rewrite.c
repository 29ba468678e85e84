/* fuzz_credential_rewrite.c - no part of a request that is rewritten keeps a marker or gets a control
 * character, and a part without one is left alone.  The first byte chooses the part. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include "core_credential_rewrite.h"

#define VALUE "v%&=+/;\"\\ x"
#define SAFE "value-without-any-special"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static struct credential_store *store(void)
{
	static struct credential_store *s;
	static const struct credential_endpoint ep = { "a.test", 80, "" };
	const struct credential_spec c[3] = {
		{ "A", VALUE, sizeof VALUE - 1, "", "x", 0, NULL, 0 },
		{ "B", SAFE, sizeof SAFE - 1, "", "x", 0, &ep, 1 },
		{ "C", SAFE, sizeof SAFE - 1, "", "x", 0, NULL, 0 },
	};

	if (!s &&
		(credential_store_new(&s, NULL) < 0 ||
			credential_store_update(s, 1, c, 3, NULL) < 0))
		abort();
	return s;
}

static int part(
	struct credential_use *u, unsigned which, const char *in, size_t len, struct text *out)
{
	switch (which % 8) {
	case 0:
		return credential_rewrite_header(u, "X", 1, in, len, out);
	case 1:
		return credential_rewrite_header(u, "Authorization", 13, in, len, out);
	case 2:
		return credential_rewrite_header(u, "Cookie", 6, in, len, out);
	case 3:
		return credential_rewrite_path(u, in, len, out);
	case 4:
		return credential_rewrite_query(u, in, len, out);
	case 5:
		return credential_rewrite_body(u, "application/json", 16, in, len, out);
	case 6:
		return credential_rewrite_body(
			u, "application/x-www-form-urlencoded", 33, in, len, out);
	default:
		return credential_rewrite_text(u, in, len, false, out);
	}
}

static size_t count(const char *s, size_t len, char c)
{
	size_t n = 0;

	for (size_t i = 0; i < len; i++)
		n += s[i] == c;
	return n;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	struct credential_use u = { .store = store(), .at = { "a.test", 80, "/", 1, 1 } };
	const char *in = (const char *) data + 1;
	static char buf[1 << 20];
	struct text t;
	int r;

	if (len < 2 || len > 4096)
		return 0;
	text_init(&t, buf, sizeof buf);
	r = part(&u, data[0], in, len - 1, &t);
	if (r == 0 && credential_has_marker(buf, t.len))
		abort();
	if (r == 0 && data[0] % 8 == 3 && credential_has_incomplete(in, len - 1))
		abort();
	if (r == 0 && u.n_used == 0 && (t.len != len - 1 || memcmp(buf, in, t.len) != 0))
		abort();
	if (r < 0 && (u.verdict == CREDENTIAL_FINE || !u.why[0]))
		abort();
	/* The structure of path and query is the workload's alone. */
	if (r == 0 && data[0] % 8 == 3 && count(buf, t.len, '/') != count(in, len - 1, '/'))
		abort();
	if (r == 0 && data[0] % 8 == 4 && count(buf, t.len, '&') != count(in, len - 1, '&'))
		abort();
	text_init(&t, buf, sizeof buf);
	credential_redact(in, len - 1, &t);
	if (credential_has_marker(buf, t.len))
		abort();
	return 0;
}
