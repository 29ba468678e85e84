#include "net_http_head.h"
#include <errno.h>
#include <stdint.h>
#include <string.h>

size_t net_head_end(const char *buf, size_t len)
{
	const char *at = buf, *end = buf + len, *lf;

	/* Line by line: several times as fast as memmem(3) with this needle. */
	while (at < end && (lf = memchr(at, '\n', (size_t) (end - at)))) {
		at = lf + 1;
		if (at - buf >= 4 && memcmp(at - 4, "\r\n\r\n", 4) == 0)
			return (size_t) (at - buf);
	}
	return 0;
}

static bool is_token_byte(unsigned char c)
{
	static const bool is_one[256] = { ['0' ... '9'] = true,
		['A' ... 'Z'] = true,
		['a' ... 'z'] = true,
		['!'] = true,
		['#'] = true,
		['$'] = true,
		['%'] = true,
		['&'] = true,
		['\''] = true,
		['*'] = true,
		['+'] = true,
		['-'] = true,
		['.'] = true,
		['^'] = true,
		['_'] = true,
		['`'] = true,
		['|'] = true,
		['~'] = true };

	return is_one[c];
}

static bool is_token(struct net_slice s)
{
	for (size_t i = 0; i < s.len; i++)
		if (!is_token_byte((unsigned char) s.at[i]))
			return false;
	return s.len > 0;
}

/* The next line without its CRLF; a line feed without carriage return is an error. */
static int next_line(const char **at, const char *end, struct net_slice *ret)
{
	const char *lf = memchr(*at, '\n', (size_t) (end - *at));

	if (!lf || lf == *at || lf[-1] != '\r')
		return -EBADMSG;
	*ret = (struct net_slice){ *at, (size_t) (lf - *at) - 1 };
	*at = lf + 1;
	return memchr(ret->at, '\r', ret->len) ? -EBADMSG : 0;
}

static struct net_slice trim(struct net_slice s)
{
	while (s.len && (s.at[0] == ' ' || s.at[0] == '\t'))
		s.at++, s.len--;
	while (s.len && (s.at[s.len - 1] == ' ' || s.at[s.len - 1] == '\t'))
		s.len--;
	return s;
}

#define EACH_BYTE 0x0101010101010101u

/* No byte below a blank, and no DEL; may be wrong about clean ones. */
static bool word_is_clean(const char *at)
{
	uint64_t w, del;

	(void) memcpy(&w, at, sizeof w);
	del = w ^ (0x7f * EACH_BYTE);
	return !((((w - 0x20 * EACH_BYTE) & ~w) | ((del - EACH_BYTE) & ~del)) & (0x80 * EACH_BYTE));
}

static bool value_is_clean(struct net_slice s)
{
	size_t i = 0;

	while (s.len - i >= sizeof(uint64_t) && word_is_clean(s.at + i))
		i += sizeof(uint64_t);
	for (; i < s.len; i++) {
		unsigned char c = (unsigned char) s.at[i];

		if ((c < 0x20 && c != '\t') || c == 0x7f)
			return false;
	}
	return true;
}

static int parse_field(struct net_slice line, struct net_field *ret, struct err *e)
{
	const char *colon = memchr(line.at, ':', line.len);

	if (line.at[0] == ' ' || line.at[0] == '\t')
		return err_set(e, EBADMSG, "a header line is folded");
	if (!colon)
		return err_set(e, EBADMSG, "a header line has no colon");
	ret->name = (struct net_slice){ line.at, (size_t) (colon - line.at) };
	ret->value = (struct net_slice){ colon + 1, line.len - ret->name.len - 1 };
	if (!is_token(ret->name))
		return err_set(e, EBADMSG, "a header name is malformed");
	if (!value_is_clean(ret->value))
		return err_set(e, EBADMSG, "a header value holds a control character");
	ret->value = trim(ret->value);
	return 0;
}

/* Calls back for each comma-separated element, blanks trimmed. */
static bool next_element(struct net_slice *rest, struct net_slice *ret)
{
	const char *comma;

	if (!rest->at)
		return false;
	comma = memchr(rest->at, ',', rest->len);
	*ret = trim(
		(struct net_slice){ rest->at, comma ? (size_t) (comma - rest->at) : rest->len });
	if (comma)
		*rest = (struct net_slice){ comma + 1,
			rest->len - (size_t) (comma + 1 - rest->at) };
	else
		rest->at = NULL;
	return true;
}

static int check_connection(struct net_head *h, struct err *e)
{
	h->connection = h->n_fields;
	for (size_t i = 0; i < h->n_fields; i++) {
		struct net_slice rest = h->fields[i].value, option;

		if (!net_slice_ieq(h->fields[i].name, "connection"))
			continue;
		if (h->connection == h->n_fields)
			h->connection = i;
		while (next_element(&rest, &option)) {
			if (!is_token(option))
				return err_set(
					e, EBADMSG, "Connection holds an option that is no token");
			if (net_slice_ieq(option, "host") ||
				net_slice_ieq(option, "content-length") ||
				net_slice_ieq(option, "transfer-encoding"))
				return err_set(e, EBADMSG,
					"Connection nominates a field that frames the message");
		}
	}
	return 0;
}

static int parse_fields(const char *at, const char *end, struct net_head *ret, struct err *e)
{
	for (;;) {
		struct net_slice line;

		if (next_line(&at, end, &line) < 0)
			return err_set(e, EBADMSG, "a line of the head does not end in CR LF");
		if (line.len == 0)
			return at == end ? check_connection(ret, e)
					 : err_set(e, EBADMSG, "bytes behind the head");
		if (ret->n_fields == NET_FIELDS_MAX)
			return err_set(e, EBADMSG, "more than %d header fields", NET_FIELDS_MAX);
		if (parse_field(line, &ret->fields[ret->n_fields++], e) < 0)
			return -e->code;
	}
}

