/* ssh_tool.c - an SSH client that asks for what ssh(1) would not: ssh_tool SOCKET WORD...
 *
 * Each word is one request; its answer is one line.  OpenSSH's client tries "none" first, which is
 * accepted; this one logs in as it is told.
 *   none | password | keyboard | agent | key:FILE | certificate:FILE    log in ("yes", "no", "gone")
 *   session                                                 a channel, for the words that follow
 *   env:NAME=VALUE | x11 | x11-channel | agent-forward | exec:COMMAND | shell | pty | signal:NAME
 *   line | output (until the end) | end (output, and how it ended)
 *   tcp:HOST:PORT | unix:PATH | listen:PORT                               forwards
 */
#include <libssh/callbacks.h>
#include <libssh/libssh.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

struct tool {
	ssh_session session;
	ssh_channel channel;
	struct ssh_channel_callbacks_struct callbacks;
	char signalled[32];
	int status;
};

static int connect_to(const char *path)
{
	struct sockaddr_un a = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	(void) snprintf(a.sun_path, sizeof a.sun_path, "%s", path);
	if (fd < 0 || connect(fd, (struct sockaddr *) &a, sizeof a) < 0)
		return -1;
	return fd;
}

static const char *auth_answer(ssh_session s, int r)
{
	if (r == SSH_AUTH_SUCCESS)
		return "yes";
	return r == SSH_AUTH_ERROR || !ssh_is_connected(s) ? "gone" : "no";
}

static int use_key(ssh_session s, const char *file, bool certificate)
{
	ssh_key key = NULL, cert = NULL;
	char path[256];
	int r = SSH_AUTH_ERROR;

	(void) snprintf(path, sizeof path, "%s-cert.pub", file);
	if (ssh_pki_import_privkey_file(file, NULL, NULL, NULL, &key) == SSH_OK &&
		(!certificate ||
			(ssh_pki_import_cert_file(path, &cert) == SSH_OK &&
				ssh_pki_copy_cert_to_privkey(cert, key) == SSH_OK)))
		r = ssh_userauth_publickey(s, NULL, key);
	ssh_key_free(cert);
	ssh_key_free(key);
	return r;
}

static bool log_in(struct tool *t, const char *word)
{
	ssh_session s = t->session;
	int r;

	if (strcmp(word, "none") == 0)
		r = ssh_userauth_none(s, NULL);
	else if (strcmp(word, "password") == 0)
		r = ssh_userauth_password(s, NULL, "secret");
	else if (strcmp(word, "keyboard") == 0)
		r = ssh_userauth_kbdint(s, NULL, NULL);
	else if (strcmp(word, "agent") == 0)
		r = ssh_userauth_agent(s, NULL);
	else if (strncmp(word, "key:", 4) == 0)
		r = use_key(s, word + 4, false);
	else if (strncmp(word, "certificate:", 12) == 0)
		r = use_key(s, word + 12, true);
	else
		return false;
	(void) printf("%s %s\n", word, auth_answer(s, r));
	return true;
}

static void on_exit_signal(ssh_session s, ssh_channel ch, const char *name, int core,
	const char *text, const char *language, void *owner)
{
	struct tool *t = owner;

	(void) s;
	(void) ch;
	(void) core;
	(void) text;
	(void) language;
	(void) snprintf(t->signalled, sizeof t->signalled, "%s", name);
}

static void on_exit_status(ssh_session s, ssh_channel ch, int status, void *owner)
{
	struct tool *t = owner;

	(void) s;
	(void) ch;
	t->status = status;
}

static int open_session(struct tool *t)
{
	t->channel = ssh_channel_new(t->session);
	t->status = -1;
	t->signalled[0] = '\0';
	t->callbacks = (struct ssh_channel_callbacks_struct){ .userdata = t,
		.channel_exit_signal_function = on_exit_signal,
		.channel_exit_status_function = on_exit_status };
	ssh_callbacks_init(&t->callbacks);
	(void) ssh_set_channel_callbacks(t->channel, &t->callbacks);
	return ssh_channel_open_session(t->channel);
}

/* true: something was there. */
static bool drain(struct tool *t, int is_stderr)
{
	char bytes[4096];
	int n = ssh_channel_read_nonblocking(t->channel, bytes, sizeof bytes, is_stderr);

	if (n > 0)
		(void) fwrite(bytes, 1, (size_t) n, is_stderr ? stderr : stdout);
	return n > 0;
}

