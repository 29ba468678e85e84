#include "net_authority.h"
#include <errno.h>
#include <string.h>

static bool same(const struct net_target *a, const struct net_target *b)
{
	return a->port == b->port && strcmp(a->host, b->host) == 0;
}

static int bad(struct err *e, const char *what)
{
	char inner[ERR_TEXT_MAX];

	(void) memcpy(inner, e->text, sizeof inner);
	return err_set(e, EBADMSG, "%s: %s", what, inner);
}

static void split(struct net_slice target, struct net_target *ret)
{
	const char *mark = memchr(target.at, '?', target.len);

	ret->has_query = mark != NULL;
	ret->path =
		(struct net_slice){ target.at, mark ? (size_t) (mark - target.at) : target.len };
	ret->query = mark ? (struct net_slice){ mark + 1, target.len - ret->path.len - 1 }
			  : (struct net_slice){ "", 0 };
}

static int host_field(
	const struct net_head *h, uint16_t default_port, struct net_target *ret, struct err *e)
{
	size_t n;
	const struct net_field *f = net_head_field(h, "host", &n);

	ret->host[0] = '\0';
	if (n > 1)
		return err_set(e, EBADMSG, "more than one Host");
	if (!f)
		return h->minor == 0 ? 0 : err_set(e, EBADMSG, "HTTP/1.1 without Host");
	return net_target_host(f->value, default_port, ret, e) < 0 ? bad(e, "Host") : 0;
}

static int absolute(const struct net_head *h, const struct net_target *host, bool secure,
	struct net_target *ret, struct err *e)
{
	enum net_scheme scheme;

	if (net_target_absolute(h->target, ret, &scheme, e) < 0)
		return bad(e, "target");
	if (scheme != (secure ? NET_SCHEME_HTTPS : NET_SCHEME_HTTP))
		return err_set(e, EBADMSG, "the target's scheme is not that of the connection");
	if (host->host[0] && !same(host, ret))
		return err_set(e, EBADMSG, "Host differs from the request target");
	return 0;
}

int net_authority_check(
	const struct net_head *h, struct net_target *tunnel, bool secure, struct err *e)
{
	struct net_target host, target = { .port = 0 };
	bool origin = h->target.at[0] == '/' || net_slice_is(h->target, "*");

	if (net_slice_is(h->method, "CONNECT"))
		return err_set(e, EBADMSG, "CONNECT inside a tunnel");
	if (host_field(h, secure ? 443 : 80, &host, e) < 0)
		return -e->code;
	if (!origin && absolute(h, &host, secure, &target, e) < 0)
		return -e->code;
	if ((host.host[0] && !same(&host, tunnel)) || (!origin && !same(&target, tunnel)))
		return err_set(e, EXDEV, "the request is for another host than the tunnel");
	if (origin) {
		split(h->target, tunnel);
		return 0;
	}
	tunnel->path = target.path;
	tunnel->query = target.query;
	tunnel->has_query = target.has_query;
	return 0;
}
