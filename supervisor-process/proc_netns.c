#include "proc_netns.h"
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <net/if.h>
#include <netinet/in.h>
#include <netlink/netlink.h>
#include <netlink/route/addr.h>
#include <netlink/route/link.h>
#include <netlink/route/link/veth.h>
#include <netlink/route/nexthop.h>
#include <netlink/route/route.h>
#include <sched.h>
#include <stdio.h>
#include <stddef.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>
#include "core_cleanup.h"
#include "core_failure.h"
#include "core_text.h"
#include "proc_limits.h"

#define LOOPBACK_INDEX 1 /* in every namespace */

static void nl_freep(struct nl_sock **s)
{
	nl_socket_free(*s);
}
#define AUTO_NL __attribute__((cleanup(nl_freep)))

static int nl_err(struct err *e, int r, const char *what)
{
	int code = r == -NLE_PERM ? EPERM : r == -NLE_EXIST ? EEXIST : EIO;

	return err_set(e, code, "%s: %s%s", what, nl_geterror(r),
		code == EPERM ? "; the process leaf needs CAP_NET_ADMIN" : "");
}

static int open_route_socket(struct nl_sock **ret, struct err *e)
{
	struct nl_sock *s = nl_socket_alloc();
	int r = s ? nl_connect(s, NETLINK_ROUTE) : -NLE_NOMEM;

	if (r < 0) {
		nl_socket_free(s);
		return nl_err(e, r, "open route netlink");
	}
	*ret = s;
	return 0;
}

static int add_address(struct nl_sock *s, int link, const char *text, struct err *e)
{
	struct rtnl_addr *a = rtnl_addr_alloc();
	struct nl_addr *local = NULL;
	int r = a ? nl_addr_parse(text, AF_UNSPEC, &local) : -NLE_NOMEM;

	if (r >= 0) {
		rtnl_addr_set_ifindex(a, link);
		r = rtnl_addr_set_local(a, local);
	}
	if (r >= 0)
		r = rtnl_addr_add(s, a, 0);
	nl_addr_put(local);
	rtnl_addr_put(a);
	return r < 0 ? nl_err(e, r, text) : 0;
}

static int set_up(struct nl_sock *s, int link, struct err *e)
{
	struct rtnl_link *which = rtnl_link_alloc(), *change = rtnl_link_alloc();
	int r = -NLE_NOMEM;

	if (which && change) {
		rtnl_link_set_ifindex(which, link);
		rtnl_link_set_flags(change, IFF_UP);
		r = rtnl_link_change(s, which, change, 0);
	}
	rtnl_link_put(which);
	rtnl_link_put(change);
	return r < 0 ? nl_err(e, r, "set a link up") : 0;
}

/* IPv6 through lo must be of type local: the kernel answers "unreachable" for any other route
 * there, before the fence could see the packet. */
static int add_default(struct nl_sock *s, int family, struct err *e)
{
	struct rtnl_route *route = rtnl_route_alloc();
	struct rtnl_nexthop *hop = rtnl_route_nh_alloc();
	struct nl_addr *any = NULL;
	int r = route && hop ? nl_addr_parse("default", family, &any) : -NLE_NOMEM;

	if (r >= 0) {
		rtnl_route_nh_set_ifindex(hop, LOOPBACK_INDEX);
		rtnl_route_add_nexthop(route, hop);
		hop = NULL;
		rtnl_route_set_family(route, (uint8_t) family);
		rtnl_route_set_table(route, RT_TABLE_MAIN);
		rtnl_route_set_scope(route, family == AF_INET ? RT_SCOPE_LINK : RT_SCOPE_UNIVERSE);
		if (family == AF_INET6)
			(void) rtnl_route_set_type(route, RTN_LOCAL);
		r = rtnl_route_set_dst(route, any);
	}
	if (r >= 0)
		r = rtnl_route_add(s, route, 0);
	if (hop)
		rtnl_route_nh_free(hop);
	nl_addr_put(any);
	rtnl_route_put(route);
	return r < 0 ? nl_err(e, r, "add a default route") : 0;
}

