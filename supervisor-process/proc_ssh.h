/* proc_ssh.h - SSH connections: accepted here, parsed in a program of its own.
 *
 * Each connection gets a fresh openshell-supervisor-ssh, which gives up all
 * privileges before it reads the first byte, and a shell channel (proc_shell.h)
 * as its only way to do anything.  The leaf itself never reads from a
 * connection.  Who connects is judged by the orchestrator: without root, the
 * leaf is in a user namespace, from where it can't look at processes outside.
 * The host key is made once, by the same program, and kept in a
 * sealed memory file.
 */
#pragma once
#include <stdbool.h>
#include <sys/types.h>
#include "core_cleanup.h"
#include "core_err.h"
#include "core_loop.h"
#include "proc_shell.h"

struct proc_ssh;

struct proc_ssh_config { /* borrowed for as long as it lives */
	struct proc_shells *shells;
	/* Who is at the other end of peer (borrowed) and may he come in?  Answered by
	 * proc_ssh_verdict(), before anybody else is asked about. */
	int (*ask)(void *owner, int peer, struct err *e);
	void (*report)(void *owner, const char *what);
	void *owner;
};

int proc_ssh_new(
	struct loop *l, const struct proc_ssh_config *c, struct proc_ssh **ret, struct err *e);
/* The program; needed before the first connection.  take_fd may be O_PATH. */
void proc_ssh_set_program(struct proc_ssh *s, int take_fd);
/* A bound listener; nothing is accepted before proc_ssh_open(). */
int proc_ssh_listen(struct proc_ssh *s, int take_fd, struct err *e);
/* The main process runs. */
void proc_ssh_open(struct proc_ssh *s);
void proc_ssh_close(struct proc_ssh *s);
/* The answer to ask(): "" lets him in, anything else says why not; -EPROTO: nobody was asked about. */
int proc_ssh_verdict(struct proc_ssh *s, const char *refused, struct err *e);
/* A connection that somebody else accepted and checked. */
int proc_ssh_serve(struct proc_ssh *s, int take_fd, struct err *e);
/* true: pid was one of ours. */
bool proc_ssh_reaped(struct proc_ssh *s, pid_t pid, int status);
/* The programs that run: at most PROC_SSH_CONNECTIONS_MAX. */
size_t proc_ssh_pids(const struct proc_ssh *s, pid_t *ret);
void proc_ssh_free(struct proc_ssh *s);
DEFINE_AUTO(struct proc_ssh, proc_ssh_free)
