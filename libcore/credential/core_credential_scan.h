/* core_credential_scan.h - find a marker in a stream, in constant memory (spec/network 5.5).
 *
 * For bodies that nothing rewrites.  A marker is found wherever buffers end,
 * raw or with any of its bytes percent-encoded once, in text or binary.  What
 * may be its beginning is held back, so that no byte of a marker gets through.
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "core_credential.h"

/* Bytes held back: all of a marker but one, each as %HH, and an escape that has begun. */
#define CREDENTIAL_SCAN_HELD_MAX (3 * CREDENTIAL_MARKER_LEN)

struct credential_scan { /* zero-initialise; by value, no pointers */
	char held[CREDENTIAL_SCAN_HELD_MAX];
	uint8_t n_held;
	uint8_t matched[2];		       /* bytes of each marker seen so far */
	uint8_t widths[CREDENTIAL_MARKER_LEN]; /* raw bytes of the units seen last, newest first */
	uint8_t n_escape;		       /* bytes of an escape that has begun: "%", "%4" */
	char escape;			       /* its first digit */
	bool hit;
};

/* Take len bytes.  What may be passed on is written to out: at most CREDENTIAL_SCAN_HELD_MAX more
 * than len.  false: a marker is complete; *ret_len is 0, and nothing more may be sent. */
bool credential_scan_feed(
	struct credential_scan *s, const char *in, size_t len, char *out, size_t *ret_len);
/* The end of the body: what is still held may go, at most CREDENTIAL_SCAN_HELD_MAX bytes. */
size_t credential_scan_finish(struct credential_scan *s, char *out);