static int set_up_inside(struct err *e)
{
	AUTO_NL struct nl_sock *s = NULL;

	if (open_route_socket(&s, e) < 0 || set_up(s, LOOPBACK_INDEX, e) < 0 ||
		add_address(s, LOOPBACK_INDEX, PROC_PROXY_ADDRESS "/32", e) < 0 ||
		add_default(s, AF_INET, e) < 0)
		return -e->code;
	/* A kernel without IPv6 has no such packets either. */
	if (access("/proc/self/net/if_inet6", F_OK) < 0)
		return 0;
	return add_default(s, AF_INET6, e);
}

int proc_netns_enter(const struct proc_netns *n, struct err *e)
{
	return !n->here && setns(n->fd, CLONE_NEWNET) < 0
		? err_set(e, errno, "enter the workload's network namespace")
		: 0;
}

int proc_netns_leave(const struct proc_netns *n, struct err *e)
{
	return !n->here && setns(n->home, CLONE_NEWNET) < 0
		? err_set(e, errno, "return to the host's network")
		: 0;
}

struct taken { /* is this /30 used by the host? */
	uint32_t net;
	bool hit;
};

static void compare(struct taken *t, struct nl_addr *a)
{
	uint32_t v, mask;

	if (!a || nl_addr_get_family(a) != AF_INET || nl_addr_get_len(a) != 4)
		return;
	(void) memcpy(&v, nl_addr_get_binary_addr(a), 4);
	/* A default route covers everything and means nothing. */
	if (nl_addr_get_prefixlen(a) == 0)
		return;
	mask = nl_addr_get_prefixlen(a) < 30 ? ~0u << (32 - nl_addr_get_prefixlen(a)) : ~0u << 2;
	t->hit |= ((ntohl(v) ^ t->net) & mask) == 0;
}

static void on_route(struct nl_object *o, void *arg)
{
	compare(arg, rtnl_route_get_dst((struct rtnl_route *) o));
}

static void on_address(struct nl_object *o, void *arg)
{
	compare(arg, rtnl_addr_get_local((struct rtnl_addr *) o));
}

/* Looking for a free net and taking it are two steps, and another sandbox may look meanwhile.  The
 * name of an abstract socket is unique in a network namespace and goes with its process, so holding
 * it is holding the net. */
static bool take_lease(uint32_t net, int *ret)
{
	struct sockaddr_un a = { .sun_family = AF_UNIX };
	AUTO_CLOSE int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	int n = snprintf(a.sun_path + 1, sizeof a.sun_path - 1, "openshell-veth-%08x", net);

	if (fd < 0 ||
		bind(fd, (struct sockaddr *) &a,
			(socklen_t) (offsetof(struct sockaddr_un, sun_path) + 1 + (size_t) n)) < 0)
		return false;
	*ret = TAKE_FD(fd);
	return true;
}

/* A /30 of 10.200.1.0 to 10.200.255.255, beginning at a place that the tag chooses, so that
 * sandboxes started together rarely try the same. */
static int choose_net(struct nl_sock *s, const char *tag, struct proc_netns *n, struct err *e)
{
	struct nl_cache *routes = NULL, *addresses = NULL;
	uint32_t first = 0, range = 255 * 64;
	int r = rtnl_route_alloc_cache(s, AF_INET, 0, &routes);

	if (r >= 0)
		r = rtnl_addr_alloc_cache(s, &addresses);
	for (const char *p = tag; *p; p++)
		first = first * 31 + (unsigned char) *p;
	for (uint32_t i = 0; r >= 0 && i < PROC_VETH_TRIES_MAX; i++) {
		struct taken t = { 0x0ac80100u + (first + i) % range * 4, false };

		nl_cache_foreach(routes, on_route, &t);
		nl_cache_foreach(addresses, on_address, &t);
		if (t.hit || !take_lease(t.net, &n->lease))
			continue;
		(void) snprintf(n->host_address, sizeof n->host_address, "10.200.%u.%u",
			t.net >> 8 & 255, (t.net & 255) + 1);
		(void) snprintf(n->workload_address, sizeof n->workload_address, "10.200.%u.%u",
			t.net >> 8 & 255, (t.net & 255) + 2);
		break;
	}
	nl_cache_free(routes);
	nl_cache_free(addresses);
	if (r < 0)
		return nl_err(e, r, "read routes");
	return n->host_address[0]
		? 0
		: err_set(e, EADDRNOTAVAIL, "no free /30 in 10.200.0.0/16 for veth");
}

