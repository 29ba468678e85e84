/* net_lab.h - a whole network leaf in one process: its orchestrator, a client of the workload and an
 * upstream are ends that the test holds.  The network is a namespace of the test's own.
 *
 * Nothing waits for time to pass: net_client_expire() is told a time to come.
 */
#pragma once
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <net/if.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>
#include "core_fd.h"
#include "core_policy.h"
#include "core_tls.h"
#include "core_tls_authority.h"
#include "core_tls_bundle.h"
#include "ipc_common.pb-c.h"
#include "ipc_network.h"
#include "ipc_network.pb-c.h"
#include "net_client.h"
#include "net_credential.h"
#include "net_leaf.h"
#include "test.h"

#define LAB_ORIGIN "192.31.196.10" /* a public address, in the namespace only */
#define LAB_POLICY(endpoint) \
	"version: 1\nnetwork_policies:\n  web:\n    endpoints:\n      - " endpoint "\n" \
	"    binaries: [{path: /usr/bin/curl}]\n"

struct lab {
	struct loop *loop;
	struct net_leaf *leaf;
	struct channel *up;
	struct loop_timer *turn;
	uint32_t up_state;
	bool ready, ended, turned; /* the gate is open; the channel is gone */
	unsigned events;
	uint16_t proxy_port, port; /* of the upstream */
	int listener;		   /* of the upstream */
	struct tls_authority *authority;
	struct tls_server *origin;  /* TLS of the upstream */
	struct tls_client *program; /* and of the client */
	struct tls_bundle *roots;   /* the client's, and the leaf's */
};

/* ---- the orchestrator's end ---- */

static inline int on_NET_GREETING(void *o, const struct channel_msg *m, int *f, struct err *e)
{
	(void) o, (void) m, (void) f, (void) e;
	return 0;
}

static inline int on_NET_POLICY_RESULT(void *o, const struct channel_msg *m, int *f, struct err *e)
{
	ProtobufCMessage *r;

	(void) o, (void) f;
	ASSERT_OK(channel_unpack(m, &openshell__ipc__net_policy_result__descriptor, &r, e));
	ASSERT(((Openshell__Ipc__NetPolicyResult *) r)->loaded);
	protobuf_c_message_free_unpacked(r, NULL);
	return 0;
}

static inline int on_NET_READY(void *o, const struct channel_msg *m, int *f, struct err *e)
{
	(void) m, (void) f, (void) e;
	((struct lab *) o)->ready = true;
	return 0;
}

static inline int on_NET_FAILED(void *o, const struct channel_msg *m, int *f, struct err *e)
{
	(void) o, (void) m, (void) f, (void) e;
	return 0;
}

static inline int on_NET_EVENT(void *o, const struct channel_msg *m, int *f, struct err *e)
{
	(void) m, (void) f, (void) e;
	((struct lab *) o)->events++;
	return 0;
}

#define X(n, num, lo, hi, fds, st) { #n, (num), (lo), (hi), (fds), (st), on_##n },
static const struct channel_rule lab_rules[] = { NET_ANSWERS(X){ 0 } };
#undef X

static inline void lab_on_end(void *owner, const struct err *why)
{
	(void) why;
	((struct lab *) owner)->ended = true;
}

static inline void lab_on_turn(void *owner)
{
	struct lab *l = owner;

	l->turned = true;
	loop_stop(l->loop);
}

static inline void lab_turn(struct lab *l)
{
	struct err e = { 0 };

	l->turned = false;
	ASSERT_OK(loop_timer_start(l->turn, 1));
	ASSERT_OK(loop_run(l->loop, &e));
	l->ended |= !l->turned; /* the leaf stopped the loop: its process would end now */
}

/* The harness' alarm ends a test whose condition never holds. */
#define LAB_UNTIL(l, condition) \
	while (!(condition)) \
	lab_turn(l)

static inline void lab_send(
	struct lab *l, uint16_t number, const ProtobufCMessage *m, const int *fds, size_t n)
{
	struct err e = { 0 };

	if (channel_send_fds(l->up, number, 0, m, fds, n, &e) < 0 && !l->ended)
		FAIL_("%s", e.text);
}

static inline void lab_send_file(
	struct lab *l, uint16_t number, const ProtobufCMessage *m, const void *bytes, size_t len)
{
	struct err e = { 0 };
	int fd;

	ASSERT_OK(fd_sealed_new("lab", bytes, len, &fd, &e));
	lab_send(l, number, m, &fd, 1);
	(void) close(fd);
}

/* ---- the network ---- */

static inline void lab_network(void)
{
	struct sockaddr_in at = { .sin_family = AF_INET };
	struct ifreq r = { .ifr_name = "lo" };
	int s;

	ASSERT(unshare(CLONE_NEWNET) == 0);
	s = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	ASSERT(s >= 0);
	r.ifr_flags = IFF_UP;
	ASSERT(ioctl(s, SIOCSIFFLAGS, &r) == 0);
	(void) snprintf(r.ifr_name, sizeof r.ifr_name, "lo:1");
	ASSERT(inet_pton(AF_INET, LAB_ORIGIN, &at.sin_addr) == 1);
	(void) memcpy(&r.ifr_addr, &at, sizeof at);
	ASSERT(ioctl(s, SIOCSIFADDR, &r) == 0);
	(void) close(s);
}

