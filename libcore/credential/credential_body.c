/* credential_body.c - bodies and messages that an endpoint has opted in for (spec/network 5.4). */
#include <errno.h>
#include <string.h>
#include "credential_inner.h"
#include "core_credential_scrub.h"
#include "credential_replace.h"

static size_t trim_type(const char **type, size_t len)
{
	const char *end = memchr(*type, ';', len);

	if (end)
		len = (size_t) (end - *type);
	while (len && ((*type)[len - 1] == ' ' || (*type)[len - 1] == '\t'))
		len--;
	while (len && (**type == ' ' || **type == '\t')) {
		(*type)++;
		len--;
	}
	return len;
}

static bool ends_with(const char *s, size_t len, const char *end)
{
	size_t n = strlen(end);

	return len > n && text_ieq(s + len - n, n, end, n);
}

static bool is_form(const char *type, size_t len)
{
	return text_ieq(type, len, "application/x-www-form-urlencoded", 33);
}

static bool is_json(const char *type, size_t len)
{
	return text_ieq(type, len, "application/json", 16) || ends_with(type, len, "+json");
}

static bool is_text(const char *type, size_t len)
{
	return len > 5 && text_ieq(type, 5, "text/", 5);
}

int credential_rewrite_text(
	struct credential_use *u, const char *text, size_t len, bool json, struct text *out)
{
	const struct credential_manner m = { json ? CREDENTIAL_JSON : CREDENTIAL_AS_IS, false };

	return credential_replace(u, text, len, &m, out);
}

int credential_rewrite_body(struct credential_use *u, const char *type, size_t type_len,
	const char *body, size_t len, struct text *out)
{
	type_len = trim_type(&type, type_len);
	if (len > CREDENTIAL_BODY_MAX)
		return credential_refuse(u, CREDENTIAL_MISPLACED,
			"bodies are rewritten up to 256 KiB, and this one is longer; send the "
			"credential in a header, or a shorter body");
	if (!credential_has_marker(body, len)) {
		text_add_n(out, body, len);
		return 0;
	}
	if (!is_form(type, type_len) && !is_json(type, type_len) && !is_text(type, type_len))
		return credential_refuse(u, CREDENTIAL_MISPLACED,
			"a placeholder stands in a body of a type that is not rewritten; JSON, "
			"text and "
			"URL-encoded forms are");
	if (!text_is_utf8(body, len))
		return credential_refuse(u, CREDENTIAL_MISPLACED,
			"a placeholder stands in a body that is not UTF-8 text; send it as UTF-8");
	if (is_form(type, type_len))
		return credential_rewrite_query(u, body, len, out);
	return credential_rewrite_text(u, body, len, is_json(type, type_len), out);
}

bool credential_scrub_wants(const char *type, size_t len)
{
	len = trim_type(&type, len);
	return is_form(type, len) || is_json(type, len) || is_text(type, len) ||
		text_ieq(type, len, "application/xml", 15) || ends_with(type, len, "+xml") ||
		text_ieq(type, len, "application/javascript", 22) ||
		text_ieq(type, len, "application/x-ndjson", 20);
}
