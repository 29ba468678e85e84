/* ssh_spawner.c - our end of the shell channel to the process leaf. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include "core_fd.h"
#include "ssh_state.h"

static struct ssh_chan *find(struct ssh_conn *c, uint32_t number)
{
	for (size_t i = 0; i < SSH_CHANNELS_MAX; i++)
		if (c->chans[i] && c->chans[i]->number == number)
			return c->chans[i];
	return NULL;
}

static void tell(struct ssh_chan *c, uint16_t number, const ProtobufCMessage *m)
{
	struct err ignored = { 0 };

	if (channel_send(c->conn->shell, number, c->number, m, &ignored) < 0)
		ssh_conn_end(c->conn);
}

int ssh_spawner_start(struct ssh_chan *c, Openshell__Ipc__ShellKind kind, const char *command)
{
	Openshell__Ipc__ShellStart m = OPENSHELL__IPC__SHELL_START__INIT;
	Openshell__Ipc__ShellVar vars[SSH_VARS_MAX], *list[SSH_VARS_MAX];
	char *argv[1] = { (char *) (uintptr_t) command };
	struct err ignored = { 0 };

	for (size_t i = 0; i < c->n_vars; i++) {
		openshell__ipc__shell_var__init(&vars[i]);
		vars[i].name = c->vars[i][0];
		vars[i].value = c->vars[i][1];
		list[i] = &vars[i];
	}
	m.kind = kind;
	m.argv = argv;
	m.n_argv = command ? 1 : 0;
	m.tty = c->tty;
	m.rows = c->rows;
	m.columns = c->columns;
	m.term = c->term;
	m.modes = c->modes.at;
	m.n_modes = c->modes.n;
	m.env = list;
	m.n_env = c->n_vars;
	return channel_send(c->conn->shell, SHELL_START, c->number, &m.base, &ignored);
}

void ssh_spawner_resize(struct ssh_chan *c)
{
	Openshell__Ipc__ShellResize m = OPENSHELL__IPC__SHELL_RESIZE__INIT;

	m.rows = c->rows;
	m.columns = c->columns;
	tell(c, SHELL_RESIZE, &m.base);
}

void ssh_spawner_signal(struct ssh_chan *c, int signo)
{
	Openshell__Ipc__ShellSignal m = OPENSHELL__IPC__SHELL_SIGNAL__INIT;

	m.signo = (uint32_t) signo;
	tell(c, SHELL_SIGNAL, &m.base);
}

void ssh_spawner_hang_up(struct ssh_chan *c)
{
	struct err ignored = { 0 };

	(void) channel_send(c->conn->shell, SHELL_HANGUP, c->number, NULL, &ignored);
}

void ssh_spawner_dial(struct ssh_chan *c, const uint8_t address[16], uint32_t port)
{
	Openshell__Ipc__ShellDial m = OPENSHELL__IPC__SHELL_DIAL__INIT;

	m.address.data = (uint8_t *) (uintptr_t) address;
	m.address.len = 16;
	m.port = port;
	tell(c, SHELL_DIAL, &m.base);
}

void ssh_spawner_attach(struct ssh_chan *c)
{
	tell(c, SHELL_MAIN, NULL);
}

void ssh_spawner_report(struct ssh_conn *c, const char *what)
{
	Openshell__Ipc__ShellReport m = OPENSHELL__IPC__SHELL_REPORT__INIT;
	struct err ignored = { 0 };

	m.what = (char *) (uintptr_t) what;
	(void) channel_send(c->shell, SHELL_REPORT, 0, &m.base, &ignored);
}

/* ---- answers; a channel that is gone meanwhile lets its descriptors be closed ---- */

static int on_SHELL_STARTED(void *owner, const struct channel_msg *m, int *fds, struct err *e)
{
	struct ssh_chan *c = find(owner, m->request);

	if (!c)
		return 0;
	return ssh_chan_begin(c, TAKE_FD(fds[0]), (int[2]){ TAKE_FD(fds[1]), TAKE_FD(fds[2]) }, e);
}

static int begin_one(struct ssh_chan *c, int *fd, struct err *e)
{
	int in = fcntl(*fd, F_DUPFD_CLOEXEC, 6);

	if (in < 0)
		return err_set(e, errno, "duplicate a descriptor");
	return ssh_chan_begin(c, in, (int[2]){ TAKE_FD(*fd), -1 }, e);
}

static int on_SHELL_STARTED_TTY(void *owner, const struct channel_msg *m, int *fds, struct err *e)
{
	struct ssh_chan *c = find(owner, m->request);

	return c ? begin_one(c, &fds[0], e) : 0;
}

static int on_SHELL_DIALLED(void *owner, const struct channel_msg *m, int *fds, struct err *e)
{
	struct ssh_chan *c = find(owner, m->request);

	return c ? begin_one(c, &fds[0], e) : 0;
}

static int on_SHELL_ATTACHED(void *owner, const struct channel_msg *m, int *fds, struct err *e)
{
	struct ssh_chan *c = find(owner, m->request);

	return c ? ssh_attach_open(c, TAKE_FD(fds[0]), e) : 0;
}

static int on_SHELL_REFUSED(void *owner, const struct channel_msg *m, int *fds, struct err *e)
{
	struct ssh_chan *c = find(owner, m->request);
	ProtobufCMessage *base;

	(void) fds;
	if (channel_unpack(m, &openshell__ipc__shell_refused__descriptor, &base, e) < 0)
		return -e->code;
	/* GAP-28: the channel says so; the connection goes on. */
	if (c && c->kind == SSH_KIND_DIAL) {
		(void) ssh_channel_close(c->ch);
		c->closed = true;
		ssh_conn_kick(c->conn);
	} else if (c) {
		ssh_chan_end(c, false, 126, ((Openshell__Ipc__ShellRefused *) base)->text);
	}
	protobuf_c_message_free_unpacked(base, NULL);
	return 0;
}

static int on_SHELL_ENDED(void *owner, const struct channel_msg *m, int *fds, struct err *e)
{
	struct ssh_chan *c = find(owner, m->request);
	Openshell__Ipc__ShellEnded *end;
	ProtobufCMessage *base;

	(void) fds;
	if (channel_unpack(m, &openshell__ipc__shell_ended__descriptor, &base, e) < 0)
		return -e->code;
	end = (Openshell__Ipc__ShellEnded *) base;
	if (c)
		ssh_chan_end(c, end->signalled, end->code, end->text);
	protobuf_c_message_free_unpacked(base, NULL);
	return 0;
}

#define X(n, num, lo, hi, fds, st) { #n, (num), (lo), (hi), (fds), (st), on_##n },
static const struct channel_rule spawner_rules[] = { SHELL_ANSWERS(X){ 0 } };
#undef X

static void on_end(void *owner, const struct err *why)
{
	(void) why;
	ssh_conn_end(owner);
}

int ssh_spawner_open(struct ssh_conn *c, int take_fd, struct err *e)
{
	const struct channel_user user = { spawner_rules, &c->shell_state, on_end, c };

	c->shell_state = SHELL_OPEN;
	return channel_open(c->loop, take_fd, &user, &c->shell, e);
}
