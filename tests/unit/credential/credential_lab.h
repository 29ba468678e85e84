/* credential_lab.h - a store with known credentials, for the tests of libcore/credential. */
#pragma once
#include "core_credential_rewrite.h"
#include "test.h"

#define HANDLE "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
#define OTHER_HANDLE "f123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
#define PH_TOKEN CREDENTIAL_MARKER "s" HANDLE "_TOKEN"
#define NOW 1000000

static const struct credential_endpoint lab_endpoints[] = { { "api.test", 80, "/v1/**" },
	{ "*.wild.test", 443, "" } };

static inline struct credential_spec lab_spec(const char *name, const char *value)
{
	return (struct credential_spec){ .name = name,
		.value = value,
		.len = value ? strlen(value) : 0,
		.handle = HANDLE,
		.identity = "file",
		.endpoints = lab_endpoints,
		.n_endpoints = 2 };
}

static inline struct credential_store *lab_store(const char *value)
{
	struct credential_spec c[2] = { lab_spec("TOKEN", value), lab_spec("FREE", "free-value") };
	struct credential_store *s;
	struct err e = { 0 };

	c[1].n_endpoints = 0;
	c[1].handle = "";
	ASSERT_OK(credential_store_new(&s, &e));
	ASSERT_OK(credential_store_update(s, 7, c, 2, &e));
	return s;
}

static inline struct credential_use lab_use(const struct credential_store *s)
{
	return (struct credential_use){ .store = s, .at = { "api.test", 80, "/v1/x", 5, NOW } };
}
