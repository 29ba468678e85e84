#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/close_range.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <termios.h>
#include <unistd.h>
#include "core_fd.h"
#include "orch_terminal.h"

/* The handler of a fatal signal has no argument of ours. */
static struct {
	volatile sig_atomic_t fd; /* -1: not raw */
	struct termios before, raw;
	int guard; /* while it is open, the guard waits; -1: none */
} terminal = { .fd = -1, .guard = -1 };

void orch_terminal_restore(void)
{
	int fd = terminal.fd;

	terminal.fd = -1;
	if (fd >= 0)
		(void) tcsetattr(fd, TCSADRAIN, &terminal.before);
	if (terminal.guard >= 0)
		(void) close(terminal.guard);
	terminal.guard = -1;
}

static bool is_equal(const struct termios *a, const struct termios *b)
{
	return a->c_iflag == b->c_iflag && a->c_oflag == b->c_oflag && a->c_cflag == b->c_cflag &&
		a->c_lflag == b->c_lflag;
}

/* In a process of its own, and a session of its own, so that no key and no signal for our group
 * reaches it.  A shell that has taken the terminal back has set what it wants. */
static void guard(int take_fd, int take_pipe)
{
	struct termios now;
	sigset_t all;
	char byte;

	(void) sigfillset(&all);
	(void) sigprocmask(SIG_SETMASK, &all, NULL);
	(void) setsid();
	if (fd_place(take_fd, 0) < 0 || fd_place(take_pipe, 1) < 0)
		_exit(1);
	(void) close_range(2, UINT_MAX, 0);
	while (read(1, &byte, 1) < 0 && errno == EINTR)
		;
	if (tcgetattr(0, &now) == 0 && is_equal(&now, &terminal.raw))
		(void) tcsetattr(0, TCSANOW, &terminal.before);
	_exit(0);
}

/* SIGKILL can't be caught; somebody else must put the terminal right then. */
static void start_guard(int fd)
{
	int pipe_fds[2];
	pid_t pid;

	if (pipe2(pipe_fds, O_CLOEXEC) < 0)
		return; /* the terminal is restored by us, as long as we live */
	pid = fork();
	if (pid == 0) {
		(void) close(pipe_fds[1]);
		guard(fd, pipe_fds[0]);
	}
	(void) close(pipe_fds[0]);
	if (pid < 0)
		(void) close(pipe_fds[1]);
	else
		terminal.guard = pipe_fds[1];
}

bool orch_terminal_is_raw(void)
{
	return terminal.fd >= 0;
}

static void on_fatal(int signo)
{
	orch_terminal_restore(); /* tcsetattr is async-signal-safe (signal-safety(7)) */
	(void) raise(signo);	 /* the default action, SA_RESETHAND */
}

static void catch_fatal(void)
{
#ifndef __SANITIZE_ADDRESS__
	static const int signals[] = { SIGSEGV, SIGBUS, SIGABRT, SIGILL, SIGFPE };
	struct sigaction a = { .sa_handler = on_fatal, .sa_flags = (int) SA_RESETHAND };

	for (size_t i = 0; i < sizeof signals / sizeof signals[0]; i++)
		(void) sigaction(signals[i], &a, NULL);
#else
	(void) on_fatal;
#endif
}

int orch_terminal_raw(int fd, struct err *e)
{
	if (tcgetattr(fd, &terminal.before) < 0)
		return errno == ENOTTY
			? 0
			: err_set(e, errno, "the terminal's settings: %s", strerror(errno));
	terminal.raw = terminal.before;
	cfmakeraw(&terminal.raw);
	catch_fatal();
	start_guard(fd);
	terminal.fd = fd;
	if (tcsetattr(fd, TCSADRAIN, &terminal.raw) < 0) {
		terminal.fd = -1;
		return err_set(e, errno, "set the terminal to raw mode: %s", strerror(errno));
	}
	return 0;
}

void orch_terminal_pause(void)
{
	if (terminal.fd >= 0)
		(void) tcsetattr(terminal.fd, TCSADRAIN, &terminal.before);
}

void orch_terminal_again(void)
{
	if (terminal.fd >= 0)
		(void) tcsetattr(terminal.fd, TCSADRAIN, &terminal.raw);
}

struct orch_terminal_size orch_terminal_size(int fd)
{
	struct winsize w = { 0 };

	if (ioctl(fd, TIOCGWINSZ, &w) < 0)
		return (struct orch_terminal_size){ 0 };
	return (struct orch_terminal_size){ w.ws_row, w.ws_col };
}

size_t orch_terminal_modes(int fd, uint32_t ret[MODES_LEN])
{
	struct termios t;

	return tcgetattr(fd, &t) < 0 ? 0 : modes_read(&t, ret);
}

void orch_terminal_resize(int fd, struct orch_terminal_size s)
{
	struct winsize w = { .ws_row = s.rows, .ws_col = s.columns };

	if (s.rows && s.columns)
		(void) ioctl(fd, TIOCSWINSZ, &w);
}
