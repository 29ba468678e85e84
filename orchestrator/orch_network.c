#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include "core_hello.h"
#include "core_channel.h"
#include "ipc_common.pb-c.h"
#include "ipc_network.h"
#include "ipc_network.pb-c.h"
#include "orch_limits.h"
#include "orch_network.h"

struct orch_network {
	struct loop *loop;
	struct loop_timer *deadline, *backoff;
	struct orch_network_lent *lent;
	const struct orch_network_calls *calls;
	void *owner;
	/* the present leaf */
	struct channel *down;
	pid_t pid;
	uint32_t state;
	bool lent_listener, lent_identity, lent_hosts, lent_tls, lent_policy, lent_entrypoint,
		lent_credentials;
	/* all of them */
	bool was_ready, stopped, stays_down;
	uint64_t deaths_ms[ORCH_DEATHS_MAX];
	unsigned n_deaths;	/* within the window */
	char why[ERR_TEXT_MAX]; /* what the leaf said before it ended */
};

static void lost(struct orch_network *n, const char *why);

/* ---- requests ---- */

static int send_message(struct orch_network *n, uint16_t number, const ProtobufCMessage *m,
	const int *fd, struct err *e)
{
	if (channel_send_fds(n->down, number, 0, m, fd, fd ? 1 : 0, e) < 0)
		return err_wrap(e, "network leaf");
	return 0;
}

static void fill_nameservers(
	const struct orch_network_lent *lent, char *names[], Openshell__Ipc__NetConfigure *m)
{
	for (size_t i = 0; i < lent->nameservers.n; i++)
		names[i] = (char *) (uintptr_t) lent->nameservers.at[i];
	m->nameservers = names;
	m->n_nameservers = lent->nameservers.n;
}

static int configure(struct orch_network *n, struct err *e)
{
	Openshell__Ipc__NetConfigure m = OPENSHELL__IPC__NET_CONFIGURE__INIT;
	struct orch_network_lent *lent = n->lent;
	char *names[ORCH_NAMESERVERS_MAX];

	m.tag = lent->tag;
	m.proxy_address = (char *) (uintptr_t) lent->proxy_address;
	m.proxy_port = lent->proxy_port;
	m.identity_required = lent->identity_required;
	m.trusted_gateway = lent->gateway;
	m.report_activity = lent->report_activity;
	fill_nameservers(lent, names, &m);
	n->state = NET_CONFIGURED;
	return send_message(n, NET_CONFIGURE, &m.base, NULL, e);
}

static int send_policy(struct orch_network *n, int fd, uint64_t generation, struct err *e)
{
	Openshell__Ipc__NetPolicy m = OPENSHELL__IPC__NET_POLICY__INIT;

	m.generation = generation;
	return send_message(n, NET_POLICY, &m.base, &fd, e);
}

static int lend_identity(struct orch_network *n, struct err *e)
{
	int fd, r = n->calls->identity(n->owner, &fd, e);

	if (r == -EAGAIN)
		return 0;
	if (r < 0)
		return r;
	n->lent_identity = true;
	r = send_message(n, NET_IDENTITY, NULL, &fd, e);
	(void) close(fd);
	return r;
}

/* The memory file is gone again as soon as the leaf has closed it. */
static int send_credentials(struct orch_network *n, struct err *e)
{
	int fd, r = n->calls->credentials ? n->calls->credentials(n->owner, &fd, e) : -ENOENT;

	n->lent_credentials = true;
	if (r == -ENOENT)
		return 0;
	if (r < 0)
		return r;
	r = send_message(n, NET_CREDENTIALS, NULL, &fd, e);
	(void) close(fd);
	return r;
}

static int send_entrypoint(struct orch_network *n, struct err *e)
{
	Openshell__Ipc__NetEntrypoint m = OPENSHELL__IPC__NET_ENTRYPOINT__INIT;

	m.pid = (uint32_t) n->lent->entrypoint;
	n->lent_entrypoint = true;
	if (loop_timer_start(n->deadline, ORCH_NETWORK_READY_MS) < 0)
		return err_set(e, EIO, "network leaf: no timer");
	return send_message(n, NET_ENTRYPOINT, &m.base, NULL, e);
}

