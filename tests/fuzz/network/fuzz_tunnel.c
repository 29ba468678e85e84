/* fuzz_tunnel.c - what comes inside a tunnel: first bytes, authority, handshake. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include "net_authority.h"
#include "net_peek.h"
#include "net_upgrade.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	static struct net_head h;
	struct net_target to = { .host = "a.test", .port = 80 };
	struct err e = { 0 };
	char *at = malloc(len + 1);
	size_t end;

	if (!at)
		return 0;
	(void) memcpy(at, data, len);
	if (len >= NET_PEEK_MAX && net_peek_classify(at, len) == NET_PEEK_MORE)
		abort();
	end = net_head_end(at, len);
	if (end && net_head_request(at, end, &h, &e) == 0) {
		(void) net_upgrade_of(&h);
		if (net_authority_check(&h, &to, false, &e) == 0 &&
			(strcmp(to.host, "a.test") != 0 || to.port != 80 || !to.path.at))
			abort();
	}
	free(at);
	return 0;
}
