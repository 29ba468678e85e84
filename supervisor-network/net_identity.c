#include "net_identity.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include "ipc_identity.h"
#include "ipc_identity.pb-c.h"
#include "net_report.h"

#define RESOLVE_BYTES_MAX 40000 /* bytes of paths in one message */
#define ALIASES_MAX 65536

struct asked {
	uint32_t id;
	net_identity_fn fn;
	void *owner;
};

struct net_identity {
	struct net_leaf *leaf;
	struct channel *channel;
	uint32_t state, next_id;
	struct asked asked[NET_ASKED_MAX];

	/* resolving the policy's programs, message by message */
	char **paths;
	size_t n_paths, n_sent;
	struct policy_alias *aliases;
	size_t n_aliases;
	net_aliases_fn fn;
	void *owner;
};

void net_who_done(struct net_who *w)
{
	if (w->message)
		protobuf_c_message_free_unpacked(w->message, NULL);
	*w = (struct net_who){ .caller = { .exe = "", .sha256 = "", .reason = "" } };
}

static struct asked *slot(struct net_identity *i, uint32_t id)
{
	return &i->asked[id & (NET_ASKED_MAX - 1)];
}

static void answer(struct asked *a, struct net_who *who)
{
	net_identity_fn fn = a->fn;

	*a = (struct asked){ .fn = NULL, .owner = a->owner };
	fn(a->owner, who);
}

static void deny_all(struct net_identity *i, const char *reason)
{
	for (size_t k = 0; k < NET_ASKED_MAX; k++) {
		struct net_who who = { .caller = { .exe = "", .sha256 = "", .reason = reason } };

		if (i->asked[k].fn)
			answer(&i->asked[k], &who);
	}
}

static int on_ID_ANSWER(void *owner, const struct channel_msg *m, int *fds, struct err *e)
{
	struct net_identity *i = owner;
	struct asked *a = slot(i, m->request);
	struct net_who who = { .message = NULL };
	Openshell__Ipc__IdAnswer *got;
	ProtobufCMessage *base;

	(void) fds;
	if (channel_unpack(m, &openshell__ipc__id_answer__descriptor, &base, e) < 0)
		return -e->code;
	got = (Openshell__Ipc__IdAnswer *) base;
	who.message = got;
	who.caller = (struct identity_caller){
		.assurance =
			got->assurance == IDENTITY_OBSERVED ? IDENTITY_OBSERVED : IDENTITY_NONE,
		.exe = got->exe,
		.sha256 = got->sha256,
		.ancestors = (const char *const *) got->ancestors,
		.n_ancestors = got->n_ancestors,
		.cmdline_paths = (const char *const *) got->cmdline_paths,
		.n_cmdline_paths = got->n_cmdline_paths,
		.pid = (pid_t) got->pid,
		.uid = got->uid,
		.reason = got->reason,
	};
	if (a->fn && a->id == m->request)
		answer(a, &who); /* takes it */
	else
		net_who_done(&who); /* the client has gone */
	return 0;
}

static void aliases_done(struct net_identity *i)
{
	for (size_t k = 0; k < i->n_aliases; k++) {
		free((void *) (uintptr_t) i->aliases[k].path);
		free((void *) (uintptr_t) i->aliases[k].target);
	}
	free(i->aliases);
	for (size_t k = 0; k < i->n_paths; k++)
		free(i->paths[k]);
	free(i->paths);
	i->aliases = NULL;
	i->paths = NULL;
	i->n_aliases = i->n_paths = i->n_sent = 0;
	i->fn = NULL;
}

static void finish_resolve(struct net_identity *i)
{
	net_aliases_fn fn = i->fn;

	i->fn = NULL;
	if (fn)
		fn(i->owner, i->aliases, i->n_aliases);
	if (!i->fn)
		aliases_done(i);
}

/* The next message of paths; 0 when all are sent. */
static int send_some(struct net_identity *i, struct err *e)
{
	Openshell__Ipc__IdResolve m = OPENSHELL__IPC__ID_RESOLVE__INIT;
	size_t bytes = 0;

	m.paths = i->paths + i->n_sent;
	while (i->n_sent + m.n_paths < i->n_paths && m.n_paths < ID_RESOLVE_PATHS_MAX) {
		bytes += strlen(m.paths[m.n_paths]) + 8;
		if (bytes > RESOLVE_BYTES_MAX)
			break;
		m.n_paths++;
	}
	i->n_sent += m.n_paths;
	return channel_send(i->channel, ID_RESOLVE, 0, &m.base, e);
}

