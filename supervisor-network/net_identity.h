/* net_identity.h - asks the identity worker who is calling; late or no answer means deny.
 *
 * The worker is a process of the other leaf, reached by a channel of its own.  It is believed about the
 * caller and about nothing else.  An answer is delivered once, from the loop; there is none for a
 * question that was cancelled.
 */
#pragma once
#include "core_identity.h"
#include "net_leaf.h"

#define NET_ASKED_MAX 8192 /* questions without answer; a power of two, above NET_CLIENTS_MAX */

struct net_who { /* an answer of one's own; zero-initialise */
	struct identity_caller caller;
	void *message; /* what the caller's strings belong to */
};
void net_who_done(struct net_who *w);

/* take: free it with net_who_done(). */
typedef void (*net_identity_fn)(void *owner, struct net_who *take);

/* Without a channel: nobody can be asked yet. */
int net_identity_new(struct net_leaf *n, struct net_identity **ret, struct err *e);
void net_identity_free(struct net_identity *i);
/* A new channel replaces the old one; questions under way are answered with a denial. */
int net_identity_channel(struct net_identity *i, int take_fd, struct err *e);
/* 0: could not be asked; the caller denies.  Otherwise an id for net_identity_cancel(). */
uint32_t net_identity_ask(
	struct net_identity *i, const struct identity_question *q, net_identity_fn fn, void *owner);
/* fn is not called any more.  0, and an id that was answered, are fine. */
void net_identity_cancel(struct net_identity *i, uint32_t id);

/* Follow the links among these paths; fn once, perhaps before this returns, with aliases that are valid
 * during the call: none where the worker can't be asked.  A new question replaces the one under way,
 * whose fn is not called. */
typedef void (*net_aliases_fn)(void *owner, const struct policy_alias *a, size_t n);
int net_identity_resolve(struct net_identity *i, const char *const *paths, size_t n,
	net_aliases_fn fn, void *owner, struct err *e);