static inline int lab_listen(const char *address, uint16_t port, int backlog)
{
	struct sockaddr_in at = { .sin_family = AF_INET, .sin_port = htons(port) };
	int s = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	ASSERT(inet_pton(AF_INET, address, &at.sin_addr) == 1);
	ASSERT(s >= 0 && bind(s, (struct sockaddr *) &at, sizeof at) == 0);
	ASSERT(listen(s, backlog) == 0);
	return s;
}

static inline int lab_connect(const char *address, uint16_t port)
{
	struct sockaddr_in at = { .sin_family = AF_INET, .sin_port = htons(port) };
	int s = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	ASSERT(inet_pton(AF_INET, address, &at.sin_addr) == 1);
	ASSERT(s >= 0);
	ASSERT(connect(s, (struct sockaddr *) &at, sizeof at) == 0 || errno == EINPROGRESS);
	return s;
}

/* ---- begin and end ---- */

static inline void lab_policy(struct lab *l, uint64_t generation, const char *text)
{
	Openshell__Ipc__NetPolicy m = OPENSHELL__IPC__NET_POLICY__INIT;
	struct policy_report report = { 0 };
	struct policy_doc *doc = NULL;
	struct err e = { 0 };
	uint8_t *bytes;
	size_t len;

	if (policy_load_yaml("lab", text, strlen(text), POLICY_AUTHOR, &report, &doc, &e) < 0)
		FAIL_("%s", report.n ? report.at[0].problem : e.text);
	ASSERT_OK(policy_encode(doc, &bytes, &len, &e));
	m.generation = generation;
	lab_send_file(l, NET_POLICY, &m.base, bytes, len);
	free(bytes);
	policy_free(doc);
	policy_report_done(&report);
}

static inline void lab_tls(struct lab *l)
{
	Openshell__Ipc__NetAuthority m = OPENSHELL__IPC__NET_AUTHORITY__INIT;
	struct secret *key;
	const unsigned char *der;
	struct err e = { 0 };
	const char *pem;
	size_t len;

	ASSERT_OK(tls_setup(&e));
	ASSERT_OK(tls_authority_new(&l->authority, &e));
	ASSERT_OK(tls_authority_key(l->authority, &key, &e));
	pem = tls_authority_pem(l->authority);
	m.certificate = (char *) (uintptr_t) pem;
	lab_send_file(l, NET_AUTHORITY, &m.base, secret_bytes(key), secret_len(key));
	ASSERT_OK(tls_bundle_new(&l->roots, &e));
	ASSERT_OK(tls_bundle_add(l->roots, pem, strlen(pem), NULL, NULL, &e));
	der = tls_bundle_der(l->roots, &len);
	lab_send_file(l, NET_ROOTS, NULL, der, len);
	secret_free(key);
	ASSERT_OK(tls_server_new(l->authority, &l->origin, &e));
	ASSERT_OK(tls_client_new(der, len, &l->program, &e));
}

/* A leaf that has said hello, and no more. */
static inline void lab_greet(struct lab *l)
{
	Openshell__Ipc__Hello hello = OPENSHELL__IPC__HELLO__INIT;
	const struct channel_user user = { lab_rules, &l->up_state, lab_on_end, l };
	struct err e = { 0 };
	int ends[2];

	*l = (struct lab){ .listener = -1, .up_state = NET_ANY };
	ASSERT_OK(loop_new(&l->loop, &e));
	ASSERT_OK(loop_timer_new(l->loop, lab_on_turn, l, &l->turn, &e));
	ASSERT_OK(channel_pair(ends, &e));
	ASSERT_OK(net_leaf_new(l->loop, &l->leaf, &e));
	ASSERT_OK(net_leaf_open(l->leaf, ends[0], &e));
	ASSERT_OK(channel_open(l->loop, ends[1], &user, &l->up, &e));
	hello.major = IPC_MAJOR;
	lab_send(l, NET_HELLO, &hello.base, NULL, 0);
	LAB_UNTIL(l, l->leaf->state == NET_GREETED);
}

static inline void lab_configure(struct lab *l)
{
	Openshell__Ipc__NetConfigure m = OPENSHELL__IPC__NET_CONFIGURE__INIT;

	m.proxy_address = (char *) "127.0.0.1";
	m.proxy_port = l->proxy_port = 3128;
	m.report_activity = true; /* and no identity: nobody answers for it here */
	lab_send(l, NET_CONFIGURE, &m.base, NULL, 0);
}

