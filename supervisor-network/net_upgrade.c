#include "net_upgrade.h"

#define KEY_LEN 24 /* base64 of 16 bytes */

static bool is_key(struct net_slice s)
{
	for (size_t i = 0; i < s.len && i < KEY_LEN - 2; i++) {
		char c = s.at[i];

		if (!((c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
			    c == '+' || c == '/'))
			return false;
	}
	return s.len == KEY_LEN && s.at[KEY_LEN - 1] == '=' && s.at[KEY_LEN - 2] == '=';
}

static bool says_upgrade(const struct net_head *h, const char *what)
{
	return net_head_has_token(h, "upgrade", what) &&
		net_head_has_token(h, "connection", "upgrade");
}

enum net_upgrade net_upgrade_of(const struct net_head *h)
{
	size_t n_key, n_version;
	const struct net_field *key = net_head_field(h, "sec-websocket-key", &n_key);
	const struct net_field *version = net_head_field(h, "sec-websocket-version", &n_version);

	if (says_upgrade(h, "h2c"))
		return NET_UPGRADE_H2C;
	if (!key && !version && !net_head_has_token(h, "upgrade", "websocket"))
		return NET_UPGRADE_NONE;
	if (!says_upgrade(h, "websocket") || !net_slice_is(h->method, "GET") || h->minor != 1 ||
		n_key != 1 || n_version != 1 || !is_key(key->value) ||
		!net_slice_is(version->value, "13"))
		return NET_UPGRADE_BAD;
	return NET_UPGRADE_WEBSOCKET;
}

bool net_upgrade_is_accepted(const struct net_head *h)
{
	return h->status == 101 && says_upgrade(h, "websocket");
}
