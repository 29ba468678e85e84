/* ssh_session.c - the connection: key exchange, authentication, and the life of its channels.
 *
 * Access was decided before: by who may open the socket, and by the identity of
 * who connected.  So "none" and any public key are accepted, whatever the user
 * name, and nothing else; the identity inside is always the policy's.
 */
#include "ssh_session.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include "core_log.h"
#include "ssh_state.h"

void ssh_conn_kick(struct ssh_conn *c)
{
	(void) loop_timer_start(c->kick, 0);
}

void ssh_conn_end(struct ssh_conn *c)
{
	c->over = true;
	loop_stop(c->loop);
}

/* ---- authentication ---- */

static int accept_login(struct ssh_conn *c)
{
	c->authenticated = true;
	(void) loop_timer_start(c->deadline, SSH_IDLE_MS);
	(void) loop_timer_start(c->keepalive, SSH_KEEPALIVE_MS);
	return SSH_AUTH_SUCCESS;
}

/* libssh has its answer out at once; so it is the next try that waits. */
int ssh_conn_deny(struct ssh_conn *c)
{
	if (++c->auth_tries > SSH_AUTH_TRIES_MAX)
		ssh_conn_end(c);
	c->held = true;
	(void) loop_timer_start(c->hold, SSH_REFUSED_MS);
	return SSH_AUTH_DENIED;
}

static void on_hold_over(void *owner)
{
	struct ssh_conn *c = owner;

	c->held = false;
	ssh_conn_kick(c);
}

static int on_auth_none(ssh_session s, const char *user, void *owner)
{
	(void) s;
	(void) user;
	return accept_login(owner);
}

static bool is_certificate(ssh_key key)
{
	const char *name = ssh_key_type_to_char(ssh_key_type(key));

	return !name || strstr(name, "cert");
}

static int on_auth_key(
	ssh_session s, const char *user, struct ssh_key_struct *key, char state, void *owner)
{
	(void) s;
	(void) user;
	if (is_certificate(key))
		return ssh_conn_deny(owner);
	if (state == SSH_PUBLICKEY_STATE_NONE)
		return SSH_AUTH_SUCCESS; /* it may go on and prove that it has the key */
	return state == SSH_PUBLICKEY_STATE_VALID ? accept_login(owner) : ssh_conn_deny(owner);
}

static int on_auth_password(ssh_session s, const char *user, const char *password, void *owner)
{
	(void) s;
	(void) user;
	(void) password;
	return ssh_conn_deny(owner);
}

static ssh_channel on_open(ssh_session s, void *owner)
{
	struct ssh_conn *c = owner;
	ssh_channel ch = c->authenticated ? ssh_channel_new(s) : NULL;

	if (ch && !ssh_chan_new(c, ch)) {
		ssh_channel_free(ch);
		return NULL;
	}
	return ch;
}

/* ---- driving ---- */

/* libssh does not tell of a client that went away before it had sent anything. */
static bool is_gone(const struct ssh_conn *c)
{
	int fd = ssh_get_fd(c->session);
	char byte;
	ssize_t n = fd < 0 ? 0 : recv(fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT);

	return n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR);
}

static void exchange_keys(struct ssh_conn *c)
{
	int r = ssh_handle_key_exchange(c->session);

	if (r == SSH_ERROR || (r != SSH_OK && is_gone(c))) {
		ssh_conn_end(c);
	} else if (r == SSH_OK) {
		c->exchanged = true;
		if (ssh_event_add_session(c->event, c->session) != SSH_OK)
			ssh_conn_end(c);
	}
}

static void sweep(struct ssh_conn *c)
{
	bool any = false, freed = false;

	for (size_t i = 0; i < SSH_CHANNELS_MAX; i++) {
		if (c->chans[i] && c->chans[i]->closed) {
			ssh_chan_free(c->chans[i]);
			freed = true;
		}
		any |= c->chans[i] != NULL;
	}
	if (freed && !any)
		(void) loop_timer_start(c->deadline, SSH_IDLE_MS);
}

static bool is_open(const struct ssh_conn *c)
{
	return ssh_is_connected(c->session) &&
		!(ssh_get_status(c->session) & (SSH_CLOSED | SSH_CLOSED_ERROR));
}

static void serve(struct ssh_conn *c)
{
	(void) ssh_event_dopoll(c->event, 0);
	for (size_t i = 0; i < SSH_CHANNELS_MAX && is_open(c); i++)
		if (c->chans[i])
			ssh_chan_pump(c->chans[i]);
	sweep(c);
	if (!is_open(c)) /* libssh has closed its descriptor */
		ssh_conn_end(c);
}

static unsigned wanted(const struct ssh_conn *c)
{
	unsigned in = c->held ? 0 : LOOP_READ;

	return ssh_get_poll_flags(c->session) & SSH_WRITE_PENDING ? in | LOOP_WRITE : in;
}

static void drive(struct ssh_conn *c)
{
	if (c->busy || c->over)
		return;
	if (c->held) { /* nothing is read from it */
		(void) loop_io_watch(c->io, 0);
		return;
	}
	c->busy = true;
	if (!c->exchanged)
		exchange_keys(c);
	if (c->exchanged && !c->over)
		serve(c);
	c->busy = false;
	if (!c->over)
		(void) loop_io_watch(c->io, wanted(c));
}

