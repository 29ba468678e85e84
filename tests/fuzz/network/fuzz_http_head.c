/* fuzz_http_head.c - request and response heads; whatever is accepted must also be framed and
 * written anew without a byte that could end a line early. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include "net_http_write.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static void check_lines(const struct text *t)
{
	for (size_t i = 0; i < t->len; i++)
		if ((t->at[i] == '\n' && (i == 0 || t->at[i - 1] != '\r')) || t->at[i] == '\0')
			abort();
}

static void try_request(const char *at, size_t len)
{
	static struct net_head h;
	struct net_target to = { 0 };
	struct net_body body;
	enum net_scheme scheme;
	struct err e = { 0 };
	char out[64 * 1024];
	struct text t;

	if (net_head_request(at, len, &h, &e) < 0 || net_body_of_request(&h, &body, &e) < 0)
		return;
	(void) net_target_authority(h.target, &to, &e);
	if (net_target_absolute(h.target, &to, &scheme, &e) < 0)
		return;
	text_init(&t, out, sizeof out);
	net_write_request(
		&(struct net_write_request){
			.head = &h, .to = &to, .body = &body, .default_port = 80, .via = true },
		&t);
	check_lines(&t);
}

static void try_response(const char *at, size_t len)
{
	static struct net_head h;
	struct net_body body;
	struct err e = { 0 };
	char out[64 * 1024];
	struct text t;

	if (net_head_response(at, len, &h, &e) < 0 ||
		net_body_of_response(&h, false, &body, &e) < 0)
		return;
	text_init(&t, out, sizeof out);
	net_write_response(&(struct net_write_response){ &h, &body, true, false }, &t);
	check_lines(&t);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	/* A copy of exactly this size, so that reading past it is seen. */
	char *at = malloc(len + 1);
	size_t end;

	if (!at)
		return 0;
	(void) memcpy(at, data, len);
	end = net_head_end(at, len);
	try_request(at, end ? end : len);
	try_response(at, end ? end : len);
	free(at);
	return 0;
}
