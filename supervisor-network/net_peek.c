#include "net_peek.h"
#include <stdbool.h>
#include <string.h>

#define HTTP2_ENOUGH 8 /* bytes of its preface that nothing else begins with */

/* 1 begins with it, 0 may still, -1 does not. */
static int begins(const char *bytes, size_t len, const char *what, size_t enough)
{
	size_t n = len < enough ? len : enough;

	if (memcmp(bytes, what, n) != 0)
		return -1;
	return n == enough;
}

static int is_tls(const unsigned char *b, size_t len)
{
	if (b[0] != 0x16 || (len > 1 && b[1] != 3) || (len > 2 && b[2] > 4))
		return -1;
	return len > 2;
}

/* A method that is not in the list, and the beginning of a target. */
static bool is_request_line(const char *bytes, size_t len)
{
	size_t n = 0;

	while (n < len && ((bytes[n] >= 'A' && bytes[n] <= 'Z') || bytes[n] == '-'))
		n++;
	if (n == 0 || n + 1 >= len || bytes[n] != ' ')
		return false;
	return bytes[n + 1] == '/' || (len - n > 5 && memcmp(bytes + n + 1, "http", 4) == 0);
}

enum net_peek net_peek_classify(const char *bytes, size_t len)
{
	static const char *const methods[] = { "GET ", "HEAD ", "POST ", "PUT ", "DELETE ",
		"PATCH ", "OPTIONS ", "CONNECT ", "TRACE " };
	static const char preface[] = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
	enum net_peek best = NET_PEEK_OTHER;
	int r;

	if (len == 0)
		return NET_PEEK_MORE;
	r = is_tls((const unsigned char *) bytes, len);
	if (r > 0)
		return NET_PEEK_TLS;
	if (r == 0)
		return NET_PEEK_MORE;
	r = begins(bytes, len, preface, HTTP2_ENOUGH);
	if (r > 0)
		return NET_PEEK_HTTP2;
	if (r == 0)
		best = NET_PEEK_MORE;
	for (size_t i = 0; i < sizeof methods / sizeof *methods; i++) {
		r = begins(bytes, len, methods[i], strlen(methods[i]));
		if (r > 0)
			return NET_PEEK_HTTP;
		if (r == 0)
			best = NET_PEEK_MORE;
	}
	return is_request_line(bytes, len) ? NET_PEEK_HTTP : best;
}