static void on_io(void *owner, int fd, unsigned ready)
{
	(void) fd;
	(void) ready;
	drive(owner);
}

static void on_kick(void *owner)
{
	drive(owner);
}

static void on_deadline(void *owner)
{
	ssh_conn_end(owner);
}

/* The one global request that a server sends; a client that is gone shows when writing fails. */
static void on_keepalive(void *owner)
{
	struct ssh_conn *c = owner;

	if (ssh_send_keepalive(c->session) != SSH_OK) {
		ssh_conn_end(c);
		return;
	}
	(void) loop_timer_start(c->keepalive, SSH_KEEPALIVE_MS);
	ssh_conn_kick(c);
}

/* ---- life ---- */

static int make_bind(struct ssh_conn *c, const char *key, struct err *e)
{
	ssh_key host_key = NULL;
	int no = 0;

	c->bind = ssh_bind_new();
	if (!c->bind)
		return err_set(e, ENOMEM, "SSH: out of memory");
	/* A configuration of the host's own server would apply otherwise. */
	if (ssh_bind_options_set(c->bind, SSH_BIND_OPTIONS_PROCESS_CONFIG, &no) < 0)
		return err_set(e, EINVAL, "SSH: %s", ssh_get_error(c->bind));
	if (ssh_pki_import_privkey_base64(key, NULL, NULL, NULL, &host_key) != SSH_OK)
		return err_set(e, EINVAL, "SSH: the host key can't be read");
	/* The binding owns the key then. */
	if (ssh_bind_options_set(c->bind, SSH_BIND_OPTIONS_IMPORT_KEY, host_key) < 0) {
		ssh_key_free(host_key);
		return err_set(e, EINVAL, "SSH: %s", ssh_get_error(c->bind));
	}
	return 0;
}

static int make_session(struct ssh_conn *c, int fd, struct err *e)
{
	c->session = ssh_new();
	c->event = ssh_event_new();
	if (!c->session || !c->event)
		return err_set(e, ENOMEM, "SSH: out of memory");
	if (ssh_bind_accept_fd(c->bind, c->session, fd) != SSH_OK)
		return err_set(e, EIO, "SSH: %s", ssh_get_error(c->bind));
	ssh_set_blocking(c->session, 0);
	c->callbacks = (struct ssh_server_callbacks_struct){ .userdata = c,
		.auth_none_function = on_auth_none,
		.auth_pubkey_function = on_auth_key,
		.auth_password_function = on_auth_password,
		.channel_open_request_session_function = on_open };
	ssh_callbacks_init(&c->callbacks);
	(void) ssh_set_server_callbacks(c->session, &c->callbacks);
	ssh_set_message_callback(c->session, ssh_request_on_message, c);
	ssh_set_auth_methods(c->session, SSH_AUTH_METHOD_NONE | SSH_AUTH_METHOD_PUBLICKEY);
	return loop_io_new(c->loop, fd, on_io, c, &c->io, e);
}

int ssh_conn_new(struct loop *l, int take_connection, int take_shell, const char *key,
	struct ssh_conn **ret, struct err *e)
{
	AUTO_CLOSE int connection = take_connection, shell = take_shell;
	AUTO(ssh_conn_free) struct ssh_conn *c = calloc(1, sizeof *c);

	if (!c)
		return err_set(e, ENOMEM, "SSH: out of memory");
	c->loop = l;
	c->next_number = 1;
	if (ssh_spawner_open(c, TAKE_FD(shell), e) < 0 ||
		loop_timer_new(l, on_kick, c, &c->kick, e) < 0 ||
		loop_timer_new(l, on_deadline, c, &c->deadline, e) < 0 ||
		loop_timer_new(l, on_keepalive, c, &c->keepalive, e) < 0 ||
		loop_timer_new(l, on_hold_over, c, &c->hold, e) < 0 || make_bind(c, key, e) < 0 ||
		make_session(c, TAKE_FD(connection), e) < 0)
		return -e->code;
	*ret = TAKE_PTR(c);
	return 0;
}

int ssh_conn_start(struct ssh_conn *c, struct err *e)
{
	if (loop_timer_start(c->deadline, SSH_LOGIN_MS) < 0)
		return err_set(e, EIO, "SSH: no timer");
	ssh_conn_kick(c); /* within the loop, which it may end */
	return 0;
}

void ssh_conn_free(struct ssh_conn *c)
{
	if (!c)
		return;
	for (size_t i = 0; i < SSH_CHANNELS_MAX; i++)
		ssh_chan_free(c->chans[i]);
	loop_io_free(c->io);
	loop_timer_free(c->kick);
	loop_timer_free(c->deadline);
	loop_timer_free(c->keepalive);
	loop_timer_free(c->hold);
	if (c->event && c->exchanged)
		(void) ssh_event_remove_session(c->event, c->session);
	ssh_event_free(c->event);
	if (c->session) {
		ssh_disconnect(c->session);
		ssh_free(c->session);
	}
	ssh_bind_free(c->bind);
	channel_free(c->shell);
	free(c);
}
