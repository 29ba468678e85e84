/* core_attach.h - both ends of a session channel: a client of the main session, and what serves it.
 *
 * The messages, their sizes and states are ipc_session.h's.  Here they become calls, and the windows
 * are kept: each end counts what it has sent and the other has not yet taken, SESSION_INPUT_BYTES one
 * way and SESSION_WINDOW_BYTES the other.  A client that takes more than it got, or sends more than a
 * chunk, ends its channel.
 *
 * An end lies in its owner's storage.  Calls run on the loop; strings and bytes are borrowed for the
 * call, which may free the end (attach_client_done(), attach_server_done()) as its last act.
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "core_channel.h"
#include "core_err.h"

struct loop;

struct attach_open {
	bool read_only;
	uint32_t rows, columns; /* of the terminal; 0: unknown */
};

/* ---- the client's end ---- */

struct attach_client_calls {
	/* writable: it has the keyboard. */
	int (*opened)(void *owner, bool terminal, bool writable, struct err *e);
	/* Else it is stdout or the terminal.  Say attach_client_taken() when it is gone. */
	int (*output)(void *owner, bool is_stderr, const uint8_t *bytes, size_t len, struct err *e);
	void (*notice)(void *owner, const char *text); /* a sentence for whoever sits there */
	void (*room)(void *owner); /* attach_client_may_send() may be true again */
	/* detached: the main process goes on; else code is its exit status. */
	void (*exited)(void *owner, bool detached, uint32_t code);
	/* No more calls; why->code is 0 for an end in order. */
	void (*ended)(void *owner, const struct err *why);
};

struct attach_client {
	struct channel *channel; /* NULL: not open */
	uint32_t state;
	bool writable;
	size_t untaken; /* bytes of input on their way */
	const struct attach_client_calls *calls;
	void *owner;
};

/* Fill in calls and owner first.  take_fd is owned even on failure.  That the peer is gone already is
 * told by ended(). */
int attach_client_init(struct attach_client *c, struct loop *l, int take_fd,
	const struct attach_open *open, struct err *e);
void attach_client_done(struct attach_client *c);
bool attach_client_is_open(const struct attach_client *c);
/* A chunk of input would be taken now. */
bool attach_client_may_send(const struct attach_client *c);
/* At most SESSION_CHUNK_MAX bytes; only when it may. */
void attach_client_input(struct attach_client *c, const void *bytes, size_t len);
void attach_client_taken(struct attach_client *c, size_t len);
/* These do nothing until it is open. */
void attach_client_eof(struct attach_client *c);
void attach_client_resize(struct attach_client *c, uint32_t rows, uint32_t columns);
void attach_client_signal(struct attach_client *c, int signo);

/* ---- the serving end ---- */

struct attach_server_calls {
	/* Answer with attach_server_opened(). */
	void (*open)(void *owner, const struct attach_open *o);
	/* Say attach_server_room() when it has gone to the main process, or nowhere. */
	void (*input)(void *owner, const uint8_t *bytes, size_t len);
	void (*taken)(void *owner); /* attach_server_may_send() may be true again */
	void (*resize)(void *owner, uint32_t rows, uint32_t columns);
	void (*signal)(void *owner, uint32_t signo);
	void (*eof)(void *owner);
	void (*ended)(void *owner);
};

struct attach_server {
	struct channel *channel;
	uint32_t state;
	size_t untaken; /* bytes of output on their way */
	const struct attach_server_calls *calls;
	void *owner;
};

/* Fill in calls and owner first.  take_fd is owned even on failure. */
int attach_server_init(struct attach_server *s, struct loop *l, int take_fd, struct err *e);
void attach_server_done(struct attach_server *s);
bool attach_server_is_open(const struct attach_server *s);
bool attach_server_may_send(const struct attach_server *s);
/* Bytes that the kernel has not taken. */
size_t attach_server_queued(const struct attach_server *s);
/* -ENOBUFS: the client does not read; it is to be cut off. */
int attach_server_opened(struct attach_server *s, bool terminal, bool writable);
/* At most SESSION_CHUNK_MAX bytes; only when it may. */
int attach_server_output(struct attach_server *s, bool is_stderr, const void *bytes, size_t len);
int attach_server_notice(struct attach_server *s, const char *text);
int attach_server_room(struct attach_server *s, size_t len);
int attach_server_exit(struct attach_server *s, bool detached, uint32_t code);
