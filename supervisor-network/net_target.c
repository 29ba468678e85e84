#include "net_target.h"
#include <errno.h>
#include <string.h>
#include "core_text.h"

#define LABEL_MAX 63

static int parse_port(struct net_slice s, uint16_t *ret, struct err *e)
{
	uint64_t v;

	if (text_to_u64(s.at, s.len, 1, UINT16_MAX, &v) < 0)
		return err_set(e, EINVAL, "the port is not a number from 1 to 65535");
	*ret = (uint16_t) v;
	return 0;
}

static int parse_ipv6(struct net_slice s, struct net_target *ret, struct err *e)
{
	char text[ADDR_TEXT_MAX];

	if (!memchr(s.at, ':', s.len) || addr_parse(s.at, s.len, &ret->ip) < 0)
		return err_set(
			e, EINVAL, "what stands in brackets is not an IPv6 address without zone");
	ret->is_ip = true;
	(void) addr_text(&ret->ip, text);
	/* A mapped address keeps its brackets' family in the text that policy compares. */
	if (addr_is_v4(&ret->ip)) {
		(void) memcpy(ret->host, s.at, s.len);
		ret->host[s.len] = '\0';
	} else {
		(void) memcpy(ret->host, text, strlen(text) + 1);
	}
	text_lower(ret->host, strlen(ret->host));
	return 0;
}

static int check_labels(struct net_slice s, struct err *e)
{
	size_t label = 0;

	for (size_t i = 0; i <= s.len; i++) {
		char c = i < s.len ? s.at[i] : '.';

		if (c == '.') {
			if (label == 0 || label > LABEL_MAX)
				return err_set(e, EINVAL,
					"the host has an empty label, or one of more than 63 "
					"bytes");
			if (s.at[i - 1] == '-' || s.at[i - label] == '-')
				return err_set(e, EINVAL,
					"a label of the host begins or ends with a hyphen");
			label = 0;
			continue;
		}
		if (!((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
			    c == '-' || c == '_'))
			return err_set(e, EINVAL,
				"the host holds a character that no host name has; write an IDN as "
				"xn--");
		label++;
	}
	return 0;
}

static int parse_name(struct net_slice s, struct net_target *ret, struct err *e)
{
	if (s.len && s.at[s.len - 1] == '.')
		s.len--;
	if (s.len == 0 || s.len > NET_HOST_MAX)
		return err_set(
			e, EINVAL, "the host is empty or longer than %d bytes", NET_HOST_MAX);
	if (addr_is_odd_ipv4(s.at, s.len))
		return err_set(e, EINVAL,
			"the host is an address in an unusual spelling; write four decimal "
			"numbers");
	if (check_labels(s, e) < 0)
		return -e->code;
	(void) memcpy(ret->host, s.at, s.len);
	ret->host[s.len] = '\0';
	text_lower(ret->host, s.len);
	ret->is_ip = addr_parse(ret->host, s.len, &ret->ip) == 0;
	return 0;
}

static int split(struct net_slice s, struct net_slice *host, struct net_slice *port,
	bool *bracketed, struct err *e)
{
	const char *end = s.at + s.len, *colon;

	*port = (struct net_slice){ NULL, 0 };
	*bracketed = s.len && s.at[0] == '[';
	if (*bracketed) {
		const char *close = memchr(s.at, ']', s.len);

		if (!close || (close + 1 < end && close[1] != ':'))
			return err_set(e, EINVAL,
				"the address has no closing bracket, or something behind it");
		*host = (struct net_slice){ s.at + 1, (size_t) (close - s.at) - 1 };
		colon = close + 1 < end ? close + 1 : NULL;
	} else {
		colon = memchr(s.at, ':', s.len);
		*host = (struct net_slice){ s.at, colon ? (size_t) (colon - s.at) : s.len };
	}
	if (colon)
		*port = (struct net_slice){ colon + 1, (size_t) (end - colon) - 1 };
	return 0;
}

static int parse_authority(
	struct net_slice s, uint16_t default_port, struct net_target *ret, struct err *e)
{
	struct net_slice host = { "", 0 }, port = { "", 0 };
	bool bracketed;

	if (memchr(s.at, '@', s.len))
		return err_set(e, EINVAL, "user information before the host is not allowed");
	if (split(s, &host, &port, &bracketed, e) < 0)
		return -e->code;
	ret->is_ip = false;
	ret->port = default_port;
	if ((port.at || default_port == 0) && parse_port(port, &ret->port, e) < 0)
		return -e->code;
	return bracketed ? parse_ipv6(host, ret, e) : parse_name(host, ret, e);
}

int net_target_authority(struct net_slice s, struct net_target *ret, struct err *e)
{
	*ret = (struct net_target){ .port = 0 };
	return parse_authority(s, 0, ret, e);
}

int net_target_host(
	struct net_slice s, uint16_t default_port, struct net_target *ret, struct err *e)
{
	*ret = (struct net_target){ .port = 0 };
	return parse_authority(s, default_port, ret, e);
}

int net_target_absolute(
	struct net_slice s, struct net_target *ret, enum net_scheme *ret_scheme, struct err *e)
{
	const char *mark = memmem(s.at, s.len, "://", 3), *end = s.at + s.len, *at, *stop;
	struct net_slice scheme;

	*ret = (struct net_target){ .port = 0 };
	*ret_scheme = NET_SCHEME_HTTP;
	if (!mark || s.at[0] == '/')
		return err_set(e, EINVAL, "the target is not an absolute URL like http://host/");
	scheme = (struct net_slice){ s.at, (size_t) (mark - s.at) };
	*ret_scheme = net_slice_ieq(scheme, "http") ? NET_SCHEME_HTTP
		: net_slice_ieq(scheme, "https")    ? NET_SCHEME_HTTPS
						    : NET_SCHEME_OTHER;
	if (memchr(s.at, '#', s.len))
		return err_set(e, EINVAL, "a fragment has no place in a request");
	at = mark + 3;
	for (stop = at; stop < end && *stop != '/' && *stop != '?'; stop++)
		;
	if (parse_authority((struct net_slice){ at, (size_t) (stop - at) },
		    *ret_scheme == NET_SCHEME_HTTPS ? 443 : 80, ret, e) < 0)
		return -e->code;
	at = memchr(stop, '?', (size_t) (end - stop));
	ret->path = stop < end && *stop == '/'
		? (struct net_slice){ stop, (size_t) ((at ? at : end) - stop) }
		: (struct net_slice){ "/", 1 };
	ret->has_query = at != NULL;
	ret->query = at ? (struct net_slice){ at + 1, (size_t) (end - at) - 1 }
			: (struct net_slice){ "", 0 };
	if (ret->path.len > NET_PATH_MAX)
		return err_set(e, EINVAL, "path of more than %d bytes", NET_PATH_MAX);
	return 0;
}
