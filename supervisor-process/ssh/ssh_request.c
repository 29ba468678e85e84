/* ssh_request.c - what a client asks for on its channels (spec/process 10.3). */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "ssh_address.h"
#include "ssh_pty_modes.h"
#include "ssh_state.h"

#define PORT_MAX 65535
#define READ_ONLY "OPENSHELL_MAIN_READ_ONLY"
#define SIDE_MAX 65535 /* rows or columns */
enum { GRANTED = 0, REFUSED = 1 };

static uint32_t clamp(int value)
{
	if (value < 1)
		return 1;
	return value > SIDE_MAX ? SIDE_MAX : (uint32_t) value;
}

static struct ssh_chan *find(struct ssh_conn *c, ssh_channel ch)
{
	for (size_t i = 0; i < SSH_CHANNELS_MAX; i++)
		if (c->chans[i] && c->chans[i]->ch == ch)
			return c->chans[i];
	return NULL;
}

/* No callback of libssh's, for which 0.11 calls these functions deprecated: it does not tell modes. */
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wdeprecated-declarations"
static int take_pty(struct ssh_conn *conn, ssh_message m)
{
	struct ssh_chan *c = find(conn, ssh_message_channel_request_channel(m));
	const char *term = ssh_message_channel_request_pty_term(m);
	const uint8_t *modes = NULL;
	size_t len;

	if (!c || c->kind != SSH_KIND_NONE)
		return REFUSED;
	c->tty = true;
	c->rows = clamp(ssh_message_channel_request_pty_height(m));
	c->columns = clamp(ssh_message_channel_request_pty_width(m));
	(void) snprintf(c->term, sizeof c->term, "%s", term ? term : "");
	len = ssh_pty_modes(m, &modes);
	ssh_modes_parse(modes, len, &c->modes);
	(void) ssh_message_channel_request_reply_success(m);
	return GRANTED;
}
#pragma GCC diagnostic pop

static int on_window_change(
	ssh_session s, ssh_channel ch, int columns, int rows, int x, int y, void *owner)
{
	struct ssh_chan *c = owner;

	(void) s;
	(void) ch;
	(void) x;
	(void) y;
	c->rows = clamp(rows);
	c->columns = clamp(columns);
	if (c->kind == SSH_KIND_JOB)
		ssh_spawner_resize(c);
	else if (c->kind == SSH_KIND_MAIN)
		attach_client_resize(&c->main, c->rows, c->columns);
	return GRANTED;
}

/* Always "success": an editor waits for the answer.  The spawner takes what is harmless. */
static int on_env(ssh_session s, ssh_channel ch, const char *name, const char *value, void *owner)
{
	struct ssh_chan *c = owner;
	char *a, *b;

	(void) s;
	(void) ch;
	if (!name || !value || strlen(name) >= SSH_TEXT_MAX || strlen(value) >= SSH_TEXT_MAX)
		return GRANTED;
	if (strcmp(name, READ_ONLY) == 0)
		c->read_only = strcmp(value, "1") == 0;
	if (c->n_vars == SSH_VARS_MAX || strncmp(name, "OPENSHELL_", 10) == 0)
		return GRANTED;
	a = strdup(name);
	b = strdup(value);
	if (!a || !b) {
		free(a);
		free(b);
		return GRANTED;
	}
	c->vars[c->n_vars][0] = a;
	c->vars[c->n_vars++][1] = b;
	return GRANTED;
}

static int start(struct ssh_chan *c, Openshell__Ipc__ShellKind kind, const char *command)
{
	if (c->kind != SSH_KIND_NONE)
		return REFUSED;
	c->kind = SSH_KIND_JOB;
	return ssh_spawner_start(c, kind, command) < 0 ? REFUSED : GRANTED;
}

static int on_shell(ssh_session s, ssh_channel ch, void *owner)
{
	(void) s;
	(void) ch;
	return start(owner, OPENSHELL__IPC__SHELL_KIND__SHELL, NULL);
}

static int on_exec(ssh_session s, ssh_channel ch, const char *command, void *owner)
{
	(void) s;
	(void) ch;
	if (!command || strlen(command) > SSH_COMMAND_MAX)
		return REFUSED;
	return start(owner, OPENSHELL__IPC__SHELL_KIND__COMMAND, command);
}

static int on_subsystem(ssh_session s, ssh_channel ch, const char *name, void *owner)
{
	struct ssh_chan *c = owner;
	char text[128];

	(void) s;
	(void) ch;
	if (name && strcmp(name, "sftp") == 0) {
		c->tty = false;
		return start(c, OPENSHELL__IPC__SHELL_KIND__SFTP, NULL);
	}
	if (name && strcmp(name, "openshell-main") == 0 && c->kind == SSH_KIND_NONE) {
		c->kind = SSH_KIND_MAIN;
		ssh_spawner_attach(c);
		return GRANTED;
	}
	(void) snprintf(text, sizeof text, "refused: subsystem %.80s", name ? name : "");
	ssh_spawner_report(c->conn, text);
	return REFUSED;
}