static int lend(struct orch_network *n, uint16_t number, int fd, bool *done, struct err *e)
{
	if (*done || fd < 0)
		return 0;
	*done = true;
	return send_message(n, number, NULL, &fd, e);
}

/* The key's memory file lives only as long as the message. */
static int lend_tls(struct orch_network *n, struct err *e)
{
	Openshell__Ipc__NetAuthority m = OPENSHELL__IPC__NET_AUTHORITY__INIT;
	const struct orch_tls *tls = n->lent->tls;
	AUTO_CLOSE int key = -1;
	int roots;

	if (n->lent_tls || !tls)
		return 0;
	n->lent_tls = true;
	m.certificate = (char *) (uintptr_t) orch_tls_certificate(tls);
	roots = orch_tls_roots(tls);
	if (orch_tls_key_fd(tls, &key, e) < 0 ||
		send_message(n, NET_AUTHORITY, &m.base, &key, e) < 0)
		return -e->code;
	return send_message(n, NET_ROOTS, NULL, &roots, e);
}

int orch_network_advance(struct orch_network *n, struct err *e)
{
	struct orch_network_lent *lent = n->lent;
	int r;

	if (!n->down || n->state == NET_NEW)
		return 0;
	if (n->state == NET_GREETED && lent->proxy_address && (r = configure(n, e)) < 0)
		return r;
	if (n->state != NET_CONFIGURED)
		return 0;
	if ((r = lend(n, NET_LISTENER, lent->listener, &n->lent_listener, e)) < 0 ||
		(r = lend(n, NET_HOSTS, lent->hosts, &n->lent_hosts, e)) < 0 ||
		(r = lend_tls(n, e)) < 0)
		return r;
	if (!n->lent_policy && lent->policy >= 0) {
		n->lent_policy = true;
		if ((r = send_policy(n, lent->policy, lent->generation, e)) < 0)
			return r;
	}
	if (!n->lent_credentials && (r = send_credentials(n, e)) < 0)
		return r;
	if (!n->lent_identity && (r = lend_identity(n, e)) < 0)
		return r;
	if (!n->lent_entrypoint && lent->entrypoint && n->lent_listener && n->lent_hosts &&
		n->lent_policy && n->lent_identity)
		return send_entrypoint(n, e);
	return 0;
}

/* ---- answers ---- */

static int on_NET_GREETING(void *owner, const struct channel_msg *m, int *fds, struct err *e)
{
	struct orch_network *n = owner;

	(void) fds;
	if (hello_check(m, "it", e) < 0)
		return -e->code;
	n->state = NET_GREETED;
	if (!n->lent->entrypoint)
		loop_timer_stop(n->deadline); /* it waits for us now */
	return orch_network_advance(n, e);
}

static int on_NET_POLICY_RESULT(void *owner, const struct channel_msg *m, int *fds, struct err *e)
{
	struct orch_network *n = owner;
	Openshell__Ipc__NetPolicyResult *result;
	ProtobufCMessage *base;

	(void) fds;
	if (channel_unpack(m, &openshell__ipc__net_policy_result__descriptor, &base, e) < 0)
		return -e->code;
	result = (Openshell__Ipc__NetPolicyResult *) base;
	n->calls->policy(n->owner, result->generation, result->loaded, result->text);
	protobuf_c_message_free_unpacked(base, NULL);
	return 0;
}

static int on_NET_READY(void *owner, const struct channel_msg *m, int *fds, struct err *e)
{
	struct orch_network *n = owner;

	(void) m;
	(void) fds;
	if (!n->lent_entrypoint)
		return err_set(e, EPROTO, "it is ready before it was asked to be");
	n->state = NET_SERVING;
	loop_timer_stop(n->deadline);
	if (n->calls->verify && n->calls->verify(n->owner, n->pid, e) < 0)
		return -e->code;
	n->was_ready = true;
	n->calls->ready(n->owner);
	return 0;
}