static int parse_version(struct net_slice s, int *ret_minor)
{
	if (s.len != 8 || memcmp(s.at, "HTTP/1.", 7) != 0 || (s.at[7] != '0' && s.at[7] != '1'))
		return -EBADMSG;
	*ret_minor = s.at[7] - '0';
	return 0;
}

static bool target_is_clean(struct net_slice s)
{
	for (size_t i = 0; i < s.len; i++)
		if ((unsigned char) s.at[i] <= 0x20 || s.at[i] == 0x7f)
			return false;
	return s.len > 0;
}

/* Methods are compared byte by byte, but not by every server. */
static bool has_lower_case(struct net_slice s)
{
	for (size_t i = 0; i < s.len; i++)
		if (s.at[i] >= 'a' && s.at[i] <= 'z')
			return true;
	return false;
}

static int request_line(struct net_slice line, struct net_head *ret, struct err *e)
{
	const char *one = memchr(line.at, ' ', line.len), *two;
	size_t left;

	if (!one)
		return err_set(e, EBADMSG, "the request line does not have three parts");
	left = line.len - (size_t) (one + 1 - line.at);
	two = memchr(one + 1, ' ', left);
	if (!two)
		return err_set(e, EBADMSG, "the request line does not have three parts");
	ret->method = (struct net_slice){ line.at, (size_t) (one - line.at) };
	ret->target = (struct net_slice){ one + 1, (size_t) (two - one) - 1 };
	if (!is_token(ret->method) || has_lower_case(ret->method))
		return err_set(e, EBADMSG,
			"the method is malformed, or not in upper case as all methods are");
	if (!target_is_clean(ret->target))
		return err_set(
			e, EBADMSG, "the request target is empty or holds a control character");
	if (parse_version((struct net_slice){ two + 1, line.len - (size_t) (two + 1 - line.at) },
		    &ret->minor) < 0)
		return err_set(e, EBADMSG, "the version is neither HTTP/1.0 nor HTTP/1.1");
	return 0;
}

int net_head_request(const char *buf, size_t len, struct net_head *ret, struct err *e)
{
	const char *at = buf;
	struct net_slice line;

	ret->n_fields = 0;
	ret->len = len;
	if (!text_is_utf8(buf, len))
		return err_set(e, EBADMSG, "the head is not valid UTF-8");
	if (next_line(&at, buf + len, &line) < 0)
		return err_set(e, EBADMSG, "the request line does not end in CR LF");
	if (request_line(line, ret, e) < 0)
		return -e->code;
	return parse_fields(at, buf + len, ret, e);
}

static int status_line(struct net_slice line, struct net_head *ret, struct err *e)
{
	uint64_t status;

	if (line.len < 12 || line.at[8] != ' ' || (line.len > 12 && line.at[12] != ' ') ||
		parse_version((struct net_slice){ line.at, 8 }, &ret->minor) < 0 ||
		text_to_u64(line.at + 9, 3, 100, 999, &status) < 0)
		return err_set(e, EBADMSG, "the status line is malformed");
	ret->status = (unsigned) status;
	ret->reason = line.len > 13 ? (struct net_slice){ line.at + 13, line.len - 13 }
				    : (struct net_slice){ "", 0 };
	return value_is_clean(ret->reason) ? 0
					   : err_set(e, EBADMSG, "the status line is malformed");
}

int net_head_response(const char *buf, size_t len, struct net_head *ret, struct err *e)
{
	const char *at = buf;
	struct net_slice line;

	ret->n_fields = 0;
	ret->len = len;
	if (next_line(&at, buf + len, &line) < 0)
		return err_set(e, EBADMSG, "the status line does not end in CR LF");
	if (status_line(line, ret, e) < 0)
		return -e->code;
	return parse_fields(at, buf + len, ret, e);
}

int net_head_trailers(const char *buf, size_t len, struct net_head *ret, struct err *e)
{
	ret->n_fields = 0;
	ret->len = len;
	return parse_fields(buf, buf + len, ret, e);
}

const struct net_field *net_head_field(const struct net_head *h, const char *name, size_t *ret_n)
{
	const struct net_slice want = { name, strlen(name) };
	const struct net_field *found = NULL;

	*ret_n = 0;
	for (size_t i = 0; i < h->n_fields; i++) {
		if (!net_slice_is_one(h->fields[i].name, &want, 1))
			continue;
		if (!found)
			found = &h->fields[i];
		++*ret_n;
	}
	return found;
}

bool net_head_has_token(const struct net_head *h, const char *name, const char *token)
{
	const struct net_slice field = { name, strlen(name) };

	for (size_t i = 0; i < h->n_fields; i++) {
		struct net_slice rest = h->fields[i].value, element;

		if (!net_slice_is_one(h->fields[i].name, &field, 1))
			continue;
		while (next_element(&rest, &element))
			if (net_slice_ieq(element, token))
				return true;
	}
	return false;
}

bool net_head_nominates(const struct net_head *h, struct net_slice name)
{
	for (size_t i = h->connection; i < h->n_fields; i++) {
		struct net_slice rest = h->fields[i].value, element;

		if (!net_slice_ieq(h->fields[i].name, "connection"))
			continue;
		while (next_element(&rest, &element))
			if (text_ieq(element.at, element.len, name.at, name.len))
				return true;
	}
	return false;
}
