/* ssh_channel.c - bytes between an SSH channel and the descriptors of a process.
 *
 * Five habits of libssh 0.10 that tests hold us to: data that a callback did not
 * take is not offered again, so it is pulled; a write during a key exchange takes
 * nothing and nobody says when it is over; a window that opens has no callback;
 * so everything is looked at after each poll (ssh_chan_pump).
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include "ssh_address.h"
#include "ssh_state.h"

static void on_drained(void *owner)
{
	struct ssh_chan *c = owner;

	for (int i = 0; i < 2; i++) {
		loop_io_free(TAKE_PTR(c->out[i].io));
		c->out[i].over = true;
	}
	ssh_conn_kick(c->conn);
}

struct ssh_chan *ssh_chan_new(struct ssh_conn *conn, ssh_channel ch)
{
	struct err ignored = { 0 };
	struct ssh_chan *c;
	size_t i = 0;

	while (i < SSH_CHANNELS_MAX && conn->chans[i])
		i++;
	if (i == SSH_CHANNELS_MAX)
		return NULL;
	c = calloc(1, sizeof *c);
	if (!c)
		return NULL;
	c->conn = conn;
	c->ch = ch;
	c->number = conn->next_number++;
	c->in = c->out[0].fd = c->out[1].fd = -1;
	c->out[0].chan = c->out[1].chan = c;
	if (loop_timer_new(conn->loop, on_drained, c, &c->drain, &ignored) < 0) {
		free(c);
		return NULL;
	}
	loop_timer_stop(conn->deadline); /* idleness is a connection without channels */
	ssh_chan_set_callbacks(c);
	conn->chans[i] = c;
	return c;
}

static void close_input(struct ssh_chan *c)
{
	c->in_over = true;
	c->in_buf.len = 0;
	loop_io_free(TAKE_PTR(c->in_io));
	if (c->kind == SSH_KIND_DIAL && c->in >= 0)
		(void) shutdown(c->in, SHUT_WR);
	if (c->kind == SSH_KIND_DIAL || c->tty)
		return; /* a duplicate of out, closed with it */
	core_closep(&c->in);
	c->in = -1;
}

static void to_process(struct ssh_chan *c)
{
	while (c->in >= 0 && !c->in_over && c->in_buf.len > 0) {
		ssize_t n = write(c->in, c->in_buf.at + c->in_buf.start, c->in_buf.len);

		if (n < 0 && (errno == EAGAIN || errno == EINTR)) {
			(void) loop_io_watch(c->in_io, LOOP_WRITE);
			return;
		}
		if (n < 0) {
			close_input(c);
			return;
		}
		ssh_buf_drop(&c->in_buf, (size_t) n);
	}
	if (c->in_io)
		(void) loop_io_watch(c->in_io, 0);
}

/* What the client sends after the process stopped reading has nowhere to go. */
static bool is_deaf(const struct ssh_chan *c)
{
	return c->ended || (c->started && c->kind != SSH_KIND_MAIN && (c->in < 0 || c->in_over));
}

/* Rule 1: libssh keeps what did not fit, and its window opens only when it is read. */
static void pull(struct ssh_chan *c)
{
	char bytes[SSH_CHUNK];

	while (!c->closed) {
		size_t room = is_deaf(c) ? sizeof bytes : ssh_buf_room(&c->in_buf);
		int n;

		if (room > sizeof bytes)
			room = sizeof bytes;
		if (room == 0)
			return;
		c->pulling = true;
		n = ssh_channel_read_nonblocking(c->ch, bytes, (uint32_t) room, 0);
		c->pulling = false;
		if (n <= 0)
			return;
		if (!is_deaf(c))
			(void) ssh_buf_add(&c->in_buf, bytes, (size_t) n);
	}
}

/* A terminal has no end of input that could be closed: its end-of-file character is. */
static void pass_eof(struct ssh_chan *c)
{
	if (!c->client_eof || c->shut || c->in_buf.len || !c->started)
		return;
	/* The end was read before what libssh has still in store. */
	if (ssh_channel_poll(c->ch, 0) > 0) {
		ssh_conn_kick(c->conn);
		return;
	}
	c->shut = true;
	if (c->kind == SSH_KIND_MAIN)
		attach_client_eof(&c->main);
	else if (c->tty)
		(void) !write(c->in, "\004", 1);
	else
		close_input(c);
}

static void on_in(void *owner, int fd, unsigned ready)
{
	struct ssh_chan *c = owner;

	(void) fd;
	(void) ready;
	to_process(c);
	ssh_conn_kick(c->conn);
}

/* Rules 2 and 3: never more than the window, and what is refused stays for the next poll. */
static void to_client(struct ssh_chan *c, int i)
{
	struct ssh_buf *b = &c->out[i].buf;

	while (b->len > 0) {
		uint32_t window = ssh_channel_window_size(c->ch), len = (uint32_t) b->len;
		int n;

		if (len > window)
			len = window;
		if (len > SSH_CHUNK)
			len = SSH_CHUNK;
		if (len == 0)
			return;
		n = i == 0 ? ssh_channel_write(c->ch, b->at + b->start, len)
			   : ssh_channel_write_stderr(c->ch, b->at + b->start, len);
		if (n <= 0)
			return;
		ssh_buf_drop(b, (size_t) n);
		if (c->kind == SSH_KIND_MAIN)
			attach_client_taken(&c->main, (size_t) n);
	}
}