static int on_ID_RESOLVED(void *owner, const struct channel_msg *m, int *fds, struct err *e)
{
	struct net_identity *i = owner;
	Openshell__Ipc__IdResolved *got;
	ProtobufCMessage *base;
	int r = 0;

	(void) fds;
	if (channel_unpack(m, &openshell__ipc__id_resolved__descriptor, &base, e) < 0)
		return -e->code;
	got = (Openshell__Ipc__IdResolved *) base;
	for (size_t k = 0; i->fn && k < got->n_paths && i->n_aliases < i->n_paths; k++) {
		struct policy_alias *a = &i->aliases[i->n_aliases];

		if (!got->paths[k]->target[0])
			continue;
		a->path = strdup(got->paths[k]->path);
		a->target = strdup(got->paths[k]->target);
		if (a->path && a->target)
			i->n_aliases++;
	}
	protobuf_c_message_free_unpacked(base, NULL);
	if (i->fn && i->n_sent < i->n_paths)
		r = send_some(i, e);
	else
		finish_resolve(i);
	return r;
}

#define X(n, num, lo, hi, fds, st) { #n, (num), (lo), (hi), (fds), (st), on_##n },
static const struct channel_rule identity_rules[] = { ID_ANSWERS(X){ 0 } };
#undef X

static void on_end(void *owner, const struct err *why)
{
	struct net_identity *i = owner;

	channel_free(TAKE_PTR(i->channel));
	net_report_notice(i->leaf, "identity",
		why->code ? why->text
			  : "the identity channel ended; callers can't be identified, so egress is "
			    "closed");
	deny_all(i, "the identity channel ended");
	finish_resolve(i);
}

int net_identity_new(struct net_leaf *n, struct net_identity **ret, struct err *e)
{
	struct net_identity *i = calloc(1, sizeof *i);

	if (!i)
		return err_set(e, ENOMEM, "identity");
	i->leaf = n;
	i->state = ID_OPEN;
	*ret = i;
	return 0;
}

void net_identity_free(struct net_identity *i)
{
	if (!i)
		return;
	channel_free(i->channel);
	aliases_done(i);
	free(i);
}

int net_identity_channel(struct net_identity *i, int take_fd, struct err *e)
{
	const struct channel_user user = { identity_rules, &i->state, on_end, i };

	if (i->channel) {
		channel_free(TAKE_PTR(i->channel));
		deny_all(i, "the identity channel was replaced; try again");
	}
	return channel_open(i->leaf->loop, take_fd, &user, &i->channel, e);
}

uint32_t net_identity_ask(
	struct net_identity *i, const struct identity_question *q, net_identity_fn fn, void *owner)
{
	Openshell__Ipc__IdAsk m = OPENSHELL__IPC__ID_ASK__INIT;
	struct err e = { 0 };
	struct asked *a;

	if (!i->channel)
		return 0;
	for (unsigned tries = 0; tries < NET_ASKED_MAX; tries++) {
		if (++i->next_id == 0)
			++i->next_id;
		if (!slot(i, i->next_id)->fn)
			break;
	}
	a = slot(i, i->next_id);
	if (a->fn)
		return 0;
	m.peer = (ProtobufCBinaryData){ 16, (uint8_t *) (uintptr_t) q->peer.b };
	m.local = (ProtobufCBinaryData){ 16, (uint8_t *) (uintptr_t) q->local.b };
	m.peer_port = q->peer_port;
	m.local_port = q->local_port;
	if (channel_send(i->channel, ID_ASK, i->next_id, &m.base, &e) < 0)
		return 0;
	*a = (struct asked){ i->next_id, fn, owner };
	return i->next_id;
}

void net_identity_cancel(struct net_identity *i, uint32_t id)
{
	if (id && slot(i, id)->id == id)
		*slot(i, id) = (struct asked){ 0 };
}

static int copy_paths(struct net_identity *i, const char *const *paths, size_t n)
{
	i->paths = calloc(n + 1, sizeof *i->paths);
	i->aliases = calloc(n + 1, sizeof *i->aliases);
	if (!i->paths || !i->aliases)
		return -ENOMEM;
	for (size_t k = 0; k < n; k++) {
		if (paths[k][0] != '/' || strlen(paths[k]) >= 4096)
			continue;
		i->paths[i->n_paths] = strdup(paths[k]);
		if (!i->paths[i->n_paths])
			return -ENOMEM;
		i->n_paths++;
	}
	return 0;
}

int net_identity_resolve(struct net_identity *i, const char *const *paths, size_t n,
	net_aliases_fn fn, void *owner, struct err *e)
{
	aliases_done(i); /* an older question is overtaken */
	if (n > ALIASES_MAX || copy_paths(i, paths, n) < 0) {
		aliases_done(i);
		return err_set(e, ENOMEM, "resolve the policy's programs");
	}
	i->fn = fn;
	i->owner = owner;
	if (!i->channel || i->n_paths == 0) {
		finish_resolve(i);
		return 0;
	}
	return send_some(i, e);
}
