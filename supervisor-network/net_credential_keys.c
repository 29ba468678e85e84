#include "net_credential_keys.h"
#include <string.h>
#include "core_credential.h"
#include "core_text.h"

/* Ends of names, so that X-Goog-Api-Key, DD-API-KEY and google_api_key need no list of vendors. */
static const char *const ends[] = { "apikey", "accesskey", "authkey", "accesstoken", "authtoken",
	"privatetoken", "jobtoken", "deploytoken", "securitytoken", "sessiontoken", "vaulttoken",
	"subscriptionkey", "subscriptiontoken", "clientsecret" };

static const char *const fields[] = { "authorization", "xauthorization" };
/* Short ones, which mean a key in a query, and anything in a field; and those of signed addresses. */
static const char *const parameters[] = { "key", "token", "auth", "authorization", "secret",
	"password", "sig", "signature", "xamzsignature", "xgoogsignature" };

static int hex(char c)
{
	return c >= '0' && c <= '9'    ? c - '0'
		: c >= 'a' && c <= 'f' ? c - 'a' + 10
		: c >= 'A' && c <= 'F' ? c - 'A' + 10
				       : -1;
}

/* Lower-case letters and digits of name; 0: none, or more than a key's name has. */
static size_t plain(struct net_slice name, bool encoded, char ret[NET_KEY_NAME_MAX])
{
	size_t len = 0;

	for (size_t i = 0; i < name.len; i++) {
		char c = name.at[i];

		if (encoded && c == '%' && name.len - i > 2 && hex(name.at[i + 1]) >= 0 &&
			hex(name.at[i + 2]) >= 0) {
			c = (char) (hex(name.at[i + 1]) << 4 | hex(name.at[i + 2]));
			i += 2;
		}
		if (c >= 'A' && c <= 'Z')
			c = (char) (c - 'A' + 'a');
		if (!(c >= 'a' && c <= 'z') && !(c >= '0' && c <= '9'))
			continue;
		if (len == NET_KEY_NAME_MAX)
			return 0;
		ret[len++] = c;
	}
	return len;
}

static bool has_end(const char *name, size_t len)
{
	for (size_t i = 0; i < sizeof ends / sizeof *ends; i++) {
		size_t n = strlen(ends[i]);

		if (len >= n && memcmp(name + len - n, ends[i], n) == 0)
			return true;
	}
	return false;
}

static bool is_one_of(const char *name, size_t len, const char *const *list, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (strlen(list[i]) == len && memcmp(name, list[i], len) == 0)
			return true;
	return false;
}

bool net_key_is_field(struct net_slice name)
{
	char text[NET_KEY_NAME_MAX];
	size_t len = plain(name, false, text);

	return has_end(text, len) || is_one_of(text, len, fields, sizeof fields / sizeof *fields);
}

static bool is_parameter(struct net_slice name)
{
	char text[NET_KEY_NAME_MAX];
	size_t len = plain(name, true, text);

	return has_end(text, len) ||
		is_one_of(text, len, parameters, sizeof parameters / sizeof *parameters);
}

static bool is_own_key(const char *s, size_t len)
{
	const char *equals = memchr(s, '=', len);
	size_t name = equals ? (size_t) (equals - s) : len;

	return len > name + 1 && !credential_has_marker(equals + 1, len - name - 1) &&
		is_parameter((struct net_slice){ s, name });
}

/* Some servers part at ";" as well; one that does not sees a longer value, or name. */
static size_t part_len(struct net_slice query, size_t at, bool semicolons)
{
	size_t len = 0;

	while (at + len < query.len && query.at[at + len] != '&' &&
		!(semicolons && query.at[at + len] == ';'))
		len++;
	return len;
}

static bool has_own_key(struct net_slice query, bool semicolons)
{
	for (size_t at = 0; at < query.len;) {
		size_t len = part_len(query, at, semicolons);

		if (is_own_key(query.at + at, len))
			return true;
		at += len + 1;
	}
	return false;
}

bool net_key_in_query(struct net_slice query)
{
	return query.len && (has_own_key(query, false) || has_own_key(query, true));
}
