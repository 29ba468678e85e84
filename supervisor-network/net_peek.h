/* net_peek.h - what do the first bytes inside a tunnel begin?  Pure. */
#pragma once
#include <stddef.h>

enum net_peek {
	NET_PEEK_MORE, /* a proper prefix of something that is known */
	NET_PEEK_TLS,
	NET_PEEK_HTTP,
	NET_PEEK_HTTP2, /* in the clear, by prior knowledge */
	NET_PEEK_OTHER,
};

#define NET_PEEK_MAX 24 /* bytes after which the answer is never NET_PEEK_MORE */

enum net_peek net_peek_classify(const char *bytes, size_t len);
