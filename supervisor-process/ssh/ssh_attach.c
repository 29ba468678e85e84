/* ssh_attach.c - the subsystem openshell-main: a client of the main session. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include "ipc_session.h"
#include "ssh_state.h"

void ssh_attach_input(struct ssh_chan *c)
{
	/* What a client without the keyboard types is dropped. */
	while (attach_client_is_open(&c->main) && c->in_buf.len > 0 &&
		(!c->main.writable || attach_client_may_send(&c->main))) {
		size_t len = c->in_buf.len;

		if (len > SESSION_CHUNK_MAX)
			len = SESSION_CHUNK_MAX;
		if (c->main.writable)
			attach_client_input(&c->main, c->in_buf.at + c->in_buf.start, len);
		ssh_buf_drop(&c->in_buf, len);
	}
}

static int on_opened(void *owner, bool terminal, bool writable, struct err *e)
{
	struct ssh_chan *c = owner;

	(void) terminal;
	(void) writable;
	(void) e;
	ssh_conn_kick(c->conn);
	return 0;
}

static int on_output(void *owner, bool is_stderr, const uint8_t *bytes, size_t len, struct err *e)
{
	struct ssh_chan *c = owner;

	if (ssh_buf_add(&c->out[is_stderr].buf, bytes, len) != len)
		return err_set(e, EMSGSIZE, "more output than the window");
	ssh_conn_kick(c->conn);
	return 0;
}

static void on_notice(void *owner, const char *text)
{
	struct ssh_chan *c = owner;
	char line[256];

	(void) snprintf(line, sizeof line, "openshell: %.200s\r\n", text);
	/* Not through the buffer, whose bytes are counted; lost when the window is shut. */
	if (ssh_channel_window_size(c->ch) > strlen(line))
		(void) ssh_channel_write_stderr(c->ch, line, (uint32_t) strlen(line));
}

static void on_room(void *owner)
{
	struct ssh_chan *c = owner;

	ssh_conn_kick(c->conn);
}

static void on_exited(void *owner, bool detached, uint32_t code)
{
	ssh_chan_end(owner, false, detached ? 0 : code, "");
}

static void on_ended(void *owner, const struct err *why)
{
	struct ssh_chan *c = owner;

	(void) why;
	if (!c->ended)
		ssh_chan_end(c, false, 126,
			"openshell: there is nothing to attach to; start the command with -i or "
			"--attachable");
}

static const struct attach_client_calls calls = { .opened = on_opened,
	.output = on_output,
	.notice = on_notice,
	.room = on_room,
	.exited = on_exited,
	.ended = on_ended };

int ssh_attach_open(struct ssh_chan *c, int take_fd, struct err *e)
{
	const struct attach_open open = { c->read_only, c->tty ? c->rows : 0,
		c->tty ? c->columns : 0 };

	c->started = true;
	c->main.calls = &calls;
	c->main.owner = c;
	if (attach_client_init(&c->main, c->conn->loop, take_fd, &open, e) < 0)
		return -e->code;
	if (ssh_buf_reserve(&c->out[0].buf, SESSION_WINDOW_BYTES) < 0 ||
		ssh_buf_reserve(&c->out[1].buf, SESSION_WINDOW_BYTES) < 0)
		return err_set(e, ENOMEM, "out of memory");
	return 0;
}
