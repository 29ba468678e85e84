#include "orch_ctl.h"
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>
#include "core_fd.h"
#include "core_log.h"
#include "orch_ctl_socket.h"
#include "orch_stdio.h"
#include "orch_terminal.h"

static const char usage[] =
	"usage: openshell-supervisor ctl VERB [--name NAME | --socket PATH] ...\n\n"
	"  exec [-t] -- COMMAND [ARGUMENT...]  run a command in the sandbox; -t: on a terminal\n"
	"  shell                               run a shell in the sandbox\n"
	"  attach [--read-only]                share the main command's terminal or pipes;\n"
	"                                      Ctrl-P Ctrl-Q leaves it\n"
	"  ssh-config [--host ALIAS]           print what ssh_config(5) needs for \"ssh ALIAS\"\n"
	"  ssh-proxy                           carry an SSH connection, for ProxyCommand\n\n"
	"Without --name, the only sandbox of this user that is running.\n";

enum verb { VERB_NONE, VERB_EXEC, VERB_SHELL, VERB_ATTACH, VERB_CONFIG, VERB_PROXY };

static const struct {
	const char *name;
	enum verb verb;
} verbs[] = { { "exec", VERB_EXEC }, { "shell", VERB_SHELL }, { "attach", VERB_ATTACH },
	{ "ssh-config", VERB_CONFIG }, { "ssh-proxy", VERB_PROXY } };

static enum verb find_verb(const char *word)
{
	for (size_t i = 0; i < sizeof verbs / sizeof *verbs; i++)
		if (strcmp(verbs[i].name, word) == 0)
			return verbs[i].verb;
	return VERB_NONE;
}

static const char **find_value(struct orch_ctl *c, const char *word)
{
	if (strcmp(word, "--name") == 0)
		return &c->name;
	if (strcmp(word, "--socket") == 0)
		return &c->socket;
	return strcmp(word, "--host") == 0 ? &c->host : NULL;
}

/* One word that begins with a dash; *at stands on it. */
static int flag(struct orch_ctl *c, char ***at, struct err *e)
{
	const char *word = **at;
	const char **value = find_value(c, word);

	if (value) {
		*value = *++*at;
		return *value ? 0 : err_set(e, EINVAL, "ctl: %s needs a value", word);
	}
	if (strcmp(word, "-t") == 0 || strcmp(word, "--tty") == 0)
		c->tty = true;
	else if (strcmp(word, "--read-only") == 0)
		c->read_only = true;
	else
		return err_set(e, EINVAL,
			"ctl: unknown option %.80s; ctl --help lists what there is", word);
	return 0;
}

static int parse(struct orch_ctl *c, char **at, enum verb *ret, struct err *e)
{
	for (; *at; at++) {
		if (strcmp(*at, "--") == 0) {
			at++;
			break;
		}
		if (**at == '-') {
			if (flag(c, &at, e) < 0)
				return -e->code;
			continue;
		}
		if (*ret != VERB_NONE)
			break;
		*ret = find_verb(*at);
		if (*ret == VERB_NONE)
			return err_set(e, EINVAL,
				"ctl: %.80s is unknown; ctl --help lists what "
				"there is",
				*at);
	}
	c->command = at;
	if (*ret == VERB_NONE)
		return err_set(
			e, EINVAL, "ctl: what is to be done? ctl --help lists what there is");
	if (*ret == VERB_EXEC && !*at)
		return err_set(e, EINVAL, "ctl exec: no command; ctl exec -- COMMAND");
	if (*ret != VERB_EXEC && *at)
		return err_set(e, EINVAL, "ctl: %.80s is one word too many", *at);
	return 0;
}

static int find_socket(struct orch_ctl *c, struct err *e)
{
	if (!c->socket)
		return orch_ctl_find(c->name, c->path, e);
	if (strlen(c->socket) >= sizeof c->path)
		return err_set(e, ENAMETOOLONG, "ctl: --socket is too long");
	(void) snprintf(c->path, sizeof c->path, "%s", c->socket);
	return 0;
}

static int run(struct orch_ctl *c, enum verb verb, struct err *e)
{
	AUTO(loop_free) struct loop *l = NULL;
	int r;

	if (find_socket(c, e) < 0 || loop_new(&l, e) < 0)
		return -e->code;
	(void) signal(SIGPIPE, SIG_IGN);
	if (verb == VERB_ATTACH)
		return orch_ctl_attach(l, c, e);
	if (verb == VERB_CONFIG)
		return orch_ctl_ssh_config(c, e);
	if (verb == VERB_PROXY)
		return orch_ctl_ssh_proxy(l, c, e);
	c->tty |= verb == VERB_SHELL && isatty(STDIN_FILENO);
	if (verb == VERB_SHELL)
		c->command = NULL;
	r = orch_ctl_exec(l, c, e);
	orch_terminal_restore();
	return r;
}

int orch_ctl_command(int argc, char **argv)
{
	struct orch_ctl c = { 0 };
	enum verb verb = VERB_NONE;
	struct err e = { 0 };
	int status;

	if (argc > 0 && (strcmp(argv[0], "--help") == 0 || strcmp(argv[0], "help") == 0)) {
		(void) fd_write_all(STDOUT_FILENO, usage, sizeof usage - 1, &e);
		return 0;
	}
	if (orch_stdio_reserve(&e) < 0)
		return log_fatal(&e);
	if (parse(&c, argv, &verb, &e) < 0) {
		(void) log_fatal(&e);
		return 2;
	}
	status = run(&c, verb, &e);
	return status < 0 ? log_fatal(&e) : status;
}