static int add_pair(struct nl_sock *s, const struct proc_netns *n, struct err *e)
{
	struct rtnl_link *link = rtnl_link_veth_alloc();
	struct rtnl_link *peer = link ? rtnl_link_veth_get_peer(link) : NULL;
	int r = -NLE_NOMEM;

	if (peer) {
		rtnl_link_set_name(link, n->host_link);
		rtnl_link_set_name(peer, n->workload_link);
		rtnl_link_set_ns_fd(peer, n->fd);
		r = rtnl_link_add(s, link, NLM_F_CREATE | NLM_F_EXCL);
	}
	rtnl_link_put(peer);
	rtnl_link_put(link);
	return r < 0 ? nl_err(e, r, "make the veth pair") : 0;
}

static int configure_end(const char *name, const char *address, struct err *e)
{
	AUTO_NL struct nl_sock *s = NULL;
	unsigned index = if_nametoindex(name);
	char with_prefix[32];

	if (index == 0)
		return err_set(e, errno, "find link %s", name);
	(void) snprintf(with_prefix, sizeof with_prefix, "%s/30", address);
	if (open_route_socket(&s, e) < 0 || add_address(s, (int) index, with_prefix, e) < 0)
		return -e->code;
	return set_up(s, (int) index, e);
}

static int make_veth(const char *tag, struct proc_netns *n, struct err *e)
{
	AUTO_NL struct nl_sock *s = NULL;
	int r;

	(void) snprintf(n->host_link, sizeof n->host_link, "veth-h-%.8s", tag);
	(void) snprintf(n->workload_link, sizeof n->workload_link, "veth-s-%.8s", tag);
	if (open_route_socket(&s, e) < 0 || choose_net(s, tag, n, e) < 0 || add_pair(s, n, e) < 0) {
		n->host_link[0] = '\0'; /* nothing of ours to delete */
		return -e->code;
	}
	if (configure_end(n->host_link, n->host_address, e) < 0 || proc_netns_enter(n, e) < 0)
		return -e->code;
	r = configure_end(n->workload_link, n->workload_address, e);
	if (proc_netns_leave(n, e) < 0)
		return -e->code;
	return r;
}

/* An outer sandbox may say yes and do nothing; the fence would then close the host's network. */
static int check_new(const struct proc_netns *n, struct err *e)
{
	struct stat home, made;

	if (fstat(n->home, &home) < 0 || fstat(n->fd, &made) < 0)
		return err_set(e, errno, "look at the new network namespace");
	if (home.st_dev == made.st_dev && home.st_ino == made.st_ino)
		return err_set(e, ENOSYS,
			"this host only pretends to make network namespaces, so nothing is "
			"started; run the sandbox where unshare(2) works");
	return 0;
}

static int open_self(int *ret, struct err *e)
{
	*ret = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);
	return *ret < 0 ? err_set(e, errno, "open our network namespace") : 0;
}

/* The host's own in its place. */
static int use_host(int code, struct proc_netns *n, struct err *e)
{
	n->here = true;
	n->refused = code;
	n->proxy_address = "127.0.0.1";
	return open_self(&n->fd, e);
}