static int on_NET_FAILED(void *owner, const struct channel_msg *m, int *fds, struct err *e)
{
	ProtobufCMessage *base;
	int r;

	(void) owner;
	(void) fds;
	if (channel_unpack(m, &openshell__ipc__failure__descriptor, &base, e) < 0)
		return -e->code;
	r = err_set(e, EIO, "%s", ((Openshell__Ipc__Failure *) base)->text);
	protobuf_c_message_free_unpacked(base, NULL);
	return r; /* ends the channel, and with it the leaf */
}

static int on_NET_EVENT(void *owner, const struct channel_msg *m, int *fds, struct err *e)
{
	struct orch_network *n = owner;
	ProtobufCMessage *base;

	(void) fds;
	if (channel_unpack(m, &openshell__event__event__descriptor, &base, e) < 0)
		return -e->code;
	n->calls->event(n->owner, (Openshell__Event__Event *) base);
	protobuf_c_message_free_unpacked(base, NULL);
	return 0;
}

#define X(n, num, lo, hi, fds, st) { #n, (num), (lo), (hi), (fds), (st), on_##n },
static const struct channel_rule network_rules[] = { NET_ANSWERS(X){ 0 } };
#undef X

/* ---- life and death ---- */

static void on_end(void *owner, const struct err *why)
{
	struct orch_network *n = owner;

	lost(n, why->code ? why->text : "it closed its channel");
}

static void on_late(void *owner)
{
	lost(owner, "it did not become ready in time");
}

static void forget(struct orch_network *n)
{
	channel_free(n->down);
	n->down = NULL;
	n->state = NET_NEW;
	n->lent_listener = n->lent_identity = n->lent_hosts = n->lent_tls = n->lent_policy =
		n->lent_entrypoint = n->lent_credentials = false;
}

static int start(struct orch_network *n, struct err *e)
{
	const struct channel_user user = { network_rules, &n->state, on_end, n };
	int fd, r;

	if ((r = n->calls->spawn(n->owner, &n->pid, &fd, e)) < 0)
		return r;
	n->state = NET_NEW;
	if ((r = channel_open(n->loop, fd, &user, &n->down, e)) < 0)
		return r;
	if (loop_timer_start(n->deadline, ORCH_NETWORK_READY_MS) < 0)
		return err_set(e, EIO, "network leaf: no timer");
	r = hello_send(n->down, NET_HELLO, "openshell-supervisor", e);
	return r < 0 ? err_wrap(e, "network leaf") : 0;
}

static unsigned count_deaths(struct orch_network *n)
{
	uint64_t now = loop_now_ms(n->loop);
	unsigned kept = 0;

	for (unsigned i = 0; i < n->n_deaths; i++)
		if (now - n->deaths_ms[i] < ORCH_DEATHS_WINDOW_MS)
			n->deaths_ms[kept++] = n->deaths_ms[i];
	n->deaths_ms[kept++] = now;
	return n->n_deaths = kept;
}

static uint64_t pause_ms(unsigned deaths)
{
	uint64_t ms = ORCH_BACKOFF_FIRST_MS;

	if (deaths <= 1)
		return 0;
	for (unsigned i = 2; i < deaths && ms < ORCH_BACKOFF_MAX_MS; i++)
		ms *= 4;
	return ms < ORCH_BACKOFF_MAX_MS ? ms : ORCH_BACKOFF_MAX_MS;
}

static void stay_down(struct orch_network *n, const char *why)
{
	char text[ERR_TEXT_MAX + 256];

	n->stays_down = true;
	/* Nobody will ever accept: refuse at once instead of letting the backlog fill. */
	if (n->lent->listener >= 0)
		(void) shutdown(n->lent->listener, SHUT_RDWR);
	(void) snprintf(text, sizeof text,
		"network leaf: died %u times within a minute (%s); it stays down and all egress is "
		"closed until the sandbox is started again",
		n->n_deaths, why);
	n->calls->died(n->owner, text, true);
}

