/* orch_ctl_ssh.c - ctl ssh-proxy and ctl ssh-config: the user's own ssh(1) reaches the sandbox. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include "core_fd.h"
#include "core_text.h"
#include "ipc_ctl.h"
#include "orch_ctl.h"
#include "orch_relay.h"
#include "orch_spawn.h"

struct proxy {
	struct loop *loop;
	struct orch_relay *relays[2];
	int fd; /* the connection, for shutdown(2) */
};

static void on_input_end(void *owner, enum orch_relay_end why)
{
	struct proxy *p = owner;

	(void) why;
	(void) shutdown(p->fd, SHUT_WR); /* what is on its way back still comes */
	orch_relay_free(TAKE_PTR(p->relays[0]));
}

static void on_output_end(void *owner, enum orch_relay_end why)
{
	struct proxy *p = owner;

	(void) why;
	loop_stop(p->loop);
}

static int carry(struct proxy *p, struct err *e)
{
	AUTO_CLOSE int in = -1, out = -1;

	if (orch_relay_reopen(STDIN_FILENO, false, &in, e) < 0 ||
		orch_relay_reopen(STDOUT_FILENO, true, &out, e) < 0)
		return -e->code;
	for (int i = 0; i < 2; i++) {
		AUTO_CLOSE int fd = fcntl(p->fd, F_DUPFD_CLOEXEC, 3);
		int r;

		if (fd < 0)
			return err_set(e, errno, "duplicate the connection: %s", strerror(errno));
		r = i == 0 ? orch_relay_new(p->loop, TAKE_FD(in), TAKE_FD(fd), on_input_end, p,
				     &p->relays[0], e)
			   : orch_relay_new(p->loop, TAKE_FD(fd), TAKE_FD(out), on_output_end, p,
				     &p->relays[1], e);
		if (r < 0)
			return r;
	}
	return loop_run(p->loop, e);
}

int orch_ctl_ssh_proxy(struct loop *l, const struct orch_ctl *c, struct err *e)
{
	struct proxy p = { .loop = l, .fd = -1 };
	int r = orch_ctl_ask(l, c->path, CTL_SSH, &p.fd, e);

	if (r == 0)
		r = carry(&p, e);
	orch_relay_free(p.relays[0]);
	orch_relay_free(p.relays[1]);
	core_closep(&p.fd);
	return r;
}

int orch_ctl_ssh_config(const struct orch_ctl *c, struct err *e)
{
	AUTO_FREE char *self = NULL;
	char buf[4096];
	struct text t;

	if (orch_spawn_self(&self, e) < 0)
		return -e->code;
	text_init(&t, buf, sizeof buf);
	/* The transport is a Unix socket whose owner is known; the host key is new at every start,
	 * so there is nothing that a known_hosts file could compare. */
	text_addf(&t,
		"Host %s\n"
		"    ProxyCommand %s%s ctl ssh-proxy --socket %s\n"
		"    User sandbox\n"
		"    StrictHostKeyChecking no\n"
		"    UserKnownHostsFile /dev/null\n"
		"    GlobalKnownHostsFile /dev/null\n"
		"    LogLevel ERROR\n"
		"    ServerAliveInterval 15\n"
		"    ServerAliveCountMax 3\n"
		"    ForwardAgent no\n"
		"    ForwardX11 no\n",
		c->host ? c->host : "sandbox", getenv("SUDO_UID") && geteuid() == 0 ? "sudo " : "",
		self, c->path);
	if (t.cut)
		return err_set(e, ENAMETOOLONG, "the paths are too long");
	return fd_write_all(STDOUT_FILENO, buf, t.len, e);
}
