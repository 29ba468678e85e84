#include "net_resolve.h"
#include <ares.h>
#include <errno.h>
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include "core_fd.h"
#include "core_text.h"

#define SOCKETS_MAX 256 /* of c-ares at a time */
#define TRIES 2
#define SERVERS_TEXT_MAX 1024 /* bytes of all name servers */

struct watched {
	int fd;
	struct loop_io *io;
};

struct net_resolve {
	struct loop *loop;
	ares_channel channel;
	struct loop_timer *timer;
	struct watched sockets[SOCKETS_MAX];
	size_t n_queries;
	char *hosts;
	size_t hosts_len;
	char servers[SERVERS_TEXT_MAX]; /* in force, separated by commas */
};

struct net_query {
	struct net_resolve *resolve;
	net_resolve_fn fn;
	void *owner; /* NULL: cancelled */
	bool answered_early, started;
};

static void rearm(struct net_resolve *r)
{
	struct timeval max = { NET_RESOLVE_MS / 1000, 0 }, tv;

	if (r->n_queries == 0) {
		loop_timer_stop(r->timer);
		return;
	}
	(void) ares_timeout(r->channel, &max, &tv);
	(void) loop_timer_start(
		r->timer, (uint64_t) tv.tv_sec * 1000 + (uint64_t) tv.tv_usec / 1000 + 1);
}

static void on_timer(void *owner)
{
	struct net_resolve *r = owner;

	ares_process_fd(r->channel, ARES_SOCKET_BAD, ARES_SOCKET_BAD);
	rearm(r);
}

static void on_socket(void *owner, int fd, unsigned ready)
{
	struct net_resolve *r = owner;

	ares_process_fd(r->channel, ready & LOOP_READ ? fd : ARES_SOCKET_BAD,
		ready & LOOP_WRITE ? fd : ARES_SOCKET_BAD);
	rearm(r);
}

static void on_state(void *owner, ares_socket_t fd, int readable, int writable)
{
	struct net_resolve *r = owner;
	struct watched *w = NULL;
	struct err e = { 0 };

	for (size_t i = 0; i < SOCKETS_MAX; i++) {
		if (r->sockets[i].io && r->sockets[i].fd == fd) {
			w = &r->sockets[i];
			break;
		}
		if (!r->sockets[i].io && !w)
			w = &r->sockets[i];
	}
	if (!w)
		return; /* more sockets than we watch: those queries time out */
	if (!readable && !writable) {
		loop_io_free(TAKE_PTR(w->io));
		return;
	}
	if (!w->io) {
		w->fd = fd;
		if (loop_io_new(r->loop, fd, on_socket, r, &w->io, &e) < 0)
			return;
	}
	(void) loop_io_watch(w->io, (readable ? LOOP_READ : 0u) | (writable ? LOOP_WRITE : 0u));
}

int net_resolve_new(struct loop *l, struct net_resolve **ret, struct err *e)
{
	struct net_resolve *r = calloc(1, sizeof *r);
	struct ares_options o = { .flags = ARES_FLAG_NOSEARCH | ARES_FLAG_NOALIASES,
		.timeout = NET_RESOLVE_MS / (TRIES + 1),
		.tries = TRIES,
		.lookups = (char *) "b",
		.sock_state_cb = on_state };
	int code;

	if (!r)
		return err_set(e, ENOMEM, "resolver");
	r->loop = l;
	o.sock_state_cb_data = r;
	code = ares_library_init(ARES_LIB_INIT_ALL);
	if (code == ARES_SUCCESS)
		code = ares_init_options(&r->channel, &o,
			ARES_OPT_FLAGS | ARES_OPT_TIMEOUTMS | ARES_OPT_TRIES | ARES_OPT_LOOKUPS |
				ARES_OPT_SOCK_STATE_CB);
	if (code != ARES_SUCCESS) {
		free(r);
		return err_set(e, EIO, "resolver: %s", ares_strerror(code));
	}
	if (loop_timer_new(l, on_timer, r, &r->timer, e) < 0) {
		net_resolve_free(r);
		return -e->code;
	}
	*ret = r;
	return 0;
}

void net_resolve_free(struct net_resolve *r)
{
	if (!r)
		return;
	ares_destroy(r->channel);
	for (size_t i = 0; i < SOCKETS_MAX; i++)
		loop_io_free(r->sockets[i].io);
	loop_timer_free(r->timer);
	free(r->hosts);
	free(r);
}

int net_resolve_servers(struct net_resolve *r, char *const *servers, size_t n, struct err *e)
{
	char list[SERVERS_TEXT_MAX];
	struct text t;
	int code;

	text_init(&t, list, sizeof list);
	for (size_t i = 0; i < n && i < NET_NAMESERVERS_MAX; i++)
		text_addf(&t, "%s%s", i ? "," : "", servers[i]);
	if (!t.cut && strcmp(list, r->servers) == 0)
		return 0;
	/* The library takes no new list while it asks: those look-ups end as refused. */
	if (r->n_queries)
		ares_cancel(r->channel);
	code = t.cut ? ARES_EBADSTR : ares_set_servers_ports_csv(r->channel, list);
	if (code != ARES_SUCCESS)
		return err_set(e, EINVAL, "name servers: %s", ares_strerror(code));
	(void) memcpy(r->servers, list, sizeof list);
	return 0;
}

