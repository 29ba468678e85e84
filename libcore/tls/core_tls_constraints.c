#include "core_tls_constraints.h"
#include <string.h>
#include "core_text.h"
#include "core_tls_inner.h"

enum { TAG_OCTETS = 0x04, TAG_OID = 0x06, TAG_SEQUENCE = 0x30 };
enum { TAG_NAME = 0x82, TAG_ADDRESS = 0x87 };	    /* of a GeneralName */
enum { TAG_PERMITTED = 0xa0, TAG_EXCLUDED = 0xa1 }; /* of NameConstraints */

struct der {
	const uint8_t *at;
	size_t len;
};

struct subject {
	const char *host;
	unsigned char address[16];
	size_t address_len; /* 0: it is a name */
};

/* The next element; false: there is none, or it is malformed. */
static bool next(struct der *d, unsigned *ret_tag, struct der *ret)
{
	size_t head = 2, len;

	if (d->len < head || (d->at[0] & 0x1f) == 0x1f)
		return false;
	len = d->at[1];
	if (len >= 0x80) {
		size_t n = len & 0x7f;

		if (n == 0 || n > 3 || d->len < head + n)
			return false;
		for (len = 0; head < 2 + n; head++)
			len = len << 8 | d->at[head];
	}
	if (len > d->len - head)
		return false;
	*ret_tag = d->at[0];
	*ret = (struct der){ d->at + head, len };
	*d = (struct der){ d->at + head + len, d->len - head - len };
	return true;
}

static bool next_of(struct der *d, unsigned tag, struct der *ret)
{
	unsigned got;

	return next(d, &got, ret) && got == tag;
}

/* "a.test" is that host and all below it; ".a.test", which is not in the standard, those below. */
static bool name_is_in(const char *host, struct der base)
{
	size_t len = strlen(host);
	const char *text = (const char *) base.at;

	if (base.len == 0)
		return true;
	if (len < base.len || !text_ieq(host + len - base.len, base.len, text, base.len))
		return false;
	return text[0] == '.' ? len > base.len : len == base.len || host[len - base.len - 1] == '.';
}

static bool address_is_in(const struct subject *s, struct der base)
{
	if (base.len != 2 * s->address_len)
		return false;
	for (size_t i = 0; i < s->address_len; i++)
		if ((s->address[i] ^ base.at[i]) & base.at[s->address_len + i])
			return false;
	return true;
}

/* ret_any: some subtree is of the subject's kind; ret_in: it lies in one.  false: malformed. */
static bool look(struct der list, const struct subject *s, bool *ret_any, bool *ret_in)
{
	unsigned kind = s->address_len ? TAG_ADDRESS : TAG_NAME, tag;
	struct der subtree, base;

	*ret_any = *ret_in = false;
	while (list.len) {
		/* What may follow the base, a minimum and a maximum, has no meaning for these names. */
		if (!next_of(&list, TAG_SEQUENCE, &subtree) || !next(&subtree, &tag, &base) ||
			subtree.len)
			return false;
		if (tag != kind)
			continue;
		*ret_any = true;
		*ret_in |= s->address_len ? address_is_in(s, base) : name_is_in(s->host, base);
	}
	return true;
}

static bool obeys(struct der value, const struct subject *s)
{
	struct der all, list;
	bool any, in;
	unsigned tag;

	if (!next_of(&value, TAG_SEQUENCE, &all) || value.len)
		return false;
	while (all.len) {
		if (!next(&all, &tag, &list) || !look(list, s, &any, &in))
			return false;
		if (tag == TAG_PERMITTED ? any && !in : tag != TAG_EXCLUDED || in)
			return false;
	}
	return true;
}

/* true: another extension, or one that the subject obeys. */
static bool judge(struct der extension, const struct subject *s)
{
	static const uint8_t name_constraints[] = { 0x55, 0x1d, 0x1e };
	struct der oid, value;
	unsigned tag;

	if (!next_of(&extension, TAG_OID, &oid))
		return false;
	if (oid.len != sizeof name_constraints || memcmp(oid.at, name_constraints, oid.len) != 0)
		return true;
	/* Whether it is critical stands before its value. */
	do
		if (!next(&extension, &tag, &value))
			return false;
	while (tag != TAG_OCTETS);
	return obeys(value, s);
}

bool tls_constraints_allow(const uint8_t *extensions, size_t len, const char *host)
{
	struct der d = { extensions, len }, all, one;
	struct subject s = { .host = host };

	if (len == 0)
		return true;
	s.address_len = tls_host_address(host, s.address);
	if (!next_of(&d, TAG_SEQUENCE, &all))
		return false;
	while (all.len)
		if (!next_of(&all, TAG_SEQUENCE, &one) || !judge(one, &s))
			return false;
	return true;
}