static void watch_out(struct ssh_out *o)
{
	/* Nothing is read before the client has room for it: that is the back-pressure. */
	bool may = o->buf.len == 0 && ssh_channel_window_size(o->chan->ch) > 0;

	if (o->io)
		(void) loop_io_watch(o->io, may ? LOOP_READ : 0);
}

static void on_out(void *owner, int fd, unsigned ready)
{
	struct ssh_out *o = owner;
	char bytes[SSH_CHUNK];
	ssize_t n;

	(void) ready;
	if (o->buf.len) { /* what was read before goes first; the pump watches again */
		(void) loop_io_watch(o->io, 0);
		return;
	}
	n = read(fd, bytes, sizeof bytes);
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n > 0) {
		(void) ssh_buf_add(&o->buf, bytes, (size_t) n);
	} else { /* a terminal's master reports its end as EIO */
		loop_io_free(TAKE_PTR(o->io));
		o->over = true;
	}
	ssh_conn_kick(o->chan->conn);
}

static bool output_is_over(const struct ssh_chan *c)
{
	return (c->out[0].fd < 0 || c->out[0].over) && (c->out[1].fd < 0 || c->out[1].over) &&
		c->out[0].buf.len == 0 && c->out[1].buf.len == 0;
}

/* Data, then eof, then the exit status, then close. */
static void finish(struct ssh_chan *c)
{
	const char *name;

	if (c->sent_end || !output_is_over(c))
		return;
	if (c->kind == SSH_KIND_DIAL ? !(c->started && c->client_eof) : !c->ended)
		return;
	c->sent_end = true;
	(void) ssh_channel_send_eof(c->ch);
	name = c->signalled ? ssh_signal_name((int) c->code) : NULL;
	if (c->kind != SSH_KIND_DIAL) {
		if (name)
			(void) ssh_channel_request_send_exit_signal(c->ch, name, 0, "", "");
		else
			(void) ssh_channel_request_send_exit_status(
				c->ch, (int) (c->signalled ? 128 + c->code : c->code));
	}
	(void) ssh_channel_close(c->ch);
}

/* A connection of which the server's side has ended still carries the other direction. */
static void pass_server_eof(struct ssh_chan *c)
{
	if (c->kind == SSH_KIND_DIAL && c->started && !c->shut && output_is_over(c) &&
		!c->client_eof)
		(void) ssh_channel_send_eof(c->ch);
}

void ssh_chan_pump(struct ssh_chan *c)
{
	if (c->closed)
		return;
	pull(c);
	if (c->kind == SSH_KIND_MAIN)
		ssh_attach_input(c);
	else
		to_process(c);
	pass_eof(c);
	for (int i = 0; i < 2; i++) {
		to_client(c, i);
		watch_out(&c->out[i]);
	}
	pass_server_eof(c);
	finish(c);
	if (c->sent_end && ssh_channel_is_closed(c->ch))
		c->closed = true;
}

int ssh_chan_begin(struct ssh_chan *c, int in, const int out[2], struct err *e)
{
	c->in = in;
	c->started = true;
	for (int i = 0; i < 2; i++) {
		c->out[i].fd = out[i];
		if (out[i] < 0)
			continue;
		if (ssh_buf_reserve(&c->out[i].buf, SSH_CHUNK) < 0)
			return err_set(e, ENOMEM, "out of memory");
		if (loop_io_new(c->conn->loop, out[i], on_out, &c->out[i], &c->out[i].io, e) < 0)
			return -e->code;
	}
	if (loop_io_new(c->conn->loop, c->in, on_in, c, &c->in_io, e) < 0)
		return -e->code;
	ssh_conn_kick(c->conn);
	return 0;
}

void ssh_chan_say(struct ssh_chan *c, const char *text)
{
	if (ssh_buf_reserve(&c->out[1].buf, SSH_CHUNK) < 0)
		return;
	(void) ssh_buf_add(&c->out[1].buf, text, strlen(text));
	(void) ssh_buf_add(&c->out[1].buf, "\r\n", 2);
}

void ssh_chan_end(struct ssh_chan *c, bool signalled, uint32_t code, const char *text)
{
	c->ended = true;
	c->signalled = signalled;
	c->code = code;
	if (text[0])
		ssh_chan_say(c, text);
	/* A grandchild in the background may hold the other end for ever. */
	(void) loop_timer_start(c->drain, SSH_DRAIN_MS);
	ssh_conn_kick(c->conn);
}

void ssh_chan_free(struct ssh_chan *c)
{
	if (!c)
		return;
	for (size_t i = 0; i < SSH_CHANNELS_MAX; i++)
		if (c->conn->chans[i] == c)
			c->conn->chans[i] = NULL;
	if (c->kind == SSH_KIND_JOB && !c->ended)
		ssh_spawner_hang_up(c);
	attach_client_done(&c->main);
	loop_timer_free(c->drain);
	loop_io_free(c->in_io);
	core_closep(&c->in);
	for (int i = 0; i < 2; i++) {
		loop_io_free(c->out[i].io);
		core_closep(&c->out[i].fd);
		free(c->out[i].buf.at);
	}
	free(c->in_buf.at);
	for (size_t i = 0; i < c->n_vars; i++) {
		free(c->vars[i][0]);
		free(c->vars[i][1]);
	}
	ssh_remove_channel_callbacks(c->ch, &c->callbacks);
	ssh_channel_free(c->ch);
	free(c);
}
