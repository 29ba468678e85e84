/* ssh_state.h - what the files of the SSH session program share; nobody else includes it. */
#pragma once
#define LIBSSH_LEGACY_0_4 /* leave out old names, of which channel_free is also ours */
#include <libssh/libssh.h>
#include <libssh/server.h>
#include <libssh/callbacks.h>
#include <stdbool.h>
#include <stdint.h>
#include "core_channel.h"
#include "core_loop.h"
#include "core_attach.h"
#include "ipc_shell.h"
#include "ipc_shell.pb-c.h"
#include "ssh_limits.h"
#include "ssh_modes.h"
#include "ssh_session.h"

struct ssh_buf { /* bytes on their way; memory comes with the first byte */
	char *at;
	size_t size, start, len;
};

enum ssh_kind {
	SSH_KIND_NONE, /* nothing was asked for yet */
	SSH_KIND_JOB,  /* shell, exec, sftp */
	SSH_KIND_DIAL, /* direct-tcpip */
	SSH_KIND_MAIN, /* the main session */
};

struct ssh_chan;

struct ssh_out { /* towards the client: stdout or stderr */
	struct ssh_chan *chan;
	int fd;	   /* -1: none */
	bool over; /* at its end; it stays open, as it may be a duplicate that epoll(7) remembers */
	struct loop_io *io;
	struct ssh_buf buf;
};

struct ssh_chan {
	struct ssh_conn *conn;
	ssh_channel ch;
	struct ssh_channel_callbacks_struct callbacks;
	uint32_t number; /* of its job */
	enum ssh_kind kind;

	bool tty, read_only;
	char term[SSH_TEXT_MAX];
	uint32_t rows, columns;
	struct ssh_modes modes;
	char *vars[SSH_VARS_MAX][2];
	size_t n_vars;

	int in; /* the process' input; -1: not there yet, or closed */
	bool in_over;
	struct loop_io *in_io;
	struct ssh_buf in_buf;
	struct ssh_out out[2];
	bool started;	 /* its descriptors have come */
	bool pulling;	 /* reading takes in packets, whose data must not overtake */
	bool client_eof; /* the client sends no more */
	bool shut;	 /* and the process was told */
	bool ended;	 /* the process has ended: */
	bool signalled;
	uint32_t code;
	bool sent_end; /* eof, exit status and close were sent */
	bool closed;   /* the client closed it, or it is over: to be freed */
	struct loop_timer *drain;

	/* the main session */
	struct attach_client main;
};

struct ssh_conn {
	struct loop *loop;
	ssh_bind bind;
	ssh_session session;
	ssh_event event;
	struct ssh_server_callbacks_struct callbacks;
	struct channel *shell;
	uint32_t shell_state;
	struct loop_io *io;
	struct loop_timer *kick;     /* drive it, once the callback that runs is over */
	struct loop_timer *deadline; /* login; later, idleness */
	struct loop_timer *keepalive;
	struct loop_timer *hold; /* after a refused login */
	bool exchanged, authenticated, busy, held, over;
	unsigned auth_tries;
	uint32_t next_number;
	struct ssh_chan *chans[SSH_CHANNELS_MAX];
};

/* ssh_session.c */
void ssh_conn_kick(struct ssh_conn *c);
void ssh_conn_end(struct ssh_conn *c);
/* A login was refused: it is counted, and the next try waits.  Returns libssh's word for that. */
int ssh_conn_deny(struct ssh_conn *c);

/* ssh_channel.c */
struct ssh_chan *ssh_chan_new(struct ssh_conn *c, ssh_channel ch);
void ssh_chan_free(struct ssh_chan *c);
/* After libssh has looked at the connection: move what can be moved. */
void ssh_chan_pump(struct ssh_chan *c);
void ssh_chan_set_callbacks(struct ssh_chan *c);
/* Descriptors that have come; owned. in may equal out[0]. */
int ssh_chan_begin(struct ssh_chan *c, int in, const int out[2], struct err *e);
void ssh_chan_end(struct ssh_chan *c, bool signalled, uint32_t code, const char *text);
/* Text of ours on the client's stderr. */
void ssh_chan_say(struct ssh_chan *c, const char *text);

/* ssh_request.c: what a client asks for on a channel */
int ssh_request_on_message(ssh_session session, ssh_message m, void *owner);

/* ssh_spawner.c */
int ssh_spawner_open(struct ssh_conn *c, int take_fd, struct err *e);
int ssh_spawner_start(struct ssh_chan *c, Openshell__Ipc__ShellKind kind, const char *command);
void ssh_spawner_resize(struct ssh_chan *c);
void ssh_spawner_signal(struct ssh_chan *c, int signo);
void ssh_spawner_hang_up(struct ssh_chan *c);
void ssh_spawner_dial(struct ssh_chan *c, const uint8_t address[16], uint32_t port);
void ssh_spawner_attach(struct ssh_chan *c);
void ssh_spawner_report(struct ssh_conn *c, const char *what);

/* ssh_attach.c: the main session */
int ssh_attach_open(struct ssh_chan *c, int take_fd, struct err *e);
void ssh_attach_input(struct ssh_chan *c);

/* ssh_buf.c */
int ssh_buf_reserve(struct ssh_buf *b, size_t size);
/* Takes as much as fits; returns that. */
size_t ssh_buf_add(struct ssh_buf *b, const void *bytes, size_t len);
void ssh_buf_drop(struct ssh_buf *b, size_t len);
size_t ssh_buf_room(const struct ssh_buf *b);