/* A leaf that serves origin.test on this port. */
static inline void lab_begin(struct lab *l, uint16_t port, const char *policy_text)
{
	static const char hosts[] = LAB_ORIGIN " origin.test\n";
	int fd;

	lab_network();
	lab_greet(l);
	l->port = port;
	l->listener = lab_listen(LAB_ORIGIN, port, 16);
	lab_configure(l);
	fd = lab_listen("127.0.0.1", l->proxy_port, 16);
	lab_send(l, NET_LISTENER, NULL, &fd, 1);
	(void) close(fd);
	lab_send_file(l, NET_HOSTS, NULL, hosts, sizeof hosts - 1);
	lab_tls(l);
	lab_policy(l, 1, policy_text);
	lab_send(l, NET_ENTRYPOINT, NULL, NULL, 0);
	LAB_UNTIL(l, l->ready);
}

/* One credential, TOKEN, for origin.test. */
static inline void lab_credentials(struct lab *l)
{
	Openshell__Ipc__NetCredentialEndpoint ep = OPENSHELL__IPC__NET_CREDENTIAL_ENDPOINT__INIT;
	Openshell__Ipc__NetCredential c = OPENSHELL__IPC__NET_CREDENTIAL__INIT;
	Openshell__Ipc__NetCredentials m = OPENSHELL__IPC__NET_CREDENTIALS__INIT;
	Openshell__Ipc__NetCredentialEndpoint *eps[] = { &ep };
	Openshell__Ipc__NetCredential *list[] = { &c };
	uint8_t bytes[512];

	ep.host = (char *) "origin.test";
	ep.port = l->port;
	c.name = (char *) "TOKEN";
	c.identity = (char *) "lab";
	c.has_value = true;
	c.value = (ProtobufCBinaryData){ 6, (uint8_t *) (uintptr_t) "s3cret" };
	c.endpoints = eps;
	c.n_endpoints = 1;
	m.revision = 1;
	m.credentials = list;
	m.n_credentials = 1;
	lab_send_file(
		l, NET_CREDENTIALS, NULL, bytes, openshell__ipc__net_credentials__pack(&m, bytes));
	LAB_UNTIL(l, l->leaf->credentials || l->ended);
	ASSERT(!l->ended);
}

static inline void lab_end(struct lab *l)
{
	net_leaf_free(l->leaf);
	channel_free(l->up);
	tls_client_free(l->program);
	tls_bundle_free(l->roots);
	tls_server_free(l->origin);
	tls_authority_free(l->authority);
	if (l->listener >= 0)
		(void) close(l->listener);
	loop_timer_free(l->turn);
	loop_free(l->loop);
}

/* ---- bytes ---- */

static inline int lab_client(struct lab *l)
{
	size_t before = l->leaf->n_clients;
	int fd = lab_connect("127.0.0.1", l->proxy_port);

	LAB_UNTIL(l, l->leaf->n_clients > before);
	return fd;
}

static inline int lab_accept(struct lab *l)
{
	int fd;

	LAB_UNTIL(l, (fd = accept4(l->listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC)) >= 0);
	return fd;
}

static inline void lab_say(int fd, const char *text)
{
	ASSERT_EQ(send(fd, text, strlen(text), MSG_NOSIGNAL), (ssize_t) strlen(text));
}

/* Until mark was read; the bytes are a string in buf. */
static inline void lab_hear(struct lab *l, int fd, char *buf, size_t size, const char *mark)
{
	size_t len = 0;

	for (buf[0] = '\0'; !strstr(buf, mark);) {
		ssize_t n = recv(fd, buf + len, size - 1 - len, MSG_DONTWAIT);

		if (n == 0 || (n < 0 && errno != EAGAIN))
			FAIL_("ended before \"%s\": %s", mark, buf);
		if (n < 0)
			lab_turn(l);
		else
			len += (size_t) n;
		buf[len] = '\0';
	}
}

/* What still comes, until the end of the connection (a reset counts). */
static inline void lab_hear_all(struct lab *l, int fd, char *buf, size_t size)
{
	size_t len = 0;

	for (;;) {
		ssize_t n = recv(fd, buf + len, size - 1 - len, MSG_DONTWAIT);

		if (n == 0 || (n < 0 && errno != EAGAIN))
			break;
		if (n < 0)
			lab_turn(l);
		else
			len += (size_t) n;
	}
	buf[len] = '\0';
}

/* ---- time ---- */

/* The phase's deadline was set after `since`, and before now: not a millisecond earlier, then in time. */
static inline void lab_pass(struct lab *l, uint64_t since, uint64_t limit_ms, enum net_phase phase)
{
	ASSERT_EQ(l->leaf->n_clients, 1);
	ASSERT_EQ(l->leaf->clients->phase, phase);
	net_client_expire(l->leaf, since + limit_ms - 1);
	ASSERT_EQ(l->leaf->n_clients, 1);
	ASSERT_EQ(l->leaf->clients->phase, phase);
	net_client_expire(l->leaf, loop_now_ms(l->loop) + limit_ms);
	ASSERT(!l->leaf->n_clients || l->leaf->clients->phase != phase);
}