static void on_signal(ssh_session s, ssh_channel ch, const char *name, void *owner)
{
	struct ssh_chan *c = owner;
	int signo = name ? ssh_signal_number(name) : 0;

	(void) s;
	(void) ch;
	if (signo && c->kind == SSH_KIND_JOB)
		ssh_spawner_signal(c, signo);
	else if (signo && c->kind == SSH_KIND_MAIN)
		attach_client_signal(&c->main, signo);
}

/* Takes what fits; the rest is pulled later (ssh_channel.c). */
static int on_data(
	ssh_session s, ssh_channel ch, void *data, uint32_t len, int is_stderr, void *owner)
{
	struct ssh_chan *c = owner;

	(void) s;
	(void) ch;
	ssh_conn_kick(c->conn);
	if (is_stderr || c->ended || c->closed)
		return (int) len;
	if (c->pulling || ssh_buf_reserve(&c->in_buf, SSH_BUFFER) < 0)
		return 0;
	return (int) ssh_buf_add(&c->in_buf, data, len);
}

static void on_eof(ssh_session s, ssh_channel ch, void *owner)
{
	struct ssh_chan *c = owner;

	(void) s;
	(void) ch;
	c->client_eof = true;
	ssh_conn_kick(c->conn);
}

static void on_close(ssh_session s, ssh_channel ch, void *owner)
{
	struct ssh_chan *c = owner;

	(void) s;
	(void) ch;
	c->closed = true;
	ssh_conn_kick(c->conn);
}

void ssh_chan_set_callbacks(struct ssh_chan *c)
{
	c->callbacks = (struct ssh_channel_callbacks_struct){ .userdata = c,
		.channel_data_function = on_data,
		.channel_eof_function = on_eof,
		.channel_close_function = on_close,
		.channel_signal_function = on_signal,
		.channel_pty_window_change_function = on_window_change,
		.channel_env_request_function = on_env,
		.channel_shell_request_function = on_shell,
		.channel_exec_request_function = on_exec,
		.channel_subsystem_request_function = on_subsystem };
	ssh_callbacks_init(&c->callbacks);
	(void) ssh_set_channel_callbacks(c->ch, &c->callbacks);
}

/* "localhost" is not looked up: the image's hosts file is the workload's. */
static int open_direct(struct ssh_conn *conn, ssh_message m)
{
	const char *host = ssh_message_channel_request_open_destination(m);
	int port = ssh_message_channel_request_open_destination_port(m);
	struct ssh_chan *c;
	uint8_t address[16];
	ssh_channel ch;
	char text[160];

	if (!host || port < 1 || port > PORT_MAX || !ssh_address_is_loopback(host, address)) {
		(void) snprintf(text, sizeof text, "refused: forward to %.80s port %d",
			host ? host : "", port);
		ssh_spawner_report(conn, text);
		return REFUSED;
	}
	ch = ssh_message_channel_request_open_reply_accept(m);
	if (!ch)
		return REFUSED;
	c = ssh_chan_new(conn, ch);
	if (!c) {
		(void) ssh_channel_close(ch);
		ssh_channel_free(ch);
		return GRANTED;
	}
	c->kind = SSH_KIND_DIAL;
	ssh_spawner_dial(c, address, (uint32_t) port);
	return GRANTED;
}

/* What libssh has no callback for.  REFUSED is answered with its default, a refusal. */
int ssh_request_on_message(ssh_session session, ssh_message m, void *owner)
{
	struct ssh_conn *c = owner;
	int type = ssh_message_type(m), what = ssh_message_subtype(m);

	(void) session;
	if (!c->authenticated) {
		if (type == SSH_REQUEST_AUTH) /* keyboard-interactive, host-based, ... */
			(void) ssh_conn_deny(c);
		return REFUSED;
	}
	if (type == SSH_REQUEST_CHANNEL_OPEN && what == SSH_CHANNEL_DIRECT_TCPIP)
		return open_direct(c, m);
	if (type == SSH_REQUEST_CHANNEL && what == SSH_CHANNEL_REQUEST_PTY)
		return take_pty(c, m);
	if (type == SSH_REQUEST_CHANNEL_OPEN)
		ssh_spawner_report(c, "refused: a channel of another kind than session");
	else if (type == SSH_REQUEST_GLOBAL && what == SSH_GLOBAL_REQUEST_TCPIP_FORWARD)
		ssh_spawner_report(c, "refused: tcpip-forward");
	else if (type == SSH_REQUEST_CHANNEL && what == SSH_CHANNEL_REQUEST_X11)
		ssh_spawner_report(c, "refused: X11 forwarding");
	return REFUSED;
}