static int make(const struct proc_netns_wish *w, struct proc_netns *n, struct err *e)
{
	int r;

	if (open_self(&n->home, e) < 0)
		return -e->code;
	if (unshare(CLONE_NEWNET) < 0) {
		r = errno;
		if (failure_is_tolerated(FAILURE_NETWORK_NAMESPACE, r))
			return use_host(r, n, e);
		return err_set(e, r,
			"make a network namespace: %s; the process leaf needs CAP_SYS_ADMIN, or "
			"--delegate network-namespace where the host does this itself",
			strerror(r));
	}
	n->here = w->rootless;
	r = open_self(&n->fd, e);
	if (r == 0)
		r = check_new(n, e);
	if (r == -ENOSYS && failure_is_tolerated(FAILURE_NETWORK_NAMESPACE, ENOSYS)) {
		core_closep(&n->fd);
		return use_host(ENOSYS, n, e);
	}
	if (r == 0)
		r = set_up_inside(e);
	if (proc_netns_leave(n, e) < 0)
		return -e->code;
	return r < 0 || !w->veth ? r : make_veth(w->tag, n, e);
}

int proc_netns_new(const struct proc_netns_wish *w, struct proc_netns *ret, struct err *e)
{
	*ret = (struct proc_netns){
		.fd = -1, .home = -1, .lease = -1, .proxy_address = PROC_PROXY_ADDRESS
	};
	if (w->veth && w->rootless)
		return err_set(e, EPERM,
			"--network-link veth needs root, as one end is in the host's network; use "
			"sealed");
	if (make(w, ret, e) < 0) {
		proc_netns_done(ret);
		return -e->code;
	}
	return 0;
}

static int bind_to(int fd, const struct proc_netns *n, uint16_t *port, struct err *e)
{
	struct sockaddr_in a = { .sin_family = AF_INET, .sin_port = htons(*port) };
	socklen_t len = sizeof a;
	int one = 1;

	(void) inet_pton(AF_INET, n->proxy_address, &a.sin_addr);
	if (setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one) < 0)
		return err_set(e, errno, "prepare the proxy's listener");
	if (bind(fd, (struct sockaddr *) &a, sizeof a) == 0)
		return 0;
	if (errno != EADDRINUSE || !n->refused)
		return err_set(e, errno, "listen on %s:%u", n->proxy_address, *port);
	/* Another sandbox of the same host. */
	a.sin_port = 0;
	if (bind(fd, (struct sockaddr *) &a, sizeof a) < 0 ||
		getsockname(fd, (struct sockaddr *) &a, &len) < 0)
		return err_set(e, errno, "listen on %s", n->proxy_address);
	*port = ntohs(a.sin_port);
	return 0;
}

int proc_netns_listen(const struct proc_netns *n, uint16_t *port, int *ret_fd, struct err *e)
{
	AUTO_CLOSE int fd = -1;

	if (proc_netns_enter(n, e) < 0)
		return -e->code;
	fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (proc_netns_leave(n, e) < 0)
		return -e->code;
	if (fd < 0)
		return err_set(e, errno, "make the proxy's listener");
	if (bind_to(fd, n, port, e) < 0)
		return -e->code;
	if (listen(fd, PROC_LISTEN_BACKLOG) < 0)
		return err_set(e, errno, "listen on %s:%u", n->proxy_address, *port);
	*ret_fd = TAKE_FD(fd);
	return 0;
}

static void delete_link(const char *name)
{
	AUTO_NL struct nl_sock *s = NULL;
	struct rtnl_link *link = rtnl_link_alloc();
	struct err ignored = { 0 };

	/* The kernel deletes the pair with the namespace anyway; this only does it sooner. */
	if (link && open_route_socket(&s, &ignored) == 0) {
		rtnl_link_set_name(link, name);
		(void) rtnl_link_delete(s, link);
	}
	rtnl_link_put(link);
}

void proc_netns_done(struct proc_netns *n)
{
	if (n->host_link[0])
		delete_link(n->host_link);
	core_closep(&n->fd);
	core_closep(&n->home);
	core_closep(&n->lease);
	*n = (struct proc_netns){ .fd = -1, .home = -1, .lease = -1 };
}