/* The leaf is of no use any more, whatever it may still think. */
static void lost(struct orch_network *n, const char *why)
{
	char text[ERR_TEXT_MAX + 256];
	struct err e = { 0 };

	if (!n->down && !n->pid)
		return;
	(void) snprintf(n->why, sizeof n->why, "%s", why);
	loop_timer_stop(n->deadline);
	forget(n);
	if (n->pid > 0)
		(void) kill(n->pid, SIGKILL);
	n->pid = 0; /* the dispatcher reaps it like any other */
	if (n->stopped)
		return;
	if (!n->was_ready) {
		(void) err_set(&e, EIO, "network leaf: %s", n->why);
		n->calls->failed(n->owner, &e);
		return;
	}
	if (count_deaths(n) >= ORCH_DEATHS_MAX) {
		stay_down(n, n->why);
		return;
	}
	(void) snprintf(text, sizeof text,
		"network leaf: died (%s); egress is closed until a new one is ready", n->why);
	n->calls->died(n->owner, text, false);
	(void) loop_timer_start(n->backoff, pause_ms(n->n_deaths));
}

static void on_backoff(void *owner)
{
	struct orch_network *n = owner;
	struct err e = { 0 };

	if (!n->stopped && start(n, &e) < 0) {
		if (!n->down && !n->pid)
			n->pid = -1; /* so that lost() counts a leaf that never was */
		lost(n, e.text);
	}
}

bool orch_network_reaped(struct orch_network *n, pid_t pid, int status)
{
	char why[64];

	if (pid != n->pid || pid <= 0)
		return false;
	n->pid = -1; /* never signal a number that may belong to somebody else by now */
	if (WIFSIGNALED(status))
		(void) snprintf(why, sizeof why, "killed by signal %d", WTERMSIG(status));
	else
		(void) snprintf(why, sizeof why, "ended with status %d", WEXITSTATUS(status));
	lost(n, why);
	return true;
}

int orch_network_new(struct loop *l, struct orch_network_lent *lent,
	const struct orch_network_calls *calls, void *owner, struct orch_network **ret,
	struct err *e)
{
	AUTO(orch_network_free) struct orch_network *n = calloc(1, sizeof *n);
	int r;

	if (!n)
		return err_set(e, ENOMEM, "network leaf: out of memory");
	n->loop = l;
	n->lent = lent;
	n->calls = calls;
	n->owner = owner;
	if ((r = loop_timer_new(l, on_late, n, &n->deadline, e)) < 0 ||
		(r = loop_timer_new(l, on_backoff, n, &n->backoff, e)) < 0 || (r = start(n, e)) < 0)
		return r;
	*ret = TAKE_PTR(n);
	return 0;
}

int orch_network_policy(struct orch_network *n, int fd, uint64_t generation, struct err *e)
{
	if (!n->down || n->state != NET_SERVING)
		return err_set(e, EAGAIN, "network leaf: is not there at the moment");
	return send_policy(n, fd, generation, e);
}

void orch_network_names_changed(struct orch_network *n)
{
	Openshell__Ipc__NetConfigure m = OPENSHELL__IPC__NET_CONFIGURE__INIT;
	char *names[ORCH_NAMESERVERS_MAX];
	struct err e = { 0 };

	if (!n->down || !(n->state & (NET_CONFIGURED | NET_SERVING)))
		return; /* a new leaf gets the new ones */
	fill_nameservers(n->lent, names, &m);
	if ((n->lent_hosts && send_message(n, NET_HOSTS, NULL, &n->lent->hosts, &e) < 0) ||
		send_message(n, NET_NAMESERVERS, &m.base, NULL, &e) < 0)
		lost(n, e.text);
}

void orch_network_credentials_changed(struct orch_network *n)
{
	struct err e = { 0 };

	if (n->down && n->lent_credentials && send_credentials(n, &e) < 0)
		lost(n, e.text);
}

void orch_network_stop(struct orch_network *n)
{
	struct err e = { 0 };

	n->stopped = true;
	loop_timer_stop(n->deadline);
	loop_timer_stop(n->backoff);
	if (n->down && send_message(n, NET_STOP, NULL, NULL, &e) < 0)
		lost(n, e.text);
}

void orch_network_free(struct orch_network *n)
{
	if (!n)
		return;
	channel_free(n->down);
	loop_timer_free(n->deadline);
	loop_timer_free(n->backoff);
	free(n);
}
