/* test_net_credential_keys.c - what is taken for a key of the workload's own. */
#include "net_credential_keys.h"
#include <stdio.h>
#include <string.h>
#include "test.h"

static struct net_slice slice(const char *s)
{
	return (struct net_slice){ s, strlen(s) };
}

TEST(fields_are_known_however_they_are_spelt)
{
	static const char *const keys[] = { "authorization", "AUTHORIZATION", "X-Api-Key",
		"X_API_Key", "xapikey", "api-key", "X.Api.Key", "DD-API-KEY", "Private-Token",
		"X-Amz-Security-Token", "Ocp-Apim-Subscription-Key" };
	static const char *const others[] = { "", "-", "Accept", "Idempotency-Key", "X-Csrf-Token",
		"Key", "Token", "X-Api-Key-Id", "Proxy-Authorization", "Cookie" };

	for (size_t i = 0; i < sizeof keys / sizeof *keys; i++)
		ASSERT(net_key_is_field(slice(keys[i])));
	for (size_t i = 0; i < sizeof others / sizeof *others; i++)
		ASSERT(!net_key_is_field(slice(others[i])));
}

TEST(parameters_are_known_in_every_place_and_encoding)
{
	static const char *const keys[] = { "key=a", "a=b&key=c", "k%65y=a", "K%45Y=a",
		"access_token=a", "access%5Ftoken=a", "a=b;key=c", "key;=a", "X-Amz-Signature=f",
		"&&token=x&", "key==" };
	static const char *const others[] = { "", "&", "=", "key", "key=", "keys=a", "page=key",
		"pageToken=a", "k%6=y", "%=a", "a=key%3Db", "monkey=a" };

	for (size_t i = 0; i < sizeof keys / sizeof *keys; i++)
		ASSERT(net_key_in_query(slice(keys[i])));
	for (size_t i = 0; i < sizeof others / sizeof *others; i++)
		ASSERT(!net_key_in_query(slice(others[i])));
}

TEST(placeholders_are_no_keys_of_its_own)
{
	ASSERT(!net_key_in_query(slice("key=openshell:resolve:env:TOKEN")));
	ASSERT(!net_key_in_query(slice("key=openshell%3Aresolve%3Aenv%3ATOKEN&page=2")));
	ASSERT(net_key_in_query(slice("key=openshell:resolve:env:TOKEN&token=own")));
}

TEST(names_have_a_longest_one)
{
	char name[NET_KEY_NAME_MAX + 8];

	(void) memset(name, 'x', sizeof name);
	(void) memcpy(name + NET_KEY_NAME_MAX - 6, "apikey", 7);
	ASSERT(net_key_is_field(slice(name)));
	(void) memcpy(name + NET_KEY_NAME_MAX - 5, "apikey", 7);
	ASSERT(!net_key_is_field(slice(name)));
	/* What is not compared does not count. */
	(void) memset(name, '-', sizeof name);
	(void) memcpy(name + NET_KEY_NAME_MAX, "apikey", 7);
	ASSERT(net_key_is_field(slice(name)));
}
