/* orch_detach.h - find the keys that detach a client (Ctrl-P Ctrl-Q) in what it types.
 *
 * Recognised across frames.  A Ctrl-P is held back until the next byte tells
 * what it was; one that detaches nothing is passed on.  Pure.
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>

struct orch_detach {
	bool held; /* a Ctrl-P that has not been passed on */
};

/* Passes on at most len + 1 bytes to out (of len + 1 bytes).  Returns how many; *ret_detached says
 * that the keys were there: what came after them is dropped. */
size_t orch_detach_filter(
	struct orch_detach *d, const char *in, size_t len, char *out, bool *ret_detached);