int net_resolve_hosts(struct net_resolve *r, int fd, struct err *e)
{
	const void *at;
	size_t len;
	char *copy;

	if (fd_sealed_map(fd, NET_HOSTS_BYTES_MAX, &at, &len, e) < 0)
		return err_wrap(e, "hosts");
	copy = malloc(len + 1);
	if (copy && len)
		(void) memcpy(copy, at, len);
	fd_sealed_unmap(at, len);
	if (!copy)
		return err_set(e, ENOMEM, "hosts");
	free(r->hosts);
	r->hosts = copy;
	r->hosts_len = len;
	return 0;
}

static void add(struct net_addresses *a, const struct addr *addr)
{
	for (size_t i = 0; i < a->n; i++)
		if (addr_equal(&a->at[i], addr))
			return;
	if (a->n < NET_ADDRESSES_MAX)
		a->at[a->n++] = *addr;
}

struct word {
	const char *at;
	size_t len;
};

static struct word next_word(const char **p, const char *end)
{
	const char *start;

	while (*p < end && (**p == ' ' || **p == '\t' || **p == '\r'))
		++*p;
	start = *p;
	while (*p < end && **p != ' ' && **p != '\t' && **p != '\r')
		++*p;
	return (struct word){ start, (size_t) (*p - start) };
}

static void in_line(const char *p, const char *end, const char *host, struct net_addresses *ret)
{
	const char *comment = memchr(p, '#', (size_t) (end - p));
	struct word word;
	struct addr a;

	if (comment)
		end = comment;
	word = next_word(&p, end);
	if (addr_parse(word.at, word.len, &a) < 0)
		return;
	for (word = next_word(&p, end); word.len; word = next_word(&p, end))
		if (text_ieq(word.at, word.len, host, strlen(host)))
			add(ret, &a);
}

void net_resolve_in_hosts(const char *text, size_t len, const char *host, struct net_addresses *ret)
{
	const char *end = text + len;

	ret->n = 0;
	while (text < end) {
		const char *stop = memchr(text, '\n', (size_t) (end - text));

		if (!stop)
			stop = end;
		in_line(text, stop, host, ret);
		text = stop + 1;
	}
}

static void finish(struct net_query *q, const struct net_addresses *a, const char *why)
{
	struct net_resolve *r = q->resolve;

	r->n_queries--;
	if (q->owner)
		q->fn(q->owner, a, why);
	/* Still inside net_resolve_name(): that frees it. */
	if (q->started)
		free(q);
	else
		q->answered_early = true;
}

static void on_answer(void *arg, int status, int timeouts, struct ares_addrinfo *result)
{
	struct net_addresses a = { .n = 0 };
	struct addr addr;
	uint16_t port;

	(void) timeouts;
	for (struct ares_addrinfo_node *n = result ? result->nodes : NULL; n; n = n->ai_next)
		if (addr_from_sockaddr(n->ai_addr, (socklen_t) n->ai_addrlen, &addr, &port) == 0)
			add(&a, &addr);
	if (result)
		ares_freeaddrinfo(result);
	finish(arg, &a,
		a.n				 ? ""
			: status == ARES_SUCCESS ? "the name has no address"
			: status == ARES_ECANCELLED
			? "the name servers changed meanwhile; try again"
			: ares_strerror(status));
}

struct net_query *net_resolve_name(
	struct net_resolve *r, const char *host, net_resolve_fn fn, void *owner)
{
	struct ares_addrinfo_hints hints = {
		.ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM, .ai_flags = ARES_AI_NOSORT
	};
	struct net_addresses a = { .n = 0 };
	struct net_query *q;

	if (r->hosts)
		net_resolve_in_hosts(r->hosts, r->hosts_len, host, &a);
	q = a.n || r->n_queries >= NET_QUERIES_MAX ? NULL : calloc(1, sizeof *q);
	if (!q) {
		fn(owner, &a, a.n ? "" : "too many look-ups at a time");
		return NULL;
	}
	*q = (struct net_query){ .resolve = r, .fn = fn, .owner = owner };
	r->n_queries++;
	ares_getaddrinfo(r->channel, host, NULL, &hints, on_answer, q);
	if (q->answered_early) {
		free(q);
		return NULL;
	}
	q->started = true;
	rearm(r);
	return q;
}

/* c-ares can't take one query back; its answer is dropped. */
void net_resolve_cancel(struct net_query *q)
{
	if (q)
		q->owner = NULL;
}
