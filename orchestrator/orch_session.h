/* orch_session.h - the main process' input and output, shared by everybody who looks at it.
 *
 * Spec/process 11.5.  Output goes into a replay log and from there to every
 * client.  One client at a time holds the lease: what it types goes to the main
 * process, and the terminal has its size.  Our own stdin, stdout and stderr are
 * one client, a lossless one: while it does not take its output, nothing more
 * is read from the main process, as if that wrote to it directly.  The others
 * come over session channels (ipc_session.h); one that is too slow loses the
 * channel, never holds up anybody.
 *
 * The end of a client never ends the main process' input; the end of our own
 * stdin does, unless that is /dev/null: services are started so, and somebody
 * may attach later.
 */
#pragma once
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>
#include "core_cleanup.h"
#include "core_err.h"
#include "core_loop.h"

struct orch_session;

struct orch_session_calls {
	void (*signal)(void *owner, int signo); /* a client's, for the main process' group */
	void (*hung_up)(void *owner);		/* the operator's terminal has gone away */
	void (*drained)(void *owner);		/* see orch_session_is_drained() */
};

/* terminal: the main process will have one.  Our own streams are opened here, while we may open a
 * terminal that belongs to somebody else. */
int orch_session_new(struct loop *l, bool terminal, const struct orch_session_calls *calls,
	void *owner, struct orch_session **ret, struct err *e);
/* Without terminal: three pipe ends for the main process, which belong to uid and gid, so that it
 * may open /dev/stdout.  Borrowed until orch_session_passed(). */
int orch_session_pipes(struct orch_session *s, int ret_fds[3], struct err *e);
void orch_session_give(struct orch_session *s, uid_t uid, gid_t gid);
void orch_session_passed(struct orch_session *s);
/* With terminal: its master, once the main process exists. */
int orch_session_terminal(struct orch_session *s, int take_master, struct err *e);
/* A client's end of a session channel. */
int orch_session_client(struct orch_session *s, int take_fd, struct err *e);
/* SIGWINCH, SIGCONT; before a stop. */
void orch_session_resized(struct orch_session *s);
void orch_session_continued(struct orch_session *s);
/* The main process has ended with this exit status. */
void orch_session_ended(struct orch_session *s, int status);
/* Everything that the main process wrote has reached everybody, or can't, or had its time. */
bool orch_session_is_drained(const struct orch_session *s);
void orch_session_free(struct orch_session *s);
DEFINE_AUTO(struct orch_session, orch_session_free)
