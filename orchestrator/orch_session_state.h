/* orch_session_state.h - what the files of orch_session share; nobody else includes it. */
#pragma once
#include "core_attach.h"
#include "orch_detach.h"
#include "orch_limits.h"
#include "orch_replay.h"
#include "orch_session.h"
#include "orch_side.h"

struct session_client { /* at the other end of a session channel */
	struct orch_session *session;
	struct attach_server end;
	struct orch_replay_cursor cursor;
	struct orch_detach detach;
	bool closing; /* nothing more is sent but what is on its way */
};

struct session_writer { /* one of our own outputs */
	struct orch_session *session;
	unsigned stream;
	struct orch_side side; /* fd -1: not there, or nobody reads it any more */
	struct orch_replay_cursor cursor;
	struct orch_chunk chunk;
	size_t written; /* of chunk */
};

struct session_local {
	struct orch_side in;	 /* fd -1: not there, or ended */
	struct loop_timer *soon; /* for an input that is always ready */
	struct session_writer out[2];
	bool is_terminal; /* asked at the start: one that is gone says no */
	bool eof;	  /* what it typed goes to the main process, and then its input is closed */
};

struct orch_session {
	struct loop *loop;
	bool terminal;
	const struct orch_session_calls *calls;
	void *owner;
	struct orch_replay *replay;

	/* the main process */
	struct orch_side in,
		out[2]; /* with a terminal: its master, duplicated, and out[1] unused */
	int theirs[3];	/* ends that are ours only until they are passed; -1: none */
	char input[ORCH_INPUT_BYTES];
	size_t input_start, input_len; /* a ring */
	size_t foreign;		       /* bytes of it from earlier holders of the lease */
	bool started, ended, reported;
	int status;
	struct loop_timer *patience; /* for readers, after the end */
	bool impatient;

	const void *holder; /* of the lease: &local or a client; NULL: nobody */
	struct session_local local;
	struct session_client *clients[ORCH_SESSION_CLIENTS_MAX];
};

/* orch_session_io.c: the main process' side */
int session_io_watch(struct orch_session *s, struct err *e);
/* Room in the input queue, bytes. */
size_t session_room(const struct orch_session *s);
void session_input(struct orch_session *s, const char *bytes, size_t len);
void session_close_input(struct orch_session *s);
void session_watch_output(struct orch_session *s);
bool session_output_is_over(const struct orch_session *s);
void session_on_in(void *owner, int fd, unsigned ready);
void session_on_out(void *owner, int fd, unsigned ready);

/* orch_session_local.c */
int session_local_open(struct orch_session *s, struct err *e);
void session_local_pump(struct orch_session *s);
/* Read more of our own input, if it may be. */
void session_local_watch(struct orch_session *s);
/* Output that it has not taken, bytes. */
uint64_t session_local_behind(const struct orch_session *s);
void session_local_done(struct orch_session *s);

/* orch_session_client.c */
void session_client_pump(struct session_client *c);
void session_client_taken(struct session_client *c, size_t len);
bool session_client_is_drained(const struct session_client *c);
void session_client_free(struct session_client *c);

/* orch_session.c */
void session_release(struct orch_session *s, const void *who);
void session_pump(struct orch_session *s);
void session_look_drained(struct orch_session *s);
