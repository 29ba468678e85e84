/* net_path.h - one spelling of a request path (spec/network 3.10).
 *
 * Pure.  What is decided, logged and sent upstream is the same text: percent
 * escapes of plain characters are decoded, "." and ".." and empty segments are
 * resolved, path parameters (";x") are cut off before that, so that "..;x" is
 * "..", and what stays escaped is written in upper case.
 */
#pragma once
#include "net_http_head.h"

/* path begins with "/" and has no query.  Writes at most NET_PATH_MAX bytes and a NUL to out.
 * -EINVAL with a sentence for what has no safe reading: escapes that are broken or hide a control
 * character or a slash, raw bytes outside ASCII, "#", a way above the root, too long. */
int net_path_canonical(
	struct net_slice path, char out[NET_PATH_MAX + 1], size_t *ret_len, struct err *e);