static int read_output(struct tool *t)
{
	ssh_event event = ssh_event_new();
	bool open = true;

	(void) ssh_event_add_session(event, t->session);
	while (open) {
		open = ssh_is_connected(t->session) && !ssh_channel_is_closed(t->channel);
		if (open && ssh_event_dopoll(event, 1000) == SSH_ERROR)
			open = false;
		while (drain(t, 0) || drain(t, 1))
			;
	}
	(void) ssh_event_remove_session(event, t->session);
	ssh_event_free(event);
	return SSH_OK;
}

static int read_line(struct tool *t)
{
	char byte = 0;

	while (byte != '\n' && ssh_channel_read(t->channel, &byte, 1, 0) == 1)
		(void) putchar(byte);
	return byte == '\n' ? SSH_OK : SSH_ERROR;
}

static int set_env(struct tool *t, char *pair)
{
	char *value = strchr(pair, '=');

	*value++ = '\0';
	return ssh_channel_request_env(t->channel, pair, value);
}

static int forward(struct tool *t, char *target)
{
	char *port = strrchr(target, ':');
	ssh_channel ch = ssh_channel_new(t->session);

	*port++ = '\0';
	return ssh_channel_open_forward(ch, target, (int) strtoul(port, NULL, 10), "localhost", 1);
}

static int ask_forward(struct tool *t, char *word)
{
	if (strncmp(word, "tcp:", 4) == 0)
		return forward(t, word + 4);
	if (strncmp(word, "unix:", 5) == 0)
		return ssh_channel_open_forward_unix(
			ssh_channel_new(t->session), word + 5, "localhost", 1);
	if (strncmp(word, "listen:", 7) == 0)
		return ssh_channel_listen_forward(
			t->session, NULL, (int) strtoul(word + 7, NULL, 10), NULL);
	if (strcmp(word, "x11-channel") == 0)
		return ssh_channel_open_x11(ssh_channel_new(t->session), "localhost", 1);
	return -2;
}

static int ask(struct tool *t, char *word)
{
	if (strcmp(word, "session") == 0)
		return open_session(t);
	if (strncmp(word, "env:", 4) == 0)
		return set_env(t, word + 4);
	if (strcmp(word, "x11") == 0)
		return ssh_channel_request_x11(t->channel, 0, NULL, NULL, 0);
	if (strcmp(word, "agent-forward") == 0)
		return ssh_channel_request_auth_agent(t->channel);
	if (strcmp(word, "pty") == 0)
		return ssh_channel_request_pty(t->channel);
	if (strcmp(word, "shell") == 0)
		return ssh_channel_request_shell(t->channel);
	if (strncmp(word, "exec:", 5) == 0)
		return ssh_channel_request_exec(t->channel, word + 5);
	if (strncmp(word, "signal:", 7) == 0)
		return ssh_channel_request_send_signal(t->channel, word + 7);
	if (strcmp(word, "line") == 0)
		return read_line(t);
	if (strcmp(word, "output") == 0)
		return read_output(t);
	return ask_forward(t, word);
}

static void tell_end(struct tool *t)
{
	(void) read_output(t);
	if (t->signalled[0])
		(void) printf("end signal %s\n", t->signalled);
	else
		(void) printf("end status %d\n", t->status);
}

int main(int argc, char **argv)
{
	struct tool t = { .session = ssh_new() };
	int fd = argc > 1 ? connect_to(argv[1]) : -1, no = 0;
	long seconds = 30;

	(void) setvbuf(stdout, NULL, _IOLBF, 0);
	if (fd < 0 || !t.session ||
		ssh_options_set(t.session, SSH_OPTIONS_PROCESS_CONFIG, &no) < 0 ||
		ssh_options_set(t.session, SSH_OPTIONS_HOST, "sandbox") < 0 ||
		ssh_options_set(t.session, SSH_OPTIONS_USER, "sandbox") < 0 ||
		ssh_options_set(t.session, SSH_OPTIONS_TIMEOUT, &seconds) < 0 ||
		ssh_options_set(t.session, SSH_OPTIONS_FD, &fd) < 0 ||
		ssh_connect(t.session) != SSH_OK) {
		(void) fprintf(stderr, "ssh_tool: no connection\n");
		return 2;
	}
	for (int i = 2; i < argc; i++) {
		if (log_in(&t, argv[i]))
			continue;
		if (strcmp(argv[i], "end") == 0) {
			tell_end(&t);
			continue;
		}
		char word[512];

		(void) snprintf(word, sizeof word, "%s", argv[i]);
		(void) printf("%s %s\n", argv[i], ask(&t, word) == SSH_OK ? "yes" : "no");
	}
	(void) fflush(stdout);
	_exit(0); /* what is left needs no good-bye */
}
