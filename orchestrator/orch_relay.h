/* orch_relay.h - carry bytes in one direction between two descriptors, within the loop.
 *
 * One bounded buffer; nothing is read while it is full.  Both descriptors are
 * non-blocking, or of a kind that never waits (regular file, /dev/null).  The
 * relay owns both.
 */
#pragma once
#include <stdbool.h>
#include "core_cleanup.h"
#include "core_err.h"
#include "core_loop.h"

struct orch_relay;

enum orch_relay_end {
	ORCH_RELAY_EOF,	   /* the source has ended, everything was delivered */
	ORCH_RELAY_CLOSED, /* nobody reads the destination any more, or it failed */
};

/* The relay may be freed from here. */
typedef void (*orch_relay_fn)(void *owner, enum orch_relay_end why);

int orch_relay_new(struct loop *l, int take_from, int take_to, orch_relay_fn fn, void *owner,
	struct orch_relay **ret, struct err *e);
void orch_relay_free(struct orch_relay *r);
/* Nothing more is carried, and both descriptors stay open until it is freed (orch_side_retire()). */
void orch_relay_retire(struct orch_relay *r);

/* A descriptor on the same object whose non-blocking flag is not shared with fd: reopened through
 * /proc/self/fd, for fd may be a terminal or pipe that other programs use too.  Sockets can't be
 * reopened and are duplicated; the relay reads and writes them with MSG_DONTWAIT. */
int orch_relay_reopen(int fd, bool writing, int *ret, struct err *e);
DEFINE_AUTO(struct orch_relay, orch_relay_free)
